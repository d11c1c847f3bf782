package rollout

import (
	"time"

	"github.com/steward-rmm/steward/server/deployment/ring"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// When a device that has to wait asks again.
const (
	retrySoon = 30 * time.Second // by the least, and for what may end any moment
	retryMost = 10 * time.Minute
)

// MayLease reports why a job may not be leased now, or a zero reason. What only
// counts at the start is not asked, except for a lease that may start without
// contact: it takes its place in flight and under the hourly limits from now.
func MayLease(now time.Time, w *World, j *job.Job) reason.Reason {
	v := newView(now, w)
	fits := false
	for _, r := range j.Releases {
		n := v.find(j.Device, patch.Release{Source: r.Source, Package: r.Package, Version: r.Version})
		if n < 0 {
			return reason.New(reason.GoneFromScan)
		}
		p := &v.ix.pairs[n]
		if p.dep < 0 || v.w.Deployments[p.dep].ID != r.Deployment {
			return reason.New(reason.JobReplaced)
		}
		a := answer{v: v, explain: true}
		a.ask(n, v.ahead(p))
		if j.Alone && !a.blocked {
			if !v.mayAlone(p) {
				return reason.New(reason.JobReplaced)
			}
			a.askInFlight(p)
			a.askBlast(p)
		}
		switch {
		case len(a.found) == 0:
			fits = true
		case !onlyDoesNotFit(a.found):
			return a.found[0].Reason
		}
	}
	if !fits {
		return reason.New(reason.JobExpired, "until", reason.Time(j.StartBy))
	}
	return reason.Reason{}
}

func onlyDoesNotFit(list []Blocker) bool {
	return len(list) == 1 && list[0].Reason.Code == reason.DoesNotFit
}

// MayStart answers a device that asks for the start of a job: yes exactly when
// Blockers is empty for one of its releases and names at most DoesNotFit for
// the others; never, when nothing of it will start in this window; else wait.
func MayStart(now time.Time, w *World, j *job.Job) job.Answer {
	v := newView(now, w)
	if now.After(j.StartBy) || !now.Before(j.Deadline) {
		return job.Answer{Verdict: job.Withdrawn, Reason: reason.New(reason.JobExpired, "until", reason.Time(j.StartBy))}
	}
	var wait, never []Blocker
	fits := 0
	for _, r := range j.Releases {
		n := v.find(j.Device, patch.Release{Source: r.Source, Package: r.Package, Version: r.Version})
		if n < 0 {
			never = append(never, Blocker{Reason: reason.New(reason.GoneFromScan)})
			continue
		}
		if p := &v.ix.pairs[n]; p.dep < 0 || w.Deployments[p.dep].ID != r.Deployment {
			never = append(never, Blocker{Reason: reason.New(reason.JobReplaced)})
			continue
		}
		a := answer{v: v, explain: true}
		a.ask(n, 0)
		standing := a.blocked
		a.askMoment(n)
		switch {
		case len(a.found) == 0:
			fits++
		case onlyDoesNotFit(a.found):
		case standing:
			never = append(never, a.found[0])
		default:
			wait = append(wait, a.found[0])
		}
	}
	switch {
	case fits > 0 && len(wait)+len(never) == 0:
		return job.Answer{Verdict: job.Start}
	case fits == 0 && len(wait) == 0 && len(never) > 0:
		return job.Answer{Verdict: job.Withdrawn, Reason: never[0].Reason}
	case fits == 0 && len(wait) == 0:
		return job.Answer{Verdict: job.Withdrawn, Reason: reason.New(reason.JobExpired, "until", reason.Time(j.StartBy))}
	}
	// A job of which a part is held waits until the planner replaced it.
	first := append(wait, never...)[0]
	return job.Answer{Verdict: job.Wait, Reason: first.Reason, RetryAfter: retry(now, j, first)}
}

// retry spreads devices that wait for the same thing, by a hash.
func retry(now time.Time, j *job.Job, b Blocker) time.Duration {
	after := retrySoon + time.Duration(ring.Hash(string(j.ID), reason.Time(now))%30)*time.Second
	if until := b.Until.Sub(now); until > after {
		after = until
	}
	return min(after, retryMost)
}
