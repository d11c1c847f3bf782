package view

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/telemetry"
)

// Device is everything a device's page shows at once. Its histories come from
// Timeline, its samples over time from telemetry.
type Device struct {
	fleet.Device
	TenantName string
	SiteName   string
	Location   *time.Location // of its times: its own zone, its site's, its tenant's
	Sections   []inventory.Section
	Updates    []DeviceUpdate // those that need a person first
	States     States
	Policies   []DevicePolicy // that cover it, in order of name
	Latest     []telemetry.Reading
}

// DeviceUpdate is an update with the policy that rules its source here.
type DeviceUpdate struct {
	patch.Update
	Policy string   // "" when none covers it
	Ties   []string // policies that claim it equally: nothing can be scheduled
}

// DevicePolicy is a policy as it holds for the device.
type DevicePolicy struct {
	policy.Effective
	Rules []string // sources that it rules here
}

func missing() error { return fault.NotFoundf("there is nothing by this id") }

// Device reads a device of the tenant; fault.NotFound when there is none, or
// when the scope does not cover its site.
func (s *Service) Device(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID) (Device, error) {
	d, err := s.o.Fleet.Device(ctx, tenant, id)
	if err != nil {
		return Device{}, err
	}
	if !scope.HasSite(tenant, d.Site) {
		return Device{}, missing()
	}
	out := Device{Device: d, States: States{}}
	if err := s.place(ctx, &out); err != nil {
		return Device{}, err
	}
	if out.Sections, err = s.o.Inventory.Sections(ctx, tenant, id); err != nil {
		return Device{}, err
	}
	docs, err := s.o.Policies.Documents(ctx, tenant)
	if err != nil {
		return Device{}, err
	}
	effective, err := policy.Resolve(tenant, d.Site, docs)
	if err != nil {
		return Device{}, err
	}
	out.Policies = rulesOf(effective, d)
	updates, err := s.o.Updates.Updates(ctx, tenant, id)
	if err != nil {
		return Device{}, err
	}
	for _, u := range updates {
		row := DeviceUpdate{Update: u}
		var eff *policy.Effective
		if eff, row.Ties = policy.For(effective, d, u.Source); eff != nil {
			row.Policy = eff.Name
		}
		out.Updates = append(out.Updates, row)
		out.States[u.State]++
	}
	slices.SortStableFunc(out.Updates, func(a, b DeviceUpdate) int { return urgency(a.State) - urgency(b.State) })
	if s.o.Samples != nil {
		out.Latest = s.o.Samples.Latest(tenant, id)
	}
	return out, nil
}

// urgency orders states by how much they need a person; ended ones come last.
func urgency(state patch.State) int {
	if i := slices.Index(StatesBySeverity(), state); i >= 0 {
		return i
	}
	if state == patch.Denied {
		return len(StatesBySeverity())
	}
	return len(StatesBySeverity()) + 1
}

func (s *Service) place(ctx context.Context, d *Device) error {
	t, err := s.o.Fleet.Tenant(ctx, d.Tenant)
	if err != nil {
		return err
	}
	sites, err := s.o.Fleet.Sites(ctx, d.Tenant)
	if err != nil {
		return err
	}
	var site fleet.Site
	for _, candidate := range sites {
		if candidate.ID == d.Site {
			site = candidate
		}
	}
	d.TenantName, d.SiteName, d.Location = t.Name, site.Name, fleet.Location(t, site, d.Device)
	return nil
}

// rulesOf lists the policies that cover the device with the sources that each
// rules there.
func rulesOf(effective []policy.Effective, d fleet.Device) []DevicePolicy {
	var out []DevicePolicy
	for i := range effective {
		e := &effective[i]
		if !e.Patch.Targets.Covers(d) {
			continue
		}
		p := DevicePolicy{Effective: *e}
		for _, source := range e.Patch.Sources {
			if winner, ties := policy.For(effective, d, source); winner == e && len(ties) == 0 {
				p.Rules = append(p.Rules, source)
			}
		}
		out = append(out, p)
	}
	return out
}

// PolicyPage is a tenant's documents and what follows from them.
type PolicyPage struct {
	Documents []policy.Document  // of the tenant, its sites, and the MSP
	Effective []policy.Effective // at the tenant's level, with origins
	Sites     map[ident.SiteID][]policy.Effective
	Decisions []policy.Manually // by hand, newest first, the MSP's too
	Ties      []string          // devices that two policies claim equally
	Targets   map[string]int    // policy → devices it rules some source of
}

// Policies reads a tenant's policies; of ident.MSP its documents and decisions
// alone, for it has no devices. Sites that the scope does not cover are left
// out.
func (s *Service) Policies(ctx context.Context, scope ident.Scope, tenant ident.TenantID) (PolicyPage, error) {
	out := PolicyPage{Sites: map[ident.SiteID][]policy.Effective{}, Targets: map[string]int{}}
	docs, err := s.o.Policies.Documents(ctx, tenant)
	if err != nil {
		return out, err
	}
	for _, d := range docs {
		if d.Site == "" || scope.HasSite(d.Tenant, d.Site) {
			out.Documents = append(out.Documents, d)
		}
	}
	if out.Decisions, err = s.o.Policies.Decisions(ctx, tenant); err != nil {
		return out, err
	}
	if out.Effective, err = policy.Resolve(tenant, "", docs); err != nil || tenant == ident.MSP {
		return out, err
	}
	devices, err := s.o.Fleet.Devices(ctx, tenant)
	if err != nil {
		return out, err
	}
	return out, out.perSite(scope, tenant, docs, devices)
}

func (p *PolicyPage) perSite(scope ident.Scope, tenant ident.TenantID, docs []policy.Document, devices []fleet.Device) error {
	bySite := map[ident.SiteID][]fleet.Device{}
	for _, d := range devices {
		if scope.HasSite(tenant, d.Site) && d.State != fleet.Retired && d.State != fleet.Revoked {
			bySite[d.Site] = append(bySite[d.Site], d)
		}
	}
	for site, list := range bySite {
		effective, err := policy.Resolve(tenant, site, docs)
		if err != nil {
			return err
		}
		p.Sites[site] = effective
		p.Ties = append(p.Ties, policy.Ties(effective, list)...)
		for _, d := range list {
			for _, rule := range rulesOf(effective, d) {
				if len(rule.Rules) > 0 {
					p.Targets[rule.Name]++
				}
			}
		}
	}
	slices.Sort(p.Ties)
	return nil
}

// Documents lists the policy documents that the scope may see: of one tenant
// with those of the MSP's level, or of all its tenants ("").
func (s *Service) Documents(ctx context.Context, scope ident.Scope, tenant ident.TenantID) ([]policy.Document, error) {
	ids := []ident.TenantID{tenant}
	if tenant == "" {
		all, err := s.o.Fleet.Tenants(ctx)
		if err != nil {
			return nil, err
		}
		ids = []ident.TenantID{ident.MSP}
		for _, t := range all {
			if scope.Has(t.ID) {
				ids = append(ids, t.ID)
			}
		}
	}
	var out []policy.Document
	for _, id := range ids {
		docs, err := s.o.Policies.Documents(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			own := d.Tenant == id || tenant != ""
			if own && (d.Site == "" || scope.HasSite(d.Tenant, d.Site)) {
				out = append(out, d)
			}
		}
	}
	return out, nil
}
