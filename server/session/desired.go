package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/job"
)

// desiredState is what was told of the desired state in this session.
type desiredState struct {
	sent uint64    // version
	due  time.Time // when to look again without a hint
	busy bool      // somebody looks
}

// settings are those of every device in this version.
func settings() Settings {
	return Settings{ReportInterval: wire.DefaultReportInterval, ScanInterval: 8 * time.Hour}
}

// Due reports whether Desired should be asked: there was a hint, or the time
// has come. It is quick, and says so once.
func (l *Live) Due(now time.Time) bool {
	if l.Ended() != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.hints:
		l.desired.due = now
	default:
	}
	if now.Before(l.desired.due) || l.desired.busy {
		return false
	}
	l.desired.busy = true
	return true
}

// Desired composes what the server wants of the device. changed is false when
// the device has it already. The version rises only when the content changed.
func (l *Live) Desired(ctx context.Context, now time.Time) (d Desired, changed bool, err error) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.desired.busy = false
		l.desired.due = now.Add(l.s.o.Poll/2 + spread(l.ref.Device, l.s.o.Poll))
		if err != nil {
			l.desired.due = now.Add(5 * time.Second)
		} else if changed {
			l.desired.sent = d.Version
		}
	}()
	device, err := l.device()
	if err != nil {
		return Desired{}, false, err
	}
	l.mu.Lock()
	sent := l.desired.sent
	l.mu.Unlock()
	err = l.s.tx(ctx, l.ref.Tenant, func(ctx context.Context) error {
		d, changed = Desired{Settings: settings()}, false
		if device.MayWork() {
			if d.Leases, d.Cancels, err = l.s.o.Jobs.Desired(ctx, now, l.ref.Tenant, l.ref.Device); err != nil {
				return err
			}
			d.Leases = fit(d.Leases)
		}
		r, found, err := l.s.o.Store.Record(ctx, l.ref.Tenant, l.ref.Device)
		if err != nil || !found {
			return err
		}
		if hash := d.hash(); !bytes.Equal(hash[:], r.DesiredHash) {
			r.Desired++
			r.DesiredHash = hash[:]
			if err := l.s.o.Store.PutDesired(ctx, r); err != nil {
				return err
			}
		}
		d.Version, changed = r.Desired, r.Desired > sent
		return nil
	})
	if err != nil {
		return Desired{}, false, fmt.Errorf("desired state of device %s: %w", l.ref.Device, err)
	}
	return d, changed, nil
}

// fit keeps the first leases that go into one message; the others wait until
// these are done.
func fit(leases []job.Lease) []job.Lease {
	size := 0
	for i, l := range leases {
		size += len(l.Encoded) + len(l.Signature) + 128
		if i == wire.MaxLeases || size > wire.MaxMessage*3/4 {
			return leases[:i]
		}
	}
	return leases
}

// Unsent notes that what Desired gave did not reach the connection.
func (l *Live) Unsent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desired.sent = 0
}

// DesiredAck notes the version that the device has journaled.
func (l *Live) DesiredAck(ctx context.Context, now time.Time, version uint64) error {
	if _, err := l.hear(now); err != nil {
		return err
	}
	return l.s.tx(ctx, l.ref.Tenant, func(ctx context.Context) error {
		r, found, err := l.s.o.Store.Record(ctx, l.ref.Tenant, l.ref.Device)
		if err != nil || !found || version <= r.Acknowledged || version > r.Desired {
			return err
		}
		r.Acknowledged = version
		return l.s.o.Store.PutDesired(ctx, r)
	})
}

// hash is of the content without the version, every part preceded by its length.
func (d Desired) hash() [32]byte {
	h := sha256.New()
	part := func(p []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	number := func(n int) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	lease := func(l job.Lease) {
		part([]byte(l.Job))
		number(l.Attempt)
		part(l.Encoded)
		part(l.Signature)
		number(l.KeyVersion)
	}
	number(len(d.Leases))
	for _, l := range d.Leases {
		lease(l)
	}
	number(len(d.Cancels))
	for _, c := range d.Cancels {
		part([]byte(c.Job))
		number(c.Attempt)
		part([]byte(c.Reason.Code))
	}
	number(int(d.Settings.ReportInterval))
	number(int(d.Settings.ScanInterval))
	return [32]byte(h.Sum(nil))
}
