package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// outcome writes down what became of a ring's devices: v verified an hour ago,
// V just now, f failed, r running, w waiting, d deferred, n not applicable,
// g gone from its scan.
func outcome(w *World, ring int, of string) {
	d := &w.Deployments[0]
	at := 0
	for i := range d.Members {
		if d.Members[i].Ring != ring {
			continue
		}
		m := &d.Members[i]
		ago := night.Add(-time.Hour)
		drop := func() {
			w.Updates = slices.DeleteFunc(w.Updates, func(u patch.Update) bool { return u.Device == m.Device })
		}
		switch of[at] {
		case 'v', 'V':
			m.Result, m.EndedAt, m.Verified = wire.ResultVerified, ago, ago
			if of[at] == 'V' {
				m.EndedAt, m.Verified = night, night
			}
			drop()
		case 'f':
			m.Result, m.EndedAt = wire.ResultFailed, ago
		case 'd':
			m.Result, m.EndedAt = wire.ResultDeferred, ago
		case 'n':
			m.Result, m.EndedAt = wire.ResultNotApplicable, ago
		case 'g':
			drop()
		case 'r':
			w.Jobs = append(w.Jobs, job.Job{ID: ident.JobID("job-" + string(m.Device)), Device: m.Device, Policy: "p", Kind: job.Install, State: job.Running,
				StartedAt: night, StartBy: night.Add(time.Hour), Deadline: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC),
				Releases: []job.Release{{Deployment: d.ID, Source: "apt", Package: "bash", Version: "2"}}})
		}
		at++
	}
	w.ix = nil
}

// rolling is a tenant whose deployment has a first ring of n and a second of m.
func rolling(n, m int) *World {
	w := needing(small(n + m))
	d := deploymentOf(w, "deployment-0", bash)
	for i := range w.Devices {
		ring := 0
		if i >= n {
			ring = 1
		}
		d.Members = append(d.Members, Member{Device: w.Devices[i].ID, Ring: ring})
	}
	d.Rings[0].State, d.Rings[0].Since = RingActive, noon
	w.Deployments = []Deployment{d}
	return w
}

func TestRingsGoOnByWhatBecameOfTheirDevices(t *testing.T) {
	shut := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		first  string
		second string
		at     time.Time
		rings  [2]RingState
		state  State
		why    reason.Code // of the deployment
	}{
		{"nothing ended", "www", "w", night, [2]RingState{RingActive, RingWaiting}, Running, reason.Started},
		{"one canary of one failed", "f", "w", night, [2]RingState{RingHalted, RingWaiting}, Halted, reason.HaltedVerified},
		{"a deferral is no failure", "d", "w", night, [2]RingState{RingActive, RingWaiting}, Running, reason.Started},
		{"failures within the allowance", "vvvff", "w", night, [2]RingState{RingPassed, RingActive}, Running, reason.Started},
		{"too many failures", "wwwwwfff", "w", night, [2]RingState{RingHalted, RingWaiting}, Halted, reason.HaltedFailures},
		{"all ended, too few verified", "vff", "w", night, [2]RingState{RingHalted, RingWaiting}, Halted, reason.HaltedVerified},
		{"the soak counts from each device", "vVV", "w", night, [2]RingState{RingSoaking, RingWaiting}, Running, reason.Started},
		{"judged when enough soaked in full", "vvV", "w", night, [2]RingState{RingPassed, RingActive}, Running, reason.Started},
		{"enough verified, the window is open", "vvw", "w", night, [2]RingState{RingActive, RingWaiting}, Running, reason.Started},
		{"enough verified, the window has shut", "vvw", "w", shut, [2]RingState{RingPassed, RingActive}, Running, reason.Started},
		{"what runs is waited for", "vvr", "w", shut, [2]RingState{RingActive, RingWaiting}, Running, reason.Started},
		{"nobody needs it in the second", "v", "gg", night, [2]RingState{RingPassed, RingPassed}, Completed, reason.AllRingsPassed},
		{"all done", "v", "vvv", night, [2]RingState{RingPassed, RingPassed}, Completed, reason.AllRingsPassed},
		{"nobody needs it at all", "g", "g", night, [2]RingState{RingActive, RingWaiting}, Completed, reason.NothingLeft},
		{"a second canary moves up", "n", "ww", night, [2]RingState{RingActive, RingWaiting}, Running, reason.Started},
		{"the last ring halts too", "v", "fff", night, [2]RingState{RingPassed, RingHalted}, Halted, reason.HaltedFailures},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rolling(len(c.first), len(c.second))
			outcome(w, 0, c.first)
			outcome(w, 1, c.second)
			r := Plan(c.at, w)
			d := made(w, r).Deployments[0]
			if got := [2]RingState{d.Rings[0].State, d.Rings[1].State}; got != c.rings || d.State != c.state || d.Reason.Code != c.why {
				t.Errorf("rings %v, deployment %s: %s; want %v, %s: %s", got, d.State, d.Reason.Code, c.rings, c.state, c.why)
			}
			next := made(w, r)
			for range 3 {
				next = made(next, Plan(c.at, next))
			}
			if again := Plan(c.at, next); len(again.Updates)+len(again.Create) != 0 {
				t.Errorf("planned on what it made, it changes %+v", again.Updates)
			}
			for _, up := range r.Updates {
				for _, m := range up.Moves {
					if m.Reason.IsZero() || m.To == "" {
						t.Errorf("a move without a reason: %+v", m)
					}
				}
			}
		})
	}
}

func TestVerifiedNeedsTheDeviceAndTheScan(t *testing.T) {
	result := func(r wire.ResultState, u *patch.State, at time.Time) Member {
		w := rolling(1, 1)
		outcome(w, 0, "r")
		w.Jobs[0].State, w.Jobs[0].FinishedAt = job.Succeeded, night
		w.Jobs[0].Releases[0].Result, w.Jobs[0].Releases[0].EndedAt = r, night
		if u == nil {
			w.Updates = w.Updates[1:]
		} else {
			w.Updates[0].State = *u
		}
		return made(w, Plan(at, w)).Deployments[0].Members[0]
	}
	installing, pending := patch.Installing, patch.RebootPending
	for _, c := range []struct {
		name   string
		result wire.ResultState
		update *patch.State
		at     time.Time
		want   wire.ResultState
	}{
		{"both agree", wire.ResultVerified, nil, night, wire.ResultVerified},
		{"the scan has not come", wire.ResultVerified, &installing, night.Add(time.Minute), ""},
		{"the scan never agreed", wire.ResultVerified, &installing, night.Add(2 * time.Hour), wire.ResultUnknown},
		{"a restart is pending and never made", wire.ResultInstalledUnverified, &pending, night, wire.ResultInstalledUnverified},
		{"installed, and not even pending", wire.ResultInstalledUnverified, &installing, night.Add(time.Minute), ""},
	} {
		if got := result(c.result, c.update, c.at); got.Result != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.Result, c.want)
		}
	}
}

func TestDeploymentsBeginAndEnd(t *testing.T) {
	w := needing(small(20))
	r := Plan(night, w)
	if len(r.Create) != 1 || len(r.Create[0].Members) != 20 || r.Create[0].Rings[0].Counts.Devices != 2 || len(r.Submit) != 0 {
		t.Fatalf("%+v", r)
	}
	w = made(w, r)
	if r = Plan(night, w); len(r.Submit) != 2 || len(r.Create) != 0 {
		t.Fatalf("the first ring of two gets its jobs: %d, created %d", len(r.Submit), len(r.Create))
	}
	observed := *w
	observed.ix, observed.Tenant.Mode = nil, "observe"
	if r := Plan(night, &observed); !r.Empty() {
		t.Errorf("a tenant that is only observed changes: %+v", r)
	}
	gone := *w
	gone.ix, gone.Policies = nil, nil
	if d := made(&gone, Plan(night, &gone)).Deployments[0]; d.State != Cancelled || d.Reason.Code != reason.PolicyRemoved {
		t.Errorf("its policy is gone: %s, %s", d.State, d.Reason.Code)
	}
	newer := *w
	newer.ix, newer.Updates = nil, nil
	for _, u := range w.Updates {
		u.Version = "3"
		newer.Updates = append(newer.Updates, u)
	}
	r = Plan(night, &newer)
	if d := made(&newer, r).Deployments[0]; d.State != Superseded || len(r.Create) != 1 {
		t.Errorf("all went on to version 3: %s, %d created", d.State, len(r.Create))
	}
}

func TestAnAbsentCanaryIsReplaced(t *testing.T) {
	w := rolling(1, 3)
	w.Devices[0].Online, w.Devices[0].LastSeen = false, noon.Add(-time.Hour)
	if d := made(w, Plan(night, w)).Deployments[0]; d.Members[0].Ring != 0 {
		t.Error("replaced while its window is open")
	}
	w.ix = nil
	next := made(w, Plan(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), w))
	d := next.Deployments[0]
	inFirst := 0
	for _, m := range d.Members {
		if m.Ring == 0 {
			inFirst++
		}
	}
	if d.Members[0].Ring != 1 || inFirst != 1 {
		t.Errorf("members %+v", d.Members)
	}
}

func TestWhatPeopleDo(t *testing.T) {
	by := ident.Actor{Name: "Ada"}
	all := []State{Running, Paused, Halted, Completed, Cancelled, Superseded}
	for _, c := range []struct {
		a    Action
		from []State
		to   State
	}{
		{Pause(), []State{Running}, Paused},
		{Resume(), []State{Paused, Halted}, Running},
		{Halt(), []State{Running, Paused}, Halted},
		{Cancel(), []State{Running, Paused, Halted}, Cancelled},
	} {
		for _, from := range all {
			d := rolling(1, 1).Deployments[0]
			d.State, d.Members[0].Result = from, wire.ResultFailed
			if from == Halted {
				d.Rings[0].State = RingHalted
			}
			up, err := Act(noon, d, c.a, by, "because")
			if !slices.Contains(c.from, from) {
				if !fault.Is(err, fault.Conflict) {
					t.Errorf("%s from %s: %v", c.a.Name, from, err)
				}
				continue
			}
			if err != nil || up.To != c.to || up.Reason.Args["why"] != "because" || up.Reason.Args["by"] != "Ada" {
				t.Errorf("%s from %s: %+v, %v", c.a.Name, from, up, err)
			}
			if c.to == Running && from == Halted && (up.Rings[0].State != RingActive || len(up.Members) != 1 || up.Members[0].Result != "") {
				t.Errorf("resumed: %+v", up)
			}
			if c.to == Halted && up.Rings[0].State != RingHalted {
				t.Errorf("halted: rings %+v", up.Rings)
			}
		}
	}
}
