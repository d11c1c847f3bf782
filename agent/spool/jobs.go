package spool

import (
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Held returns the leases that have not started, in order of their keys.
func (j *Journal) Held() (held []Held, err error) {
	err = j.b.view(func(t tx) error {
		return eachJob(t, func(r record, l Lease) {
			if r.State == StateAccepted {
				held = append(held, Held{l, r.AcceptedAt})
			}
		})
	})
	slices.SortFunc(held, func(a, b Held) int { return compareKeys(a.Key, b.Key) })
	return held, err
}

// Unfinished returns the jobs that started and have not ended, in the order of
// their start.
func (j *Journal) Unfinished() (jobs []Unfinished, err error) {
	err = j.b.view(func(t tx) error {
		return eachJob(t, func(r record, l Lease) {
			if r.State != StateAccepted {
				jobs = append(jobs, Unfinished{
					Lease: l, State: r.State, Alone: r.Alone, StartedAt: r.StartedAt, Begun: r.Begun, Results: r.Results,
				})
			}
		})
	})
	slices.SortFunc(jobs, func(a, b Unfinished) int { return a.StartedAt.Compare(b.StartedAt) })
	return jobs, err
}

// LeaseIDs returns the ids (job:attempt) of the leases that are held or run,
// in order, for Hello.
func (j *Journal) LeaseIDs() (ids []string, err error) {
	err = j.b.view(func(t tx) error {
		return eachJob(t, func(r record, _ Lease) { ids = append(ids, r.Key.String()) })
	})
	slices.Sort(ids)
	return ids, err
}

func eachJob(t tx, fn func(record, Lease)) error {
	return scan(t, bucketJobs, "", func(key string, r record) (bool, error) {
		l, ok, err := read[Lease](t, bucketLeases, key)
		if err == nil && !ok {
			err = fmt.Errorf("journal: %w: job %s without its lease", ErrCorrupt, key)
		}
		if err != nil {
			return false, err
		}
		fn(r, l)
		return true, nil
	})
}

// Spent reports whether an attempt ended here, or was cancelled here, within
// the last 60 days: it must not run.
func (j *Journal) Spent(k Key) (spentHere bool, err error) {
	err = j.b.view(func(t tx) (err error) {
		_, spentHere, err = read[spent](t, bucketSpent, k.String())
		return err
	})
	return spentHere, err
}

// Refuse ends a held job that will not start, and says why. ErrNotHeld when it
// is not held any more.
func (j *Journal) Refuse(at time.Time, k Key, code wire.Refusal, detail string) error {
	at = clean(at)
	return j.update("refuse", func(c *change) error {
		r, err := c.held(k)
		if err != nil {
			return err
		}
		seq, err := c.append(at, Event{Job: &JobEvent{Key: k, Step: StepRefused, Code: string(code), Detail: cut(detail)}})
		if err != nil {
			return err
		}
		return c.spend(at, r, spent{LastSeq: seq})
	})
}

// Start journals that a held job starts: the point of no return. After nil it
// is never held again, whatever happens; ErrNotHeld means that a cancel or a
// drop came first, and nothing may be done for it.
func (j *Journal) Start(at time.Time, k Key, alone bool) error {
	at = clean(at)
	return j.update("start", func(c *change) error {
		r, err := c.held(k)
		if err != nil {
			return err
		}
		r.LastSeq, err = c.append(at, Event{Job: &JobEvent{Key: k, Step: StepStarted, Alone: alone}})
		if err != nil {
			return err
		}
		r.State, r.StartedAt, r.Alone = StateStarted, at, alone
		return write(c, bucketJobs, k.String(), r)
	})
}

// Tell appends a step of a running job: progress, result or log. A second
// result of the same release is not told. The first word about a release notes
// it as begun, a result as ended; texts are cut to the limits of the protocol.
func (j *Journal) Tell(at time.Time, e JobEvent) error {
	switch {
	case e.Step != StepProgress && e.Step != StepResult && e.Step != StepLog:
		return fmt.Errorf("journal: step %q of job %s has a method of its own", e.Step, e.Key)
	case len(e.Text) > wire.MaxStepLog:
		return fmt.Errorf("journal: log of %d bytes in one part of job %s: %w", len(e.Text), e.Key, ErrLimit)
	}
	for _, s := range []*string{&e.Source, &e.Package, &e.From, &e.To, &e.Code, &e.Detail} {
		*s = cut(*s)
	}
	return j.update("tell_"+string(e.Step), func(c *change) error {
		r, err := c.running(e.Key)
		if err != nil {
			return err
		}
		release := Release{e.Source, e.Package}
		if e.Step == StepResult {
			if slices.ContainsFunc(r.Results, func(o JobEvent) bool { return release == Release{o.Source, o.Package} }) {
				return nil
			}
			r.Results = append(r.Results, e)
		}
		if !slices.Contains(r.Begun, release) {
			r.Begun = append(r.Begun, release)
		}
		if r.LastSeq, err = c.append(at, Event{Job: &e}); err != nil {
			return err
		}
		return write(c, bucketJobs, e.Key.String(), r)
	})
}

// Rebooting journals that the machine restarts for a running job, and counts
// the reboot.
func (j *Journal) Rebooting(at time.Time, k Key) error {
	at = clean(at)
	return j.update("rebooting", func(c *change) error {
		r, err := c.running(k)
		if err != nil {
			return err
		}
		r.State = StateRebooting
		if err := c.purgeReboots(at); err != nil {
			return err
		}
		if err := write(c, bucketReboots, secondKey(at), reboot{Job: k}); err != nil {
			return err
		}
		return write(c, bucketJobs, k.String(), r)
	})
}

// Finish ends a running job. rescanned: its results rest on a scan afterwards;
// repaired: a crash in the middle was repaired.
func (j *Journal) Finish(at time.Time, k Key, rescanned, repaired bool) error {
	at = clean(at)
	return j.update("finish", func(c *change) error {
		r, err := c.running(k)
		if err != nil {
			return err
		}
		seq, err := c.append(at, Event{Job: &JobEvent{Key: k, Step: StepFinished, Rescanned: rescanned, Repaired: repaired}})
		if err != nil {
			return err
		}
		c.leases = true
		return c.spend(at, r, spent{LastSeq: seq})
	})
}

func (c *change) held(k Key) (record, error) {
	r, ok, err := read[record](c, bucketJobs, k.String())
	if err == nil && (!ok || r.State != StateAccepted) {
		err = fmt.Errorf("journal: job %s: %w", k, ErrNotHeld)
	}
	return r, err
}

func (c *change) running(k Key) (record, error) {
	r, ok, err := read[record](c, bucketJobs, k.String())
	if err == nil && (!ok || r.State == StateAccepted) {
		err = fmt.Errorf("journal: job %s: %w", k, ErrNotStarted)
	}
	return r, err
}
