package spooltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

func heldIDs(t testing.TB, j *spool.Journal) (ids []string) {
	t.Helper()
	for _, h := range get(j.Held())(t) {
		ids = append(ids, h.Key.String())
	}
	return ids
}

func leases(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	a, b := Lease("a", 1), Lease("b", 2)
	desire(t, j, 3, []spool.Lease{a, b})
	wantSteps(t, j, "a:1 accepted", "b:2 accepted")
	if h := get(j.Held())(t); len(h) != 2 || string(h[0].Bytes) != string(a.Bytes) || h[0].KeyVersion != 1 {
		t.Fatalf("held %+v", h)
	}
	// Repeated and late versions change nothing.
	for _, version := range []uint64{3, 2, 0} {
		if got := get(j.ApplyDesired(T0(), spool.Desired{Version: version}))(t); got != 3 {
			t.Fatalf("version %d after %d", got, version)
		}
	}
	desire(t, j, 4, []spool.Lease{a})
	if got := heldIDs(t, j); !slices.Equal(got, []string{"a:1"}) {
		t.Fatalf("held %q", got)
	}
	must(t, j.Start(T0(), a.Key, false))
	desire(t, j, 5, nil)
	if got := get(j.LeaseIDs())(t); !slices.Equal(got, []string{"a:1"}) {
		t.Fatalf("a started job was dropped: %q", got)
	}
	desire(t, j, 6, []spool.Lease{b})
	must(t, j.DropLeases([]string{"a:1", "b:2", "z:9"}))
	if got := get(j.LeaseIDs())(t); !slices.Equal(got, []string{"a:1"}) {
		t.Fatalf("leases %q", got)
	}
}

func cancels(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	held, started, unseen := Lease("held", 1), Lease("started", 1), Lease("unseen", 1)
	desire(t, j, 1, []spool.Lease{held, started})
	must(t, j.Start(T0(), started.Key, false))
	all := []spool.Key{held.Key, started.Key, unseen.Key}
	desire(t, j, 2, []spool.Lease{started}, all...)
	desire(t, j, 3, []spool.Lease{held, started, unseen}, all...)
	desire(t, j, 4, []spool.Lease{held, started, unseen})
	wantSteps(t, j, "held:1 accepted", "started:1 accepted", "started:1 started",
		"held:1 cancel_journaled false", "started:1 cancel_journaled true", "unseen:1 cancel_journaled false")
	if got := heldIDs(t, j); len(got) != 0 {
		t.Fatalf("held after the cancel: %q", got)
	}
	if err := j.Start(T0(), held.Key, true); !errors.Is(err, spool.ErrNotHeld) {
		t.Fatalf("a cancelled job starts: %v", err)
	}
	must(t, j.Finish(T0(), started.Key, true, false))
	desire(t, j, 5, nil, all...)
	if got := steps(t, j); len(got) != 7 || got[6] != "started:1 finished" {
		t.Fatalf("events %q", got)
	}
}

func replays(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	a := Lease("a", 1)
	desire(t, j, 1, []spool.Lease{a})
	must(t, j.Start(T0(), a.Key, false))
	must(t, j.Finish(T0(), a.Key, true, false))
	if !get(j.Spent(a.Key))(t) || get(j.Spent(Lease("a", 2).Key))(t) {
		t.Fatal("the wrong attempt is spent")
	}
	desire(t, j, 2, []spool.Lease{a}) // the server has not read the end yet
	wantSteps(t, j, "a:1 accepted", "a:1 started", "a:1 finished")
	other := a
	other.Bytes = []byte("something else")
	desire(t, j, 3, []spool.Lease{other})
	desire(t, j, 4, []spool.Lease{other})
	wantSteps(t, j, "a:1 accepted", "a:1 started", "a:1 finished", "a:1 refused "+string(wire.RefusedReplayed))
	if got := heldIDs(t, j); len(got) != 0 {
		t.Fatalf("a replay is held: %q", got)
	}
}

func remembered(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	a, b := Lease("a", 1), Lease("b", 1)
	desire(t, j, 1, []spool.Lease{a, b})
	must(t, j.Refuse(T0(), a.Key, wire.RefusedExpired, "late"))
	must(t, j.Acknowledge(3))
	must(t, j.Refuse(T0(), b.Key, wire.RefusedExpired, "late"))
	day := 24 * time.Hour
	get(j.ApplyDesired(T0().Add(59*day), spool.Desired{Version: 2}))(t)
	if !get(j.Spent(a.Key))(t) {
		t.Fatal("forgotten within 60 days")
	}
	get(j.ApplyDesired(T0().Add(61*day), spool.Desired{Version: 3}))(t)
	if get(j.Spent(a.Key))(t) {
		t.Fatal("remembered for ever")
	}
	if !get(j.Spent(b.Key))(t) {
		t.Fatal("forgotten before the server read of its end")
	}
}

func lifecycle(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	a := Lease("a", 1)
	for name, err := range map[string]error{
		"start": j.Start(T0(), a.Key, false), "refuse": j.Refuse(T0(), a.Key, wire.RefusedExpired, ""),
	} {
		if !errors.Is(err, spool.ErrNotHeld) {
			t.Fatalf("%s of an unknown job: %v", name, err)
		}
	}
	desire(t, j, 1, []spool.Lease{a})
	for name, err := range map[string]error{
		"finish": j.Finish(T0(), a.Key, true, false), "tell": j.Tell(T0(), spool.JobEvent{Key: a.Key, Step: spool.StepProgress}),
	} {
		if !errors.Is(err, spool.ErrNotStarted) {
			t.Fatalf("%s of a held job: %v", name, err)
		}
	}
	must(t, j.Start(T0(), a.Key, true))
	for name, err := range map[string]error{
		"start": j.Start(T0(), a.Key, false), "refuse": j.Refuse(T0(), a.Key, wire.RefusedExpired, ""),
	} {
		if !errors.Is(err, spool.ErrNotHeld) {
			t.Fatalf("%s of a started job: %v", name, err)
		}
	}
	must(t, j.Finish(T0(), a.Key, true, true))
	if err := j.Finish(T0(), a.Key, true, true); !errors.Is(err, spool.ErrNotStarted) {
		t.Fatalf("ended twice: %v", err)
	}
	e := get(j.Events(0, 10))(t)
	if len(e) != 3 || !e[1].Job.Alone || !e[2].Job.Rescanned || !e[2].Job.Repaired {
		t.Fatalf("events %+v", e)
	}
	if got := get(j.Unconfirmed())(t); len(got) != 1 || got[0].State != spool.StateFinished {
		t.Fatalf("unconfirmed %+v", got)
	}
	must(t, j.Acknowledge(3))
	if got := get(j.Unconfirmed())(t); len(got) != 0 {
		t.Fatalf("unconfirmed after all is acknowledged %+v", got)
	}
}

func limits(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	var many []spool.Lease
	for i := range wire.MaxLeases + 1 {
		many = append(many, Lease(fmt.Sprint(i), 1))
	}
	big, unsigned := Lease("big", 1), Lease("sig", 1)
	big.Bytes = append(big.Bytes, []byte(strings.Repeat("x", wire.MaxJob))...)
	unsigned.Signature = []byte(strings.Repeat("x", 1000))
	for name, d := range map[string]spool.Desired{
		"leases":    {Version: 1, Leases: many},
		"job":       {Version: 1, Leases: []spool.Lease{big}},
		"signature": {Version: 1, Leases: []spool.Lease{unsigned}},
		"no id":     {Version: 1, Leases: []spool.Lease{Lease("", 1)}},
		"long id":   {Version: 1, Cancels: []spool.Cancel{{Key: spool.Key{JobID: strings.Repeat("x", 200)}}}},
		"no text":   {Version: 1, Cancels: []spool.Cancel{{Key: spool.Key{JobID: "\xff"}}}},
	} {
		if _, err := j.ApplyDesired(T0(), d); !errors.Is(err, spool.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantSteps(t, j)
	if s := get(j.Server())(t); s.DesiredVersion != 0 {
		t.Fatalf("version %d", s.DesiredVersion)
	}
}

func recovery(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	a := Lease("a", 1)
	desire(t, j, 1, []spool.Lease{a})
	must(t, j.Start(T0(), a.Key, true))
	tell := func(e spool.JobEvent) {
		e.Key = a.Key
		must(t, j.Tell(T0(), e))
	}
	tell(spool.JobEvent{Step: spool.StepProgress, Source: "apt", Package: "p", Phase: "downloading"})
	tell(spool.JobEvent{Step: spool.StepLog, Source: "apt", Package: "p", Part: 1, Text: "line\n"})
	tell(spool.JobEvent{Step: spool.StepResult, Source: "apt", Package: "p", State: wire.ResultVerified, To: "2"})
	tell(spool.JobEvent{Step: spool.StepResult, Source: "apt", Package: "p", State: wire.ResultFailed}) // told once
	tell(spool.JobEvent{Step: spool.StepProgress, Source: "apt", Package: "q", Phase: "installing"})
	u := get(j.Unfinished())(t)
	if len(u) != 1 || !u[0].Alone || string(u[0].Bytes) != string(a.Bytes) || len(u[0].Results) != 1 ||
		u[0].Results[0].To != "2" || !slices.Equal(u[0].Begun, []spool.Release{{Source: "apt", Package: "p"}, {Source: "apt", Package: "q"}}) {
		t.Fatalf("unfinished %+v", u)
	}
	wantSteps(t, j, "a:1 accepted", "a:1 started", "a:1 progress", "a:1 log", "a:1 result", "a:1 progress")
	if err := j.Tell(T0(), spool.JobEvent{Key: a.Key, Step: spool.StepStarted}); err == nil {
		t.Fatal("a start was told without being one")
	}
	if err := j.Tell(T0(), spool.JobEvent{Key: a.Key, Step: spool.StepLog, Text: strings.Repeat("x", wire.MaxStepLog+1)}); !errors.Is(err, spool.ErrLimit) {
		t.Fatalf("an endless log: %v", err)
	}
}

// jobsProperty drives a journal with random desired states, late and repeated
// ones among them, and starts and ends; whatever happens, the events tell a
// story that can be true.
func jobsProperty(t *testing.T, fresh Maker) {
	rapid.Check(t, func(rt *rapid.T) {
		j := fresh(t, spool.Options{})
		id := rapid.Custom(func(rt *rapid.T) spool.Lease {
			return Lease(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "job"), rapid.Uint32Range(1, 2).Draw(rt, "attempt"))
		})
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			l := id.Draw(rt, "lease")
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				d := spool.Desired{Version: rapid.Uint64Range(1, 30).Draw(rt, "version"), Leases: rapid.SliceOfN(id, 0, 3).Draw(rt, "leases")}
				if rapid.Bool().Draw(rt, "cancel") {
					d.Cancels = []spool.Cancel{{Key: l.Key}}
				}
				get(j.ApplyDesired(T0(), d))(t)
			case 2:
				_ = j.Start(T0(), l.Key, false)
			case 3:
				_ = j.Finish(T0(), l.Key, true, false)
			case 4:
				_ = j.Refuse(T0(), l.Key, wire.RefusedExpired, "")
			case 5:
				must(t, j.DropLeases([]string{l.Key.String()}))
			}
		}
		checkStory(rt, get(j.Events(0, 1000))(t))
	})
}

func checkStory(t *rapid.T, events []spool.Event) {
	seen := map[spool.Key]map[spool.Step]int{}
	for i, e := range events {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("event %d has number %d", i+1, e.Seq)
		}
		k, step := e.Job.Key, e.Job.Step
		if seen[k] == nil {
			seen[k] = map[spool.Step]int{}
		}
		was := seen[k]
		ended := was[spool.StepFinished]+was[spool.StepRefused] > 0 || was[spool.StepCancelJournaled] > 0 && was[spool.StepStarted] == 0
		switch step {
		case spool.StepStarted:
			if was[spool.StepStarted] > 0 || was[spool.StepAccepted] == 0 || ended {
				t.Fatalf("%s starts after %v", k, was)
			}
		case spool.StepFinished:
			if was[spool.StepStarted] == 0 || ended {
				t.Fatalf("%s ends after %v", k, was)
			}
		case spool.StepAccepted, spool.StepRefused:
			if ended || was[spool.StepStarted] > 0 {
				t.Fatalf("%s is %s after %v", k, step, was)
			}
		case spool.StepCancelJournaled:
			if was[step] > 0 || e.Job.AlreadyStarted != (was[spool.StepStarted] > 0) {
				t.Fatalf("%s is cancelled (already started %v) after %v", k, e.Job.AlreadyStarted, was)
			}
		}
		was[step]++
	}
}
