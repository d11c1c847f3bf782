package patch

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// decider holds what decisions of one tenant need, loaded once.
type decider struct {
	s        *Service
	now      time.Time
	tenant   ident.TenantID
	docs     []policy.Document
	hand     []policy.Manually
	bySite   map[ident.SiteID][]policy.Effective
	releases map[Release]inventory.Release
	err      error // the first error of a look-up
}

func (s *Service) decider(ctx context.Context, now time.Time, tenant ident.TenantID) (*decider, error) {
	docs, err := s.o.Policies.Documents(ctx, tenant)
	if err != nil {
		return nil, err
	}
	hand, err := s.o.Policies.Decisions(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return &decider{s: s, now: now, tenant: tenant, docs: docs, hand: hand,
		bySite: map[ident.SiteID][]policy.Effective{}, releases: map[Release]inventory.Release{}}, nil
}

// of returns the decisions for one device.
func (d *decider) of(ctx context.Context, dev fleet.Device) Decide {
	return func(u inventory.Update) (policy.Decision, reason.Reason) {
		effective, known := d.bySite[dev.Site]
		if !known {
			var err error
			if effective, err = policy.Resolve(d.tenant, dev.Site, d.docs); err != nil && d.err == nil {
				d.err = err
			}
			d.bySite[dev.Site] = effective
		}
		eff, _ := policy.For(effective, dev, u.Source)
		return policy.Evaluate(d.now, d.release(ctx, u), eff, d.hand, d.tenant)
	}
}

func (d *decider) release(ctx context.Context, u inventory.Update) inventory.Release {
	key := Release{u.Source, u.Package, u.Available}
	if rel, ok := d.releases[key]; ok {
		return rel.As(u.Kind, u.Severity)
	}
	rel, found, err := d.s.o.Scans.Release(ctx, u.Source, u.Package, u.Available)
	if err != nil && d.err == nil {
		d.err = err
	}
	if !found {
		rel = inventory.Release{Source: u.Source, Package: u.Package, Version: u.Available, Kind: u.Kind, Severity: u.Severity, FirstSeen: d.now}
	}
	d.releases[key] = rel
	return rel.As(u.Kind, u.Severity)
}

// change loads one row inside the transaction, lets f change it, and writes it.
func (s *Service) change(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, r Release, f func(Update) (Update, bool)) error {
	return s.each(ctx, now, tenant, device, []Release{r}, f)
}

// each changes the named rows of a device.
func (s *Service) each(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, releases []Release, f func(Update) (Update, bool)) error {
	current, err := s.o.Store.Updates(ctx, tenant, device)
	if err != nil {
		return err
	}
	named := make(map[Release]bool, len(releases))
	for _, r := range releases {
		named[r] = true
	}
	var changed []Update
	for _, row := range current {
		if !named[row.Release] {
			continue
		}
		if next, ok := f(row); ok {
			changed = append(changed, next)
		}
	}
	return s.put(ctx, now, current, changed)
}

// ofRelease changes the open rows of a release over the tenant's devices.
func (s *Service) ofRelease(ctx context.Context, now time.Time, tenant ident.TenantID, r Release, f func(Update) (Update, bool)) error {
	return s.o.Tx(ctx, func(ctx context.Context) error {
		current, err := s.o.Store.OfRelease(ctx, tenant, r)
		if err != nil {
			return err
		}
		var changed []Update
		for _, row := range current {
			if next, ok := f(row); ok {
				changed = append(changed, next)
			}
		}
		return s.put(ctx, now, current, changed)
	})
}

// put writes changed rows with a line of history where the state moved or its
// words changed.
func (s *Service) put(ctx context.Context, now time.Time, current, changed []Update) error {
	type key struct {
		device ident.DeviceID
		r      Release
	}
	before := make(map[key]Update, len(current))
	for _, row := range current {
		before[key{row.Device, row.Release}] = row
	}
	woken, tenants := map[ident.DeviceID]bool{}, map[ident.TenantID]bool{}
	for _, next := range changed {
		was := before[key{next.Device, next.Release}]
		var moved *Transition
		if was.State != next.State || was.Reason.Code != next.Reason.Code {
			moved = &Transition{Release: next.Release, From: was.State, To: next.State, Reason: next.Reason, At: now}
		}
		if err := s.o.Store.Put(ctx, next, moved); err != nil {
			return err
		}
		woken[next.Device], tenants[next.Tenant] = true, true
	}
	s.o.After(ctx, func() {
		for tenant := range tenants {
			if s.o.Changed != nil {
				s.o.Changed(tenant)
			}
		}
		for device := range woken {
			s.o.Wake.Wake(DeviceTopic(device))
		}
	})
	return nil
}
