package source

import (
	"testing"

	"pgregory.net/rapid"
)

// versionPairs are ordered as Debian policy 5.6.12 and deb-version(7) say; the
// same list is put to dpkg itself on Linux.
func versionPairs() [][3]string {
	return [][3]string{
		{"1.0", "=", "1.0"}, {"1.0", "<", "1.1"}, {"1.9", "<", "1.10"}, {"1.0", "=", "1.0-0"}, {"1.0", "=", "0:1.0"}, {"1.0", "=", "1.00"},
		{"2.0", "<", "1:1.0"}, {"1:1.0", "<", "2:0.1"}, {"1.0~rc1", "<", "1.0"}, {"1.0~~", "<", "1.0~"}, {"1.0~~a", "<", "1.0~"},
		{"1.0~", "<", "1.0"}, {"1.0", "<", "1.0a"}, {"1.0a", "<", "1.0+"}, {"1.0+dfsg", "<", "1.0.1"}, {"1.0-1", "<", "1.0-1+deb12u1"},
		{"1.0-1~bpo12+1", "<", "1.0-1"}, {"1.0-1", "<", "1.0-1.1"}, {"1.0-10", ">", "1.0-9"}, {"1-2-3", "<", "1-2-4"}, {"1-2-3", ">", "1-1-4"},
		{"3.0.19-1~deb12u2", "<", "3.0.20-1~deb12u1"}, {"1.2.3", "<", "1.2.3-0ubuntu1"}, {"1.0A", "<", "1.0a"}, {"1.0.", ">", "1.0"},
		{"20240101", ">", "9999999"}, {"99999999999999999999999", "<", "100000000000000000000000"}, {"0.0", ">", "0"}, {"1.0-0~", "<", "1.0"}, {"5.36.0-7+deb12u2", "<", "5.36.0-7+deb12u3"},
	}
}

func TestVersionsAreOrderedByPolicy(t *testing.T) {
	sign := map[string]int{"<": -1, "=": 0, ">": 1}
	for _, p := range versionPairs() {
		if got := CompareDebian(p[0], p[2]); got != sign[p[1]] {
			t.Errorf("%s %s %s: got %d", p[0], p[1], p[2], got)
		}
		if got := CompareDebian(p[2], p[0]); got != -sign[p[1]] {
			t.Errorf("%s against %s: got %d", p[2], p[0], got)
		}
	}
}

func drawVersion(t *rapid.T, label string) string {
	return rapid.StringMatching(`([0-3]:)?[0-9][0-9a-bA.+~]{0,5}(-[0-9a.+~]{1,4})?`).Draw(t, label)
}

func TestVersionOrderIsAnOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b, c := drawVersion(rt, "a"), drawVersion(rt, "b"), drawVersion(rt, "c")
		if CompareDebian(a, a) != 0 || CompareDebian(a, b) != -CompareDebian(b, a) {
			rt.Fatalf("%s and %s: %d, %d", a, b, CompareDebian(a, b), CompareDebian(b, a))
		}
		if CompareDebian(a, b) <= 0 && CompareDebian(b, c) <= 0 && CompareDebian(a, c) > 0 {
			rt.Fatalf("%s <= %s <= %s, but not %s <= %s", a, b, c, a, c)
		}
	})
}

func TestStepKinds(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     Kind
	}{
		{"1.2.3", "2.0.0", KindAppMajor}, {"1.2.3", "1.3.0", KindAppMinor}, {"1.2.3", "1.2.4", KindAppPatch}, {"1.2", "1.2.1", KindAppPatch},
		{"1.2.3-1", "1.2.3-2", KindAppPatch}, {"1.2.3-1", "1.2.3-1+deb12u1", KindAppPatch}, {"1:1.2.3", "2:1.2.3", KindAppMajor}, {"2.0+dfsg1", "2.0+dfsg2", KindAppPatch},
		{"1", "1.1", KindAppMinor}, {"1", "2", KindAppMajor}, {"1.0", "1", KindAppPatch}, {"git20240101", "git20250101", KindUnknown}, {"1.0", "1.0", KindUnknown}, {"", "1.0", KindUnknown},
	} {
		if got := StepKind(c.from, c.to); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}
