package wire

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanDropsWhatHidesText(t *testing.T) {
	cases := []struct{ in, text, log string }{
		{"plain Grün ☂", "plain Grün ☂", "plain Grün ☂"},
		{"a\nb\tc\r", "abc", "a\nb\tc"},
		{"exe\u202egpj.txt", "exegpj.txt", "exegpj.txt"},
		{"\u200e\u200f\u061c\u2066x\u2069\x1b[31m\u0085\x00", "x[31m", "x[31m"},
	}
	for _, c := range cases {
		if got := Clean(c.in); got != c.text {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.text)
		}
		if got := CleanLog(c.in); got != c.log {
			t.Errorf("CleanLog(%q) = %q, want %q", c.in, got, c.log)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\u202eb\n")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		got := Clean(s)
		if Clean(got) != got || len(got) > len(s) || strings.IndexFunc(got, unicode.IsControl) >= 0 {
			t.Errorf("Clean(%q) = %q", s, got)
		}
	})
}
