package fleet

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/ident"
)

// Seen notes contact in memory; RunOnce writes it in batches.
func (s *Service) Seen(now time.Time, tenant ident.TenantID, id ident.DeviceID) {
	ref := Ref{tenant, id}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.known[ref]
	if !ok || !now.After(d.LastSeen) {
		return
	}
	d.LastSeen = now
	s.known[ref] = d
	s.dirty[ref] = true
}

// Connected notes that a session of the device is open.
func (s *Service) Connected(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID) error {
	return s.flip(ctx, now, tenant, id, true)
}

// Disconnected notes that it has none. The caller waits a moment before, so
// that a reconnect is no flip.
func (s *Service) Disconnected(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID) error {
	return s.flip(ctx, now, tenant, id, false)
}

func (s *Service) flip(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID, online bool) error {
	_, err := s.change(ctx, tenant, id, func(ctx context.Context, d Device) (Device, bool, error) {
		if online {
			d.LastSeen = now
		}
		if d.Online == online {
			return d, online, nil
		}
		d.Online, d.OnlineSince = online, now
		return d, true, s.opts.Devices.AddPresence(ctx, tenant, Presence{Device: id, At: now, Online: online})
	})
	return err
}

// Presence lists a tenant's flips from a time on, oldest first, and for each
// device the last one before that time.
func (s *Service) Presence(ctx context.Context, tenant ident.TenantID, from time.Time) ([]Presence, error) {
	return s.opts.Devices.Presence(ctx, tenant, from)
}

// maxBatch is how many devices one transaction of RunOnce touches.
const maxBatch = 500

// RunOnce writes last contacts and moves devices between active and stale.
func (s *Service) RunOnce(ctx context.Context, now time.Time) error {
	if err := s.flushSeen(ctx); err != nil {
		return err
	}
	for _, d := range s.toMove(now) {
		to, why := Silence(d, now)
		if _, err := s.Transition(ctx, now, d.Tenant, d.ID, to, why, ident.Steward("fleet")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) toMove(now time.Time) []Device {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Device
	for _, d := range s.known {
		if to, _ := Silence(d, now); to != d.State {
			out = append(out, d)
		}
	}
	return out
}

func (s *Service) flushSeen(ctx context.Context) error {
	for {
		batch := s.takeSeen()
		if len(batch) == 0 {
			return nil
		}
		err := s.opts.Tx(ctx, func(ctx context.Context) error { return s.opts.Devices.SetSeen(ctx, batch) })
		if err != nil {
			s.mu.Lock()
			for ref := range batch {
				s.dirty[ref] = true
			}
			s.mu.Unlock()
			return err
		}
	}
}

func (s *Service) takeSeen() map[Ref]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := make(map[Ref]time.Time)
	for ref := range s.dirty {
		batch[ref] = s.known[ref].LastSeen
		delete(s.dirty, ref)
		if len(batch) == maxBatch {
			break
		}
	}
	return batch
}

// Online lists the devices that are in contact as far as is known.
func (s *Service) Online() []Ref {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var online []Ref
	for ref, d := range s.known {
		if d.Online {
			online = append(online, ref)
		}
	}
	return online
}
