package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

const pemKey, pemCert = "PRIVATE KEY", "CERTIFICATE"

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

func encodeCerts(certs ...*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: c.Raw})...)
	}
	return out
}

var errDamaged = errors.New("damaged; restore it from a backup")

func decodeKey(data []byte) (crypto.PrivateKey, []byte, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemKey {
		return nil, nil, errDamaged
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, errDamaged
	}
	return key, rest, nil
}

func decodeCerts(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return out, nil
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != pemCert {
			return nil, errDamaged
		}
		out, data = append(out, c), rest
	}
}

// decodePair reads a P-256 key and the certificates behind it. The first
// certificate, or the given one, must be the key's own.
func decodePair(data []byte, cert *x509.Certificate) (*ecdsa.PrivateKey, []*x509.Certificate, error) {
	parsed, rest, err := decodeKey(data)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, errors.New("not a P-256 key")
	}
	certs, err := decodeCerts(rest)
	if err != nil {
		return nil, nil, err
	}
	if cert == nil && len(certs) > 0 {
		cert = certs[0]
	}
	if cert == nil || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("key and certificate do not fit; restore both from one backup")
	}
	return key, certs, nil
}
