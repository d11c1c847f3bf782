package rollout

import (
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// askMoment goes through what only the moment of a start can tell. Its answers
// take their place in the closed order.
func (a *answer) askMoment(n int32) {
	v, p := a.v, &a.v.ix.pairs[n]
	d, u := &v.w.Devices[p.dev], &v.w.Updates[n]
	standing := len(a.found)
	if j := v.own(p); j != nil && v.now.Before(j.NotBefore) && !a.blocked {
		a.hit(func() Blocker {
			return Blocker{Reason: reason.New(reason.OutsideWindow, "until", reason.Time(j.NotBefore)), Until: j.NotBefore}
		})
	}
	if d.Scan != nil {
		a.askScan(d, u.Source)
	}
	if !d.Online {
		a.hit(func() Blocker { return Blocker{Reason: reason.New(reason.Offline, "since", reason.Time(d.LastSeen))} })
	}
	a.askInFlight(p)
	a.askBlast(p)
	for i := standing; i < len(a.found); i++ {
		a.found[i].Moment = true
	}
	slices.SortStableFunc(a.found, func(x, y Blocker) int { return order(x) - order(y) })
}

func (a *answer) askBlast(p *pair) {
	if b, ok := a.v.w.Blast.blocker(a.v.w.Tenant.Changed); ok && !a.v.counted(p) {
		b.Until = a.v.now.Add(blastRetry)
		a.hit(func() Blocker { return b })
	}
}

// blastRetry is when to ask again while too many devices changed in an hour.
const blastRetry = 5 * time.Minute

func (a *answer) askScan(d *Device, source string) {
	s, age := d.Scan, a.v.now.Sub(d.Scan.At)
	for _, src := range s.Sources {
		if src.Name != source {
			continue
		}
		if src.BusyWith != "" && age <= freshScan {
			a.hit(func() Blocker {
				return Blocker{Reason: reason.New(reason.SourceBusy, "source", source, "process", src.BusyWith), Until: s.At.Add(freshScan)}
			})
		}
	}
	if age > staleScan {
		a.stop(reason.ScanOld, "since", reason.Time(s.At))
	}
}

func (a *answer) askInFlight(p *pair) {
	v := a.v
	if p.dep < 0 || p.mem < 0 || v.holding(p) {
		return
	}
	ring := p.ring
	dv := v.dep(p.dep)
	busy, limit := dv.busy[ring], v.w.Deployments[p.dep].limit(dv.size[ring])
	if busy >= limit {
		a.stop(reason.InFlightLimit, "running", reason.Count(busy), "limit", reason.Count(limit))
	}
}

// holding reports whether a job of the device has its place in flight already.
func (v *view) holding(p *pair) bool {
	return p.job >= 0 && v.holds(&v.w.Jobs[p.job])
}

// holds reports whether a job takes a place in flight now.
func (v *view) holds(j *job.Job) bool {
	dev, ok := v.ix.device[j.Device]
	return j.HoldsSlot(v.now, ok && v.w.Devices[dev].Online)
}

// counted reports whether the device is among those changed in the last hour.
func (v *view) counted(p *pair) bool {
	return slices.ContainsFunc(v.ix.jobsOf[p.dev], func(n int32) bool {
		j := &v.w.Jobs[n]
		return j.Kind == job.Install && (j.ChangedAt.After(v.now.Add(-time.Hour)) || j.Alone && v.holds(j))
	})
}

// blocker says whether too many devices changed in the last hour.
func (b Blast) blocker(stated string) (Blocker, bool) {
	say := func(changed, limit int, scope string) (Blocker, bool) {
		return Blocker{Reason: reason.New(reason.BlastLimit, "changed", reason.Count(changed), "limit", reason.Count(limit), "scope", scope)}, true
	}
	allowed := tenantBlast
	if got, err := policy.ParseAllowance(stated); stated != "" && err == nil {
		allowed = got
	}
	if n := allowed.Of(b.TenantDevices); b.TenantChanged >= n {
		return say(b.TenantChanged, n, "tenant")
	}
	allowed = b.Server
	if allowed == (policy.Allowance{}) {
		allowed = serverBlast
	}
	if n := allowed.Of(b.ServerDevices); b.ServerChanged >= n {
		return say(b.ServerChanged, n, "server")
	}
	return Blocker{}, false
}

// closedOrder is the order in which blockers are answered: that of package
// reason.
var closedOrder = [...]reason.Code{
	reason.ModeObserve, reason.DeviceState, reason.NoPolicy, reason.PolicyTie, reason.NotApproved, reason.WaitingUntil,
	reason.DeniedByHand, reason.DeniedByRule, reason.DeploymentHalted, reason.DeploymentPaused, reason.DeploymentEnded,
	reason.DeploymentPending, reason.RingWaits, reason.NeverOpens, reason.OutsideWindow, reason.Blackout, reason.DoesNotFit,
	reason.PinnedOnDevice, reason.Phased, reason.RebootFirst, reason.SourceBusy, reason.SourceUnavailable, reason.ScanOld,
	reason.Offline, reason.FailedBefore, reason.InFlightLimit, reason.BlastLimit, reason.JobUnderWay, reason.JobUnknown, reason.CancelOpen,
}

func order(b Blocker) int { return slices.Index(closedOrder[:], b.Reason.Code) }

// depView is a deployment as the plan leaves it: state and rings after the
// transitions of this plan, and how many are under way.
type depView struct {
	state  State
	reason reason.Reason
	rings  []Ring
	busy   []int // jobs that hold a place in flight, by ring
	queued []int // unstarted jobs that may start without contact and hold none yet
	size   []int // devices of each ring
}

func (v *view) dep(n int32) *depView {
	if v.deps[n] != nil {
		return v.deps[n]
	}
	d := &v.w.Deployments[n]
	dv := &depView{state: d.State, reason: d.Reason, rings: slices.Clone(d.Rings),
		busy: make([]int, len(d.Rings)), queued: make([]int, len(d.Rings)), size: slices.Clone(v.ix.sizes[n])}
	if v.w.Partial || d.State.Final() { // not all members are at hand
		for i := range d.Rings {
			dv.size[i] = d.Rings[i].Counts.Devices
		}
	}
	for _, i := range v.ix.busyIn[n] {
		j := &v.w.Jobs[i]
		m := d.member(j.Device)
		if m < 0 {
			continue
		}
		ring := d.Members[m].Ring
		switch {
		case v.holds(j):
			dv.busy[ring]++
			if j.Alone {
				v.at(j.AloneUntil())
			}
		case unstarted(j) && j.Alone && j.State != job.Leased:
			dv.queued[ring]++
		}
	}
	v.deps[n] = dv
	return dv
}
