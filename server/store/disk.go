package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// diskEvery is how often the free space is looked at.
const diskEvery = 10 * time.Second

// DiskState says how the disk of the data directory is doing.
type DiskState struct {
	Low            bool      // samples are refused
	Full           bool      // a write of state failed for lack of space since the last recovery
	Reserve        bool      // the reserve file is in place
	Free           int64     // bytes free at the last look; -1 is unknown
	Since          time.Time // when Low began; zero when not Low
	SamplesRefused int64     // transactions of samples refused since the start
}

// disk keeps the reserve and decides when samples stop. Samples stop while the
// free space is below twice the reserve; when state itself meets a full disk
// the reserve is given up, which leaves room to write what matters.
type disk struct {
	opts    Options
	dir     string // empty: nothing is watched
	reserve int64

	mu     sync.Mutex
	looked time.Time
	state  DiskState
}

func openDisk(dir string, opts Options) (*disk, error) {
	d := &disk{opts: opts, dir: dir, state: DiskState{Free: -1}}
	if !opts.Exclusive || opts.Reserve < 0 {
		return d, nil
	}
	d.reserve = opts.Reserve
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(opts.Now())
	return d, nil
}

// DiskState returns the state of the data directory's disk.
func (s *Store) DiskState() DiskState {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.look(s.opts.Now())
	return s.disk.state
}

// look measures at most every diskEvery, and puts the reserve back when there
// is room again. The caller holds mu.
func (d *disk) look(now time.Time) {
	if d.dir == "" || d.reserve == 0 || (!d.looked.IsZero() && now.Sub(d.looked) < diskEvery) {
		return
	}
	d.looked = now
	free, err := freeBytes(d.dir)
	if err != nil {
		d.opts.Logger.Warn("free space of the data directory is unknown", "error", err)
		d.state.Free = -1
		return
	}
	d.state.Free = free
	path := filepath.Join(d.dir, reserveFile)
	info, err := os.Stat(path)
	d.state.Reserve = err == nil && info.Size() == d.reserve
	if !d.state.Reserve && free > 4*d.reserve {
		err := writeReserve(path, d.reserve)
		if err != nil {
			d.opts.Logger.Warn("the reserve of the data directory cannot be written", "error", err)
		}
		d.state.Reserve = err == nil
		d.state.Full = false
	}
	d.setLow(d.state.Full || free < 2*d.reserve, now)
}

func (d *disk) setLow(low bool, now time.Time) {
	if low == d.state.Low {
		return
	}
	d.state.Low, d.state.Since = low, time.Time{}
	if low {
		d.state.Since = now
		d.opts.Logger.Error("disk nearly full: samples are no longer stored", "dir", d.dir, "free", d.state.Free)
		return
	}
	d.opts.Logger.Info("disk has room again: samples are stored", "dir", d.dir, "free", d.state.Free)
}

// stateFailed is told of each error of the main database. It reports whether
// space was freed, so that the failed transactions may run again.
func (d *disk) stateFailed(err error) bool {
	if !isFull(err) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.opts.Now()
	d.state.Full = true
	d.setLow(true, now)
	if !d.state.Reserve {
		return false
	}
	d.state.Reserve = false
	if err := os.Remove(filepath.Join(d.dir, reserveFile)); err != nil {
		d.opts.Logger.Error("the reserve of the data directory cannot be freed", "error", err)
		return false
	}
	d.looked = now // do not take the room back at once
	d.opts.Logger.Error("disk full: the reserve is given up so that state can be written", "dir", d.dir, "bytes", d.reserve)
	d.opts.Hook("reserve.freed")
	return true
}

// samplesFailed is told of each error of the file of samples; samples have no
// reserve.
func (d *disk) samplesFailed(err error) bool {
	if !isFull(err) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = d.opts.Now()
	d.setLow(true, d.looked)
	return false
}

// admitSamples refuses samples while the disk is low.
func (d *disk) admitSamples() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(d.opts.Now())
	if !d.state.Low {
		return nil
	}
	d.state.SamplesRefused++
	return fault.New(fault.Unavailable, "the server's disk is nearly full: samples are not stored").
		WithNext("free space in the data directory")
}

// writeReserve writes zeros rather than leaving a hole: a hole takes no space.
func writeReserve(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		size -= int64(n)
	}
	return nil
}
