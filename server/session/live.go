package session

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// ErrEnded is returned by every method of a session that has ended; Ended says
// why.
var ErrEnded = errors.New("the session has ended")

// Live is an open session. The device's messages come from one goroutine, in
// their order; Desired, Due, Ended and End may be called from others.
type Live struct {
	s       *Service
	ref     fleet.Ref
	key     [32]byte
	journal string
	number  uint64
	offset  time.Duration // to add to the device's clock

	ended atomic.Pointer[Goodbye]
	heard atomic.Int64 // Unix milliseconds of the last message
	rival rival        // guarded by Service.mu

	// Of the goroutine of the device's messages:
	through   uint64
	gap       uint64 // number of the last event that came after a gap
	inventory map[wire.Section]*bucket
	wants     map[wire.Section]want
	logJob    ident.JobID
	logBytes  int
	reports   bucket
	malformed bucket
	series    []seriesNumber // by rising id
	stored    stored

	mu      sync.Mutex
	desired desiredState
	hints   <-chan struct{}
	cancel  func()
}

// rival is another journal that came with the session's key while it was open.
type rival struct {
	journal string
	at      time.Time
}

// want is how far a section is that was asked for in full.
type want int

const (
	wantAsked want = 1 + iota // changes that were on the way do not add up and do not matter
	wantComes                 // its first part is there; what it takes is not held against the device
)

// Device names the session's device.
func (l *Live) Device() fleet.Ref { return l.ref }

// Ended is why the session ended, nil while it is open.
func (l *Live) Ended() *Goodbye { return l.ended.Load() }

// End ends the session, unless it has ended before. The door tells the device.
func (l *Live) End(g Goodbye) { l.ended.CompareAndSwap(nil, &g) }

// device looks the device up, and ends the session when it may have none.
func (l *Live) device() (fleet.Device, error) {
	if l.Ended() != nil {
		return fleet.Device{}, ErrEnded
	}
	d, ok := l.s.o.Fleet.ByKey(l.key)
	if !ok || d.Tenant != l.ref.Tenant || d.ID != l.ref.Device {
		l.End(unknown())
		return fleet.Device{}, ErrEnded
	}
	if bye := refusal(d); bye != nil {
		l.End(*bye)
		return fleet.Device{}, ErrEnded
	}
	return d, nil
}

// hear notes a message, for presence and the search for copies.
func (l *Live) hear(now time.Time) (fleet.Device, error) {
	d, err := l.device()
	if err == nil {
		l.heard.Store(now.UnixMilli())
		l.s.o.Fleet.Seen(now, l.ref.Tenant, l.ref.Device)
	}
	return d, err
}

// overLimit counts a refusal, and ends the session until the time is over.
func (l *Live) overLimit(limit string, after time.Duration, text string) error {
	l.s.count(limit)
	l.End(Goodbye{Code: ByeLimit, Message: text, RetryAfter: wholeSeconds(after)})
	return ErrEnded
}

// MayStart answers a device that asks whether a job may start.
func (l *Live) MayStart(ctx context.Context, now time.Time, id ident.JobID, attempt int) (job.Answer, error) {
	d, err := l.hear(now)
	if err != nil {
		return job.Answer{}, err
	}
	if !d.MayWork() {
		return job.Answer{Verdict: job.Wait, Reason: reason.New(reason.DeviceState, "state", string(d.State)), RetryAfter: time.Minute}, nil
	}
	var answer job.Answer
	err = l.s.tx(ctx, l.ref.Tenant, func(ctx context.Context) (err error) {
		answer, err = l.s.o.Jobs.MayStart(ctx, now, l.ref.Tenant, l.ref.Device, id, attempt)
		return err
	})
	return answer, err
}

// MayScan answers a device that asks whether a scan may use the network. This
// version always allows it.
func (l *Live) MayScan(now time.Time, _ string) (allowed bool, retryAfter time.Duration, err error) {
	_, err = l.hear(now)
	return err == nil, 0, err
}

// Close ends the session from the door's side. The device counts as offline
// when it has not come back within the grace.
func (l *Live) Close(now time.Time) {
	l.End(Goodbye{Code: ByeShutdown, Message: "the connection ended"})
	l.cancel()
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[l.ref] != l {
		return
	}
	delete(s.live, l.ref)
	s.leaving[l.ref] = now
	s.open.Dec()
}

// register makes l the device's one session; an older one ends.
func (s *Service) register(l *Live) {
	s.mu.Lock()
	old := s.live[l.ref]
	if old != nil && old.journal == l.journal && old.number > l.number {
		s.mu.Unlock()
		l.End(superseded())
		return
	}
	s.live[l.ref] = l
	delete(s.leaving, l.ref)
	if _, ok := s.hints[l.ref.Tenant]; !ok {
		slot, cancel := s.o.Wake.Subscribe(fleet.DevicesTopic(l.ref.Tenant))
		s.hints[l.ref.Tenant] = hint{slot, cancel}
	}
	if old == nil {
		s.open.Inc()
	}
	s.mu.Unlock()
	if old != nil {
		old.End(superseded())
	}
	l.device() // what changed while it was opened
}

func superseded() Goodbye {
	return Goodbye{Code: ByeSuperseded, Message: "a newer session of this device is open"}
}

func unknown() Goodbye {
	return Goodbye{Code: ByeUnknown, Message: "this server does not know the device: enroll it again", RetryAfter: time.Hour}
}

// refusal is the Goodbye for a device that may have no session, nil for others.
func refusal(d fleet.Device) *Goodbye {
	switch {
	case d.State == fleet.Retired:
		return &Goodbye{Code: ByeRetired, Reason: d.Reason, Message: d.Reason.Text(time.UTC), RetryAfter: 24 * time.Hour}
	case !d.MayConnect():
		return &Goodbye{Code: ByeRevoked, Reason: d.Reason, Message: d.Reason.Text(time.UTC), RetryAfter: 10 * time.Minute}
	}
	return nil
}

// spread is the device's own moment within a stretch of time.
func spread(device ident.DeviceID, over time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(device)) // never fails
	return time.Duration(h.Sum64() % uint64(over))
}
