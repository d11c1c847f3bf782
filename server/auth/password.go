package auth

import (
	_ "embed"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/steward-rmm/steward/server/fault"
)

// Bounds of a password, in characters (Unicode code points).
const (
	PasswordMin = 14
	PasswordMax = 256
)

// forbiddenList holds well-known passwords and phrases that are long enough to
// pass the minimum, one a line, lower case, letters and digits only.
//
//go:embed forbidden.txt
var forbiddenList string

// CheckPassword reports why a new password is not good enough for the person.
// Length does the work; the rest keeps out what is guessed first. There are no
// rules about sorts of characters, and no age.
func CheckPassword(password, email, name string) error {
	bad := func(why string) error {
		return fault.Invalidf("password", "%s", why).WithNext("use %d characters or more; several unrelated words are easy to remember", PasswordMin)
	}
	if !utf8.ValidString(password) {
		return bad("is not valid UTF-8")
	}
	text := norm.NFKC.String(password)
	switch n := utf8.RuneCountInString(text); {
	case n < PasswordMin:
		return bad("is too short")
	case n > PasswordMax || utf8.RuneCountInString(password) > PasswordMax:
		return bad("is too long")
	}
	folded := strings.ToLower(text)
	switch {
	case monotonous(folded):
		return bad("is a simple pattern")
	case contains(folded, email, name):
		return bad("contains your name or e-mail address")
	case common(folded):
		return bad("is among the first that are guessed")
	}
	return nil
}

// contains reports whether the password holds the e-mail address, its local
// part, or a word of the name. Words under four letters occur by chance.
func contains(folded, email, name string) bool {
	local, _, _ := strings.Cut(email, "@")
	words := append(strings.Fields(name), email, local)
	for _, w := range words {
		w = strings.ToLower(norm.NFKC.String(w))
		if utf8.RuneCountInString(w) >= 4 && strings.Contains(folded, w) {
			return true
		}
	}
	return false
}

// common reports whether the password is on the list, also with digits and
// signs around it or letters written as digits.
func common(folded string) bool {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, folded)
	bare := strings.Trim(plain, "0123456789")
	letters := strings.Map(unleet, folded)
	for line := range strings.Lines(forbiddenList) {
		line = strings.TrimSpace(line)
		if line != "" && (line == plain || line == bare || line == letters) {
			return true
		}
	}
	return false
}

// unleet turns the usual digits and signs back into letters and drops others.
func unleet(r rune) rune {
	const from, to = "01345$7@!", "oieasstai"
	if i := strings.IndexRune(from, r); i >= 0 {
		return rune(to[i])
	}
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// monotonous reports few different characters, a short piece repeated, or a
// run up or down the alphabet or the digits.
func monotonous(s string) bool {
	runes := []rune(s)
	different := map[rune]bool{}
	steps := 0
	for i, r := range runes {
		different[r] = true
		if i > 0 {
			d := r - runes[i-1]
			// 9 to 0 and back continue a run of digits.
			if d == 1 || d == -1 || d == 0 || d == 9 || d == -9 {
				steps++
			}
		}
	}
	if len(different) < 5 || steps*4 >= (len(runes)-1)*3 {
		return true
	}
	for period := 1; period <= 6 && period*2 <= len(runes); period++ {
		same := true
		for i := period; i < len(runes) && same; i++ {
			same = runes[i] == runes[i-period]
		}
		if same {
			return true
		}
	}
	return false
}
