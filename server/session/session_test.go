package session_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

var ctx = context.Background()

var technician = ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya", Tenant: ident.MSP}

func TestFirstSessionAsksForEverythingAndInventoryMakesTheDeviceActive(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, w := e.Must(t, sessiontest.Start)
	if len(w.WantFull) != len(wire.Sections()) || w.EventsThrough != 0 || len(w.NextClone) == 0 || len(w.Bundle) == 0 || w.Epoch != "1" {
		t.Fatalf("welcome %+v", w)
	}
	events := []session.Event{
		sessiontest.Picture(1, sessiontest.Start, wire.SectionSystem, sessiontest.Item("system", "hostname", "pc-renamed", "serial", "S1", "uuid", "U1")),
		sessiontest.Picture(2, sessiontest.Start, wire.SectionOS, sessiontest.Item("os", "family", "windows", "name", "Windows 11 Pro", "version", "10.1", "time_zone", "Europe/Paris")),
		sessiontest.Picture(3, sessiontest.Start, wire.SectionSoftware, sessiontest.Item("winget:a", wire.FactSource, "winget", wire.FactName, "a", wire.FactVersion, "1")),
		sessiontest.Picture(4, sessiontest.Start, wire.SectionUpdates, sessiontest.Item("winget:a", wire.FactSource, "winget", wire.FactPackage, "a", wire.FactInstalled, "1", wire.FactAvailable, "2", wire.FactKind, "security")),
	}
	for _, ev := range events {
		if d := e.State(t); d.State != fleet.Pending {
			t.Fatalf("%s before event %d", d.State, ev.Number)
		}
		if out, err := live.Event(ctx, sessiontest.Start, ev); err != nil || out.Through != ev.Number || len(out.Want) != 0 {
			t.Fatalf("event %d: %+v, %v", ev.Number, out, err)
		}
	}
	d := e.State(t)
	if d.State != fleet.Active || d.Hostname != "pc-renamed" || d.OS.Name != "Windows 11 Pro" || d.TimeZone != "Europe/Paris" || !d.Online {
		t.Errorf("device %+v", d)
	}
	updates, err := h.Patch.Updates(ctx, "acme", e.Row.ID)
	if err != nil || len(updates) != 1 || updates[0].Version != "2" {
		t.Errorf("updates %+v, %v", updates, err)
	}
}

func TestEventsAreTakenInOnceAndInOrder(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	id := ident.JobID(ident.New(sessiontest.Start))
	step := func(n uint64) session.Event {
		return session.Event{Number: n, At: sessiontest.Start, Job: &job.Step{Job: id, Attempt: 1, Kind: job.StepProgress, Source: "apt", Package: "p"}}
	}
	cases := []struct {
		number, through, resend uint64
	}{
		{1, 1, 0}, {1, 1, 0}, {3, 1, 2}, {4, 1, 0}, {3, 1, 2}, {2, 2, 0}, {1, 2, 0}, {3, 3, 0}, {9, 3, 4},
	}
	for i, c := range cases {
		out, err := live.Event(ctx, sessiontest.Start, step(c.number))
		if err != nil || out.Through != c.through || out.Resend != c.resend {
			t.Errorf("step %d, event %d: %+v, %v", i, c.number, out, err)
		}
	}
	if len(h.Jobs.Steps) != 3 {
		t.Errorf("%d effects of 3 events", len(h.Jobs.Steps))
	}
	live.Close(sessiontest.Start)
	if _, w := e.Must(t, sessiontest.Start.Add(time.Second)); w.EventsThrough != 3 {
		t.Errorf("the next session: %+v", w)
	}
}

func TestAnEventThatCannotBeTakenInDoesNotStopTheOthers(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	h.Jobs.Refuse = fault.NotFoundf("no such job")
	bad := []session.Event{
		{Number: 1, At: sessiontest.Start, Job: &job.Step{Job: "x", Attempt: 1, Kind: job.StepFinished}},
		{Number: 2, At: sessiontest.Start, Malformed: errors.New("nonsense")},
		sessiontest.Picture(3, sessiontest.Start, "no such section", sessiontest.Item("a")),
		{Number: 4, At: sessiontest.Start}, // of a newer agent
	}
	for _, ev := range bad {
		if out, err := live.Event(ctx, sessiontest.Start, ev); err != nil || out.Through != ev.Number {
			t.Fatalf("event %d: %+v, %v", ev.Number, out, err)
		}
	}
	h.Jobs.Refuse = errors.New("the database is away")
	if _, err := live.Event(ctx, sessiontest.Start, session.Event{Number: 5, At: sessiontest.Start, Job: &job.Step{Job: "x", Attempt: 1}}); err == nil {
		t.Error("an event was acknowledged that the server failed to take in")
	}
	h.Jobs.Refuse = nil
	if out, err := live.Event(ctx, sessiontest.Start, session.Event{Number: 5, At: sessiontest.Start, Job: &job.Step{Job: "x", Attempt: 1}}); err != nil || out.Through != 5 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAPictureThatDoesNotAddUpIsAskedForInFullOnce(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	full := sessiontest.Picture(1, sessiontest.Start, wire.SectionDisks, sessiontest.Item("a"), sessiontest.Item("b"))
	if out, err := live.Event(ctx, sessiontest.Start, full); err != nil || len(out.Want) != 0 {
		t.Fatal(out, err)
	}
	delta := func(n uint64) session.Event {
		return session.Event{Number: n, At: sessiontest.Start, Inventory: &session.InventoryChange{Final: true,
			Change: wire.Change{Section: wire.SectionDisks, Upsert: []wire.Item{sessiontest.Item("c")}, Hash: [32]byte{1}}}}
	}
	if out, err := live.Event(ctx, sessiontest.Start, delta(2)); err != nil || !slices.Equal(out.Want, []wire.Section{wire.SectionDisks}) {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := live.Event(ctx, sessiontest.Start, delta(3)); err != nil || len(out.Want) != 0 || out.Through != 3 {
		t.Errorf("a change that was on the way: %+v, %v", out, err)
	}
	// The connection ends before the question is heard: the next one asks again.
	live.Close(sessiontest.Start)
	e.Hello.NextEvent = 2
	live, w := e.Must(t, sessiontest.Start.Add(time.Second))
	if !slices.Contains(w.WantFull, wire.SectionDisks) {
		t.Fatalf("wanted %v", w.WantFull)
	}
	full.Number = 4
	if out, err := live.Event(ctx, sessiontest.Start.Add(time.Second), full); err != nil || len(out.Want) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	live.Close(sessiontest.Start)
	e.Hello.NextEvent = 5
	e.Hello.Confirmed[wire.SectionDisks] = full.Inventory.Change.Hash
	if _, w = e.Must(t, sessiontest.Start.Add(2*time.Second)); slices.Contains(w.WantFull, wire.SectionDisks) {
		t.Errorf("asked again for what came: %v", w.WantFull)
	}
}

func TestDesiredVersionRisesOnlyWithItsContent(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	if _, err := h.Fleet.Transition(ctx, sessiontest.Start, "acme", e.Row.ID, fleet.Active, reason.New(reason.DeviceInventory), ident.Steward("test")); err != nil {
		t.Fatal(err)
	}
	live, _ := e.Must(t, sessiontest.Start)
	if !live.Due(sessiontest.Start) {
		t.Error("a new session is not due")
	}
	first, changed, err := live.Desired(ctx, sessiontest.Start)
	if err != nil || !changed || first.Version == 0 || first.Settings.ReportInterval != wire.DefaultReportInterval {
		t.Fatalf("%+v, %v, %v", first, changed, err)
	}
	if live.Due(sessiontest.Start.Add(time.Second)) {
		t.Error("due again without a hint")
	}
	h.Hub.Wake(session.DesiredTopic(e.Row.ID))
	if !live.Due(sessiontest.Start.Add(time.Second)) {
		t.Error("not due after a hint")
	}
	if _, changed, err := live.Desired(ctx, sessiontest.Start); err != nil || changed {
		t.Errorf("the same again: %v, %v", changed, err)
	}
	h.Jobs.Leases = []job.Lease{{Job: "j1", Attempt: 1, Encoded: []byte("job"), Signature: []byte("s")}}
	second, changed, err := live.Desired(ctx, sessiontest.Start)
	if err != nil || !changed || second.Version != first.Version+1 || len(second.Leases) != 1 {
		t.Fatalf("%+v, %v, %v", second, changed, err)
	}
	if err := live.DesiredAck(ctx, sessiontest.Start, second.Version); err != nil {
		t.Fatal(err)
	}
	live.Close(sessiontest.Start)
	e.Hello.DesiredVersion = second.Version
	live, _ = e.Must(t, sessiontest.Start.Add(time.Second))
	if _, changed, err := live.Desired(ctx, sessiontest.Start); err != nil || changed {
		t.Errorf("a device that has it is told again: %v, %v", changed, err)
	}
	live.Close(sessiontest.Start)
	e.Hello.DesiredVersion = first.Version // it did not journal the second
	live, _ = e.Must(t, sessiontest.Start.Add(2*time.Second))
	if d, changed, err := live.Desired(ctx, sessiontest.Start); err != nil || !changed || d.Version != second.Version {
		t.Errorf("a device that lost it is not told again: %+v, %v", d, err)
	}
}

func TestReportsAreStoredOnceAndAcknowledgedLate(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	names := []session.Series{{ID: 7, Signal: wire.SignalCPUUtilization}, {ID: 9, Signal: "unknown.signal"}, {ID: 3, Signal: wire.SignalLoad1}}
	if err := live.Name(ctx, sessiontest.Start, names); err != nil {
		t.Fatal(err)
	}
	now := sessiontest.Start
	tell := func(at time.Time) {
		t.Helper()
		if err := live.Report(ctx, now, session.Report{At: at, IDs: []uint32{7, 9, 3, 7}, Values: []float64{0.5, 1, 2, 0.7}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		tell(now)
		tell(now) // told twice
		if through, ok, err := live.StoredThrough(ctx, now); err != nil || ok {
			t.Fatalf("acknowledged %v at %v, %v", through, now, err)
		}
		now = now.Add(30 * time.Second)
		if now.Sub(sessiontest.Start) == wire.StoredThroughEvery-30*time.Second {
			break
		}
	}
	if got := h.Samples.Latest("acme", e.Row.ID); len(got) != 2 {
		t.Fatalf("latest %+v", got)
	}
	now = sessiontest.Start.Add(wire.StoredThroughEvery)
	tell(now)
	if _, ok, _ := live.StoredThrough(ctx, now); ok {
		t.Error("what was just written was acknowledged")
	}
	mark := now
	now = now.Add(wire.StoredThroughEvery)
	tell(now)
	if through, ok, err := live.StoredThrough(ctx, now); err != nil || !ok || !through.Equal(mark) {
		t.Errorf("through %v, %v, %v; want %v", through, ok, err, mark)
	}
	live.Close(now)
	if _, w := e.Must(t, now.Add(time.Second)); !w.ReportsThrough.Equal(mark) {
		t.Errorf("welcome says %v", w.ReportsThrough)
	}
	if _, w := e.Must(t, sessiontest.Start.Add(time.Second)); !w.ReportsThrough.IsZero() {
		t.Errorf("a clock that was set back is told %v", w.ReportsThrough)
	}
}

func TestReportsBeyondTheRateEndTheSession(t *testing.T) {
	e := sessiontest.Open(t).Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	if err := live.Name(ctx, sessiontest.Start, []session.Series{{ID: 1, Signal: wire.SignalLoad1}}); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for ; sent < 10*wire.MaxReportBurst; sent++ {
		at := sessiontest.Start.Add(-time.Duration(sent) * time.Minute)
		if err := live.Report(ctx, sessiontest.Start, session.Report{At: at, IDs: []uint32{1}, Values: []float64{1}}); err != nil {
			break
		}
	}
	if bye := live.Ended(); sent < wire.MaxReportBurst || sent > 3*wire.MaxReportBurst || bye == nil || bye.Code != session.ByeLimit || bye.RetryAfter <= 0 {
		t.Errorf("%d reports, %+v", sent, bye)
	}
}

func TestJobStepsReachJobsAndPatchesByTheServersClock(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	e.Hello.Number++
	e.Hello.Clock = sessiontest.Start.Add(-3 * time.Hour) // its clock is late
	live, _, bye, err := h.Open(ctx, sessiontest.Start, e.Peer, e.Hello)
	if err != nil || bye != nil {
		t.Fatal(bye, err)
	}
	h.Jobs.After = job.Succeeded
	step := &job.Step{Job: "j1", Attempt: 1, At: sessiontest.Start.Add(-3*time.Hour - time.Minute), Kind: job.StepStarted}
	if _, err := live.Event(ctx, sessiontest.Start, session.Event{Number: 1, At: step.At, Job: step}); err != nil {
		t.Fatal(err)
	}
	if got := h.Jobs.Steps[0].At; !got.Equal(sessiontest.Start.Add(-time.Minute)) {
		t.Errorf("the step is of %v", got)
	}
	big := make([]byte, wire.MaxStepLog+1)
	if out, err := live.Event(ctx, sessiontest.Start, session.Event{Number: 2, Job: &job.Step{Job: "j1", Attempt: 1, Kind: job.StepLog, Text: string(big)}}); err != nil || out.Through != 2 || len(h.Jobs.Steps) != 1 {
		t.Errorf("a log that is too long: %+v, %v, %d steps", out, err, len(h.Jobs.Steps))
	}
}

func TestPresenceFlipsOnlyAfterTheGrace(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	live.Close(sessiontest.Start)
	if err := h.RunOnce(ctx, sessiontest.Start.Add(30*time.Second)); err != nil || !e.State(t).Online {
		t.Fatalf("offline before the grace: %v", err)
	}
	live, _ = e.Must(t, sessiontest.Start.Add(40*time.Second))
	if err := h.RunOnce(ctx, sessiontest.Start.Add(10*time.Minute)); err != nil || !e.State(t).Online {
		t.Fatalf("offline with a session: %v", err)
	}
	live.Close(sessiontest.Start.Add(20 * time.Minute))
	if err := h.RunOnce(ctx, sessiontest.Start.Add(22*time.Minute)); err != nil || e.State(t).Online {
		t.Fatalf("online after the grace: %v", err)
	}
	if flips, err := h.Fleet.Presence(ctx, "acme", sessiontest.Start.Add(-time.Hour)); err != nil || len(flips) != 2 {
		t.Errorf("%d flips, %v", len(flips), err)
	}
}

func TestSweepEndsTheSessionOfARevokedDevice(t *testing.T) {
	h := sessiontest.Open(t)
	e := h.Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	h.Sweep(sessiontest.Start)
	if live.Ended() != nil {
		t.Fatalf("ended: %+v", live.Ended())
	}
	if _, err := h.Fleet.Revoke(ctx, sessiontest.Start, technician, "acme", e.Row.ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	h.Sweep(sessiontest.Start.Add(10 * time.Millisecond)) // told by the fleet, long before the second is over
	if bye := live.Ended(); bye == nil || bye.Code != session.ByeRevoked {
		t.Errorf("ended with %+v", bye)
	}
}

func TestASectionThatChangesTooOftenEndsTheSession(t *testing.T) {
	e := sessiontest.Open(t).Device(t, sessiontest.PC())
	live, _ := e.Must(t, sessiontest.Start)
	n := uint64(0)
	for ; n < 100; n++ {
		ev := sessiontest.Picture(n+1, sessiontest.Start, wire.SectionMemory, sessiontest.Item("m", "n", string(rune('a'+n))))
		if _, err := live.Event(ctx, sessiontest.Start, ev); err != nil {
			break
		}
	}
	bye := live.Ended()
	if n < 5 || n > 20 || bye == nil || bye.Code != session.ByeLimit || bye.RetryAfter <= 0 || bye.RetryAfter > wire.MinInventoryInterval {
		t.Fatalf("%d changes, %+v", n, bye)
	}
	live.Close(sessiontest.Start)
	later := sessiontest.Start.Add(bye.RetryAfter)
	live, w := e.Must(t, later)
	if w.EventsThrough != n {
		t.Errorf("%d changes were taken in, %d are acknowledged", n, w.EventsThrough)
	}
	if out, err := live.Event(ctx, later, sessiontest.Picture(n+1, later, wire.SectionMemory, sessiontest.Item("m"))); err != nil || out.Through != n+1 {
		t.Errorf("after the wait: %+v, %v", out, err)
	}
}

func TestARestartIsNoFlip(t *testing.T) {
	h := sessiontest.Open(t)
	back, gone := h.Device(t, sessiontest.PC()), h.Device(t, session.Machine{Hostname: "pc-2"})
	back.Must(t, sessiontest.Start)
	gone.Must(t, sessiontest.Start)
	again := sessiontest.OpenEpoch(t, h.Store, h.Keys, 1)
	back.House = again
	again.Expect(sessiontest.Start, []fleet.Ref{{Tenant: "acme", Device: back.Row.ID}, {Tenant: "acme", Device: gone.Row.ID}})
	back.Must(t, sessiontest.Start.Add(30*time.Second))
	if err := again.RunOnce(ctx, sessiontest.Start.Add(5*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !back.State(t).Online || gone.State(t).Online {
		t.Errorf("back %v, gone %v", back.State(t).Online, gone.State(t).Online)
	}
	flips, err := again.Fleet.Presence(ctx, "acme", sessiontest.Start.Add(-time.Hour))
	if err != nil || len(flips) != 3 {
		t.Errorf("%d flips, %v", len(flips), err)
	}
}
