package cli

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// line makes text of the server, of devices and of people fit for one line of
// a terminal: escape sequences are removed whole, control and formatting
// characters (bidirectional overrides among them) too, breaks become spaces.
func line(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == 0x1b || r == 0x9b || r == 0x9d || r == 0x90 {
			s = s[sequence(s):]
			continue
		}
		switch {
		case r == '\r' && strings.HasPrefix(s[1:], "\n"):
		case r == '\n', r == '\r', r == '\t', unicode.In(r, unicode.Zl, unicode.Zp):
			b.WriteByte(' ')
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
		default:
			b.WriteRune(r) // what is no UTF-8 becomes U+FFFD
		}
		s = s[size:]
	}
	return strings.TrimSpace(b.String())
}

// sequence is the length of the escape sequence that s begins with (ECMA-48,
// sections 5.4 and 5.6): CSI to its final byte, OSC, DCS and the like to their
// terminator, else the introducer and what it introduces. One without an end
// on its line is taken as the introducer alone.
func sequence(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	kind := s[:n]
	if s[0] == 0x1b {
		if len(s) == 1 {
			return 1
		}
		kind, n = s[1:2], 2
	}
	switch kind {
	case "[", "\u009b":
		for i := n; i < len(s) && s[i] >= 0x20 && s[i] <= 0x7e; i++ {
			if s[i] >= 0x40 {
				return i + 1
			}
		}
	case "]", "P", "X", "^", "_", "\u009d", "\u0090":
	text:
		for i := n; i < len(s) && s[i] != '\n'; i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if strings.HasPrefix(s[i:], "\x1b\\") || strings.HasPrefix(s[i:], "\u009c") {
				return i + 2
			}
			if s[i] == 0x1b || s[i] == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
				break text // another one begins: this one has no end
			}
		}
	}
	if s[0] == 0x1b && n == 2 && (s[1] < 0x20 || s[1] > 0x7e) {
		return 1
	}
	return n
}

// lines cleans text of several lines, tabs as they look.
func lines(s string) []string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\r\n", "\n")
	out := strings.Split(s, "\n")
	for i, l := range out {
		// A progress bar overwrites its line; its last state is what counts.
		if at := strings.LastIndexByte(strings.TrimRight(l, "\r"), '\r'); at >= 0 {
			l = l[at+1:]
		}
		body := strings.TrimLeft(strings.ReplaceAll(l, "\t", "    "), " ")
		out[i] = strings.Repeat(" ", len(strings.ReplaceAll(l, "\t", "    "))-len(body)) + line(body)
	}
	return out
}

// safeJSON escapes, in JSON text, characters that a terminal would act on. The
// value stays the same.
func safeJSON(raw []byte) []byte {
	clean := true
	for _, r := range string(raw) {
		clean = clean && !acts(r)
	}
	if clean {
		return raw
	}
	var b strings.Builder
	for _, r := range string(raw) {
		switch {
		case !acts(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			writeEscape(&b, 0xd800+r>>10)
			writeEscape(&b, 0xdc00+r&0x3ff)
		default:
			writeEscape(&b, r)
		}
	}
	return []byte(b.String())
}

func acts(r rune) bool {
	return r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func writeEscape(b *strings.Builder, r rune) {
	const digits = "0123456789abcdef"
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(digits[r>>shift&0xf])
	}
}

// columns is how many columns of a terminal the cleaned text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// cut shortens text to at most n columns and marks that it did.
func cut(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	taken := 0
	for i, r := range s {
		w := runeColumns(r)
		if taken+w > n-1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
		taken += w
	}
	return s
}

// words makes a name of the API readable: restart_needed, restart needed.
func words(s string) string { return strings.ReplaceAll(line(s), "_", " ") }
