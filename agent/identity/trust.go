package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Trust is by what a server is known: the roots of the bundle, and before there
// is one the pin of the enrollment string. The root is the server's identity, so
// its host name is not looked at: whoever holds a certificate for servers below
// the root is the server, at whatever address it answers.
type Trust struct {
	pin   [32]byte
	roots []root
}

// Pinned trusts the one root whose SubjectPublicKeyInfo has the hash.
func Pinned(pin [32]byte) Trust { return Trust{pin: pin} }

// ErrServer is in the chain of errors about a server that is not ours.
var ErrServer = errors.New("this is not the server this device belongs to")

// Verify judges the server of a connection, resumed or not, at a time.
func (t Trust) Verify(cs tls.ConnectionState, now time.Time) error {
	chain := cs.PeerCertificates
	if len(chain) == 0 || len(chain) > 2*maxChain {
		return fmt.Errorf("%w: it presented %d certificates", ErrServer, len(chain))
	}
	roots := t.at(now, chain)
	if len(roots) == 0 {
		return fmt.Errorf("%w: its chain does not hold the root whose hash the enrollment string names (does something on the way open TLS connections?)", ErrServer)
	}
	if err := verify(chain, roots, x509.ExtKeyUsageServerAuth, now); err != nil {
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			return fmt.Errorf("%w: %w; if this machine's clock (%s) is wrong, set it", ErrServer, err, now.UTC().Format(time.DateTime))
		}
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	return nil
}

// at returns the roots that count at a time. With a pin alone the root comes in
// the server's own chain.
func (t Trust) at(now time.Time, chain []*x509.Certificate) (roots []*x509.Certificate) {
	if len(t.roots) == 0 {
		for _, c := range chain {
			if KeyHash(c) == t.pin {
				roots = append(roots, c)
			}
		}
		return roots
	}
	for _, r := range t.roots {
		if !now.Before(r.from) && !now.After(r.to) {
			roots = append(roots, r.cert)
		}
	}
	return roots
}

// pins are the hashes by which a bundle's signer is known.
func (t Trust) pins() [][32]byte {
	if len(t.roots) == 0 {
		return [][32]byte{t.pin}
	}
	var out [][32]byte
	for _, r := range t.roots {
		out = append(out, KeyHash(r.cert))
	}
	return out
}

// Knows reports whether a root with the hash is one of those trusted.
func (t Trust) Knows(pin [32]byte) bool { return slices.Contains(t.pins(), pin) }
