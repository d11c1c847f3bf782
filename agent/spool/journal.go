package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Options of a journal. The zero value is right for an agent.
type Options struct {
	// Hook is called between any two durable steps with the point's name; tests
	// kill the process there.
	Hook func(point string)
	// ReserveBytes is the size of the file that keeps room for job events;
	// 1 MiB when zero.
	ReserveBytes int64
	// MaxReportBytes bounds the reports that wait; wire.MaxSpoolBytes when zero.
	MaxReportBytes int
}

func (o Options) withDefaults() Options {
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 1 << 20
	}
	if o.MaxReportBytes == 0 {
		o.MaxReportBytes = wire.MaxSpoolBytes
	}
	return o
}

// FileName of the journal in the agent's data directory; a damaged one is kept
// beside it, the last one only.
const (
	FileName   = "journal.db"
	brokenName = "journal.db.broken"
)

// Journal is the agent's durable memory. Its methods may be called from
// several goroutines; each is one transaction, kept when it returns nil.
type Journal struct {
	b        backend
	o        Options
	setAside string
	lost     atomic.Uint64 // reports dropped since the count was last stored

	events, reports, leases chan struct{}
}

// format is the version of what the buckets mean.
const format = 1

// meta is the one value of bucketMeta.
type meta struct {
	Format          int       `json:"format"`
	ID              string    `json:"id"`
	Session         uint64    `json:"session"`
	Epoch           string    `json:"epoch,omitempty"`
	Anchor          Anchor    `json:"anchor,omitzero"`
	DesiredVersion  uint64    `json:"desired_version"`
	Settings        Settings  `json:"settings,omitzero"`
	NextEvent       uint64    `json:"next_event"` // the number that the next event gets
	Acked           uint64    `json:"acked"`      // the highest number acknowledged
	UnsentInventory int       `json:"unsent_inventory"`
	ReportBytes     int       `json:"report_bytes"`
	ReportsDropped  uint64    `json:"reports_dropped"`
	NextSeries      uint64    `json:"next_series"`
	PurgedAt        time.Time `json:"purged_at,omitzero"`
	Spent           int       `json:"spent,omitempty"` // attempts that are remembered, about
}

const metaKey = "meta"

// Open opens the journal in a directory, which it makes when it is missing. A
// damaged journal is set aside (see SetAside) and a new one, with a new ID,
// takes its place. A journal of a newer agent is refused.
func Open(dir string, o Options) (*Journal, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: make its directory: %w", err)
	}
	path := filepath.Join(dir, FileName)
	j, err := openJournal(path, o)
	if !errors.Is(err, ErrCorrupt) {
		return j, err
	}
	broken := filepath.Join(dir, brokenName)
	if err := os.Rename(path, broken); err != nil {
		return nil, fmt.Errorf("journal: set the damaged one aside: %w", err)
	}
	o.Hook("open.setaside")
	if j, err = openJournal(path, o); err != nil {
		return nil, err
	}
	j.setAside = broken
	return j, nil
}

func openJournal(path string, o Options) (*Journal, error) {
	b, err := openBolt(path, o)
	if err != nil {
		return nil, err
	}
	j, err := newJournal(b, o)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return j, nil
}

// NewMemory makes a journal that forgets everything when it is dropped.
func NewMemory(o Options) (*Journal, error) {
	o = o.withDefaults()
	return newJournal(newMemory(o.Hook), o)
}

func newJournal(b backend, o Options) (*Journal, error) {
	j := &Journal{
		b: b, o: o,
		events: make(chan struct{}, 1), reports: make(chan struct{}, 1), leases: make(chan struct{}, 1),
	}
	var m meta
	var had bool
	err := b.view(func(t tx) (err error) {
		m, had, err = read[meta](t, bucketMeta, metaKey)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case had && (m.Format < 1 || m.ID == "" || m.NextEvent == 0 || m.Acked >= m.NextEvent):
		return nil, fmt.Errorf("journal: %w: its head makes no sense", ErrCorrupt)
	case had:
		return j, nil
	}
	err = b.update("create", func(t tx) error {
		return write(t, bucketMeta, metaKey, meta{Format: format, ID: newID(), NextEvent: 1})
	})
	if err != nil {
		return nil, err
	}
	return j, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// Close ends the use of the journal.
func (j *Journal) Close() error { return j.b.close() }

// SetAside returns where Open put a damaged journal, "" when there was none.
func (j *Journal) SetAside() string { return j.setAside }

// EventsWake, ReportsWake and LeasesWake are one-slot hints that there may be
// new events to send, reports to send, or leases to look at. Each has one
// reader; a lost hint costs one poll.
func (j *Journal) EventsWake() <-chan struct{} { return j.events }

// ReportsWake: see EventsWake.
func (j *Journal) ReportsWake() <-chan struct{} { return j.reports }

// LeasesWake: see EventsWake.
func (j *Journal) LeasesWake() <-chan struct{} { return j.leases }

func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// change is an update under way: the transaction, the head, and whom to wake.
type change struct {
	tx
	meta                    meta
	events, reports, leases bool
}

// update runs one transaction over the head and the buckets. When the disk is
// full it gives the reserve free, then drops reports, which makes room inside
// of the file, and tries again.
func (j *Journal) update(point string, fn func(*change) error) error {
	c, err := j.try(point, fn)
	if errors.Is(err, ErrFull) {
		if j.b.release() {
			j.o.Hook("reserve.released")
			c, err = j.try(point, fn)
		}
		if shed := j.shedReports(); shed == nil && errors.Is(err, ErrFull) {
			c, err = j.try(point, fn)
		}
	}
	if err != nil {
		return err
	}
	j.wake(c)
	return nil
}

func (j *Journal) try(point string, fn func(*change) error) (*change, error) {
	var c *change
	err := j.b.update(point, func(t tx) error {
		m, ok, err := read[meta](t, bucketMeta, metaKey)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("journal: %w: its head is gone", ErrCorrupt)
		}
		c = &change{tx: t, meta: m}
		if err := fn(c); err != nil {
			return err
		}
		if c.meta == m {
			return nil
		}
		return write(t, bucketMeta, metaKey, c.meta)
	})
	return c, err
}

func (j *Journal) wake(c *change) {
	for _, w := range []struct {
		on bool
		to chan struct{}
	}{{c.events, j.events}, {c.reports, j.reports}, {c.leases, j.leases}} {
		if w.on {
			hint(w.to)
		}
	}
}

// head reads the head alone.
func (j *Journal) head() (m meta, err error) {
	err = j.b.view(func(t tx) (err error) {
		m, _, err = read[meta](t, bucketMeta, metaKey)
		return err
	})
	return m, err
}

// clean strips what JSON would not bring back from a time.
func clean(t time.Time) time.Time { return t.Round(0).UTC() }
