package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Limits of a chain that a server sends.
const (
	maxChain      = 4
	maxChainBytes = 8 << 10
)

// Credential is a key of this device with its certificate, and the part of the
// proof that the server's people call renewal.
type Credential struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate // the leaf first; empty: none yet
}

// newKey makes a key on the device.
func newKey() (*Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Credential{key: key}, nil
}

// CSR returns a certificate request for the key, in DER. It names nothing: the
// server knows the device by its key.
func (c *Credential) CSR() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, c.key)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if len(der) > wire.MaxCSR {
		return nil, fmt.Errorf("certificate request: %d bytes, at most %d", len(der), wire.MaxCSR)
	}
	return der, nil
}

// SignRenewal signs the server's nonce and a new key's request with this key.
func (c *Credential) SignRenewal(nonce, csr []byte) ([]byte, error) {
	digest := wire.RenewalDigest(nonce, csr)
	return ecdsa.SignASN1(rand.Reader, c.key, digest[:])
}

// Leaf returns the certificate in DER, nil when there is none.
func (c *Credential) Leaf() []byte {
	if len(c.chain) == 0 {
		return nil
	}
	return c.chain[0].Raw
}

// ID names the credential: the SHA-256 of its public key.
func (c *Credential) ID() [32]byte {
	der, err := x509.MarshalPKIXPublicKey(&c.key.PublicKey)
	if err != nil { // a P-256 key always marshals
		return [32]byte{}
	}
	return sha256.Sum256(der)
}

// TLS returns what a handshake presents.
func (c *Credential) TLS() *tls.Certificate {
	out := &tls.Certificate{PrivateKey: c.key}
	for _, cert := range c.chain {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	if len(c.chain) > 0 {
		out.Leaf = c.chain[0]
	}
	return out
}

// NotAfter returns the end of the certificate.
func (c *Credential) NotAfter() time.Time {
	if len(c.chain) == 0 {
		return time.Time{}
	}
	return c.chain[0].NotAfter
}

// certify puts the server's chain to the key after checking that it is for it
// and ends in one of the roots.
func (c *Credential) certify(chain [][]byte, roots []*x509.Certificate) error {
	parsed, err := parseChain(chain)
	if err != nil {
		return err
	}
	leaf := parsed[0]
	public, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(&c.key.PublicKey) {
		return errors.New("the server's certificate is for another key")
	}
	// At the middle of its own validity: this machine's clock may be wrong, and
	// whether the certificate is over is the server's question.
	at := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	if err := verify(parsed, roots, x509.ExtKeyUsageClientAuth, at); err != nil {
		return fmt.Errorf("the server's certificate for this device: %w", err)
	}
	c.chain = parsed
	return nil
}

func parseChain(ders [][]byte) ([]*x509.Certificate, error) {
	total := 0
	for _, der := range ders {
		total += len(der)
	}
	if len(ders) == 0 || len(ders) > maxChain || total > maxChainBytes {
		return nil, fmt.Errorf("a chain of %d certificates and %d bytes, want 1 to %d of at most %d bytes", len(ders), total, maxChain, maxChainBytes)
	}
	var out []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(bytes.Clone(der))
		if err != nil {
			return nil, fmt.Errorf("chain: %w", err)
		}
		out = append(out, cert)
	}
	return out, nil
}

// verify checks that a chain ends in one of the roots at a time.
func verify(chain, roots []*x509.Certificate, usage x509.ExtKeyUsage, at time.Time) error {
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range roots {
		trusted.AddCert(r)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}

const (
	pemKey         = "PRIVATE KEY"
	pemCertificate = "CERTIFICATE"
)

// encode returns key and chain as one PEM file.
func (c *Credential) encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})
	for _, cert := range c.chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw})...)
	}
	return out, nil
}

// decodeCredential reads what encode wrote.
func decodeCredential(data []byte) (*Credential, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemKey {
		return nil, errors.New("it does not begin with a private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("its key is not a P-256 key")
	}
	c := &Credential{key: key}
	var ders [][]byte
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("it holds a %q", block.Type)
		}
		ders = append(ders, block.Bytes)
	}
	if len(ders) == 0 {
		return c, nil
	}
	if c.chain, err = parseChain(ders); err != nil {
		return nil, err
	}
	public, ok := c.chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(&key.PublicKey) {
		return nil, errors.New("its certificate is for another key")
	}
	return c, nil
}
