package reason_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/reason"
)

// Every constant in codes.go has a sentence, and every sentence a constant.
func TestEveryCodeHasASentence(t *testing.T) {
	src, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[reason.Code]bool{}
	for _, m := range regexp.MustCompile(`Code = "([a-z_]+)"`).FindAllStringSubmatch(string(src), -1) {
		code := reason.Code(m[1])
		if declared[code] {
			t.Errorf("%s is declared twice", code)
		}
		declared[code] = true
		text := reason.Reason{Code: code}.Text(time.UTC)
		if text == string(code) || !strings.HasSuffix(text, ".") {
			t.Errorf("%s has no sentence: %q", code, text)
		}
	}
	for _, code := range reason.All() {
		if !declared[code] {
			t.Errorf("%s has a sentence but no constant", code)
		}
	}
	if len(declared) < 50 {
		t.Fatalf("read only %d codes", len(declared))
	}
}

func TestTextShowsTimesInTheReadersZone(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
	r := reason.New(reason.OutsideWindow, "until", reason.Time(at))
	if got, want := r.Text(paris), "Outside its window: opens Tue 24 Nov, 12:00 CET."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := r.NextStep(time.UTC), "nothing to do: it happens Tue 24 Nov, 11:00 UTC"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if until, ok := r.Until(); !ok || !until.Equal(at) {
		t.Errorf("until = %v, %v", until, ok)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(reason.New(reason.Offline, "since", "x").Encode())
	f.Add(`{"code":"of_tomorrow","args":{"a":"{b}"}}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := reason.Decode(s)
		if err != nil {
			return
		}
		again, err := reason.Decode(r.Encode())
		if err != nil || again.Text(time.UTC) != r.Text(time.UTC) {
			t.Fatalf("%q does not survive: %v", s, err)
		}
	})
}
