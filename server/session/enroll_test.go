package session_test

import (
	"crypto"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

func TestEnroll(t *testing.T) {
	h := sessiontest.Open(t)
	_, csr := sessiontest.NewKey(t)
	_, second := sessiontest.NewKey(t)
	plain := session.EnrollRequest{Token: h.Token(t, pki.Draft{}), CSR: csr, Machine: sessiontest.PC(), From: "192.0.2.1"}
	first, err := h.Enroll(ctx, sessiontest.Start, plain)
	if err != nil || first.Device.Class != fleet.Workstation || first.Device.State != fleet.Pending {
		t.Fatalf("%+v, %v", first.Device, err)
	}
	if signed, err := wire.ParseSignedBundle(first.Bundle); err != nil || len(first.Certificates) < 2 {
		t.Errorf("bundle %v, %v, %d certificates", signed, err, len(first.Certificates))
	}
	again, err := h.Enroll(ctx, sessiontest.Start.Add(time.Minute), plain)
	if err != nil || again.Device.ID != first.Device.ID {
		t.Errorf("the same again: %s, %v", again.Device.ID, err)
	}
	winning := plain
	winning.Token, winning.CSR, winning.Class, winning.Tags = h.Token(t, pki.Draft{Class: "laptop", Tags: []string{"vip"}, Uses: 5, PerMinute: 100}), second, "server", []string{"own"}
	same, err := h.Enroll(ctx, sessiontest.Start.Add(time.Hour), winning)
	if err != nil || same.Device.ID != first.Device.ID || same.Device.Class != fleet.Laptop || !slices.Equal(same.Device.Tags, []string{"vip"}) {
		t.Errorf("the same machine with a new key: %+v, %v", same.Device, err)
	}
	if _, err := h.Enroll(ctx, sessiontest.Start.Add(time.Hour), plain); !fault.Is(err, fault.Conflict) {
		t.Errorf("the replaced key: %v", err)
	}
	if _, err := h.Fleet.Revoke(ctx, sessiontest.Start, technician, "acme", first.Device.ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll(ctx, sessiontest.Start.Add(time.Hour), winning); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a revoked device: %v", err)
	}
	for name, r := range map[string]session.EnrollRequest{
		"short token": {Token: []byte("x"), CSR: csr}, "no request": {Token: plain.Token}, "bad tag": {Token: plain.Token, CSR: csr, Tags: []string{"A B"}},
		"bad class": {Token: plain.Token, CSR: csr, Class: "toaster"},
	} {
		if _, err := h.Enroll(ctx, sessiontest.Start, r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := plain
	unknown.Token = make([]byte, 20)
	if _, err := h.Enroll(ctx, sessiontest.Start, unknown); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an unknown token: %v", err)
	}
}

func TestRenewKeepsTheOldKeyUntilTheNewOneIsUsed(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	key, csr := sessiontest.NewKey(t)
	renew := func(now time.Time) (session.Enrolled, error) {
		nonce := h.RenewNonce(now, e.Peer.KeyHash)
		digest := wire.RenewalDigest(nonce, csr)
		signature, err := e.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return h.Renew(ctx, now, pki.Renewal{Chain: e.Chain, CSR: csr, Nonce: nonce, Signature: signature})
	}
	later := sessiontest.Start.Add(21 * 24 * time.Hour)
	if got, err := renew(later); err != nil || len(got.Certificates) < 2 {
		t.Fatalf("%v", err)
	}
	live, _ := e.Must(t, later) // with the old key
	live.Close(later)
	renewed, err := pki.KeyHash(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	old := e.Peer.KeyHash
	e.Peer.KeyHash, e.Hello.CloneSecret = renewed, nil
	e.Must(t, later.Add(time.Minute))
	if d := e.State(t); d.KeyHash != renewed || d.State == fleet.Conflict {
		t.Errorf("state %s, the new key is not the device's", d.State)
	}
	e.Peer.KeyHash = old
	if _, _, bye := e.Open(t, later.Add(2*time.Minute)); bye == nil || bye.Code != session.ByeUnknown {
		t.Errorf("the old key still opens sessions: %+v", bye)
	}
	if _, err := renew(later); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the old key renews: %v", err)
	}
}

// Serial and board stand on a sticker: who has an enrollment string and reads
// them must not push a machine out that is there.
func TestAConnectedMachineIsNotTakenOver(t *testing.T) {
	h := sessiontest.Open(t)
	dev := h.Device(t, sessiontest.PC())
	now := sessiontest.Start
	live, _ := dev.Must(t, now)
	_, csr := sessiontest.NewKey(t)
	request := session.EnrollRequest{Token: h.Token(t, pki.Draft{}), CSR: csr, Machine: sessiontest.PC(), AgentVersion: "1.0", From: "192.0.2.2"}
	for range wire.MaxTokenFailures + 1 { // nor does it count against the string
		if _, err := h.Enroll(ctx, now, request); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%v", err)
		}
	}
	if d, known := h.Fleet.ByKey(dev.Row.KeyHash); !known || d.ID != dev.Row.ID {
		t.Error("the key of the connected machine is forgotten")
	}
	if _, err := live.Event(ctx, now, session.Event{Number: 1, At: now}); err != nil {
		t.Errorf("its session: %v", err)
	}
	live.Close(now)
	got, err := h.Enroll(ctx, now, request)
	if err != nil || got.Device.ID != dev.Row.ID {
		t.Errorf("once it is gone: %+v, %v", got.Device, err)
	}
}
