package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
)

func testKey(first byte) []byte {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = first + byte(i)
	}
	return key
}

func testBox(t testing.TB, first byte) *Box {
	t.Helper()
	box, err := NewBox(testKey(first))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func place() Place { return Place{Purpose: "channel secret", Tenant: "acme", ID: "on-call"} }

func TestOpensOnlyWhereItWasSealed(t *testing.T) {
	box := testBox(t, 1)
	sealed := box.Seal(place(), []byte("whsec_abc"))
	if len(sealed) != len("whsec_abc")+Overhead || sealed[0] != 1 || bytes.Contains(sealed, []byte("whsec")) {
		t.Fatalf("sealed as %x", sealed)
	}
	if plain, err := box.Open(place(), sealed); err != nil || string(plain) != "whsec_abc" {
		t.Fatalf("got %q, %v", plain, err)
	}
	for _, elsewhere := range []Place{
		{"channel secret", "acme", "on-cal"}, {"channel secret", "acm", "eon-call"}, {"channel secreta", "cme", "on-call"},
		{"otp seed", "acme", "on-call"}, {"channel secret", "globex", "on-call"}, {},
	} {
		if _, err := box.Open(elsewhere, sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("opened at %v: %v", elsewhere, err)
		}
	}
	if _, err := testBox(t, 2).Open(place(), sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("opened with another key: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := box.Open(place(), changed); !errors.Is(err, ErrOpen) {
			t.Errorf("opened with byte %d changed: %v", i, err)
		}
		if _, err := box.Open(place(), sealed[:i]); !errors.Is(err, ErrOpen) {
			t.Errorf("opened with %d bytes: %v", i, err)
		}
	}
}

// goldenSealed was sealed once with testKey(1) for place().
const goldenSealed = "0166f54a89f4ac83ea8293f2730853bdb4af62cfe0254724f23c4ccfbc2909c5aa7d3c3809eb"

// TestOpensWhatWasSealedBefore holds the format: values in databases outlive
// releases of the server.
func TestOpensWhatWasSealedBefore(t *testing.T) {
	sealed, err := hex.DecodeString(goldenSealed)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := testBox(t, 1).Open(place(), sealed)
	if err != nil || string(plain) != "whsec_abc" {
		t.Errorf("got %q, %v", plain, err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	for _, key := range [][]byte{nil, make([]byte, KeySize), testKey(1)[:31], append(testKey(1), 1)} {
		if _, err := NewBox(key); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d bytes: %v", len(key), err)
		}
	}
}

func TestBoxDoesNotPrintItsKey(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, testBox(t, 1)); got != "seal.Box" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestWhatIsSealedOpens(t *testing.T) {
	box := testBox(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		at := Place{rapid.String().Draw(t, "purpose"), rapid.String().Draw(t, "tenant"), rapid.String().Draw(t, "id")}
		other := Place{rapid.String().Draw(t, "purpose"), rapid.String().Draw(t, "tenant"), rapid.String().Draw(t, "id")}
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed := box.Seal(at, plain)
		if again := box.Seal(at, plain); bytes.Equal(again, sealed) {
			t.Fatal("the same nonce twice")
		}
		if got, err := box.Open(at, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		if _, err := box.Open(other, sealed); at != other && !errors.Is(err, ErrOpen) {
			t.Fatalf("sealed for %v, opened at %v", at, other)
		}
	})
}

func TestTokens(t *testing.T) {
	form := regexp.MustCompile(`^stw_[a-z2-7]{32}$`)
	seen := map[string]bool{}
	for range 1000 {
		plain, hash := NewToken("stw")
		if !form.MatchString(plain) || seen[plain] {
			t.Fatalf("token %q", plain)
		}
		seen[plain] = true
		again := HashToken(plain)
		if !ConstantTimeEqual(hash[:], again[:]) {
			t.Fatal("the hash is not HashToken of the token")
		}
		if wrong := HashToken(strings.ToUpper(plain)); ConstantTimeEqual(hash[:], wrong[:]) {
			t.Fatal("another token has the same hash")
		}
	}
	// SHA-256 of "abc", FIPS 180-4's example.
	if got := HashToken("abc"); hex.EncodeToString(got[:]) != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash is %x", got)
	}
	if ConstantTimeEqual([]byte("a"), []byte("ab")) || !ConstantTimeEqual(nil, []byte{}) {
		t.Error("lengths differ, or do not")
	}
}

// FuzzOpen holds that nothing but a sealed value opens, and that no bytes panic.
func FuzzOpen(f *testing.F) {
	box := testBox(f, 1)
	valid := box.Seal(place(), []byte("secret"))
	f.Add(valid)
	f.Add(valid[:Overhead])
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add(append([]byte{2}, valid[1:]...))
	f.Add(make([]byte, Overhead))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		plain, err := box.Open(place(), sealed)
		switch {
		case err == nil && string(plain) != "secret":
			t.Fatalf("%x opened as %q", sealed, plain)
		case err != nil && !errors.Is(err, ErrOpen):
			t.Fatalf("%v is not ErrOpen", err)
		}
	})
}
