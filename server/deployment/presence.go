package deployment

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

// presenceSpan is how far back windows are looked for, lastWindows how many.
const (
	presenceSpan = 35 * 24 * time.Hour
	lastWindows  = 10
)

// clock is a policy in a device's zones: all with the same have the same windows.
type clock struct {
	eff          *policy.Effective
	device, site *time.Location
}

// irregularOf finds the devices that were in contact in fewer than half of the
// last ten windows of each policy with more than one ring, counting from their
// enrollment. flips are in order of time.
func irregularOf(now time.Time, w *World, flips []fleet.Presence) map[rollout.Seat]bool {
	ofDevice := map[ident.DeviceID][]fleet.Presence{}
	for _, f := range flips {
		ofDevice[f.Device] = append(ofDevice[f.Device], f)
	}
	out := map[rollout.Seat]bool{}
	last := map[clock][]window.Occurrence{}
	for i := range w.Devices {
		d := &w.Devices[i]
		for n := range w.Policies[d.Site] {
			eff := &w.Policies[d.Site][n]
			if len(eff.Patch.Rings) < 2 || !eff.Patch.Targets.Covers(d.Device) {
				continue
			}
			k := clock{eff, d.Zone, d.SiteZone}
			occs, ok := last[k]
			if !ok {
				occs = window.Between(eff.Windows.Bind(d.Zone, d.SiteZone), nil, now.Add(-presenceSpan), now)
				occs = occs[max(0, len(occs)-lastWindows):]
				last[k] = occs
			}
			var there, of int
			for _, o := range occs {
				if o.Opens.Before(d.EnrolledAt) {
					continue
				}
				of++
				if inContact(ofDevice[d.ID], o.Opens, o.Closes) {
					there++
				}
			}
			if 2*there < of {
				out[rollout.Seat{Policy: eff.Name, Device: d.ID}] = true
			}
		}
	}
	return out
}

// inContact reports whether any stretch of contact touches [from, to).
func inContact(flips []fleet.Presence, from, to time.Time) bool {
	online := false
	for _, f := range flips {
		if !f.At.After(from) {
			online = f.Online
			continue
		}
		if !f.At.Before(to) {
			break
		}
		if f.Online {
			return true
		}
	}
	return online
}

// irregular finds devices that were in contact in fewer than half of their
// policy's last ten windows. It is asked for again after a while only.
func (s *Service) irregular(ctx context.Context, now time.Time, w *World) (map[rollout.Seat]bool, error) {
	s.known.mu.Lock()
	old, ok := s.known.presence[w.Tenant.ID]
	s.known.mu.Unlock()
	if ok && now.Sub(old.at) < learnAgain {
		return old.irregular, nil
	}
	flips, err := s.o.Fleet.Presence(ctx, w.Tenant.ID, now.Add(-presenceSpan))
	if err != nil {
		return nil, fmt.Errorf("load presence: %w", err)
	}
	got := presence{now, irregularOf(now, w, flips)}
	s.known.mu.Lock()
	s.known.presence[w.Tenant.ID] = got
	s.known.mu.Unlock()
	return got.irregular, nil
}
