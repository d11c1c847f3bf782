package wire

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func fill(first byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = first + byte(i)
	}
	return out
}

func plainEnrollment() Enrollment {
	return Enrollment{
		Address:  "steward.example.net:8443",
		RootSPKI: [32]byte(fill(0x40, 32)),
		Token:    [20]byte(fill(0xa0, 20)),
	}
}

func drawEnrollment(t *rapid.T) Enrollment {
	host := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,8}){0,4}`),
		rapid.SampledFrom([]string{"127.0.0.1", "[::1]", "[2001:db8::7]", "10.1.2.3"}),
	).Draw(t, "host")
	e := Enrollment{
		Address:    host + ":" + rapid.StringMatching(`[1-9][0-9]{0,3}`).Draw(t, "port"),
		RootSPKI:   [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")),
		Token:      [20]byte(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "token")),
		MayInstall: rapid.Bool().Draw(t, "install"),
	}
	for range rapid.IntRange(0, MaxApprovers).Draw(t, "approvers") {
		e.Approvers = append(e.Approvers, [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "approver")))
	}
	return e
}

// golden compares with a file of testdata, which is never rewritten: a
// difference is a break with every agent in the field.
func golden(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatalf("%v\ngot:\n%s", err, got)
	}
	if string(bytes.TrimSpace(want)) != got {
		t.Errorf("%s differs\ngot:  %s\nwant: %s", name, got, want)
	}
}

func TestEnrollmentBytesNeverChange(t *testing.T) {
	golden(t, "enrollment-v1.txt", plainEnrollment().String())
	e := plainEnrollment()
	e.Address, e.MayInstall = "[2001:db8::7]:443", true
	e.Approvers = [][32]byte{[32]byte(fill(1, 32)), [32]byte(fill(101, 32))}
	golden(t, "enrollment-v1-approvers.txt", e.String())
}

func TestEnrollmentReadsWhatItWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEnrollment(t)
		if err := e.Check(); err != nil {
			t.Fatalf("%q: %v", e.Address, err)
		}
		got, err := ParseEnrollment(e.String())
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("got %v %v, want %v", got, err, e)
		}
	})
}

func TestEnrollmentNoticesAnyOneCharacter(t *testing.T) {
	text, want := plainEnrollment().String(), plainEnrollment()
	const others = "0123456789abcdefghijklmnopqrstuvwxyzABYZ -_/+=\n\"\x00"
	same := func(changed string) {
		got, err := ParseEnrollment(changed)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q was read as another enrollment", changed)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v is not ErrMalformed", changed, err)
		}
	}
	for i := range len(text) {
		for _, c := range others {
			same(text[:i] + string(c) + text[i+1:])
			same(text[:i] + string(c) + text[i:])
		}
		same(text[:i] + text[i+1:])
		if i > 0 {
			same(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:])
		}
	}
	for i := range text {
		if _, err := ParseEnrollment(text[:i]); err == nil {
			t.Errorf("the first %d characters alone were accepted", i)
		}
		if _, err := ParseEnrollment(text[i:]); err == nil && i > 0 {
			t.Errorf("the string without its first %d characters was accepted", i)
		}
	}
}

func TestEnrollmentSurvivesMail(t *testing.T) {
	text := plainEnrollment().String()
	for name, pasted := range map[string]string{
		"upper case":      strings.ToUpper(text),
		"wrapped":         text[:40] + "\r\n  " + text[40:80] + "\n" + text[80:] + "\n",
		"grouped":         text[:20] + "-" + text[20:30] + "\u2013" + text[30:],
		"quoted":          " \"" + text + "\" ",
		"zero-width":      text[:50] + "\u200b" + text[50:],
		"hyphen replaced": strings.Replace(text, "-", "\u2011", 1),
		"letters for 0 1": strings.NewReplacer("0", "O", "1", "l").Replace(text[5:]),
	} {
		if name == "letters for 0 1" {
			pasted = text[:5] + pasted
		}
		got, err := ParseEnrollment(pasted)
		if err != nil || !reflect.DeepEqual(got, plainEnrollment()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnrollmentSaysWhatIsWrong(t *testing.T) {
	text := plainEnrollment().String()
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{" \n", "empty"},
		{"hello", "does not begin"},
		{text[5:], "does not begin"},
		{"stw2" + text[4:], "newer agent"},
		{text[:29], "cut off"},
		{text[:len(text)-3], "missing or mistyped"},
		{text[:20] + "u" + text[21:], "character 16"},
		{strings.Repeat("x", 5000), "at most"},
	} {
		_, err := ParseEnrollment(c.text)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: got %v, want %q", c.text, err, c.want)
		}
		if err != nil && len(c.text) > 40 && strings.Contains(err.Error(), c.text[10:30]) {
			t.Errorf("the error repeats the string: %v", err)
		}
	}
}

func TestEnrollmentRefusesBadAddresses(t *testing.T) {
	for _, address := range []string{
		"", "host", ":443", "host:", "host:0", "host:65536", "host:0443", "host:https",
		"::1:443", "https://host:443", "ho st:443", "host/x:443", "-a:443", "a..b:443",
		"user@host:443", strings.Repeat("a", 64) + ":443", strings.Repeat("a.", 130) + "b:443", "h\x00st:443",
	} {
		e := plainEnrollment()
		e.Address = address
		if err := e.Check(); !errors.Is(err, ErrMalformed) || e.String() != "" {
			t.Errorf("%q was accepted", address)
		}
	}
	e := plainEnrollment()
	e.Approvers = make([][32]byte, MaxApprovers+1)
	if e.Check() == nil || e.String() != "" {
		t.Error("too many approvers were accepted")
	}
}

func FuzzParseEnrollment(f *testing.F) {
	f.Add(plainEnrollment().String())
	f.Add("stw1-")
	f.Add("stw1-zzzzzzzz")
	f.Add("STW1-0\u20130")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEnrollment(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		again, err := ParseEnrollment(e.String())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%v became %v, %v", e, again, err)
		}
	})
}

func FuzzDecodeEnrollment(f *testing.F) {
	e := plainEnrollment()
	raw, err := crockford().DecodeString(e.String()[5:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:len(raw)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum is made here, so that the fields behind it are tried.
		sum := enrollmentSum(body)
		full := append(bytes.Clone(body), byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		e, err := decodeEnrollment(full)
		if err == nil && e.String() != enrollmentPrefix+crockford().EncodeToString(full) {
			t.Fatalf("%x was read as %v, which has other bytes", body, e)
		}
	})
}
