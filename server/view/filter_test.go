package view_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/view"
)

func TestFilterReadsWhatItPromises(t *testing.T) {
	f, err := view.ParseFilter(` os:windows,linux tag:"two words" updates>0 -online:true  offline:1h class:server state:active,stale site:main tenant:acme name:PC-1 web,01 update:failed`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `os:windows,linux tag:"two words" updates>0 -online:true offline:1h class:server state:active,stale site:main tenant:acme name:PC-1 text:"web,01" update:failed`
	if f.String() != want {
		t.Errorf("got  %s\nwant %s", f, want)
	}
	if t4 := f.Terms[4]; t4.For != time.Hour || t4.At != 59 || t4.Text != "offline:1h" {
		t.Errorf("%+v", t4)
	}
	if !f.Has(view.FieldState) || f.Has(view.FieldPackage) {
		t.Error("Has is wrong")
	}
	if f, err := view.ParseFilter("  "); err != nil || len(f.Terms) != 0 {
		t.Errorf("an empty filter: %v, %v", f, err)
	}
}

func TestFilterMarksWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		text string
		at   int
		says string
	}{
		{"os:windows colour:red", 12, "no such field"},
		{"os:beos", 1, "no such value of os"},
		{"updates:many", 1, "a number"},
		{"a updates>-1", 3, "a number"},
		{"tag:", 1, "empty"},
		{"tag:a,,b", 1, "empty"},
		{"online:yes", 1, "true or false"},
		{"offline:soon", 1, "duration"},
		{"offline:1h,2h", 1, "one value"},
		{"class>server", 1, "colon"},
		{"site:../x", 1, "no name of a site"},
		{`x "open`, 3, "not closed"},
		{`na"me`, 1, "quote"},
		{`"a"b`, 1, "space"},
		{"name:\x00", 1, "no text"},
		{strings.Repeat("a ", 31), 61, "more than 30"},
		{strings.Repeat("a", 2001), 1, "2000 bytes"},
	} {
		_, err := view.ParseFilter(c.text)
		var p *view.Problem
		if !fault.Is(err, fault.Invalid) || !errors.As(err, &p) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if p.At != c.at || !strings.Contains(p.What, c.says) {
			t.Errorf("%q: at %d: %s", c.text, p.At, p.What)
		}
	}
}

func TestFilterProblemsNeverRepeatValues(t *testing.T) {
	_, err := view.ParseFilter("os:hunter2")
	var f *fault.Error
	if !errors.As(err, &f) || strings.Contains(f.Message+f.Next+f.Field, "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestAFilterWrittenOutIsTheSameFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{
			"os:windows", "-tag:x", `tag:"a b"`, "updates>=3", "updates=0", "updates:7", "online:false", "offline:3d", "host", `"two words"`, "-x", `name:"q\"\\"`,
			"state:active,pending", "package:libc6", "source:apt", "text:os:windows",
		}), 0, 10).Draw(t, "words")
		f, err := view.ParseFilter(strings.Join(words, " "))
		if err != nil {
			t.Fatal(err)
		}
		again, err := view.ParseFilter(f.String())
		if err != nil || again.String() != f.String() || len(again.Terms) != len(words) {
			t.Fatalf("%s became %s, %v", f, again, err)
		}
	})
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"os:windows tag:x updates>0 online:true offline:1h", `-name:"a \" b",c free`, "x:y", `"`, "-", "a=", "ü:1", "updates<=1048576"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := view.ParseFilter(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := view.ParseFilter(parsed.String())
		if err == nil && again.String() != parsed.String() {
			t.Fatalf("%q: %q became %q", text, parsed, again)
		}
		// Quotes make a text longer, so only a filter near the limit may fail.
		if err != nil && len(text) < view.MaxFilter/4 {
			t.Fatalf("%q: %q: %v", text, parsed, err)
		}
	})
}
