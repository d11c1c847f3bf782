package rollout

import (
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/deployment/ring"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/window"
)

// tally is a ring as its members stand.
type tally struct {
	Counts
	counted    int // members that are not excused
	failed     int
	superseded int
	ends       []time.Time // of the soaks of verified members, while the ring is not passed
	verifiedAt []time.Time
	waiting    bool  // some member waits
	open       []int // members that wait, of a ring that is open
}

// walk moves a deployment as far as it goes now: results of members, then its
// rings, then itself. Who is joining it comes first: rings and deployment are
// judged with all of their members by the next plan. nil when nothing changed.
func (v *view) walk(dep int32, joining bool) *Update {
	d, dv := &v.w.Deployments[dep], v.dep(dep)
	up := &Update{Deployment: d.ID, Release: d.Release, From: d.State, RingsFrom: RingStates(d.Rings)}
	members := d.Members
	tallies := make([]tally, len(d.Rings))
	for i := range members {
		s := &v.ix.members[dep][i]
		if s.job < 0 && s.pair >= 0 && !s.excused && members[i].Result == "" { // most of a large tenant
			tallies[members[i].Ring].count(&members[i], waits, i, &d.Rings[members[i].Ring])
			continue
		}
		m, is := v.settle(d, members[i], *s)
		if m != members[i] {
			up.Members = append(up.Members, m)
		}
		tallies[m.Ring].count(&m, is, i, &d.Rings[m.Ring])
	}
	if d.State == Completed {
		up.counted = late(dv, d, up.Members)
	}
	if !d.State.Final() && !joining {
		up.Members = append(up.Members, v.swap(dep, &tallies[0])...)
		v.conclude(dep, up, tallies, false)
		if dv.state == Running && v.w.Tenant.Mode == fleet.Live {
			v.advance(dep, up, tallies)
		}
		v.conclude(dep, up, tallies, true)
		for i := range dv.rings {
			if dv.rings[i].Counts != tallies[i].Counts {
				dv.rings[i].Counts = tallies[i].Counts
				up.counted = true
			}
		}
	}
	if len(up.Members) == 0 && len(up.Moves) == 0 && !up.counted {
		return nil
	}
	up.To, up.Reason, up.Rings = dv.state, dv.reason, dv.rings
	return up
}

// late counts devices that took the release after the deployment had ended;
// the members of an ended one are not all at hand, so its counts are moved.
func late(dv *depView, d *Deployment, changed []Member) (moved bool) {
	for _, m := range changed {
		if old := d.Members[d.member(m.Device)]; old.Verified.IsZero() && !m.Verified.IsZero() {
			c := &dv.rings[m.Ring].Counts
			c.Verified++
			c.Waiting, moved = max(0, c.Waiting-1), true
		}
	}
	return moved
}

// RingStates are the states of rings, in order.
func RingStates(rings []Ring) []RingState {
	out := make([]RingState, len(rings))
	for i := range rings {
		out[i] = rings[i].State
	}
	return out
}

func (t *tally) count(m *Member, is standing, at int, r *Ring) {
	t.Devices++
	if is != excused {
		t.counted++
	}
	switch is {
	case done:
		t.Verified++
		if r.State != RingPassed {
			t.ends = append(t.ends, m.Verified.Add(r.Soak))
			t.verifiedAt = append(t.verifiedAt, m.Verified)
		}
	case failed:
		t.Failed++
		t.failed++
	case runs:
		t.Running++
	case waits:
		if m.Result == "" {
			t.Waiting++
		} else {
			t.Other++
		}
		t.waiting = true
		if r.State == RingActive || r.Index == 0 {
			t.open = append(t.open, at)
		}
	case excused:
		t.Other++
		if m.Result == wire.ResultSuperseded {
			t.superseded++
		}
	}
}

// move notes a transition and makes it in the view.
func (v *view) move(dv *depView, up *Update, ring int, to RingState, why reason.Reason) {
	r := &dv.rings[ring]
	up.Moves = append(up.Moves, Move{Ring: ring, From: string(r.State), To: string(to), Reason: why})
	r.State, r.Reason, r.Since = to, why, v.now
}

func (v *view) end(dv *depView, up *Update, to State, why reason.Reason) {
	up.Moves = append(up.Moves, Move{Ring: -1, From: string(dv.state), To: string(to), Reason: why})
	dv.state, dv.reason = to, why
}

// conclude ends a deployment that has nothing left to do: its policy is gone,
// or all of its devices went on to another version, or none needs it.
// While devices that took it may still make its last ring pass, stuck is false.
func (v *view) conclude(dep int32, up *Update, tallies []tally, stuck bool) {
	d, dv := &v.w.Deployments[dep], v.dep(dep)
	if dv.state.Final() {
		return
	}
	var superseded, counted, verified int
	open := false
	for i := range tallies {
		open = open || tallies[i].waiting || tallies[i].Running > 0
		superseded += tallies[i].superseded
		counted += tallies[i].counted
		verified += tallies[i].Verified
	}
	switch {
	case v.base(d.Policy) == nil:
		v.end(dv, up, Cancelled, reason.New(reason.PolicyRemoved, "policy", d.Policy))
	case !open && superseded > 0 && (stuck || superseded > verified):
		v.end(dv, up, Superseded, reason.New(reason.SupersededBy, "version", v.newer(d)))
	case !open && counted == 0:
		v.end(dv, up, Completed, reason.New(reason.NothingLeft))
	}
}

// newer names a version that took the place of the deployment's.
func (v *view) newer(d *Deployment) string {
	for _, r := range v.ix.rels {
		if r.Source == d.Release.Source && r.Package == d.Release.Package && r != d.Release {
			return r.Version
		}
	}
	return "another version"
}

// advance opens, judges and passes rings in their order.
func (v *view) advance(dep int32, up *Update, tallies []tally) {
	dv := v.dep(dep)
	for i := range dv.rings {
		r, t := &dv.rings[i], &tallies[i]
		if r.State == RingWaiting {
			if t.counted == 0 {
				v.move(dv, up, i, RingPassed, reason.New(reason.RingEmpty))
				continue
			}
			v.move(dv, up, i, RingActive, reason.New(reason.RingOpened))
		}
		if r.State == RingActive || r.State == RingSoaking {
			v.judge(dep, up, i, t)
		}
		if r.State != RingPassed {
			return
		}
	}
	v.end(dv, up, Completed, reason.New(reason.AllRingsPassed))
}

// judge decides a ring that is open or soaks.
func (v *view) judge(dep int32, up *Update, i int, t *tally) {
	d, dv := &v.w.Deployments[dep], v.dep(dep)
	r := &dv.rings[i]
	if t.counted == 0 {
		v.move(dv, up, i, RingPassed, reason.New(reason.RingEmpty))
		return
	}
	needed, allowed := r.needed(t.counted), d.Failures.Of(t.counted)
	ended := t.Verified+t.failed == t.counted
	switch {
	case t.failed > allowed:
		v.halt(dv, up, i, reason.New(reason.HaltedFailures, "ring", r.Name, "failed", reason.Count(t.failed), "allowed", reason.Count(allowed)))
		return
	case ended && t.Verified < needed:
		v.halt(dv, up, i, reason.New(reason.HaltedVerified, "ring", r.Name, "verified", reason.Count(t.Verified),
			"devices", reason.Count(t.counted), "needed", reason.Count(needed)))
		return
	case t.Verified < needed:
		return
	}
	slices.SortFunc(t.ends, time.Time.Compare)
	soaked := t.ends[needed-1] // then as many as are needed have soaked in full
	if r.State == RingActive {
		if !ended && !v.shut(dep, t, needed) {
			return
		}
		v.move(dv, up, i, RingSoaking, reason.New(reason.RingSoaking, "verified", reason.Count(t.Verified),
			"devices", reason.Count(t.counted), "until", reason.Time(soaked)))
	}
	if soaked.After(v.now) {
		v.at(soaked)
		return
	}
	v.move(dv, up, i, RingPassed, reason.New(reason.RingPassed, "verified", reason.Count(t.Verified),
		"devices", reason.Count(t.counted), "failed", reason.Count(t.failed)))
}

func (v *view) halt(dv *depView, up *Update, ring int, why reason.Reason) {
	v.move(dv, up, ring, RingHalted, why)
	v.end(dv, up, Halted, why)
}

// shut reports whether the window has closed in which enough members became
// verified, for all members that still wait. What runs is waited for.
func (v *view) shut(dep int32, t *tally, needed int) bool {
	if t.Running > 0 {
		return false
	}
	slices.SortFunc(t.verifiedAt, time.Time.Compare)
	enough := t.verifiedAt[needed-1]
	asked := map[[2]int32]bool{}
	shut := true
	for _, m := range t.open {
		s := v.ix.members[dep][m]
		p := &v.ix.pairs[s.pair]
		k := [2]int32{p.eff, v.ix.zone[p.dev]}
		if asked[k] {
			continue
		}
		asked[k] = true
		if occ, ok := window.Contains(v.set(k), nil, enough); ok && occ.Closes.After(v.now) {
			v.at(occ.Closes)
			shut = false
		}
	}
	return shut
}

// swap replaces members of an open first ring that were not seen by the end of
// their window: each changes places with a device that was, from a ring that
// waits. When none of its members can take the release any more, one device
// moves up, so that the next ring does not open without a canary. The tally is
// brought along.
func (v *view) swap(dep int32, t *tally) (changed []Member) {
	d := &v.w.Deployments[dep]
	if d.State != Running || len(d.Rings) < 2 || d.Rings[0].State != RingActive && d.Rings[0].State != RingWaiting {
		return nil
	}
	used := map[int]bool{}
	kept := t.open[:0:0]
	for _, at := range t.open {
		s := v.ix.members[dep][at]
		opened, ok := v.missed(dep, s)
		if !ok {
			kept = append(kept, at)
			continue
		}
		with := v.present(dep, opened, used)
		if with < 0 {
			kept = append(kept, at)
			continue
		}
		used[with] = true
		out, in := d.Members[at], d.Members[with]
		out.Ring, in.Ring = in.Ring, 0
		changed = append(changed, out, in)
		kept = append(kept, with)
	}
	t.open = kept
	if t.Devices > 0 && t.counted == 0 {
		with := v.present(dep, v.now.Add(-24*time.Hour), used)
		if with < 0 {
			with = v.present(dep, time.Time{}, used)
		}
		if with >= 0 {
			in := d.Members[with]
			in.Ring = 0
			changed = append(changed, in)
			t.open, t.waiting = append(t.open, with), true
			t.counted++
		}
	}
	return changed
}

// missed tells when the last window opened and shut again since the first ring
// opened in which the device was not seen.
func (v *view) missed(dep int32, s seat) (opened time.Time, ok bool) {
	d := &v.w.Devices[s.dev]
	if d.Online {
		return opened, false
	}
	p := &v.ix.pairs[s.pair]
	v.windows(p) // notes when the window shuts
	all := window.Between(v.set([2]int32{p.eff, v.ix.zone[p.dev]}), nil, v.w.Deployments[dep].Rings[0].Since, v.now)
	for i := len(all) - 1; i >= 0; i-- {
		if o := all[i]; !o.Closes.After(v.now) {
			return o.Opens, d.LastSeen.Before(o.Opens)
		}
	}
	return opened, false
}

// present finds the first device by hash that waits in a later ring and was
// seen since the time.
func (v *view) present(dep int32, since time.Time, used map[int]bool) int {
	d := &v.w.Deployments[dep]
	best := -1
	for i := range d.Members {
		m, s := &d.Members[i], v.ix.members[dep][i]
		if m.Ring == 0 || d.Rings[m.Ring].State != RingWaiting || used[i] || s.pair < 0 || s.job >= 0 || s.excused {
			continue
		}
		dev := &v.w.Devices[s.dev]
		if !dev.Online && dev.LastSeen.Before(since) || v.w.Updates[s.pair].State == patch.Halted {
			continue
		}
		if best < 0 || ring.ByHash(d.Policy)(dev.Device, v.w.Devices[v.ix.members[dep][best].dev].Device) < 0 {
			best = i
		}
	}
	return best
}
