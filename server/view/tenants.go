package view

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
)

// Counts are a tenant's devices and updates as far as the scope covers them.
// Revoked and retired devices, and their updates, are not counted.
type Counts struct {
	Devices   int
	Online    int
	Pending   int // enrolled, no inventory yet
	Stale     int
	Conflict  int
	Checked   int    // asked their sources within CheckedFor
	Lacking   int    // with at least one open update
	States    States // updates; Verified of the last VerifiedFor
	FailedOn  int    // devices with a failed or unknown update
	Undecided int    // releases that wait for a decision on some device
	NeedSince map[patch.State]time.Time
}

// CheckedFor is how fresh a device's scan must be to count as checked.
const CheckedFor = 24 * time.Hour

// Add sums two counts, for a line over all tenants. Undecided releases that
// several tenants have are counted for each.
func (c Counts) Add(o Counts) Counts {
	sum := Counts{
		Devices: c.Devices + o.Devices, Online: c.Online + o.Online, Pending: c.Pending + o.Pending, Stale: c.Stale + o.Stale,
		Conflict: c.Conflict + o.Conflict, Checked: c.Checked + o.Checked, Lacking: c.Lacking + o.Lacking,
		FailedOn: c.FailedOn + o.FailedOn, Undecided: c.Undecided + o.Undecided,
		States: States{}, NeedSince: map[patch.State]time.Time{},
	}
	for _, part := range []Counts{c, o} {
		for state, n := range part.States {
			sum.States[state] += n
		}
		for state, since := range part.NeedSince {
			if old, ok := sum.NeedSince[state]; !ok || since.Before(old) {
				sum.NeedSince[state] = since
			}
		}
	}
	return sum
}

// TenantRow is a customer in a list.
type TenantRow struct {
	fleet.Tenant
	Counts
}

// Tenants lists the customers that the scope touches, in order of slug.
func (s *Service) Tenants(ctx context.Context, scope ident.Scope, now time.Time) ([]TenantRow, error) {
	all, err := s.o.Fleet.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := s.o.Store.Counts(ctx, scope, now)
	if err != nil {
		return nil, err
	}
	rows := make([]TenantRow, 0, len(all))
	for _, t := range all {
		if scope.Has(t.ID) {
			rows = append(rows, TenantRow{Tenant: t, Counts: counts[t.ID]})
		}
	}
	return rows, nil
}

// Sites lists the sites that the scope covers, of one tenant or of all (""),
// in order of tenant and slug.
func (s *Service) Sites(ctx context.Context, scope ident.Scope, tenant ident.TenantID) ([]fleet.Site, error) {
	tenants, err := s.o.Fleet.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var out []fleet.Site
	for _, t := range tenants {
		if !scope.Has(t.ID) || tenant != "" && tenant != t.ID {
			continue
		}
		sites, err := s.o.Fleet.Sites(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		for _, site := range sites {
			if scope.HasSite(t.ID, site.ID) {
				out = append(out, site)
			}
		}
	}
	return out, nil
}

// Lookup says what an id names and in which tenant; fault.NotFound when it
// names nothing that the scope covers.
func (s *Service) Lookup(ctx context.Context, scope ident.Scope, id string) (Kind, ident.TenantID, error) {
	if !ident.ValidID(id) {
		return "", "", missing()
	}
	kind, tenant, err := s.o.Store.Find(ctx, scope, id)
	if err == nil && kind == "" {
		err = missing()
	}
	return kind, tenant, err
}
