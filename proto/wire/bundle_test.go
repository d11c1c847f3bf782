package wire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func plainBundle() Bundle {
	return Bundle{
		Tenant: "acme", Version: 3,
		Roots: []BundleRoot{{day(0), day(3650), fill(0x30, 40)}},
		JobKeys: []BundleKey{
			{1, day(0), day(730), [32]byte(fill(0x10, 32))},
			{2, day(700), day(1430), [32]byte(fill(0x90, 32))},
		},
	}
}

func drawBundle(t *rapid.T) Bundle {
	b := Bundle{
		Tenant:  rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,20}`).Draw(t, "tenant"),
		Version: rapid.Uint64Range(1, 1<<63).Draw(t, "version"),
	}
	for range rapid.IntRange(1, MaxBundleRoots).Draw(t, "roots") {
		from := rapid.IntRange(0, 1000).Draw(t, "from")
		b.Roots = append(b.Roots, BundleRoot{day(from), day(from + 9), rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "cert")})
	}
	for i := range rapid.IntRange(1, MaxBundleKeys).Draw(t, "keys") {
		b.JobKeys = append(b.JobKeys, BundleKey{uint32(i*3 + 1), day(i), day(i), [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))})
	}
	return b
}

func signBundle(t *testing.T, b Bundle) (SignedBundle, [32]byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	digest := BundleDigest(encoded)
	signature, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return SignedBundle{encoded, spki, signature}, sha256.Sum256(spki)
}

func TestBundleBytesNeverChange(t *testing.T) {
	encoded, err := plainBundle().Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bundle-v1.hex", hex.EncodeToString(encoded))
	digest := BundleDigest(encoded)
	golden(t, "bundle-v1-digest.hex", hex.EncodeToString(digest[:]))
}

func TestRenewalDigestNeverChanges(t *testing.T) {
	digest := RenewalDigest(fill(1, 16), fill(50, 100))
	golden(t, "renewal-v1.hex", hex.EncodeToString(digest[:]))
	if RenewalDigest([]byte("ab"), []byte("c")) == RenewalDigest([]byte("a"), []byte("bc")) {
		t.Error("the border between nonce and request is not signed")
	}
}

func TestBundleReadsWhatItWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBundle(t)
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseBundle(encoded)
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Fatalf("got %v %v, want %v", got, err, b)
		}
		cut := rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")
		if _, err := ParseBundle(encoded[:cut]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if _, err := ParseBundle(append(encoded, 0)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("a trailing byte: %v", err)
		}
	})
}

func TestBundleRefusesWhatItCannotMean(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"no tenant":       func(b *Bundle) { b.Tenant = "" },
		"version zero":    func(b *Bundle) { b.Version = 0 },
		"no roots":        func(b *Bundle) { b.Roots = nil },
		"too many roots":  func(b *Bundle) { b.Roots = make([]BundleRoot, MaxBundleRoots+1) },
		"no job keys":     func(b *Bundle) { b.JobKeys = nil },
		"too many keys":   func(b *Bundle) { b.JobKeys = make([]BundleKey, MaxBundleKeys+1) },
		"empty root":      func(b *Bundle) { b.Roots[0].Certificate = nil },
		"huge root":       func(b *Bundle) { b.Roots[0].Certificate = make([]byte, 3000) },
		"backward root":   func(b *Bundle) { b.Roots[0].NotAfter = day(-1) },
		"key without end": func(b *Bundle) { b.JobKeys[0].NotAfter = time.Unix(1<<40, 0) },
		"keys unordered":  func(b *Bundle) { b.JobKeys[1].Version = 1 },
		"key version 0":   func(b *Bundle) { b.JobKeys[0].Version = 0 },
	} {
		b := plainBundle()
		change(&b)
		if _, err := b.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBundleVerifiesOnlyTheTrustedRootsOwn(t *testing.T) {
	good, root := signBundle(t, plainBundle())
	other, otherRoot := signBundle(t, plainBundle())
	if b, err := good.Verify([][32]byte{otherRoot, root}, "acme", 3); err != nil || b.Version != 3 {
		t.Fatalf("a good bundle: %v", err)
	}
	mixed := good
	mixed.Signature = other.Signature
	claimed := other
	claimed.Signer = good.Signer
	changed := good
	changed.Bytes = append([]byte{}, good.Bytes...)
	changed.Bytes[len(changed.Bytes)-1] ^= 1
	for name, c := range map[string]struct {
		bundle SignedBundle
		roots  [][32]byte
		tenant string
		have   uint64
	}{
		"no roots":            {good, nil, "acme", 0},
		"foreign root":        {other, [][32]byte{root}, "acme", 0},
		"foreign signature":   {mixed, [][32]byte{root}, "acme", 0},
		"signer only claimed": {claimed, [][32]byte{root}, "acme", 0},
		"one bit changed":     {changed, [][32]byte{root}, "acme", 0},
		"another tenant":      {good, [][32]byte{root}, "acne", 0},
		"older than held":     {good, [][32]byte{root}, "acme", 4},
	} {
		if _, err := c.bundle.Verify(c.roots, c.tenant, c.have); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBundleSignerMustBeP256(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, signer := range [][]byte{spki, []byte("no key")} {
		s := SignedBundle{Signer: signer}
		if _, err := s.Verify([][32]byte{sha256.Sum256(signer)}, "acme", 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.8x: %v", signer, err)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	encoded, err := plainBundle().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte(bundleMagic))
	f.Add(append([]byte(bundleMagic), 0xff, 0xff))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ParseBundle(in)
		if err != nil {
			return
		}
		out, err := b.Encode()
		if err != nil || string(out) != string(in) {
			t.Fatalf("%x was read and written as %x (%v)", in, out, err)
		}
	})
}
