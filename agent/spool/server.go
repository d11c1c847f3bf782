package spool

import (
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// ID returns the journal's id: random, made with it, changed by Renumber only.
func (j *Journal) ID() (string, error) {
	m, err := j.head()
	return m.ID, err
}

// NextSession counts one more session, durably, and returns its number.
func (j *Journal) NextSession() (number uint64, err error) {
	err = j.update("session", func(c *change) error {
		c.meta.Session++
		number = c.meta.Session
		return nil
	})
	return number, err
}

// Server returns what is known of the server.
func (j *Journal) Server() (Server, error) {
	m, err := j.head()
	return Server{Epoch: m.Epoch, Anchor: m.Anchor, DesiredVersion: m.DesiredVersion, Settings: m.Settings}, err
}

// Welcome records what a Welcome says of the server: its epoch and its time. A
// new epoch is a restored server, which counts versions anew and knows no
// section: the desired version is zero again and every section is told in full
// at its next chance.
func (j *Journal) Welcome(epoch string, a Anchor) error {
	a.Server = clean(a.Server)
	return j.update("welcome", func(c *change) error {
		if c.meta.Epoch != "" && c.meta.Epoch != epoch {
			c.meta.DesiredVersion = 0
			if err := c.forgetAll(); err != nil {
				return err
			}
		}
		c.meta.Epoch, c.meta.Anchor = epoch, a
		return nil
	})
}

// Renumber gives the journal a new id and counts its unacknowledged events
// from 1 again. It is the way out of ErrBehind: the machine was set back to an
// older image, and numbers it would use are taken.
func (j *Journal) Renumber() error {
	return j.update("renumber", func(c *change) error {
		var kept []Event
		err := scan(c, bucketEvents, "", func(_ string, e Event) (bool, error) {
			kept = append(kept, e)
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, e := range kept {
			if err := c.delete(bucketEvents, numberKey(e.Seq)); err != nil {
				return err
			}
		}
		shift := c.meta.Acked
		for _, e := range kept {
			e.Seq -= shift
			if err := write(c, bucketEvents, numberKey(e.Seq), e); err != nil {
				return err
			}
		}
		c.meta.ID, c.meta.Acked, c.meta.NextEvent = newID(), 0, c.meta.NextEvent-shift
		c.meta.Session, c.meta.DesiredVersion, c.events = 0, 0, true
		if err := c.shiftJobs(shift); err != nil {
			return err
		}
		return c.forgetAll()
	})
}

// Events returns at most limit events from a number on, in order. The first
// may be higher than asked for when lower ones are acknowledged.
func (j *Journal) Events(from uint64, limit int) (events []Event, err error) {
	err = j.b.view(func(t tx) error {
		return scan(t, bucketEvents, numberKey(from), func(_ string, e Event) (bool, error) {
			if len(events) == limit {
				return false, nil
			}
			events = append(events, e)
			return len(events) < limit, nil
		})
	})
	return events, err
}

// EventRange returns the number of the first event that is not acknowledged and
// the number that the next new event will have; they are equal when there is
// nothing to send.
func (j *Journal) EventRange() (first, next uint64, err error) {
	m, err := j.head()
	return m.Acked + 1, m.NextEvent, err
}

// Acknowledge drops all events up to a number: the server stored them. Sections
// whose change is among them count as confirmed. Lower numbers than before are
// harmless; a number that this journal never gave is ErrBehind.
func (j *Journal) Acknowledge(through uint64) error {
	if m, err := j.head(); err != nil || through <= m.Acked {
		return err
	}
	return j.update("acknowledge", func(c *change) error {
		if through >= c.meta.NextEvent {
			return fmt.Errorf("journal: acknowledge %d, the last event is %d: %w", through, c.meta.NextEvent-1, ErrBehind)
		}
		if through <= c.meta.Acked {
			return nil
		}
		var drop []string
		err := scan(c, bucketEvents, "", func(key string, e Event) (bool, error) {
			if e.Seq > through {
				return false, nil
			}
			drop = append(drop, key)
			return true, c.confirm(e)
		})
		if err != nil {
			return err
		}
		for _, key := range drop {
			if err := c.delete(bucketEvents, key); err != nil {
				return err
			}
		}
		c.meta.Acked = through
		return nil
	})
}

// confirm notes what the acknowledgement of one event confirms.
func (c *change) confirm(e Event) error {
	if e.Inventory == nil {
		return nil
	}
	c.meta.UnsentInventory = max(0, c.meta.UnsentInventory-1)
	if !e.Inventory.Final {
		return nil
	}
	return write(c, bucketConfirmed, string(e.Inventory.Section), confirmation{Hash: e.Inventory.Hash})
}

// append adds an event with the next number and returns the number.
func (c *change) append(at time.Time, e Event) (uint64, error) {
	e.Seq, e.At = c.meta.NextEvent, clean(at)
	c.meta.NextEvent++
	c.events = true
	if e.Inventory != nil {
		c.meta.UnsentInventory++
	}
	return e.Seq, write(c, bucketEvents, numberKey(e.Seq), e)
}

// Confirmed returns the hashes of the sections that the server confirmed, in
// order of their names, for Hello.
func (j *Journal) Confirmed() (hashes []SectionHash, err error) {
	err = j.b.view(func(t tx) error {
		return scan(t, bucketConfirmed, "", func(key string, v confirmation) (bool, error) {
			hashes = append(hashes, SectionHash{wire.Section(key), v.Hash})
			return true, nil
		})
	})
	return hashes, err
}

// Unconfirmed returns the jobs whose events are not all acknowledged, in order
// of their keys, for Hello.
func (j *Journal) Unconfirmed() (jobs []JobState, err error) {
	err = j.b.view(func(t tx) error {
		m, _, err := read[meta](t, bucketMeta, metaKey)
		if err != nil {
			return err
		}
		err = scan(t, bucketJobs, "", func(_ string, r record) (bool, error) {
			if r.LastSeq > m.Acked {
				jobs = append(jobs, JobState{r.Key, r.State})
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		return scan(t, bucketSpent, "", func(_ string, s spent) (bool, error) {
			if s.LastSeq > m.Acked {
				jobs = append(jobs, JobState{s.Key, StateFinished})
			}
			return true, nil
		})
	})
	slices.SortFunc(jobs, func(a, b JobState) int { return compareKeys(a.Key, b.Key) })
	return jobs, err
}
