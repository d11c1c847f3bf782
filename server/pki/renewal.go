package pki

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

const (
	nonceLife     = 5 * time.Minute
	nonceSize     = 8 + 16 + sha256.Size // end in Unix seconds, random, MAC
	nonceContext  = "steward renewal nonce v1\x00"
	maxChain      = 4       // certificates that a device may present
	maxChainBytes = 8 << 10 // in all
)

// RenewNonce returns a nonce for the holder of the old key (its SPKIHash). It
// is good for five minutes, on every server that has these keys, and nothing
// is stored: signing it twice gives two certificates for the same new key.
func (k *Keys) RenewNonce(oldKey [32]byte, now time.Time) []byte {
	nonce := binary.BigEndian.AppendUint64(nil, uint64(now.Add(nonceLife).Unix()))
	nonce = append(nonce, random(16)...)
	return append(nonce, k.nonceMAC(nonce, oldKey)...)
}

func (k *Keys) nonceMAC(head []byte, oldKey [32]byte) []byte {
	key := derive(k.secrets[:], nonceContext)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(head)
	mac.Write(oldKey[:])
	return mac.Sum(nil)
}

func (k *Keys) checkNonce(nonce []byte, oldKey [32]byte, now time.Time) bool {
	if len(nonce) != nonceSize {
		return false
	}
	if !hmac.Equal(nonce[24:], k.nonceMAC(nonce[:24], oldKey)) {
		return false
	}
	return now.Unix() <= int64(binary.BigEndian.Uint64(nonce))
}

// Renewal is a device's wish for a certificate for a new key.
type Renewal struct {
	Chain     [][]byte // the old certificate and those above it, DER
	CSR       []byte   // of the new key, DER
	Nonce     []byte   // of RenewNonce
	Signature []byte   // of wire.RenewalDigest by the old key, ASN.1
}

// Renewed is a renewal that may be granted if the device found by OldKey may
// have one. The names are hints; the row counts.
type Renewed struct {
	OldKey  [32]byte // SPKIHash
	New     Request
	Tenant  ident.TenantID
	Device  ident.DeviceID
	Expired time.Duration // for how long the old certificate was over; 0: it was not
}

// CheckRenewal checks everything about a renewal but the device's row: the old
// certificate is this server's and at most wire.MaxRenewExpired over, the
// nonce is fresh and made for it, the old key signed nonce and request, and
// the request is good.
func (k *Keys) CheckRenewal(r Renewal, now time.Time) (Renewed, error) {
	chain, err := parseChain(r.Chain)
	if err != nil {
		return Renewed{}, err
	}
	old := chain[0]
	if _, err := k.chainOf(chain, now); err != nil {
		return Renewed{}, fault.New(fault.Unauthenticated, "the old certificate is not one of this server").
			WithNext("enroll the device again").WithCause(err)
	}
	out := Renewed{OldKey: SPKIHash(old), Device: ident.DeviceID(old.Subject.CommonName), Expired: max(0, now.Sub(old.NotAfter))}
	if len(old.Subject.Organization) == 1 {
		out.Tenant = ident.TenantID(old.Subject.Organization[0])
	}
	if out.Expired > wire.MaxRenewExpired {
		return Renewed{}, fault.New(fault.Forbidden, "the old certificate ended on %s, more than %d days ago",
			old.NotAfter.Format(time.DateOnly), wire.MaxRenewExpired/day).WithNext("enroll the device again")
	}
	if !k.checkNonce(r.Nonce, out.OldKey, now) {
		return Renewed{}, fault.New(fault.Unauthenticated, "the nonce is too old or not for this key").WithNext("ask for a new one")
	}
	if out.New, err = CheckCSR(r.CSR); err != nil {
		return Renewed{}, err
	}
	digest := wire.RenewalDigest(r.Nonce, r.CSR)
	if !ecdsa.VerifyASN1(old.PublicKey.(*ecdsa.PublicKey), digest[:], r.Signature) {
		return Renewed{}, fault.New(fault.Unauthenticated, "the request is not signed by the old key")
	}
	return out, nil
}

func parseChain(ders [][]byte) ([]*x509.Certificate, error) {
	total := 0
	for _, der := range ders {
		total += len(der)
	}
	if len(ders) == 0 || len(ders) > maxChain || total > maxChainBytes {
		return nil, fault.Invalidf("chain", "%d certificates of %d bytes, want 1 to %d of at most %d", len(ders), total, maxChain, maxChainBytes)
	}
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.Invalidf("chain", "not a certificate").WithCause(err)
		}
		out = append(out, c)
	}
	return out, nil
}
