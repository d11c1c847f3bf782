package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "two\nlines\r\n": "two lines", "a\tb": "a b", "\x1b[31mred\x1b[0m": "red", "\x1b]0;title\x07x": "x",
		"\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\": "click", "\u009b31mred": "red", "\x1bPdcs\x1b\\x": "x", "\x1bcreset": "reset", "end\x1b": "end",
		"\x1b[": "", "\x1b]never ends": "never ends", "abc\x1b[31": "abc31", "gpj\u202Eexe": "gpjexe", "a\u200bb": "ab", "bell\a\b": "bell", "café 日本": "café 日本",
		"\xff\xfe": "\uFFFD\uFFFD", "\u2028x": "x", "\x1b\x1b[2Jx": "x", "\x1béx": "éx", "a\x7fb": "ab",
	} {
		if got := line(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Hostile text costs no more than its length.
func TestLineIsLinear(t *testing.T) {
	for _, part := range []string{"\x1b]", "\u009d", "\x1b[0", "\x1bP\x1b]", "\x1b"} {
		if got := line(strings.Repeat(part, 1<<20)); strings.Contains(got, "\x1b") {
			t.Errorf("%q is left", part)
		}
	}
}

func TestLogLines(t *testing.T) {
	got := lines("  a\r\n\tb\x1b[2J\n1%\r50%\r100%\r\n\n")
	if want := []string{"  a", "    b", "100%"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func dangerous(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) })
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m")
	f.Add("\x1b]8;;x\x07y\u202E\u009b2J")
	f.Add("a\xc2\x9bb")
	f.Fuzz(func(t *testing.T, s string) {
		if got := line(s); dangerous(got) || got != strings.TrimSpace(got) {
			t.Fatalf("%q became %q", s, got)
		}
		for _, l := range lines(s) {
			if dangerous(l) {
				t.Fatalf("%q became %q", s, l)
			}
		}
	})
}

// JSON at a terminal says the same and holds nothing that the terminal acts on.
func TestSafeJSONSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text") + rapid.SampledFrom([]string{"", "\u202E", "\u009b2J", "\U000E0041", "\u2028"}).Draw(t, "bad")
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		raw := safeJSON([]byte(strings.TrimSpace(b.String())))
		var got string
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Fatalf("%q became %s: %q, %v", want, raw, got, err)
		}
		if dangerous(string(raw)) {
			t.Fatalf("%q", raw)
		}
	})
}

func TestCutKeepsItsColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := line(rapid.String().Draw(t, "s")), rapid.IntRange(0, 30).Draw(t, "n")
		got := cut(s, n)
		if columns(got) > n {
			t.Fatalf("%q has more than %d columns", got, n)
		}
		if columns(s) <= n && got != s {
			t.Fatalf("%q was cut to %q", s, got)
		}
	})
}

func TestWhen(t *testing.T) {
	env := world("", nil, nil, nil)
	for in, want := range map[string]string{
		"": "-", "0001-01-01T00:00:00Z": "-", "2026-11-21T12:00:00Z": "now, 13:00 CET", "2026-11-21T11:59:18Z": "42 s ago, 12:59 CET",
		"2026-11-21T15:30:00Z": "in 3 h, 16:30 CET", "2026-11-24T21:00:00+01:00": "in 3 d, Tue 24 Nov 21:00 CET",
		"2025-07-01T10:00:00Z": "508 d ago, 1 Jul 2025 12:00 CEST", "soon\x1b[2J": "soon",
	} {
		if got := env.when(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
