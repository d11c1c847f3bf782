package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestSignedBundleIsReadAsItWasWritten(t *testing.T) {
	want := SignedBundle{Bytes: []byte("bundle"), Signer: []byte("signer"), Signature: []byte("signature")}
	got, err := ParseSignedBundle(want.Encode())
	if err != nil || !bytes.Equal(got.Bytes, want.Bytes) || !bytes.Equal(got.Signer, want.Signer) || !bytes.Equal(got.Signature, want.Signature) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, want.Encode()[:7], append(want.Encode(), 0), {0xff, 0xff, 1}} {
		if _, err := ParseSignedBundle(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func FuzzParseSignedBundle(f *testing.F) {
	f.Add(SignedBundle{Bytes: []byte("a"), Signer: []byte("b"), Signature: []byte("c")}.Encode())
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		if s, err := ParseSignedBundle(in); err == nil && !bytes.Equal(s.Encode(), in) {
			t.Errorf("%x is written as %x", in, s.Encode())
		}
	})
}
