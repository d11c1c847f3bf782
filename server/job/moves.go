package job

import (
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/reason"
)

// grantLife is how long a grant holds its slot on a device in contact that
// does not tell of a start: it journals a start in far less.
const grantLife = 10 * time.Minute

// moves are the legal changes of a job's state; every other end is final. A
// refused lease ends leased → failed, expired or cancelled; running → queued
// and unknown → queued are further attempts.
var moves = map[State][]State{
	"":             {Queued, NeedsAgreement},
	Queued:         {NeedsAgreement, Leased, Expired, Cancelled},
	NeedsAgreement: {Queued, Expired, Cancelled},
	Leased:         {Running, Cancelling, Failed, Expired, Cancelled, Unknown},
	Running:        {Queued, Succeeded, Failed, Deferred, Expired, Cancelled, Unknown},
	Cancelling:     {Running, Cancelled, Unknown},
	Unknown:        {Queued, Succeeded, Failed, Deferred, Expired, Cancelled},
}

// MayMove reports whether the state machine has the step.
func MayMove(from, to State) bool { return slices.Contains(moves[from], to) }

// Move returns the job in its new state, the one way to get there, or
// fault.Conflict when the state machine has no such step.
func (j Job) Move(to State, why reason.Reason, now time.Time) (Job, error) {
	if !MayMove(j.State, to) {
		return j, fault.Conflictf("job %s is %s and cannot become %s", j.ID, j.State, to)
	}
	if j.State == Running && to == Queued || j.State == Unknown && to == Queued {
		j = j.again()
	}
	j.State, j.Reason, j.Since = to, why, now
	j.Seq++
	if to.Final() && j.FinishedAt.IsZero() {
		j.FinishedAt = now
	}
	return j, nil
}

// again is the job before its next attempt: what is done stays done.
func (j Job) again() Job {
	j.Attempt++
	j.Encoded, j.Signature, j.KeyVersion = nil, nil, 0
	j.LeasedAt, j.GrantedAt, j.StartedAt, j.FinishedAt, j.HeardAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	j.Releases = slices.Clone(j.Releases)
	for i, r := range j.Releases {
		if !done(r.Result) {
			j.Releases[i] = Release{Deployment: r.Deployment, Source: r.Source, Package: r.Package, From: r.From, Version: r.Version, Expected: r.Expected}
		}
	}
	return j
}

// done reports whether nothing is left to do for a release.
func done(r wire.ResultState) bool {
	switch r {
	case wire.ResultVerified, wire.ResultInstalledUnverified, wire.ResultNotApplicable, wire.ResultSuperseded:
		return true
	}
	return false
}

// MayHaveStarted reports whether the device may have begun the present attempt
// for all that the server knows: it said so, it was let, or its lease needs no
// word. Such a job never ends by the clock alone, it only becomes unknown.
func (j Job) MayHaveStarted() bool {
	return !j.StartedAt.IsZero() || !j.GrantedAt.IsZero() || j.Alone && !j.LeasedAt.IsZero()
}

// HoldsSlot reports whether the job counts against a limit of devices at once.
// online says whether the device is in contact: then what it started is told
// in moments, else a grant holds its slot as long as an alone lease does.
func (j Job) HoldsSlot(now time.Time, online bool) bool {
	switch j.State {
	case Running:
		return true
	case Leased, Cancelling, Unknown:
	default:
		return false
	}
	shut := now.After(j.AloneUntil())
	switch {
	case !j.MayHaveStarted() || shut:
		return false
	case j.Alone || !online || !j.StartedAt.IsZero():
		return true
	}
	return now.Before(j.GrantedAt.Add(grantLife))
}

// DueAt is when RunOnce has to look at the job, zero for never.
func (j Job) DueAt() time.Time {
	switch j.State {
	case Queued, NeedsAgreement:
		return j.StartBy
	case Leased, Cancelling, Running:
		if !j.MayHaveStarted() && j.State != Running {
			return j.StartBy.Add(wire.LeaseGrace)
		}
		last := j.Deadline
		if j.HeardAt.After(last) {
			last = j.HeardAt
		}
		return last.Add(wire.UnknownAfter)
	}
	return time.Time{}
}

// change is a job in the making: what one decision leaves, written at once.
type change struct {
	Job
	was      Job // as it was loaded
	dirty    bool
	releases map[int]bool // places in Releases that changed
	moved    []moved
}

// moved is one line of the history to come, with the job as it was then.
type moved struct {
	from State
	job  Job
}

func begin(j Job) *change {
	was := j
	j.Releases = slices.Clone(j.Releases)
	return &change{Job: j, was: was, releases: map[int]bool{}}
}

// move makes a legal step.
func (c *change) move(to State, why reason.Reason, now time.Time) error {
	from := c.State
	next, err := c.Move(to, why, now)
	if err != nil {
		return err
	}
	if next.Attempt != c.Attempt {
		for i := range next.Releases {
			c.releases[i] = true
		}
	}
	c.Job = next
	c.note(from)
	return nil
}

func (c *change) note(from State) {
	c.dirty = true
	snapshot := c.Job
	snapshot.Releases = slices.Clone(c.Releases)
	c.moved = append(c.moved, moved{from, snapshot})
}

// end ends the job; releases without a result get the given one.
func (c *change) end(to State, why reason.Reason, rest wire.ResultState, now time.Time) error {
	for i, r := range c.Releases {
		if r.Result != "" {
			continue
		}
		because := reason.New(reason.NotStarted, "why", sentence(why))
		if rest == wire.ResultUnknown {
			because = reason.New(reason.NoReport, "since", reason.Time(now))
		}
		c.Releases[i].Result, c.Releases[i].Reason, c.Releases[i].EndedAt = rest, because, now
		c.releases[i] = true
	}
	return c.move(to, why, now)
}

// wait stores why the job still waits. A line of history is written only when
// the code changes: numbers and times in it change with every look.
func (c *change) wait(why reason.Reason) {
	if c.Reason.Encode() == why.Encode() {
		return
	}
	c.dirty = true
	if c.Reason.Code == why.Code {
		c.Reason = why
		return
	}
	c.Reason = why
	c.Seq++
	c.note(c.State)
}
