package rollout

import (
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
)

// standing is what a member counts as in its ring.
type standing int

const (
	waits standing = iota
	runs           // a job has started, or its re-scan is awaited
	done           // verified, or installed where the restart is not ours to make
	failed
	excused // needs it no more, or cannot have it: not counted at all
)

// settle brings a member up to what its job and its update say now, and tells
// what it counts as. A result counts as verified only when the device's report
// and the state of the update, which follows its re-scan, agree.
func (v *view) settle(d *Deployment, m Member, s seat) (Member, standing) {
	var u *patch.Update
	if s.pair >= 0 {
		u = &v.w.Updates[s.pair]
	}
	busy := false
	if s.job >= 0 {
		m, busy = v.take(d, m, &v.w.Jobs[s.job], u)
	}
	switch m.Result {
	case wire.ResultVerified, wire.ResultInstalledUnverified:
		return m, done
	case wire.ResultFailed:
		return m, failed
	}
	switch {
	case busy:
		return m, runs
	case u == nil && s.works:
		if m.Result != wire.ResultSuperseded && m.Result != wire.ResultNotApplicable {
			m.Result, m.EndedAt = v.gone(d, s.dev), v.now
		}
		return m, excused
	case u == nil || s.excused || m.Result == wire.ResultNotApplicable:
		return m, excused
	}
	if m.Result == wire.ResultSuperseded {
		m.Result = "" // it is offered again
	}
	return m, waits
}

// take takes in what the last job of a member says. busy: the job has started
// and its end, or the re-scan after it, is not known yet.
func (v *view) take(d *Deployment, m Member, j *job.Job, u *patch.Update) (_ Member, busy bool) {
	if m.Job == j.ID && !m.EndedAt.IsZero() {
		return m, false // taken in before
	}
	if m.Job != j.ID {
		m.Job, m.EndedAt = j.ID, time.Time{}
	}
	r := &j.Releases[slices.IndexFunc(j.Releases, func(r job.Release) bool { return r.Deployment == d.ID })]
	result := r.Result
	if result == "" && j.State == job.Unknown {
		result = wire.ResultUnknown
	}
	if j.State == job.Cancelled || result == "" {
		started := j.State == job.Running || j.State == job.Cancelling && !j.StartedAt.IsZero()
		return m, started
	}
	ended := r.EndedAt
	if ended.IsZero() {
		ended = j.FinishedAt
	}
	if ended.IsZero() || ended.After(v.now) {
		ended = v.now
	}
	switch result {
	case wire.ResultVerified, wire.ResultInstalledUnverified:
		pending := u != nil && u.State == patch.RebootPending // reboot: never counts it as done
		if u == nil || pending {
			m.Result, m.EndedAt, m.Verified = wire.ResultVerified, ended, ended
			if pending {
				m.Result = wire.ResultInstalledUnverified
			}
			return m, false
		}
		if v.now.Before(ended.Add(agreeWithin)) {
			v.at(ended.Add(agreeWithin))
			return m, true
		}
		m.Result = wire.ResultUnknown // the scan says otherwise, or none came
		return m, false
	case wire.ResultUnknown:
		m.Result = wire.ResultUnknown // open: a late report closes it once
		return m, false
	}
	m.Result, m.EndedAt = result, ended
	return m, false
}

// gone is what a member becomes whose update is no longer open: another
// version took its place, or nothing is left to do.
func (v *view) gone(d *Deployment, dev int32) wire.ResultState {
	for n := v.ix.first[dev]; n < v.ix.first[dev+1]; n++ {
		if u := &v.w.Updates[n]; u.Source == d.Release.Source && u.Package == d.Release.Package {
			return wire.ResultSuperseded
		}
	}
	return wire.ResultNotApplicable
}

// cannot reports whether a member cannot take the release for a reason that
// is not the release's: nobody waits for it. What a decision or a window holds
// back still waits, or a canary that is denied would open the next ring.
func cannot(u *patch.Update, p *pair, dep int32) bool {
	return u.Held || u.Phased || u.Tries >= maxTries || p.tie || p.dep != dep
}

// joins reports whether a pair may become a member of its deployment.
func (v *view) joins(n int32) bool {
	d, u, p := &v.w.Devices[v.ix.pairs[n].dev], &v.w.Updates[n], &v.ix.pairs[n]
	return p.eff >= 0 && !p.tie && d.MayWork() && u.Offered && !u.Held && !u.Phased &&
		u.Tries < maxTries && u.State != patch.RebootPending
}

// place is the ring of a device that joins a deployment under way: its own by
// hash while that can still take it, else the last; late when that has passed.
func (v *view) place(dep int32, id ident.DeviceID) Member {
	dv := v.dep(dep)
	last := len(dv.rings) - 1
	ring, ok := v.assignment(v.w.Deployments[dep].Policy)[id]
	if !ok || ring > last {
		ring = last
	}
	if s := dv.rings[ring].State; s == RingSoaking || s == RingHalted {
		ring = last
	}
	return Member{Device: id, Ring: ring, Late: dv.rings[ring].State == RingPassed}
}
