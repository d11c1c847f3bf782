package wire

import (
	"strings"
	"unicode"
)

// Clean returns a text of a device without control characters and without the
// marks that change the direction of writing (Unicode's Bidi_Control), with
// which a name can pass for another. Both sides clean before they hash or
// compare. It changes nothing else: what is no valid UTF-8 must be refused or
// repaired before.
func Clean(s string) string { return clean(s, false) }

// CleanLog is Clean for text of several lines: line feeds and tabs stay.
func CleanLog(s string) string { return clean(s, true) }

func clean(s string, lines bool) string {
	drop := func(r rune) bool {
		return unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t')) || unicode.Is(unicode.Bidi_Control, r)
	}
	if strings.IndexFunc(s, drop) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if drop(r) {
			return -1
		}
		return r
	}, s)
}
