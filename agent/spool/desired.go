package spool

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// record is a job that is held or runs.
type record struct {
	Key
	State      State      `json:"state"`
	AcceptedAt time.Time  `json:"accepted_at"`
	StartedAt  time.Time  `json:"started_at,omitzero"`
	Alone      bool       `json:"alone,omitempty"`
	Begun      []Release  `json:"begun,omitempty"`
	Results    []JobEvent `json:"results,omitempty"`
	CancelTold bool       `json:"cancel_told,omitempty"`
	LastSeq    uint64     `json:"last_seq"`
}

// spent is an attempt that ended here, or will never start here. It is kept so
// that nothing runs twice and nothing is told twice.
type spent struct {
	Key
	At         time.Time `json:"at"`
	Digest     []byte    `json:"digest,omitempty"` // of the lease; none when it never came
	Started    bool      `json:"started,omitempty"`
	CancelTold bool      `json:"cancel_told,omitempty"`
	ReplayTold bool      `json:"replay_told,omitempty"`
	LastSeq    uint64    `json:"last_seq"`
}

const (
	spentFor     = 60 * 24 * time.Hour // how long an attempt is remembered
	purgeEvery   = 24 * time.Hour
	maxJobID     = 128 // bytes
	maxSignature = 256 // bytes
	// What a server may make the journal grow by: no honest one comes near, at
	// hundreds of jobs a day that it acknowledges.
	maxSpent   = 20_000  // attempts that are remembered
	maxWaiting = 200_000 // events without an acknowledgement, for more to be added
)

// ApplyDesired journals what the server wants, in one transaction, and returns
// the version to acknowledge. A version that is not higher than the last one
// changes nothing. New leases are held and told as accepted; one with the key
// of an attempt that ended here is ignored, or refused as replayed when its
// bytes are others. Held leases that are no longer listed are dropped without
// a word. A cancel is told once: a held job will not start, a started one goes
// on, and one that never came will be ignored should it come.
func (j *Journal) ApplyDesired(at time.Time, d Desired) (version uint64, err error) {
	if err := checkDesired(d); err != nil {
		return 0, err
	}
	at = clean(at)
	err = j.update("desired", func(c *change) error {
		version = c.meta.DesiredVersion
		if d.Version <= c.meta.DesiredVersion {
			return nil
		}
		if err := c.purge(at); err != nil {
			return err
		}
		if waiting := c.meta.NextEvent - min(c.meta.NextEvent, c.meta.Acked); c.meta.Spent+len(d.Leases)+len(d.Cancels) > maxSpent || waiting > maxWaiting {
			return fmt.Errorf("journal: %d attempts are remembered and %d events wait: %w", c.meta.Spent, waiting, ErrLimit)
		}
		listed := map[Key]bool{}
		for _, x := range d.Cancels {
			if err := c.cancel(at, x.Key); err != nil {
				return err
			}
		}
		for _, l := range d.Leases {
			listed[l.Key] = true
			if err := c.hold(at, l); err != nil {
				return err
			}
		}
		if err := c.drop(func(k Key) bool { return !listed[k] }); err != nil {
			return err
		}
		c.meta.DesiredVersion, c.meta.Settings, version = d.Version, d.Settings, d.Version
		c.leases = true
		return nil
	})
	return version, err
}

// DropLeases drops held leases by their ids (job:attempt), as Welcome asks.
func (j *Journal) DropLeases(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	named := map[string]bool{}
	for _, id := range ids {
		named[id] = true
	}
	return j.update("drop", func(c *change) error {
		c.leases = true
		return c.drop(func(k Key) bool { return named[k.String()] })
	})
}

func checkDesired(d Desired) error {
	if len(d.Leases) > wire.MaxLeases {
		return fmt.Errorf("journal: %d leases, at most %d: %w", len(d.Leases), wire.MaxLeases, ErrLimit)
	}
	keys := make([]Key, 0, len(d.Leases)+len(d.Cancels))
	for _, l := range d.Leases {
		keys = append(keys, l.Key)
		if len(l.Bytes) > wire.MaxJob || len(l.Signature) > maxSignature {
			return fmt.Errorf("journal: lease %s: job of %d bytes, signature of %d: %w", l.Key, len(l.Bytes), len(l.Signature), ErrLimit)
		}
	}
	for _, x := range d.Cancels {
		keys = append(keys, x.Key)
	}
	for _, k := range keys {
		if k.JobID == "" || len(k.JobID) > maxJobID || cut(k.JobID) != k.JobID {
			return fmt.Errorf("journal: job id of %d bytes, want 1 to %d of UTF-8: %w", len(k.JobID), maxJobID, ErrLimit)
		}
	}
	return nil
}

// hold takes a new lease in.
func (c *change) hold(at time.Time, l Lease) error {
	key, digest := l.Key.String(), digestOf(l)
	if s, was, err := read[spent](c, bucketSpent, key); err != nil || was {
		if err != nil || s.Digest == nil || string(s.Digest) == string(digest) || s.ReplayTold {
			return err
		}
		s.ReplayTold = true
		s.LastSeq, err = c.append(at, Event{Job: &JobEvent{
			Key: l.Key, Step: StepRefused, Code: string(wire.RefusedReplayed),
			Detail: "this attempt ended here and came again with other contents",
		}})
		if err != nil {
			return err
		}
		return write(c, bucketSpent, key, s)
	}
	if _, is, err := read[record](c, bucketJobs, key); err != nil || is {
		return err // the first bytes count: they are what was accepted
	}
	seq, err := c.append(at, Event{Job: &JobEvent{Key: l.Key, Step: StepAccepted}})
	if err != nil {
		return err
	}
	if err := write(c, bucketLeases, key, l); err != nil {
		return err
	}
	return write(c, bucketJobs, key, record{Key: l.Key, State: StateAccepted, AcceptedAt: at, LastSeq: seq})
}

// cancel journals one cancel, and tells it once.
func (c *change) cancel(at time.Time, k Key) error {
	key := k.String()
	s, was, err := read[spent](c, bucketSpent, key)
	if err != nil || was && s.CancelTold {
		return err
	}
	r, is, err := read[record](c, bucketJobs, key)
	if err != nil || is && r.CancelTold {
		return err
	}
	started := is && r.State != StateAccepted || was && s.Started
	seq, err := c.append(at, Event{Job: &JobEvent{Key: k, Step: StepCancelJournaled, AlreadyStarted: started}})
	if err != nil {
		return err
	}
	switch {
	case is && started:
		r.CancelTold, r.LastSeq = true, seq
		return write(c, bucketJobs, key, r)
	case is:
		return c.spend(at, r, spent{CancelTold: true, LastSeq: seq})
	}
	if !was {
		s = spent{Key: k, At: at}
		c.meta.Spent++
	}
	s.CancelTold, s.LastSeq = true, seq
	return write(c, bucketSpent, key, s)
}

// drop removes held jobs that match, without a word.
func (c *change) drop(match func(Key) bool) error {
	var gone []record
	err := scan(c, bucketJobs, "", func(_ string, r record) (bool, error) {
		if r.State == StateAccepted && match(r.Key) {
			gone = append(gone, r)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, r := range gone {
		if err := c.remove(r.Key); err != nil {
			return err
		}
	}
	return nil
}

// spend ends a job: its key is remembered, its lease is gone.
func (c *change) spend(at time.Time, r record, s spent) error {
	l, had, err := read[Lease](c, bucketLeases, r.Key.String())
	if err != nil {
		return err
	}
	s.Key, s.At, s.Started, s.CancelTold = r.Key, at, r.State != StateAccepted, s.CancelTold || r.CancelTold
	if had {
		s.Digest = digestOf(l)
	}
	c.meta.Spent++
	if err := c.remove(r.Key); err != nil {
		return err
	}
	return write(c, bucketSpent, r.Key.String(), s)
}

func (c *change) remove(k Key) error {
	if err := c.delete(bucketLeases, k.String()); err != nil {
		return err
	}
	return c.delete(bucketJobs, k.String())
}

// purge forgets, once a day, attempts that ended long ago and are told.
func (c *change) purge(at time.Time) error {
	if at.Sub(c.meta.PurgedAt) < purgeEvery && !at.Before(c.meta.PurgedAt) {
		return nil
	}
	c.meta.PurgedAt = at
	var old []string
	err := scan(c, bucketSpent, "", func(key string, s spent) (bool, error) {
		if at.Sub(s.At) > spentFor && s.LastSeq <= c.meta.Acked {
			old = append(old, key)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, key := range old {
		if err := c.delete(bucketSpent, key); err != nil {
			return err
		}
	}
	c.meta.Spent = max(0, c.meta.Spent-len(old)) // a journal of an earlier agent did not count
	return nil
}

// shiftJobs follows a renumbering of the events.
func (c *change) shiftJobs(by uint64) error {
	jobs, ended := map[string]record{}, map[string]spent{}
	err := scan(c, bucketJobs, "", func(key string, r record) (bool, error) {
		r.LastSeq -= min(by, r.LastSeq)
		jobs[key] = r
		return true, nil
	})
	if err != nil {
		return err
	}
	err = scan(c, bucketSpent, "", func(key string, s spent) (bool, error) {
		s.LastSeq -= min(by, s.LastSeq)
		ended[key] = s
		return true, nil
	})
	if err != nil {
		return err
	}
	for key, r := range jobs {
		if err := write(c, bucketJobs, key, r); err != nil {
			return err
		}
	}
	for key, s := range ended {
		if err := write(c, bucketSpent, key, s); err != nil {
			return err
		}
	}
	return nil
}

func digestOf(l Lease) []byte {
	sum := sha256.Sum256(l.Bytes)
	return sum[:]
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.JobID, b.JobID), cmp.Compare(a.Attempt, b.Attempt))
}
