package source

import "strings"

// CompareDebian orders two Debian versions: -1, 0 or 1 when a is older than,
// equal to or newer than b. The order is that of Debian policy 5.6.12 as dpkg
// computes it: epochs by number, then the upstream version, then the revision,
// a missing one counting as 0. It never fails; versions that no archive would
// accept get some order too.
func CompareDebian(a, b string) int {
	ae, au, ar := splitDebian(a)
	be, bu, br := splitDebian(b)
	if c := compareNumber(ae, be); c != 0 {
		return c
	}
	if c := comparePart(au, bu); c != 0 {
		return c
	}
	return comparePart(ar, br)
}

// splitDebian cuts [epoch:]upstream[-revision]. Only the first colon and the
// last hyphen separate.
func splitDebian(v string) (epoch, upstream, revision string) {
	v = strings.TrimSpace(v)
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, v = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// comparePart walks both strings in turns: a stretch without digits, compared
// letter by letter, then a stretch of digits, compared as a number of any
// length.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		at, bt := digitStart(a), digitStart(b)
		if c := compareText(a[:at], b[:bt]); c != 0 {
			return c
		}
		a, b = a[at:], b[bt:]
		ad, bd := digitEnd(a), digitEnd(b)
		if c := compareNumber(a[:ad], b[:bd]); c != 0 {
			return c
		}
		a, b = a[ad:], b[bd:]
	}
	return 0
}

// compareText orders by weight: "~" before the end, the end before letters,
// letters before all other characters.
func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		aw, bw := weight(a, i), weight(b, i)
		if aw != bw {
			return sign(aw - bw)
		}
	}
	return 0
}

func weight(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case isLetter(c):
		return int(c)
	default:
		return int(c) + 256
	}
}

// compareNumber compares strings of digits as numbers; none is zero.
func compareNumber(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func digitStart(s string) int {
	i := 0
	for i < len(s) && !isDigit(s[i]) {
		i++
	}
	return i
}

func digitEnd(s string) int {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isLower(c byte) bool  { return 'a' <= c && c <= 'z' }
