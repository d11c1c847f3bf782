// Package spooltest is the one suite that every kind of journal passes: the one
// in a file and the one in memory.
package spooltest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// Maker makes an empty journal for one test.
type Maker func(t testing.TB, o spool.Options) *spool.Journal

// Exercise runs the suite.
func Exercise(t *testing.T, fresh Maker) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Maker)
	}{
		{"SessionsCountUp", sessions},
		{"EventsAreNumberedAndDroppedOnlyWhenAcknowledged", events},
		{"AnAcknowledgementFromTheFutureIsBehind", behind},
		{"ANewEpochForgetsWhatTheServerForgot", epoch},
		{"LeasesAreHeldOnceAndDroppedWhenNotListed", leases},
		{"CancelsAreToldOnce", cancels},
		{"AnAttemptIsUsedOnce", replays},
		{"AnAttemptIsRememberedFor60Days", remembered},
		{"AJobStartsOnceAndEndsOnce", lifecycle},
		{"OverLimitsChangesNothing", limits},
		{"ResultsAndProgressAreKeptForRecovery", recovery},
		{"InventoryIsToldAsDifferences", inventory},
		{"InventoryComesInPartsThatFit", parts},
		{"InventoryIsGatheredWhileTooMuchWaits", gathered},
		{"ThePictureFollowsFromTheEvents", pictureProperty},
		{"JobsHoldTheirOrder", jobsProperty},
		{"ReportsWaitUntilStored", reports},
		{"OldReportsGoFirstAndAreCounted", ring},
		{"VersionsSeenAreRecorded", recorded},
		{"RebootsAreCounted", reboots},
		{"ReadersAreWoken", wakes},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh) })
	}
}

// T0 is the moment at which the suite's journals begin.
func T0() time.Time { return time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC) }

// Lease makes a lease with contents of its own.
func Lease(id string, attempt uint32) spool.Lease {
	return spool.Lease{
		Key: spool.Key{JobID: id, Attempt: attempt}, KeyVersion: 1,
		Bytes: []byte("job " + id + " " + fmt.Sprint(attempt)), Signature: []byte("signed"),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func desire(t testing.TB, j *spool.Journal, version uint64, leases []spool.Lease, cancels ...spool.Key) {
	t.Helper()
	d := spool.Desired{Version: version, Leases: leases}
	for _, k := range cancels {
		d.Cancels = append(d.Cancels, spool.Cancel{Key: k, Reason: "halted"})
	}
	if got := get(j.ApplyDesired(T0(), d))(t); got < version {
		t.Fatalf("version %d journaled, want %d", got, version)
	}
}

// steps lists the job events as "job:attempt step".
func steps(t testing.TB, j *spool.Journal) (out []string) {
	t.Helper()
	for _, e := range get(j.Events(0, 10000))(t) {
		if e.Job != nil {
			s := e.Job.Key.String() + " " + string(e.Job.Step)
			if e.Job.Step == spool.StepCancelJournaled {
				s += fmt.Sprint(" ", e.Job.AlreadyStarted)
			}
			if e.Job.Code != "" {
				s += " " + e.Job.Code
			}
			out = append(out, s)
		}
	}
	return out
}

func wantSteps(t testing.TB, j *spool.Journal, want ...string) {
	t.Helper()
	if got := steps(t, j); !slices.Equal(got, want) {
		t.Fatalf("events\n%q\nwant\n%q", got, want)
	}
}

func sessions(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	id := get(j.ID())(t)
	if len(id) != 32 || id == get(fresh(t, spool.Options{}).ID())(t) {
		t.Fatalf("journal id %q is not random", id)
	}
	for want := uint64(1); want < 4; want++ {
		if got := get(j.NextSession())(t); got != want {
			t.Fatalf("session %d, want %d", got, want)
		}
	}
	if get(j.ID())(t) != id {
		t.Fatal("the id changed")
	}
	a := spool.Anchor{Server: T0(), Boot: 5 * time.Minute, BootID: "b"}
	must(t, j.Welcome("e1", a))
	if s := get(j.Server())(t); s.Epoch != "e1" || s.Anchor != a {
		t.Fatalf("server %+v", s)
	}
}

func events(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	desire(t, j, 1, []spool.Lease{Lease("a", 1), Lease("b", 1), Lease("c", 1)})
	first, next, err := j.EventRange()
	if err != nil || first != 1 || next != 4 {
		t.Fatalf("range %d %d %v", first, next, err)
	}
	if got := get(j.Events(2, 1))(t); len(got) != 1 || got[0].Seq != 2 || !got[0].At.Equal(T0()) {
		t.Fatalf("event 2 is %+v", got)
	}
	for _, through := range []uint64{2, 1, 2} { // later ones are harmless
		must(t, j.Acknowledge(through))
		if got := get(j.Events(0, 10))(t); len(got) != 1 || got[0].Seq != 3 {
			t.Fatalf("after %d: %+v", through, got)
		}
	}
	must(t, j.Acknowledge(3))
	must(t, j.Start(T0(), spool.Key{JobID: "a", Attempt: 1}, false))
	if got := get(j.Events(0, 10))(t); len(got) != 1 || got[0].Seq != 4 {
		t.Fatalf("numbers do not go on: %+v", got)
	}
}

func behind(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	desire(t, j, 7, []spool.Lease{Lease("a", 1), Lease("b", 1)})
	must(t, j.Acknowledge(1))
	if err := j.Acknowledge(3); !errors.Is(err, spool.ErrBehind) {
		t.Fatalf("acknowledged what was never told: %v", err)
	}
	id := get(j.ID())(t)
	must(t, j.Renumber())
	got := get(j.Events(0, 10))(t)
	if get(j.ID())(t) == id || len(got) != 1 || got[0].Seq != 1 || got[0].Job.JobID != "b" {
		t.Fatalf("after renumbering: %+v", got)
	}
	if s := get(j.Server())(t); s.DesiredVersion != 0 {
		t.Fatalf("desired version %d", s.DesiredVersion)
	}
	if got := get(j.Unconfirmed())(t); len(got) != 1 || got[0].JobID != "b" || got[0].State != spool.StateAccepted {
		t.Fatalf("unconfirmed %+v", got)
	}
	if held := get(j.Held())(t); len(held) != 2 {
		t.Fatalf("held %+v", held)
	}
}

func epoch(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	must(t, j.Welcome("e1", spool.Anchor{Server: T0()}))
	desire(t, j, 5, nil)
	items := []wire.Item{{Key: "x"}}
	get(j.RecordInventory(T0(), wire.SectionOS, items, T0(), "start"))(t)
	must(t, j.Acknowledge(1))
	must(t, j.Welcome("e1", spool.Anchor{Server: T0()}))
	if len(get(j.Confirmed())(t)) != 1 || get(j.Server())(t).DesiredVersion != 5 {
		t.Fatal("the same epoch forgot something")
	}
	must(t, j.Welcome("e2", spool.Anchor{Server: T0()}))
	if len(get(j.Confirmed())(t)) != 0 || get(j.Server())(t).DesiredVersion != 0 {
		t.Fatal("a new epoch kept what its server does not know")
	}
	if !get(j.RecordInventory(T0(), wire.SectionOS, items, T0(), "start"))(t) {
		t.Fatal("the section is not told again")
	}
}

func recorded(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	for _, v := range []string{"1.0", "1.1", "1.0", "1.2"} {
		must(t, j.RecordInstalled([]spool.Installed{{Source: "apt", Package: "p", Version: v}, {Source: "apt", Package: "q", Version: "9"}}))
	}
	if got := get(j.InstalledBefore("apt", "p"))(t); !slices.Equal(got, []string{"1.1", "1.0", "1.2"}) {
		t.Fatalf("versions %q", got)
	}
	if got := get(j.InstalledBefore("dnf", "p"))(t); len(got) != 0 {
		t.Fatalf("versions of another source %q", got)
	}
	for i := range 40 {
		must(t, j.RecordInstalled([]spool.Installed{{Source: "apt", Package: "p", Version: fmt.Sprint(i)}}))
	}
	if got := get(j.InstalledBefore("apt", "p"))(t); len(got) != 16 || got[15] != "39" {
		t.Fatalf("versions %q", got)
	}
}

func reboots(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	desire(t, j, 1, []spool.Lease{Lease("a", 1)})
	k := spool.Key{JobID: "a", Attempt: 1}
	if err := j.Rebooting(T0(), k); !errors.Is(err, spool.ErrNotStarted) {
		t.Fatalf("a held job reboots: %v", err)
	}
	must(t, j.Start(T0(), k, false))
	must(t, j.Rebooting(T0().Add(time.Hour), k))
	if u := get(j.Unfinished())(t); len(u) != 1 || u[0].State != spool.StateRebooting {
		t.Fatalf("unfinished %+v", u)
	}
	if n := get(j.RebootsSince(T0()))(t); n != 1 {
		t.Fatalf("%d reboots", n)
	}
	if n := get(j.RebootsSince(T0().Add(2 * time.Hour)))(t); n != 0 {
		t.Fatalf("%d reboots later", n)
	}
}

func wakes(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	woken := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	desire(t, j, 1, []spool.Lease{Lease("a", 1)})
	desire(t, j, 2, []spool.Lease{Lease("a", 1)})
	if !woken(j.EventsWake()) || !woken(j.LeasesWake()) || woken(j.EventsWake()) || woken(j.LeasesWake()) || woken(j.ReportsWake()) {
		t.Fatal("a desired state wakes readers of events and leases, one slot each")
	}
	must(t, j.AppendReport(spool.Report{At: T0()}))
	if !woken(j.ReportsWake()) || woken(j.EventsWake()) {
		t.Fatal("a report wakes the reader of reports alone")
	}
}
