package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// Result is what Plan decided: changes in the order in which they are made,
// each of them complete by itself, and when to look again.
type Result struct {
	Create  []Deployment // without an id; all rings wait
	Updates []Update
	Cancel  []CancelJob
	Submit  []job.Spec
	// Next is the earliest time at which something changes by itself; zero
	// when only an event can change something.
	Next time.Time
}

// Empty reports whether nothing is to be changed.
func (r Result) Empty() bool {
	return len(r.Create)+len(r.Updates)+len(r.Cancel)+len(r.Submit) == 0
}

// Update changes one deployment: members, rings and itself, all at once.
type Update struct {
	Deployment ident.DeploymentID
	Release    patch.Release
	From       State       // precondition
	RingsFrom  []RingState // precondition
	To         State
	Reason     reason.Reason
	Rings      []Ring   // all, as they are afterwards
	Members    []Member // those that join or change, whole
	Moves      []Move   // rows of the history, in order

	counted bool
}

// Move is a transition of a ring, or for Ring -1 of the deployment.
type Move struct {
	Ring     int
	From, To string
	Reason   reason.Reason
}

// CancelJob withdraws a job that has not started.
type CancelJob struct {
	Job    ident.JobID
	State  job.State // as seen
	Reason reason.Reason
}

// Plan decides what has to happen in one tenant now. It is pure; making its
// changes twice is making them once, and once they are made another Plan of
// the same moment decides what they led to, down to nothing.
func Plan(now time.Time, w *World) Result {
	v := newView(now, w)
	var r Result
	live := w.Tenant.Mode == fleet.Live
	joined := v.join(&r, live)
	for dep := range w.Deployments {
		up := v.walk(int32(dep), len(joined[int32(dep)]) > 0)
		if more := joined[int32(dep)]; len(more) > 0 {
			if up == nil {
				d := &w.Deployments[dep]
				up = &Update{Deployment: d.ID, Release: d.Release, From: d.State, RingsFrom: RingStates(d.Rings), To: d.State, Reason: d.Reason, Rings: d.Rings}
			}
			up.Members = append(up.Members, more...)
			if up.From == Completed { // its members are not counted again
				up.Rings = slices.Clone(up.Rings)
				for _, m := range more {
					up.Rings[m.Ring].Counts.Devices++
					up.Rings[m.Ring].Counts.Waiting++
				}
			}
		}
		if up != nil {
			r.Updates = append(r.Updates, *up)
		}
	}
	v.schedule(&r)
	for _, m := range w.Hand {
		v.at(m.Expires)
	}
	r.Next = v.next
	return r
}

// join finds devices that belong into a deployment and are not in one: they
// join the one that is there, or make a new one.
func (v *view) join(r *Result, live bool) map[int32][]Member {
	joined := map[int32][]Member{}
	fresh := map[key]int{}
	for n := range v.ix.pairs {
		p := &v.ix.pairs[n]
		if p.dev < 0 || p.mem >= 0 || !live || !v.joins(int32(n)) || v.decide(p).action != policy.Approve {
			continue
		}
		id := v.w.Devices[p.dev].ID
		if p.dep >= 0 {
			if d := &v.w.Deployments[p.dep]; !d.State.Final() || d.State == Completed {
				joined[p.dep] = append(joined[p.dep], v.place(p.dep, id))
			}
			continue
		}
		k := key{v.ix.effs[p.eff].Name, p.rel}
		i, ok := fresh[k]
		if !ok {
			i = len(r.Create)
			fresh[k] = i
			r.Create = append(r.Create, v.create(k))
		}
		d := &r.Create[i]
		ring, ok := v.assignment(k.policy)[id]
		if !ok {
			ring = len(d.Rings) - 1
		}
		d.Members = append(d.Members, Member{Device: id, Ring: ring})
		d.Rings[ring].Counts.Devices++
		d.Rings[ring].Counts.Waiting++
	}
	return joined
}

func (v *view) create(k key) Deployment {
	eff := v.base(k.policy)
	d := Deployment{
		Tenant: v.w.Tenant.ID, Policy: k.policy, Release: v.ix.rels[k.rel], State: Running, Reason: reason.New(reason.Started, "policy", k.policy),
		Since: v.now, CreatedAt: v.now, Failures: eff.Patch.Limits.Failures, InFlight: eff.Patch.Limits.InFlight,
	}
	for i, ring := range eff.Patch.Rings {
		why := reason.New(reason.RingOpened)
		if i > 0 {
			why = reason.New(reason.RingBefore, "ring", eff.Patch.Rings[i-1].Name)
		}
		d.Rings = append(d.Rings, Ring{Index: i, Name: ring.Name, Soak: time.Duration(ring.Soak), MinVerified: ring.MinVerified,
			State: RingWaiting, Reason: why, Since: v.now})
	}
	return d
}

// SortMembers keeps members in order of device.
func SortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(string(a.Device), string(b.Device)) })
}
