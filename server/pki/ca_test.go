package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"testing"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csrWith(t testing.TB, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newCSR(t testing.TB, key crypto.Signer) []byte {
	return csrWith(t, key, x509.CertificateRequest{})
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDeviceCertificateIsOnlyWhatTheServerSays(t *testing.T) {
	k, key := newKeys(t), newKey(t)
	constraints, err := asn1.Marshal(struct{ IsCA bool }{true})
	if err != nil {
		t.Fatal(err)
	}
	csr := csrWith(t, key, x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "*.example.net", Organization: []string{"bolt"}},
		DNSNames:    []string{"*", "steward.test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraints},
		},
	})
	chain, err := k.IssueDevice(csr, "acme", "d-1", start)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, chain[0])
	if c.Subject.CommonName != "d-1" || len(c.Subject.Organization) != 1 || c.Subject.Organization[0] != "acme" {
		t.Errorf("named %v", c.Subject)
	}
	if len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) != 0 || c.IsCA {
		t.Errorf("names %v %v, CA %v", c.DNSNames, c.IPAddresses, c.IsCA)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || c.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("usages %v %v", c.ExtKeyUsage, c.KeyUsage)
	}
	if !c.NotAfter.Equal(start.Add(wire.CertificateLife)) || !c.NotBefore.Equal(start.Add(-wire.CertificateBackdate)) {
		t.Errorf("valid %v to %v", c.NotBefore, c.NotAfter)
	}
	if !key.PublicKey.Equal(c.PublicKey) || len(chain) != 2 {
		t.Error("another key, or no chain")
	}
	hash, err := KeyHash(key.Public())
	if err != nil || hash != SPKIHash(c) {
		t.Errorf("the two hashes of a key differ: %v", err)
	}
	if expired, err := k.chainOf([]*x509.Certificate{c}, start); err != nil || expired {
		t.Errorf("%v %v", expired, err)
	}
}

func TestRequestsAreRefused(t *testing.T) {
	k := newKeys(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := newCSR(t, newKey(t))
	badSignature := bytes.Clone(good)
	badSignature[len(badSignature)-1] ^= 1
	huge := csrWith(t, newKey(t), x509.CertificateRequest{Subject: pkix.Name{CommonName: string(bytes.Repeat([]byte("x"), 5000))}})
	swapped := bytes.Replace(good, keyBytes(t, good), keyBytes(t, newCSR(t, newKey(t))), 1)
	for name, der := range map[string][]byte{
		"empty": nil, "noise": []byte("hello"), "huge": huge, "P-384": newCSR(t, p384), "RSA": newCSR(t, rsaKey),
		"bad signature": badSignature, "another's key": swapped, "cut": good[:len(good)-5], "trailing": append(bytes.Clone(good), 0),
	} {
		if _, err := k.IssueDevice(der, "acme", "d-1", start); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func keyBytes(t *testing.T, der []byte) []byte {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr.RawSubjectPublicKeyInfo
}

func TestOnlyDeviceCertificatesAreDevices(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	foreign, err := other.IssueDevice(newCSR(t, newKey(t)), "acme", "d-1", start)
	if err != nil {
		t.Fatal(err)
	}
	for name, chain := range map[string][]*x509.Certificate{
		"foreign":             {parse(t, foreign[0]), parse(t, foreign[1]), other.root},
		"the server's own":    {k.leaf.Leaf, k.issuing.certs[0]},
		"the issuing one":     {k.issuing.certs[0]},
		"the root":            {k.root},
		"foreign, our issuer": {parse(t, foreign[0]), k.issuing.certs[0], k.root},
	} {
		if _, err := k.chainOf(chain, start); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestDevicesOfAnEarlierIssuerAreKnown(t *testing.T) {
	k := newKeys(t)
	old, err := k.IssueDevice(newCSR(t, newKey(t)), "acme", "d-1", start.Add(issuingLife-185*day))
	if err != nil {
		t.Fatal(err)
	}
	now := start.Add(issuingLife - 170*day)
	if err := k.Maintain(now, []string{"steward.test"}); err != nil || len(k.issuing.certs) != 2 {
		t.Fatal(len(k.issuing.certs), err)
	}
	if expired, err := reload(t, k).chainOf([]*x509.Certificate{parse(t, old[0])}, now); err != nil || expired {
		t.Errorf("%v %v", expired, err)
	}
}

func FuzzCheckCSR(f *testing.F) {
	f.Add(newCSR(f, newKey(f)))
	f.Add([]byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := CheckCSR(der)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is not of the kind Invalid", err)
			}
			return
		}
		spki, err := x509.MarshalPKIXPublicKey(r.Key)
		if err != nil || r.Key.Curve != elliptic.P256() || sha256.Sum256(spki) != r.KeyHash {
			t.Fatalf("accepted %x, %v", der, err)
		}
	})
}
