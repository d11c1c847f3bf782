package rollout

import (
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/window"
)

// view is a World as it is at one time, with what was worked out on the way:
// decisions by policy and release, windows by policy and zone, rings.
type view struct {
	w    *World
	ix   *index
	now  time.Time
	next time.Time // the earliest time at which something changes by itself

	decisions []decision // by policy and release
	openings  map[[2]int32]*opening
	deps      []*depView // of each deployment, when asked for
	assigned  map[string]map[ident.DeviceID]int
}

type decision struct {
	known  bool
	action policy.Action
	until  time.Time
	why    reason.Reason
}

// opening is what the windows of a policy in a zone do around now: what is
// open, and what opens in the next leadAlone.
type opening struct {
	near  []window.Occurrence // open or opening within leadAlone, in order
	open  int                 // in near; -1: shut
	next  window.Occurrence
	later bool // next is set
	shut  time.Time
}

func newView(now time.Time, w *World) *view {
	ix := w.index()
	return &view{w: w, ix: ix, now: now, decisions: make([]decision, len(ix.effs)*len(ix.rels)),
		openings: map[[2]int32]*opening{}, deps: make([]*depView, len(w.Deployments)), assigned: map[string]map[ident.DeviceID]int{}}
}

// at notes that something changes by itself at t.
func (v *view) at(t time.Time) {
	if t.After(v.now) && (v.next.IsZero() || t.Before(v.next)) {
		v.next = t
	}
}

// decide is the decision for a pair that has a policy.
func (v *view) decide(p *pair) *decision {
	d := &v.decisions[int(p.eff)*len(v.ix.rels)+int(p.rel)]
	if !d.known {
		rel := v.release(p.rel)
		got, why := policy.Evaluate(v.now, rel, v.ix.effs[p.eff], v.w.Hand, v.w.Tenant.ID)
		*d = decision{known: true, action: got.Action, until: got.Until, why: why}
		if got.Action == policy.Wait {
			v.at(got.Until)
		}
	}
	return d
}

// release is what the catalogue says; a release that it has not is new.
func (v *view) release(n int32) inventory.Release {
	r := v.ix.rels[n]
	rel, ok := v.w.Releases[r]
	if !ok {
		rel = inventory.Release{Source: r.Source, Package: r.Package, Version: r.Version, Kind: inventory.Unknown, FirstSeen: v.now}
	}
	return rel
}

// windows is what the pair's windows do around now.
func (v *view) windows(p *pair) *opening {
	k := [2]int32{p.eff, v.ix.zone[p.dev]}
	o, ok := v.openings[k]
	if !ok {
		o = v.look(v.set(k))
		v.openings[k] = o
	}
	return o
}

// set is the policy's windows with the zones of device and site filled in.
func (v *view) set(k [2]int32) window.Set {
	set, ok := v.ix.sets[k]
	if !ok {
		z := v.ix.zones[k[1]]
		set = v.ix.effs[k[0]].Windows.Bind(z.device, z.site)
		v.ix.sets[k] = set
	}
	return set
}

func (v *view) look(set window.Set) *opening {
	o := &opening{open: -1, near: window.Between(set, nil, v.now, v.now.Add(leadAlone+time.Second))}
	if open, ok := window.Contains(set, nil, v.now); ok {
		for i := range o.near {
			if o.near[i] == open {
				o.open = i
			}
		}
		v.at(open.Closes)
	}
	if o.next, o.later = window.Next(set, nil, v.now); o.later {
		v.at(o.next.Opens.Add(-leadAlone))
		v.at(o.next.Opens.Add(-lead))
		v.at(o.next.Opens)
		if until, in := window.InBlackout(set, nil, o.next, v.now); in {
			o.shut = until
		}
	}
	return o
}

// target is the occurrence that a pair's start is for: the one that an
// unstarted job of the device under this policy was made for while it is
// there, else the open one, else the next.
func (v *view) target(p *pair) (occ window.Occurrence, found bool) {
	o := v.windows(p)
	name := v.ix.effs[p.eff].Name
	for _, n := range v.ix.jobsOf[p.dev] {
		j := &v.w.Jobs[n]
		if j.Policy != name || !unstarted(j) {
			continue
		}
		for _, occ := range o.near {
			if occ.Closes.Equal(j.Deadline) && (o.open < 0 || !occ.Opens.After(v.now)) {
				return occ, true
			}
		}
	}
	if o.open >= 0 {
		return o.near[o.open], true
	}
	return o.next, o.later
}
