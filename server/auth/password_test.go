package auth

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/steward-rmm/steward/server/fault"
)

func TestPasswordPolicy(t *testing.T) {
	const email, name = "jane.roe@acme.example", "Jane Marianne Roe"
	for _, ok := range []string{
		good, "blue tram under seven larks", "Zw4f-9kLp-22xQ-v", "correct horse battery staple cobalt",
		strings.Repeat("größe und kraft ", 16)[:200], "пароль из нескольких слов", "x7#Kp!mQ2$vL9&", "jan likes long walks",
	} {
		if err := CheckPassword(ok, email, name); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"", "kurz!", "thirteen char", strings.Repeat("ab cd ef gh ", 22),
		"aaaaaaaaaaaaaaaa", "abababababababab", "abcdefghijklmnop", "12345678901234", "98765432109876", "passpasspasspass",
		"PasswordPassword", "p@ssw0rdp@ssw0rd", "Correct Horse Battery Staple", "Summer2026!!!!!", "Administrator1!", "qwertyuiopasdf1",
		"hello Marianne hello", "i am jane.roe today", "JANE.ROE@acme.example", "mot de passe 2026",
		"bad \xff\xfe utf eight here",
	} {
		if err := CheckPassword(bad, email, name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q passed: %v", bad, err)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the answer shows the password: %v", err)
		}
	}
}

func TestForbiddenListIsInItsForm(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(forbiddenList) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.Trim(line, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || seen[line] {
			t.Errorf("bad or double line %q", line)
		}
		seen[line] = true
	}
	if len(seen) < 100 {
		t.Errorf("only %d lines", len(seen))
	}
}

func FuzzCheckPassword(f *testing.F) {
	f.Add(good, "a@b", "A")
	f.Add("\xff", "", "")
	f.Fuzz(func(t *testing.T, pw, email, name string) {
		if CheckPassword(pw, email, name) == nil {
			if n := utf8.RuneCountInString(pw); !utf8.ValidString(pw) || n > PasswordMax {
				t.Errorf("%q of %d characters passed", pw, n)
			}
		}
	})
}

func FuzzNormalEmail(f *testing.F) {
	for _, s := range []string{"A@B.example", "a@localhost", "x", "<a@b>", "a b@c", "é@c", "a@b@c", " a@b "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := NormalEmail(s)
		if err != nil {
			return
		}
		if again, err := NormalEmail(n); err != nil || again != n || strings.Count(n, "@") != 1 || strings.ToLower(n) != n {
			t.Errorf("%q gave %q, then %q, %v", s, n, again, err)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("Mozilla/5.0\u202e", 8)
	f.Add("\xff\x00é", 2)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 0), 1000)
		if out := printable(s, limit); len(out) > limit || !utf8.ValidString(out) || strings.ContainsAny(out, "\x00\n\x1b\u202e\u2066") {
			t.Errorf("%q gave %q", s, out)
		}
	})
}
