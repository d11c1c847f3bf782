package deployment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
)

// look reads the World of one device: itself, its updates (those of only, or
// all for nil) and jobs, the heads of the deployments in question, and who is
// under way in them.
func (s *Service) look(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, only []job.Release) (*World, error) {
	w, sites, err := s.frame(ctx, tenant)
	if err != nil {
		return nil, err
	}
	w.Partial = true
	d, err := s.o.Fleet.Device(ctx, tenant, device)
	if err != nil {
		return nil, err
	}
	w.Devices = []Device{s.located(w.Tenant, sites, d)}
	scan, err := s.o.Inventory.Scan(ctx, tenant, device)
	if err != nil {
		return nil, fmt.Errorf("last scan of device %s: %w", device, err)
	}
	if !scan.At.IsZero() {
		w.Devices[0].Scan = &scan
	}
	updates, err := s.o.Updates.Updates(ctx, tenant, device)
	if err != nil {
		return nil, fmt.Errorf("updates of device %s: %w", device, err)
	}
	w.Updates = slices.DeleteFunc(updates, func(u patch.Update) bool { return !u.State.Open() || only != nil && !among(only, u.Release) })
	if w.Jobs, err = s.o.Jobs.OfDevice(ctx, tenant, device); err != nil {
		return nil, fmt.Errorf("jobs of device %s: %w", device, err)
	}
	if err := s.heads(ctx, w, device); err != nil {
		return nil, err
	}
	if err := s.releases(ctx, now, w); err != nil {
		return nil, err
	}
	return w, s.blast(ctx, now, w)
}

// heads loads the deployments of the open releases, each with the members that
// are the device or under way.
func (s *Service) heads(ctx context.Context, w *World, device ident.DeviceID) error {
	heads, err := s.o.Store.Heads(ctx, w.Tenant.ID, openReleases(w.Updates))
	if err != nil {
		return fmt.Errorf("load deployments: %w", err)
	}
	have := make(map[ident.JobID]bool, len(w.Jobs))
	for _, j := range w.Jobs {
		have[j.ID] = true
	}
	for _, d := range heads {
		who := []ident.DeviceID{device}
		if !d.State.Final() || d.State == Completed {
			busy, err := s.o.Jobs.Busy(ctx, w.Tenant.ID, d.ID)
			if err != nil {
				return fmt.Errorf("jobs of deployment %s: %w", d.ID, err)
			}
			for _, j := range busy {
				if j.Device != device {
					who = append(who, j.Device)
				}
				if !have[j.ID] {
					have[j.ID] = true
					w.Jobs = append(w.Jobs, j)
				}
			}
		}
		if d.Members, err = s.o.Store.Members(ctx, w.Tenant.ID, d.ID, who); err != nil {
			return fmt.Errorf("members of deployment %s: %w", d.ID, err)
		}
		w.Deployments = append(w.Deployments, d)
	}
	return nil
}

// blast counts what the limits by the hour need.
func (s *Service) blast(ctx context.Context, now time.Time, w *World) error {
	var err error
	since := now.Add(-time.Hour)
	if w.Blast.TenantChanged, err = s.o.Jobs.Changed(ctx, w.Tenant.ID, since); err != nil {
		return fmt.Errorf("devices changed in the last hour: %w", err)
	}
	if w.Blast.ServerChanged, err = s.o.Jobs.Changed(ctx, "", since); err != nil {
		return fmt.Errorf("devices changed in the last hour: %w", err)
	}
	s.known.mu.Lock()
	for tenant, n := range s.known.sizes {
		w.Blast.ServerDevices += n
		if tenant == w.Tenant.ID {
			w.Blast.TenantDevices = n
		}
	}
	s.known.mu.Unlock()
	return nil
}

func among(list []job.Release, r patch.Release) bool {
	return slices.ContainsFunc(list, func(j job.Release) bool {
		return j.Source == r.Source && j.Package == r.Package && j.Version == r.Version
	})
}
