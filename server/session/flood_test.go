package session_test

import (
	"context"
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
	"github.com/steward-rmm/steward/server/telemetry"
)

func TestAFloodOfWhatCannotBeTakenInEndsTheSessionAndIsGotOver(t *testing.T) {
	h := sessiontest.Open(t)
	dev := h.Device(t, sessiontest.PC())
	const flood = 300
	number, sessions := uint64(1), 0
	for now := sessiontest.Start; number <= flood; now = now.Add(time.Minute) {
		if sessions++; sessions > 10 {
			t.Fatalf("only %d of %d are over after %d sessions", number-1, flood, sessions)
		}
		live, w := dev.Must(t, now)
		if w.EventsThrough != number-1 {
			t.Fatalf("stored through %d, not %d", w.EventsThrough, number-1)
		}
		for ; number <= flood; number++ {
			if _, err := live.Event(context.Background(), now, session.Event{Number: number, At: now, Malformed: errors.New("nonsense")}); err != nil {
				break
			}
		}
		if bye := live.Ended(); number <= flood && (bye == nil || bye.Code != session.ByeLimit || bye.RetryAfter <= 0) {
			t.Fatalf("the session ended with %+v", bye)
		}
		live.Close(now)
	}
	if sessions < 2 {
		t.Errorf("%d such events in one moment did not end a session", flood)
	}
}

func TestReportsOlderThanAnySpoolAreNotStored(t *testing.T) {
	h := sessiontest.Open(t)
	dev := h.Device(t, sessiontest.PC())
	now := sessiontest.Start
	live, _ := dev.Must(t, now)
	series := []session.Series{{ID: 1, Signal: "system.cpu.utilization"}}
	if err := live.Name(context.Background(), now, series); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{time.Unix(1, 0), now.AddDate(-1, 0, 0), now.Add(-wire.MaxSpoolAge)} {
		if err := live.Report(context.Background(), now, session.Report{At: at, IDs: []uint32{1}, Values: []float64{0.5}}); err != nil {
			t.Fatal(err)
		}
	}
	var points []telemetry.Point
	got, err := h.Samples.Read(context.Background(), "acme", dev.Row.ID, time.Unix(0, 0), now, "system.cpu.utilization")
	for _, s := range got {
		points = append(points, s.Points...)
	}
	if err != nil || len(points) != 1 || !points[0].At.Equal(now.Add(-wire.MaxSpoolAge)) {
		t.Errorf("%v, %v: only the last is of an age that a spool can have", points, err)
	}
}

func TestRenewalsOfADeviceInAMinute(t *testing.T) {
	h := sessiontest.Open(t)
	dev := h.Device(t, sessiontest.PC())
	now := sessiontest.Start
	renew := func() error {
		_, csr := sessiontest.NewKey(t)
		nonce := h.RenewNonce(now, dev.Row.KeyHash)
		digest := wire.RenewalDigest(nonce, csr)
		signature, err := dev.Key.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Renew(context.Background(), now, pki.Renewal{Chain: dev.Chain, CSR: csr, Nonce: nonce, Signature: signature})
		return err
	}
	for range wire.MaxOpens {
		if err := renew(); err != nil {
			t.Fatal(err)
		}
	}
	err := renew()
	var limited *pki.Limited
	if !fault.Is(err, fault.TooMany) || !errors.As(err, &limited) || limited.After <= 0 {
		t.Fatalf("one more: %v", err)
	}
	now = now.Add(limited.After)
	if err := renew(); err != nil {
		t.Errorf("after the time that it was told: %v", err)
	}
}
