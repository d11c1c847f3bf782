package source

import (
	"strings"
	"unicode"
)

// clip makes text from outside fit for one line of a message: control and
// direction-changing characters are dropped, and it is cut at 300 runes.
func clip(s string) string {
	const most = 300
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			continue
		}
		if n++; n > most {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lines cuts output at newlines and carriage returns.
func lines(b []byte) []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' || r == '\r' })
}
