package rollout

import (
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// Blockers lists everything that stands between an update of a device and its
// start now, in the closed order of package reason; the first is the answer.
// ok is false when the device has no such open update.
//
// Three sentences hold, each with its property test. The gatekeeper lets a job
// start exactly when Blockers is empty for one of its releases and names at
// most DoesNotFit for the others, which the agent leaves for the next window.
// While a window is open Plan holds an unstarted job with the release (kept, or
// submitted now) exactly when Blockers names nothing but what is of the moment.
// Ahead of a window Plan asks the same question with the opening in place of
// now, up to 24 hours before it for a lease that may start without contact,
// else 15 minutes; what it submits then waits behind OutsideWindow.
func Blockers(now time.Time, w *World, device ident.DeviceID, r patch.Release) (list []Blocker, ok bool) {
	v := newView(now, w)
	n := v.find(device, r)
	if n < 0 {
		return nil, false
	}
	a := answer{v: v, explain: true}
	a.ask(n, 0)
	a.askMoment(n)
	return a.found, true
}

func (v *view) find(device ident.DeviceID, r patch.Release) int32 {
	dev, ok := v.ix.device[device]
	if !ok {
		return -1
	}
	for n := v.ix.first[dev]; n < v.ix.first[dev+1]; n++ {
		if v.w.Updates[n].Release == r {
			return n
		}
	}
	return -1
}

// answer collects blockers, or stops at the first one when nobody asked for an
// explanation.
type answer struct {
	v       *view
	explain bool
	blocked bool
	outside bool // it is in no deployment, and cannot join one
	found   []Blocker
}

// hit notes a blocker; true means that the rest need not be asked.
func (a *answer) hit(say func() Blocker) bool {
	a.blocked = true
	if a.explain {
		a.found = append(a.found, say())
	}
	return !a.explain
}

// stop is hit for a blocker that does not end by itself.
func (a *answer) stop(code reason.Code, pairs ...string) bool {
	a.blocked = true
	if a.explain {
		a.found = append(a.found, Blocker{Reason: reason.New(code, pairs...)})
	}
	return !a.explain
}

// standing reports whether anything but the moment keeps the pair out of a job
// for a window that opens within ahead.
func (v *view) standing(n int32, ahead time.Duration) bool {
	a := answer{v: v}
	a.ask(n, ahead)
	return a.blocked
}

// ask goes through what keeps a release out of every job.
func (a *answer) ask(n int32, ahead time.Duration) {
	v, p := a.v, &a.v.ix.pairs[n]
	d, u := &v.w.Devices[p.dev], &v.w.Updates[n]
	if v.w.Tenant.Mode != fleet.Live && a.stop(reason.ModeObserve) {
		return
	}
	if !d.MayWork() && a.hit(func() Blocker { return Blocker{Reason: reason.New(reason.DeviceState, "state", string(d.State))} }) {
		return
	}
	switch {
	case p.eff < 0:
		a.hit(func() Blocker { return Blocker{Reason: reason.New(reason.NoPolicy, "source", u.Source)} })
		return // without a policy there is nothing else to say
	case p.tie:
		if a.hit(func() Blocker {
			return Blocker{Reason: reason.New(reason.PolicyTie, "policies", strings.Join(v.ix.ties[n], ", "), "source", u.Source)}
		}) {
			return
		}
	}
	if dec := v.decide(p); dec.action != policy.Approve &&
		a.hit(func() Blocker { return Blocker{Reason: dec.why, Until: dec.until} }) {
		return
	}
	if a.askDeployment(n, p) || a.askWindow(p, ahead) {
		return
	}
	a.askUpdate(n, p, u)
	if a.outside && !a.blocked {
		a.stop(reason.DeploymentPending)
	}
}

// askDeployment asks for the deployment and the ring; true means stop.
func (a *answer) askDeployment(n int32, p *pair) bool {
	v := a.v
	if v.ix.halted[p.rel] && (p.dep < 0 || v.w.Deployments[p.dep].State != Halted) {
		// Halting holds a release for the tenant, whatever the policy.
		if a.hit(func() Blocker {
			return Blocker{Reason: reason.New(reason.DeploymentHalted, "why", "the release is halted under another policy")}
		}) {
			return true
		}
	}
	if p.dep < 0 || p.mem < 0 && (v.dep(p.dep).state == Running || v.dep(p.dep).state == Completed) {
		a.outside = !v.joins(n) // then what keeps it out of every deployment is the answer
		return !a.outside && (a.blocked || a.stop(reason.DeploymentPending))
	}
	d := v.dep(p.dep)
	switch d.state {
	case Halted:
		if a.hit(func() Blocker {
			return Blocker{Reason: reason.New(reason.DeploymentHalted, "why", d.reason.Text(time.UTC))}
		}) {
			return true
		}
	case Paused:
		if a.stop(reason.DeploymentPaused, "by", d.reason.Args["by"], "why", d.reason.Args["why"]) {
			return true
		}
	case Cancelled, Superseded:
		if a.stop(reason.DeploymentEnded, "by", d.reason.Args["by"], "why", d.reason.Args["why"]) {
			return true
		}
	}
	if p.mem < 0 {
		return false
	}
	at := p.ring
	ring := &d.rings[at]
	if ring.State == RingActive || ring.State == RingPassed {
		return false
	}
	before := ring.Name
	if ring.State == RingWaiting {
		for i := range d.rings[:at] {
			if d.rings[i].State != RingPassed {
				before = d.rings[i].Name
			}
		}
	}
	return a.hit(func() Blocker {
		until, _ := ring.Reason.Until()
		return Blocker{Reason: reason.New(reason.RingWaits, "ring", ring.Name, "before", before), Until: until}
	})
}

// askWindow asks for the window that is open, or opens within ahead.
func (a *answer) askWindow(p *pair, ahead time.Duration) bool {
	v := a.v
	eff := v.ix.effs[p.eff]
	occ, ok := v.target(p)
	if !ok {
		return a.stop(reason.NeverOpens, "policy", eff.Name)
	}
	next := v.windows(p).next.Opens
	expected := v.w.Expected(v.ix.rels[p.rel])
	open := !occ.Opens.After(v.now)
	outside := func(until time.Time) bool {
		return a.hit(func() Blocker {
			return Blocker{Reason: reason.New(reason.OutsideWindow, "until", reason.Time(until)), Until: until}
		})
	}
	if !open && occ.Opens.Sub(v.now) > ahead {
		if shut := v.windows(p).shut; !shut.IsZero() {
			if a.hit(func() Blocker {
				return Blocker{Reason: reason.New(reason.Blackout, "until", reason.Time(occ.Opens)), Until: occ.Opens}
			}) {
				return true
			}
		} else if outside(occ.Opens) {
			return true
		}
	}
	if open && v.tried(p, occ.Opens) && outside(next) {
		return true
	}
	from := occ.Opens
	if open {
		from = v.now.Add(time.Second - 1).Truncate(time.Second) // jobs know whole seconds
	}
	if from.Add(expected).After(occ.Closes) {
		until := next
		if occ.Opens.Add(expected).After(occ.Closes) {
			until = time.Time{} // no window is long enough
		}
		return a.hit(func() Blocker {
			minutes := reason.Count(int((expected + time.Minute - 1) / time.Minute))
			return Blocker{Reason: reason.New(reason.DoesNotFit, "minutes", minutes), Until: until}
		})
	}
	return false
}

// own is the device's unstarted job that carries the pair's release.
func (v *view) own(p *pair) *job.Job {
	if p.job < 0 || !unstarted(&v.w.Jobs[p.job]) {
		return nil
	}
	return &v.w.Jobs[p.job]
}

// tried reports whether an attempt ended since the window opened: the next
// window is a new job.
func (v *view) tried(p *pair, opens time.Time) bool {
	if p.mem < 0 {
		return false
	}
	m := &v.w.Deployments[p.dep].Members[p.mem]
	if !m.EndedAt.IsZero() && !m.EndedAt.Before(opens) {
		return true
	}
	n := v.ix.members[p.dep][p.mem].job
	if n < 0 {
		return false
	}
	j := &v.w.Jobs[n]
	if j.State == job.Cancelled || !j.State.Final() {
		return false
	}
	return !j.FinishedAt.Before(opens)
}

// askUpdate asks for the update itself and the device's other jobs.
func (a *answer) askUpdate(n int32, p *pair, u *patch.Update) {
	v := a.v
	if u.Held && a.stop(reason.PinnedOnDevice, "source", u.Source) {
		return
	}
	if u.Phased && a.stop(reason.Phased, "source", u.Source) {
		return
	}
	if u.State == patch.RebootPending && a.stop(reason.RebootFirst) {
		return
	}
	if why := gone(&v.w.Devices[p.dev], u); why != "" && a.stop(reason.SourceUnavailable, "source", u.Source, "why", why) {
		return
	}
	if u.Tries >= maxTries && a.hit(func() Blocker {
		return Blocker{Reason: reason.New(reason.FailedBefore, "times", reason.Count(u.Tries), "error", u.LastError)}
	}) {
		return
	}
	a.askJobs(p, u)
}

// gone says why the source cannot give the update, as far as a scan told.
func gone(d *Device, u *patch.Update) string {
	if !u.Offered {
		return "the last scan did not offer it any more"
	}
	if d.Scan != nil {
		for _, s := range d.Scan.Sources {
			if s.Name == u.Source && !s.Available {
				return s.Why
			}
		}
	}
	return ""
}

func (a *answer) askJobs(p *pair, u *patch.Update) {
	v := a.v
	name := v.ix.effs[p.eff].Name
	occ, _ := v.target(p)
	var away, unknown, cancelling *job.Job
	for _, n := range v.ix.jobsOf[p.dev] {
		j := &v.w.Jobs[n]
		mine := n == p.job
		switch {
		case j.State == job.Cancelling && (mine || j.Policy == name):
			cancelling = j
		case j.State == job.Unknown && mine && u.State == patch.Unknown:
			unknown = j
		case j.State == job.Unknown || j.State == job.Queued || j.State == job.NeedsAgreement:
			// a queued one is replaced by one with all
		case unstarted(j) && v.now.After(j.StartBy):
			if j.MayHaveStarted() && p.dep >= 0 && j.Has(v.w.Deployments[p.dep].ID) {
				away = j // no second attempt before the end of the first is known
			}
		case unstarted(j) && (mine || !j.Deadline.Equal(occ.Closes)):
			// the own one is on its way; one for another window goes by itself
		case mine || j.Policy == name:
			away = j
		}
	}
	if away != nil && a.stop(reason.JobUnderWay, "state", string(away.State)) {
		return
	}
	if (unknown != nil || u.State == patch.Unknown) && a.hit(func() Blocker {
		return Blocker{Reason: reason.New(reason.JobUnknown, "since", reason.Time(u.Since))}
	}) {
		return
	}
	if cancelling != nil {
		a.stop(reason.CancelOpen)
	}
}
