package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
)

func renewalOf(t *testing.T, k *Keys, d *device, now time.Time) Renewal {
	t.Helper()
	hash, err := KeyHash(d.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	r := Renewal{Chain: d.chain, CSR: newCSR(t, newKey(t)), Nonce: k.RenewNonce(hash, now)}
	r.sign(t, d.key)
	return r
}

func (r *Renewal) sign(t *testing.T, key *ecdsa.PrivateKey) {
	t.Helper()
	digest := wire.RenewalDigest(r.Nonce, r.CSR)
	var err error
	if r.Signature, err = key.Sign(nil, digest[:], crypto.SHA256); err != nil {
		t.Fatal(err)
	}
}

func TestLaptopFromTheDrawerComesBackByItself(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	for _, c := range []struct {
		after time.Duration
		ok    bool
	}{
		{0, true},
		{wire.RenewAfter, true},
		{wire.CertificateLife + time.Hour, true},
		{wire.CertificateLife + wire.MaxRenewExpired - time.Hour, true},
		{wire.CertificateLife + wire.MaxRenewExpired + time.Hour, false},
	} {
		now := start.Add(c.after)
		// Other servers with the same keys answer too: nothing is stored.
		got, err := reload(t, k).CheckRenewal(renewalOf(t, k, d, now), now)
		if (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Forbidden) {
			t.Errorf("after %v: %v", c.after, err)
		}
		if c.ok && (got.OldKey != SPKIHash(parse(t, d.chain[0])) || got.Device != "d-1" || got.Tenant != "acme" ||
			got.Expired != max(0, c.after-wire.CertificateLife) || got.New.Key == nil) {
			t.Errorf("after %v: %+v", c.after, got)
		}
	}
}

func TestRenewalIsRefused(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	d, second := newDevice(t, k, start), newDevice(t, k, start)
	foreign := newDevice(t, other, start)
	for name, c := range map[string]struct {
		change func(r *Renewal)
		kind   fault.Kind
	}{
		"no chain":           {func(r *Renewal) { r.Chain = nil }, fault.Invalid},
		"long chain":         {func(r *Renewal) { r.Chain = make([][]byte, 9) }, fault.Invalid},
		"huge chain":         {func(r *Renewal) { r.Chain = [][]byte{make([]byte, 9000)} }, fault.Invalid},
		"noise":              {func(r *Renewal) { r.Chain = [][]byte{{1, 2, 3}} }, fault.Invalid},
		"foreign":            {func(r *Renewal) { *r = renewalOf(t, k, foreign, start) }, fault.Unauthenticated},
		"the server's own":   {func(r *Renewal) { r.Chain = [][]byte{k.leaf.Leaf.Raw} }, fault.Unauthenticated},
		"another's nonce":    {func(r *Renewal) { r.Nonce = renewalOf(t, k, second, start).Nonce; r.sign(t, d.key) }, fault.Unauthenticated},
		"foreign nonce":      {func(r *Renewal) { r.Nonce = renewalOf(t, other, d, start).Nonce; r.sign(t, d.key) }, fault.Unauthenticated},
		"old nonce":          {func(r *Renewal) { *r = renewalOf(t, k, d, start.Add(-6*time.Minute)) }, fault.Unauthenticated},
		"longer-lived nonce": {func(r *Renewal) { r.Nonce[0] ^= 1; r.sign(t, d.key) }, fault.Unauthenticated},
		"no nonce":           {func(r *Renewal) { r.Nonce = nil; r.sign(t, d.key) }, fault.Unauthenticated},
		"another's key":      {func(r *Renewal) { r.sign(t, second.key) }, fault.Unauthenticated},
		"another request":    {func(r *Renewal) { r.CSR = newCSR(t, newKey(t)) }, fault.Unauthenticated},
		"bad request":        {func(r *Renewal) { r.CSR = bytes.Repeat([]byte{1}, 5000) }, fault.Invalid},
		"no signature":       {func(r *Renewal) { r.Signature = nil }, fault.Unauthenticated},
	} {
		r := renewalOf(t, k, d, start)
		c.change(&r)
		if _, err := k.CheckRenewal(r, start); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheckRenewal(f *testing.F) {
	k := newKeys(f)
	f.Add([]byte{1}, []byte{2}, bytes.Repeat([]byte{0}, nonceSize), []byte{3})
	f.Add(k.leaf.Leaf.Raw, []byte{2}, []byte{}, []byte{3})
	f.Fuzz(func(t *testing.T, cert, csr, nonce, signature []byte) {
		if _, err := k.CheckRenewal(Renewal{[][]byte{cert}, csr, nonce, signature}, start); err == nil {
			t.Fatal("something made up was accepted")
		}
	})
}
