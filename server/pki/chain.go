package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// chainOf verifies that chain begins with a device's certificate of this
// server, at a time: of an expired one just before its end. Expired says which.
func (k *Keys) chainOf(chain []*x509.Certificate, now time.Time) (expired bool, err error) {
	leaf := chain[0]
	if now.After(leaf.NotAfter) {
		expired = true
	}
	if now.Before(leaf.NotBefore) {
		return false, fmt.Errorf("the certificate is good from %v only", leaf.NotBefore)
	}
	// What was good once is good until its end: no authority here ends before
	// what it signed. Every session asks, a storm of them asks at once.
	name := sha256.Sum256(leaf.Raw)
	if k.proven.has(name) {
		return expired, nil
	}
	at := now
	if expired {
		at = leaf.NotAfter.Add(-time.Second)
	}
	if err := k.verifyChain(chain, at); err != nil {
		return expired, err
	}
	k.proven.add(name)
	return expired, nil
}

func (k *Keys) verifyChain(chain []*x509.Certificate, at time.Time) error {
	leaf := chain[0]
	if pub, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() || leaf.IsCA {
		return errors.New("not a device's certificate")
	}
	k.mu.RLock()
	own := k.issuing.certs
	k.mu.RUnlock()
	for _, c := range own {
		if k.issued(c, leaf, at) {
			return nil
		}
	}
	// The general way, for an issuing certificate that only another server
	// with the same root knows and the device presents.
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(k.root)
	for _, c := range own {
		between.AddCert(c)
	}
	for _, c := range chain[1:min(len(chain), maxChain)] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// issued is the short way for a device's certificate directly below an issuing
// certificate that was verified when it was loaded: one signature to check
// instead of a path to build, for a storm of devices after a restart.
func (k *Keys) issued(by, leaf *x509.Certificate, at time.Time) bool {
	within := func(c *x509.Certificate) bool { return !at.Before(c.NotBefore) && !at.After(c.NotAfter) }
	return bytes.Equal(leaf.RawIssuer, by.RawSubject) && bytes.Equal(leaf.AuthorityKeyId, by.SubjectKeyId) &&
		within(leaf) && within(by) && within(k.root) &&
		len(leaf.UnhandledCriticalExtensions) == 0 && slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		by.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

// provenSet remembers certificates whose chain was verified, by their hash.
type provenSet struct {
	mu sync.Mutex
	by map[[32]byte]struct{}
}

// maxProven bounds the set at a few megabytes; a larger fleet verifies more.
const maxProven = 50_000

func (p *provenSet) has(name [32]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.by[name]
	return ok
}

func (p *provenSet) add(name [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil || len(p.by) >= maxProven {
		p.by = make(map[[32]byte]struct{})
	}
	p.by[name] = struct{}{}
}
