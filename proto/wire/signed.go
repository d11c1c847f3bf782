package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of the parts of a signed bundle beside its bytes.
const (
	maxBundleSigner    = 512
	maxBundleSignature = 128
)

// Encode returns the bundle as one message carries it: bytes, signer and
// signature, each preceded by its length in two bytes, big-endian.
func (s SignedBundle) Encode() []byte {
	var out []byte
	for _, part := range [][]byte{s.Bytes, s.Signer, s.Signature} {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(part))), part...)
	}
	return out
}

// ParseSignedBundle reads what SignedBundle.Encode wrote. It checks nothing:
// Verify does.
func ParseSignedBundle(encoded []byte) (SignedBundle, error) {
	var parts [3][]byte
	rest := encoded
	for i, limit := range [3]int{MaxBundleBytes, maxBundleSigner, maxBundleSignature} {
		if len(rest) < 2 {
			return SignedBundle{}, fmt.Errorf("signed bundle: %w: it is cut", ErrMalformed)
		}
		n := int(binary.BigEndian.Uint16(rest))
		rest = rest[2:]
		if n == 0 || n > limit || n > len(rest) {
			return SignedBundle{}, fmt.Errorf("signed bundle: %w: part %d has a length of %d", ErrMalformed, i+1, n)
		}
		parts[i], rest = rest[:n:n], rest[n:]
	}
	if len(rest) != 0 {
		return SignedBundle{}, fmt.Errorf("signed bundle: %w: %d bytes too many", ErrMalformed, len(rest))
	}
	return SignedBundle{Bytes: parts[0], Signer: parts[1], Signature: parts[2]}, nil
}
