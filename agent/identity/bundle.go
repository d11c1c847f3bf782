package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

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

// KeyHash returns the SHA-256 of a certificate's SubjectPublicKeyInfo.
func KeyHash(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
