// Package identitytest is a small certificate authority as the server has one:
// a root, an issuing certificate below it, one for the server's own door, and
// certificates for devices, with the signed bundle. For tests only.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/proto/wire"
)

// Authority issues what a server issues.
type Authority struct {
	Root    *x509.Certificate
	JobKey  ed25519.PrivateKey
	Life    time.Duration // of devices' certificates that Enrolled makes
	rootKey *ecdsa.PrivateKey
	issuing *x509.Certificate
	issKey  *ecdsa.PrivateKey
	serial  int64
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func key() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// New makes an authority whose certificates are good around now.
func New(now time.Time) *Authority {
	a := &Authority{rootKey: key(), issKey: key(), Life: wire.CertificateLife}
	_, a.JobKey = must2(ed25519.GenerateKey(rand.Reader))
	t := a.template(now, 10*365*24*time.Hour, "root")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	a.Root = a.sign(t, t, &a.rootKey.PublicKey, a.rootKey)
	t = a.template(now, 2*365*24*time.Hour, "issuing")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	a.issuing = a.sign(t, a.Root, &a.issKey.PublicKey, a.rootKey)
	return a
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func (a *Authority) template(now time.Time, life time.Duration, name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-wire.CertificateBackdate).Truncate(time.Second), NotAfter: now.Add(life).Truncate(time.Second),
	}
}

func (a *Authority) sign(t, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, parent, public, by))))
}

// Pin is the hash by which an enrollment string names the root.
func (a *Authority) Pin() [32]byte { return sha256.Sum256(a.Root.RawSubjectPublicKeyInfo) }

// Device issues a chain for a request, good for a time.
func (a *Authority) Device(now time.Time, csr []byte, life time.Duration) ([][]byte, error) {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	public, ok := r.PublicKey.(*ecdsa.PublicKey)
	if err := r.CheckSignature(); err != nil || !ok {
		return nil, fmt.Errorf("request: %w", err)
	}
	t := a.template(now, life, "device")
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return [][]byte{a.sign(t, a.issuing, public, a.issKey).Raw, a.issuing.Raw}, nil
}

// Bundle returns the signed bundle of a tenant, with other authorities' roots
// beside this one's, as it travels.
func (a *Authority) Bundle(tenant string, version uint64, others ...*Authority) []byte {
	public := a.JobKey.Public().(ed25519.PublicKey)
	b := wire.Bundle{
		Tenant: tenant, Version: version,
		JobKeys: []wire.BundleKey{{Version: uint32(version), NotBefore: a.Root.NotBefore, NotAfter: a.Root.NotAfter, Public: [32]byte(public)}},
	}
	for _, o := range append([]*Authority{a}, others...) {
		b.Roots = append(b.Roots, wire.BundleRoot{NotBefore: o.Root.NotBefore, NotAfter: o.Root.NotAfter, Certificate: o.Root.Raw})
	}
	return a.Sign(b)
}

// Sign signs a bundle with the root.
func (a *Authority) Sign(b wire.Bundle) []byte {
	encoded := must(b.Encode())
	digest := wire.BundleDigest(encoded)
	return wire.SignedBundle{
		Bytes: encoded, Signer: a.Root.RawSubjectPublicKeyInfo, Signature: must(ecdsa.SignASN1(rand.Reader, a.rootKey, digest[:])),
	}.Encode()
}

// Server returns the certificate of the server's door, the root in its chain.
func (a *Authority) Server(now time.Time, usage ...x509.ExtKeyUsage) tls.Certificate {
	k := key()
	t := a.template(now, 365*24*time.Hour, "server")
	t.ExtKeyUsage = append(usage, x509.ExtKeyUsageServerAuth)
	if len(usage) > 0 {
		t.ExtKeyUsage = usage
	}
	leaf := a.sign(t, a.issuing, &k.PublicKey, a.issKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.issuing.Raw, a.Root.Raw}, PrivateKey: k, Leaf: leaf}
}

// String is an enrollment string's content for an address.
func (a *Authority) String(address string) wire.Enrollment {
	return wire.Enrollment{Address: address, RootSPKI: a.Pin(), Token: [20]byte{1, 2, 3}}
}

// Enrolled makes the identity of a device of tenant acme in a vault.
func (a *Authority) Enrolled(v identity.Vault, now time.Time) (*identity.Identity, error) {
	p, err := identity.Prepare(v, a.String("steward.example:7443"))
	if err != nil {
		return nil, err
	}
	chain, err := a.Device(now, must(p.Credential().CSR()), a.Life)
	if err != nil {
		return nil, err
	}
	return p.Complete(now, identity.Granted{Device: "dev-1", Tenant: "acme", Site: "main", Chain: chain, Bundle: a.Bundle("acme", 1)})
}

// Stranger is another authority, made at the same time.
func (a *Authority) Stranger(now time.Time) *Authority { return New(now) }

// CheckRenewal checks a renewal's proof as a server does.
func CheckRenewal(oldCertificate, nonce, csr, signature []byte) error {
	old, err := x509.ParseCertificate(oldCertificate)
	if err != nil {
		return err
	}
	digest := wire.RenewalDigest(nonce, csr)
	if public, ok := old.PublicKey.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(public, digest[:], signature) {
		return errors.New("the request is not signed by the old key")
	}
	return nil
}
