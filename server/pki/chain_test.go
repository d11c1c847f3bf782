package pki

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

func TestProvenChainsStillDependOnTheTime(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	chain := []*x509.Certificate{parse(t, d.chain[0])}
	for range 2 { // the second time from memory
		for _, c := range []struct {
			after       time.Duration
			expired, ok bool
		}{
			{0, false, true},
			{wire.CertificateLife + time.Second, true, true},
			{-wire.CertificateBackdate - time.Second, false, false},
		} {
			expired, err := k.chainOf(chain, start.Add(c.after))
			if expired != c.expired || (err == nil) != c.ok {
				t.Errorf("after %v: expired %v, %v", c.after, expired, err)
			}
		}
	}
	for i := range maxProven + 5 {
		k.proven.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if len(k.proven.by) > maxProven {
		t.Errorf("%d certificates are remembered", len(k.proven.by))
	}
}

func TestForeignChainsAreNeverProven(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	chain := []*x509.Certificate{parse(t, newDevice(t, other, start).chain[0])}
	for range 2 {
		if _, err := k.chainOf(chain, start); err == nil {
			t.Error("a foreign chain was accepted")
		}
	}
}

// A standby that renewed the issuing certificate by itself issued devices that
// only their own chain explains.
func TestDevicesOfAnotherServerWithTheSameRootAreKnown(t *testing.T) {
	k := newKeys(t)
	standby := reload(t, k)
	late := start.Add(issuingLife - 170*day)
	if err := errors.Join(standby.Maintain(late, []string{"steward.test"}), k.Maintain(late, []string{"steward.test"})); err != nil {
		t.Fatal(err)
	}
	der, err := standby.IssueDevice(newCSR(t, newKey(t)), "acme", "d-1", late)
	if err != nil {
		t.Fatal(err)
	}
	leaf, issuing := parse(t, der[0]), parse(t, der[1])
	if _, err := k.chainOf([]*x509.Certificate{leaf}, late); err == nil {
		t.Error("accepted without its chain")
	}
	if _, err := k.chainOf([]*x509.Certificate{leaf, issuing}, late); err != nil {
		t.Errorf("with its chain: %v", err)
	}
}

func BenchmarkChainFirstTime(b *testing.B) {
	k := newKeys(b)
	der, err := k.IssueDevice(newCSR(b, newKey(b)), "acme", "d-1", start)
	if err != nil {
		b.Fatal(err)
	}
	chain := []*x509.Certificate{parse(b, der[0])}
	for b.Loop() {
		k.proven.by = nil
		if _, err := k.chainOf(chain, start); err != nil {
			b.Fatal(err)
		}
	}
}
