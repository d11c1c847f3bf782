package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// A signed bundle travels and is kept as three texts, each preceded by its
// length as two big-endian bytes: the bundle's bytes, the signer, the signature.
// Nothing follows.

// maxSigned bounds a signed bundle in bytes: the bundle, a P-256 key, a
// signature, and their lengths.
const maxSigned = wire.MaxBundleBytes + 512

// EncodeBundle returns a signed bundle as it travels.
func EncodeBundle(s wire.SignedBundle) []byte {
	var out []byte
	for _, part := range [][]byte{s.Bytes, s.Signer, s.Signature} {
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

// DecodeBundle reads what EncodeBundle wrote and nothing else. It says nothing
// about who signed: see wire.SignedBundle.Verify.
func DecodeBundle(data []byte) (wire.SignedBundle, error) {
	if len(data) > maxSigned {
		return wire.SignedBundle{}, fmt.Errorf("signed bundle: %w: %d bytes, at most %d", wire.ErrMalformed, len(data), maxSigned)
	}
	var parts [3][]byte
	for i := range parts {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return wire.SignedBundle{}, fmt.Errorf("signed bundle: %w: cut off", wire.ErrMalformed)
		}
		n := int(binary.BigEndian.Uint16(data))
		parts[i], data = append([]byte(nil), data[2:2+n]...), data[2+n:]
	}
	if len(data) != 0 {
		return wire.SignedBundle{}, fmt.Errorf("signed bundle: %w: something behind its end", wire.ErrMalformed)
	}
	return wire.SignedBundle{Bytes: parts[0], Signer: parts[1], Signature: parts[2]}, nil
}

// rootsOf parses the roots of a bundle.
func rootsOf(b wire.Bundle) ([]root, error) {
	var out []root
	for i, r := range b.Roots {
		cert, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			return nil, fmt.Errorf("bundle: root %d: %w", i, err)
		}
		out = append(out, root{cert, r.NotBefore, r.NotAfter})
	}
	return out, nil
}

// root is one that the device trusts for a time.
type root struct {
	cert     *x509.Certificate
	from, to time.Time
}

// pinOf returns the SHA-256 of a certificate's SubjectPublicKeyInfo.
func pinOf(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
