package rollout

import (
	"time"

	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// Explained is one open update of a device with all that decides over it.
type Explained struct {
	Update   patch.Update
	Policy   string // "" when none rules its source
	Decision policy.Decision
	Blockers []Blocker // in the closed order; the first is the answer
	Checks   []Check   // what was asked on the way, also what stands in order
}

// Check is one question on an update's way to its start.
type Check struct {
	About  string // approval, deployment, ring, window, contact
	Passed bool
	At     time.Time // since when, or from when on
	Reason reason.Reason
}

// Explain explains each open update of the World: "why is it not installed?"
// has one ordered answer, from the code that decides.
func Explain(now time.Time, w *World) []Explained {
	v := newView(now, w)
	out := make([]Explained, 0, len(w.Updates))
	for n := range v.ix.pairs {
		p := &v.ix.pairs[n]
		if p.dev < 0 {
			continue
		}
		a := answer{v: v, explain: true}
		a.ask(int32(n), 0)
		a.askMoment(int32(n))
		e := Explained{Update: w.Updates[n], Blockers: a.found, Decision: policy.Decision{Action: policy.Manual}}
		if p.eff >= 0 {
			dec := v.decide(p)
			e.Policy = v.ix.effs[p.eff].Name
			e.Decision = policy.Decision{Action: dec.action, Until: dec.until}
			e.Checks = v.checks(p, dec)
		}
		out = append(out, e)
	}
	return out
}

func (v *view) checks(p *pair, dec *decision) []Check {
	list := []Check{{About: "approval", Passed: dec.action == policy.Approve, At: dec.until, Reason: dec.why}}
	if p.dep >= 0 {
		d := &v.w.Deployments[p.dep]
		list = append(list, Check{About: "deployment", Passed: d.State == Running || d.State == Completed, At: d.Since, Reason: d.Reason})
		if p.mem >= 0 {
			r := &d.Rings[d.Members[p.mem].Ring]
			list = append(list, Check{About: "ring", Passed: r.State == RingActive || r.State == RingPassed, At: r.Since, Reason: r.Reason})
		}
	}
	if occ, ok := v.target(p); ok {
		list = append(list, Check{About: "window", Passed: !occ.Opens.After(v.now), At: occ.Opens,
			Reason: reason.New(reason.ScheduledFor, "until", reason.Time(occ.Opens))})
	}
	d := &v.w.Devices[p.dev]
	code := reason.DeviceBack
	if !d.Online {
		code = reason.DeviceSilent
	}
	return append(list, Check{About: "contact", Passed: d.Online, At: d.OnlineSince, Reason: reason.New(code, "since", reason.Time(d.LastSeen))})
}

// Decisions tells of each open update of a device which policy rules it, what
// is decided, and the policies that claim it equally.
func Decisions(now time.Time, w *World, tell func(u *patch.Update, name string, d policy.Decision, ties []string)) {
	v := newView(now, w)
	for n := range v.ix.pairs {
		if p := &v.ix.pairs[n]; p.dev >= 0 && p.eff >= 0 {
			dec := v.decide(p)
			tell(&w.Updates[n], v.ix.effs[p.eff].Name, policy.Decision{Action: dec.action, Until: dec.until}, v.ix.ties[int32(n)])
		}
	}
}
