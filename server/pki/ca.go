package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

const day = 24 * time.Hour

// How long certificates live. The issuing one is renewed so early that it
// outlives every device's certificate it signed.
const (
	rootLife     = 10 * 365 * day
	issuingLife  = 2 * 365 * day
	issuingRenew = 180 * day // before its end
	serverLife   = 90 * day
	serverRenew  = 30 * day // before its end
)

// SPKIHash returns the SHA-256 of a certificate's SubjectPublicKeyInfo, by
// which keys are named everywhere (as RFC 7469, section 2.4).
func SPKIHash(cert *x509.Certificate) [32]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// KeyHash is SPKIHash of a bare public key.
func KeyHash(pub crypto.PublicKey) ([32]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return [32]byte{}, fmt.Errorf("hash of a public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// RootSPKI returns the hash that stands in enrollment strings.
func (k *Keys) RootSPKI() [32]byte { return SPKIHash(k.root) }

// HasRootKey reports whether the root's key is here and not moved away.
func (k *Keys) HasRootKey() bool { return k.rootKey != nil }

// template begins a certificate. Every one is good from some time before, for
// devices whose clock is behind.
func template(name pkix.Name, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:               name,
		NotBefore:             now.UTC().Add(-wire.CertificateBackdate).Truncate(time.Second),
		NotAfter:              now.UTC().Add(life).Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

func newRoot(now time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template(pkix.Name{CommonName: "Steward root " + now.UTC().Format("2006-01-02")}, now, rootLife)
	t.IsCA, t.MaxPathLen = true, 1
	// It signs the issuing certificate, and bundles.
	t.KeyUsage |= x509.KeyUsageCertSign
	cert, err := sign(t, t, key.Public(), key)
	return key, cert, err
}

func newIssuing(rootKey *ecdsa.PrivateKey, root *x509.Certificate, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template(pkix.Name{CommonName: "Steward issuing " + now.UTC().Format("2006-01-02")}, now, issuingLife)
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign
	t.NotAfter = earlier(t.NotAfter, root.NotAfter)
	cert, err := sign(t, root, key.Public(), rootKey)
	return key, cert, err
}

// sign makes the certificate; its serial number is random (160 bits less one,
// made by x509).
func sign(t, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Request is a device's certificate request of which everything but the key
// was thrown away.
type Request struct {
	Key     *ecdsa.PublicKey // P-256
	KeyHash [32]byte         // as KeyHash
}

// CheckCSR reads a certificate request (PKCS #10, DER): at most wire.MaxCSR
// bytes, a P-256 key, signed by it. Names and extensions in it are ignored.
func CheckCSR(der []byte) (Request, error) {
	if len(der) > wire.MaxCSR {
		return Request{}, fault.Invalidf("csr", "%d bytes, at most %d", len(der), wire.MaxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return Request{}, fault.Invalidf("csr", "not a certificate request").WithCause(err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Request{}, fault.Invalidf("csr", "its key must be of the curve P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return Request{}, fault.Invalidf("csr", "its signature does not fit its key").WithCause(err)
	}
	hash, err := KeyHash(key)
	if err != nil {
		return Request{}, fault.Invalidf("csr", "its key has no encoding").WithCause(err)
	}
	return Request{key, hash}, nil
}

// IssueDevice returns a certificate for the request's key and the issuing
// certificate behind it, in DER. The device's id and tenant stand in it as a
// hint for people; what counts is the device's row found by the key's hash.
func (k *Keys) IssueDevice(csrDER []byte, tenant ident.TenantID, device ident.DeviceID, now time.Time) ([][]byte, error) {
	request, err := CheckCSR(csrDER)
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	by := k.issuing
	k.mu.RUnlock()
	t := template(pkix.Name{CommonName: string(device), Organization: []string{string(tenant)}}, now, wire.CertificateLife)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	t.NotAfter = earlier(t.NotAfter, by.certs[0].NotAfter)
	if !now.Before(t.NotAfter) {
		return nil, fault.New(fault.Unavailable, "the issuing certificate ended on %s", t.NotAfter.Format(time.DateOnly)).
			WithNext("put the root's key back into %s and restart the server", k.dir)
	}
	cert, err := sign(t, by.certs[0], request.Key, by.key)
	if err != nil {
		return nil, fmt.Errorf("certificate of device %s: %w", device, err)
	}
	return [][]byte{cert.Raw, by.certs[0].Raw}, nil
}
