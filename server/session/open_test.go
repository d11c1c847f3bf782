package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

func TestALostJournalIsToldToJobsAndPatches(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	for i, ev := range []session.Event{
		sessiontest.Picture(1, sessiontest.Start, wire.SectionSoftware, sessiontest.Item("apt:a", wire.FactSource, "apt", wire.FactName, "a", wire.FactVersion, "1")),
		sessiontest.Picture(2, sessiontest.Start, wire.SectionUpdates, sessiontest.Item("apt:a", wire.FactSource, "apt", wire.FactPackage, "a", wire.FactInstalled, "1", wire.FactAvailable, "2", wire.FactKind, "security")),
		{Number: 3, At: sessiontest.Start, Job: &job.Step{Job: "j1", Attempt: 1, Kind: job.StepProgress, Source: "apt", Package: "a", Phase: "installing"}},
	} {
		if _, err := live.Event(ctx, sessiontest.Start, ev); err != nil {
			t.Fatal(i, err)
		}
	}
	live.Close(sessiontest.Start)
	e.Hello.Journal, e.Hello.Number, e.Hello.NextEvent = "journal-2", 0, 1
	_, w := e.Must(t, sessiontest.Start.Add(time.Minute))
	if h.Jobs.Lost != 1 || len(w.WantFull) != len(wire.Sections()) || w.EventsThrough != 0 {
		t.Errorf("lost %d, welcome %+v", h.Jobs.Lost, w)
	}
	updates, err := h.Patch.Updates(ctx, "acme", e.Row.ID)
	if err != nil || len(updates) != 1 || updates[0].State != patch.Unknown {
		t.Errorf("updates %+v, %v", updates, err)
	}
}

func TestTheHighestSessionNumberWins(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	first, _ := e.Must(t, sessiontest.Start)
	second, _ := e.Must(t, sessiontest.Start.Add(time.Second))
	if bye := first.Ended(); bye == nil || bye.Code != session.ByeSuperseded {
		t.Errorf("the older session ended with %+v", bye)
	}
	if _, err := first.Event(ctx, sessiontest.Start, sessiontest.Picture(1, sessiontest.Start, wire.SectionOS, sessiontest.Item("os"))); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the older session took an event in: %v", err)
	}
	e.Hello.Number = 0
	if _, _, bye := e.Open(t, sessiontest.Start.Add(2*time.Second)); bye == nil || bye.Code != session.ByeSuperseded {
		t.Errorf("an old number: %+v", bye)
	}
	if second.Ended() != nil || h.Live() != 1 {
		t.Errorf("the newest session ended: %+v", second.Ended())
	}
	first.Close(sessiontest.Start) // late: it must not take the newer one along
	if h.Live() != 1 {
		t.Error("closing the older session closed the newer one")
	}
}

func TestRefusedSessions(t *testing.T) {
	cases := []struct {
		name string
		code string
		do   func(t *testing.T, e *sessiontest.Device)
	}{
		{"unknown key", session.ByeUnknown, func(_ *testing.T, e *sessiontest.Device) { e.Peer.KeyHash[0]++ }},
		{"another device's name in the certificate", session.ByeUnknown, func(_ *testing.T, e *sessiontest.Device) { e.Peer.Device = "d2" }},
		{"another tenant's name in the Hello", session.ByeUnknown, func(_ *testing.T, e *sessiontest.Device) { e.Hello.Tenant = "other" }},
		{"revoked", session.ByeRevoked, func(t *testing.T, e *sessiontest.Device) {
			if _, err := e.House.Fleet.Revoke(ctx, sessiontest.Start, technician, "acme", e.Row.ID, "stolen"); err != nil {
				t.Fatal(err)
			}
		}},
		{"retired", session.ByeRetired, func(t *testing.T, e *sessiontest.Device) {
			if _, err := e.House.Fleet.Retire(ctx, sessiontest.Start, technician, "acme", e.Row.ID, "sold"); err != nil {
				t.Fatal(err)
			}
		}},
		{"a protocol of tomorrow", session.ByeProtocol, func(_ *testing.T, e *sessiontest.Device) { e.Hello.ProtocolMin, e.Hello.ProtocolMax = 9, 12 }},
		{"no journal", session.ByeProtocol, func(_ *testing.T, e *sessiontest.Device) { e.Hello.Journal = "" }},
		{"a number out of range", session.ByeProtocol, func(_ *testing.T, e *sessiontest.Device) { e.Hello.NextEvent = 1 << 63 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := sessiontest.Open(t).Device(t, sessiontest.PC())
			c.do(t, e)
			live, _, bye := e.Open(t, sessiontest.Start)
			if live != nil || bye == nil || bye.Code != c.code {
				t.Errorf("got %+v", bye)
			}
		})
	}
	t.Run("an untrusted certificate", func(t *testing.T) {
		e := sessiontest.Open(t).Device(t, sessiontest.PC())
		e.Peer.Trusted = false
		if _, _, _, err := e.House.Open(ctx, sessiontest.Start, e.Peer, e.Hello); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%v", err)
		}
	})
}

func TestSessionsADeviceMayOpenInAMinute(t *testing.T) {
	e := sessiontest.Open(t).Device(t, sessiontest.PC())
	for range wire.MaxOpens {
		e.Must(t, sessiontest.Start)
	}
	_, _, bye := e.Open(t, sessiontest.Start)
	if bye == nil || bye.Code != session.ByeLimit || bye.RetryAfter < time.Second {
		t.Fatalf("%+v", bye)
	}
	e.Must(t, sessiontest.Start.Add(bye.RetryAfter))
}

func TestACopyIsAConflictUntilAPersonDecides(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	live.Close(sessiontest.Start)
	copied := e.Hello.CloneSecret
	live, _ = e.Must(t, sessiontest.Start.Add(time.Minute))
	live.Close(sessiontest.Start)
	live, _ = e.Must(t, sessiontest.Start.Add(2*time.Minute))
	live.Close(sessiontest.Start)
	good := e.Hello.CloneSecret
	e.Hello.CloneSecret = copied // an image of three sessions ago
	h.Jobs.Leases = []job.Lease{{Job: "j1", Attempt: 1, Encoded: []byte("job")}}
	live, _ = e.Must(t, sessiontest.Start.Add(3*time.Minute))
	if d := e.State(t); d.State != fleet.Conflict || d.Reason.Code != reason.DeviceConflict {
		t.Fatalf("state %s, %v", d.State, d.Reason)
	}
	if want, changed, err := live.Desired(ctx, sessiontest.Start); err != nil || !changed || len(want.Leases) != 0 {
		t.Errorf("jobs for a device in conflict: %+v, %v", want, err)
	}
	if a, err := live.MayStart(ctx, sessiontest.Start, "j1", 1); err != nil || a.Verdict != job.Wait || len(h.Jobs.Started) != 0 {
		t.Errorf("a sessiontest.Start in conflict: %+v, %v", a, err)
	}
	if out, err := live.Event(ctx, sessiontest.Start, sessiontest.Picture(1, sessiontest.Start, wire.SectionOS, sessiontest.Item("os"))); err != nil || out.Through != 1 {
		t.Errorf("inventory in conflict: %+v, %v", out, err)
	}
	live.Close(sessiontest.Start)
	if _, err := h.Fleet.Readmit(ctx, sessiontest.Start, technician, "acme", e.Row.ID, "the copy was erased"); err != nil {
		t.Fatal(err)
	}
	e.Hello.CloneSecret, e.Hello.NextEvent = good, 2
	e.Must(t, sessiontest.Start.Add(4*time.Minute))
	if d := e.State(t); d.State != fleet.Active {
		t.Errorf("after a person decided: %s", d.State)
	}
}

func TestTwoLiveJournalsWithOneKeyAreAConflict(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	twin := *e
	twin.Hello.Journal, twin.Hello.Number = "journal-b", 0
	// It could be the same machine, whose old connection hangs.
	_, _, bye := twin.Open(t, sessiontest.Start.Add(time.Second))
	if bye == nil || bye.Code != session.ByeConflict || e.State(t).State == fleet.Conflict {
		t.Fatalf("the second journal: %+v, state %s", bye, e.State(t).State)
	}
	if _, err := live.Event(ctx, sessiontest.Start.Add(20*time.Second), sessiontest.Picture(1, sessiontest.Start, wire.SectionOS, sessiontest.Item("os"))); err != nil {
		t.Fatal(err)
	}
	if _, _, bye := twin.Open(t, sessiontest.Start.Add(time.Second+bye.RetryAfter)); bye == nil || bye.Code != session.ByeConflict {
		t.Fatalf("the second machine: %+v", bye)
	}
	if e.State(t).State != fleet.Conflict || live.Ended() != nil {
		t.Errorf("state %s, the first machine's session %+v", e.State(t).State, live.Ended())
	}
}

func TestARestoredServerIsToldEverything(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	for n := range uint64(3) {
		if _, err := live.Event(ctx, sessiontest.Start, sessiontest.Picture(n+1, sessiontest.Start, wire.SectionOS, sessiontest.Item("os", "n", string(rune('a'+n))))); err != nil {
			t.Fatal(err)
		}
	}
	live.Close(sessiontest.Start)
	e.House = sessiontest.OpenEpoch(t, h.Store, h.Keys, 2)
	// By now the device was told to forget 8 events; the database knows of 3.
	e.Hello.NextEvent, e.Hello.CloneSecret, e.Hello.DesiredVersion = 9, []byte("of later times"), 70
	live, w := e.Must(t, sessiontest.Start.Add(time.Hour))
	if w.EventsThrough != 8 || len(w.WantFull) != len(wire.Sections()) || w.Epoch != "2" {
		t.Errorf("welcome %+v", w)
	}
	if e.State(t).State == fleet.Conflict {
		t.Error("a secret that the backup does not have was taken for a copy's")
	}
	if d, changed, err := live.Desired(ctx, sessiontest.Start); err != nil || !changed || d.Version <= 70 {
		t.Errorf("desired %+v, %v, %v", d, changed, err)
	}
}

func TestANewJournalTakesOverFromAConnectionThatHangs(t *testing.T) {
	e := sessiontest.Open(t).Device(t, sessiontest.PC())
	old, _ := e.Must(t, sessiontest.Start)
	e.Hello.Journal, e.Hello.Number = "journal-2", 0
	_, _, bye := e.Open(t, sessiontest.Start.Add(time.Second))
	if bye == nil || bye.Code != session.ByeConflict {
		t.Fatalf("%+v", bye)
	}
	e.Must(t, sessiontest.Start.Add(time.Second+bye.RetryAfter))
	if end := old.Ended(); end == nil || end.Code != session.ByeSuperseded || e.State(t).State == fleet.Conflict {
		t.Errorf("the old session %+v, state %s", end, e.State(t).State)
	}
}
