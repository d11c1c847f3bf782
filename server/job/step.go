package job

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Step takes in one step that a device tells of a job and returns the job
// after it. A step told twice, of an earlier attempt or of a job that has
// ended changes nothing and is no error. fault.NotFound is for a job that is
// not the device's: there is nothing to take in.
func (s *Service) Step(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, step Step) (Job, error) {
	step = step.clean(now)
	j, err := s.update(ctx, now, tenant, step.Job, func(ctx context.Context, c *change) error {
		if c.Device != device {
			return notFound(step.Job)
		}
		if step.Kind == StepLog {
			if err := s.takeLog(ctx, c.Job, step); err != nil {
				return err
			}
		}
		return c.follow(now, step)
	})
	if err != nil {
		return Job{}, fmt.Errorf("step %s of job %s: %w", step.Kind, step.Job, err)
	}
	if step.Kind == StepStarted && step.Alone && !j.Alone {
		s.o.Log.Warn("a device started a job without the word that it needs", "tenant", tenant, "device", device, "job", j.ID)
	}
	return j, nil
}

// clean bounds what a device says: its texts, and its clock by the server's.
func (s Step) clean(now time.Time) Step {
	if s.At.IsZero() || s.At.After(now) {
		s.At = now
	}
	s.Code, s.Detail, s.To = plain(s.Code, 100), plain(s.Detail, wire.MaxText), plain(s.To, wire.MaxText)
	s.Source, s.Package, s.Phase = plain(s.Source, wire.MaxText), plain(s.Package, wire.MaxText), plain(s.Phase, 100)
	s.Took = min(max(0, s.Took), 30*24*time.Hour)
	return s
}

// follow is the pure part of Step.
func (c *change) follow(now time.Time, s Step) error {
	if s.Attempt != c.Attempt || c.State.Final() || !c.State.Held() {
		return nil
	}
	if now.After(c.HeardAt) {
		c.HeardAt, c.dirty = now, true
	}
	switch s.Kind {
	case StepAccepted, StepLog:
		return nil
	case StepRefused:
		return c.refused(now, s)
	case StepCancelJournaled:
		return c.cancelJournaled(now, s)
	case StepStarted:
		return c.started(now, s)
	case StepProgress:
		return c.started(now, Step{At: s.At})
	case StepResult:
		return c.result(now, s)
	case StepFinished:
		return c.finished(now, s)
	}
	return fault.Invalidf("step", "%q is no step of a job", s.Kind)
}

// started notes that the device began. What follows a start implies it, should
// its own report have come to nothing. An unknown job stays unknown until the
// device has finished.
func (c *change) started(now time.Time, s Step) error {
	if c.StartedAt.IsZero() {
		c.StartedAt, c.dirty = s.At, true
		if c.Kind == Install {
			c.ChangedAt = now
		}
	}
	if c.State != Leased && c.State != Cancelling {
		return nil
	}
	why := reason.New(reason.JobStarted)
	if s.Alone {
		why = reason.New(reason.StartedAlone)
	}
	return c.move(Running, why, now)
}

// refused ends a job that the device will not do.
func (c *change) refused(now time.Time, s Step) error {
	if !c.StartedAt.IsZero() { // it is over, and nobody knows how far it came
		return c.end(Failed, refusal(s), wire.ResultUnknown, now)
	}
	to, why := Failed, refusal(s)
	switch wire.Refusal(s.Code) {
	case wire.RefusedCancelled:
		to, why = Cancelled, reason.New(reason.JobCancelled, "why", because(c.Reason, words(s.Code)))
	case wire.RefusedExpired, wire.RefusedOutsideWindow, wire.RefusedNoStart, wire.RefusedDoesNotFit:
		to = Expired
		if wire.Refusal(s.Code) == wire.RefusedExpired {
			why = reason.New(reason.JobExpired, "until", reason.Time(c.StartBy))
		}
	}
	if c.State == Cancelling {
		to, why = Cancelled, reason.New(reason.JobCancelled, "why", because(c.Reason, words(s.Code)))
	}
	return c.end(to, why, wire.ResultNotStarted, now)
}

// cancelJournaled is the device's word that the job will not start, or that
// the cancel came too late.
func (c *change) cancelJournaled(now time.Time, s Step) error {
	if s.AlreadyStarted {
		return c.started(now, s)
	}
	if !c.StartedAt.IsZero() {
		return nil // it said before that it had started, which stands
	}
	return c.end(Cancelled, reason.New(reason.JobCancelled, "why", because(c.Reason, "the device let go of it")), wire.ResultNotStarted, now)
}

// result notes how one release ended. The first word stands, unless it was
// that nobody knows. A job whose end was told before is closed by the last one.
func (c *change) result(now time.Time, s Step) error {
	if err := c.started(now, Step{At: s.At}); err != nil {
		return err
	}
	state := known(s.Result)
	for i, r := range c.Releases {
		if r.Source != s.Source || r.Package != s.Package || r.Result != "" && (r.Result != wire.ResultUnknown || state == wire.ResultUnknown) {
			continue
		}
		r.Result, r.To, r.ExitCode, r.EndedAt, r.Took = state, s.To, s.ExitCode, s.At, s.Took
		r.Reason = resultReason(r, s)
		c.Releases[i], c.releases[i], c.dirty = r, true, true
	}
	if c.State != Unknown || c.FinishedAt.IsZero() {
		return nil
	}
	if to, why := c.verdict(s.At, true); to != Unknown {
		return c.end(to, why, wire.ResultUnknown, now)
	}
	return nil
}

// finished ends the attempt by what was told of its releases; with tries left
// in the window a failed one is queued again.
func (c *change) finished(now time.Time, s Step) error {
	if err := c.started(now, Step{At: s.At}); err != nil {
		return err
	}
	c.FinishedAt, c.dirty = s.At, true
	to, why := c.verdict(s.At, s.Rescanned)
	if to == Unknown && c.State == Unknown {
		return nil
	}
	if to == Failed && c.Attempt < c.Attempts && !now.After(c.StartBy) {
		return c.move(Queued, reason.New(reason.JobRetry, "why", why.Args["error"]), now)
	}
	return c.end(to, why, wire.ResultUnknown, now)
}

// verdict says how a job ended whose device has finished. A job is failed if
// any result is; what was not told is unknown.
func (c *change) verdict(at time.Time, rescanned bool) (State, reason.Reason) {
	var ok, failed, unstarted, unknown, cancelled int
	var firstFailed, firstUnstarted Release
	for _, r := range c.Releases {
		switch {
		case done(r.Result):
			ok++
		case r.Result == wire.ResultFailed:
			if failed++; failed == 1 {
				firstFailed = r
			}
		case r.Result == wire.ResultUnknown || r.Result == "":
			unknown++
		case r.Result == wire.ResultNotStarted:
			if unstarted++; unstarted == 1 {
				firstUnstarted = r
			}
			if r.Reason.Args["code"] == string(wire.RefusedCancelled) {
				cancelled++
			}
		}
	}
	n := len(c.Releases)
	finished := reason.New(reason.JobFinished, "verified", reason.Count(ok), "failed", reason.Count(failed), "other", reason.Count(n-ok-failed))
	switch {
	case failed > 0:
		return Failed, reason.New(reason.JobFailed, "error", firstFailed.Source+" "+firstFailed.Package+": "+because(firstFailed.Reason, "no error was told"))
	case unknown > 0:
		return Unknown, reason.New(reason.NoReport, "since", reason.Time(at))
	case n == 0 && !rescanned:
		return Failed, reason.New(reason.JobFailed, "error", "no scan came to an end")
	case ok == n:
		return Succeeded, finished
	case cancelled == n:
		return Cancelled, reason.New(reason.JobCancelled, "why", because(firstUnstarted.Reason, "nothing started"))
	case unstarted == n:
		return Expired, reason.New(reason.NotStarted, "why", because(firstUnstarted.Reason, "nothing started"))
	}
	return Deferred, finished
}

// known maps what this version does not know to unknown.
func known(r wire.ResultState) wire.ResultState {
	switch r {
	case wire.ResultVerified, wire.ResultInstalledUnverified, wire.ResultFailed, wire.ResultDeferred, wire.ResultNeedsUser,
		wire.ResultNotApplicable, wire.ResultSuperseded, wire.ResultNotStarted:
		return r
	}
	return wire.ResultUnknown
}
