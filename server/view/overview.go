package view

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// Need is one thing that needs a person: one row, one place to go.
type Need struct {
	Kind   NeedKind
	Tenant ident.TenantID // "" for a release that several tenants have
	ID     string         // of the deployment or the device; empty else
	Name   string         // host name, or package and version
	Count  int            // devices or releases it is about
	Reason reason.Reason
	Since  time.Time
	// Of a release: where to decide.
	Release patch.Release
}

// NeedKind is the sort of a need.
type NeedKind string

// The kinds in the order in which they are shown.
const (
	NeedHalted    NeedKind = "halted"    // a halted deployment
	NeedConflict  NeedKind = "conflict"  // two machines use one key
	NeedFailed    NeedKind = "failed"    // updates that failed, or of which nothing was heard
	NeedSilent    NeedKind = "silent"    // a stale device
	NeedUndecided NeedKind = "undecided" // a release that waits for a decision
)

func (k NeedKind) rank() int {
	return slices.Index([]NeedKind{NeedHalted, NeedConflict, NeedFailed, NeedSilent, NeedUndecided}, k)
}

// maxNeeds is how many of one kind the overview lists.
const maxNeeds = 50

// Tonight is an opening of a window within the next day.
type Tonight struct {
	Tenant ident.TenantID
	deployment.Planned
}

// Overview is what needs a person, what comes, and how each customer stands.
type Overview struct {
	At        time.Time
	Needs     []Need    // by kind, within it the oldest first
	Tonight   []Tonight // openings of the next 24 hours, soonest first
	Customers []TenantRow
	Total     Counts // over the customers; Total.Checked is the good news
}

// Overview answers what needs someone now, what comes tonight, and which
// customer is behind.
func (s *Service) Overview(ctx context.Context, scope ident.Scope, now time.Time) (Overview, error) {
	o := Overview{At: now}
	var err error
	if o.Customers, err = s.Tenants(ctx, scope, now); err != nil {
		return o, err
	}
	for _, c := range o.Customers {
		o.Total = o.Total.Add(c.Counts)
		if n := c.States[patch.Failed] + c.States[patch.Unknown]; n > 0 {
			o.Needs = append(o.Needs, Need{Kind: NeedFailed, Tenant: c.ID, Name: c.Name, Count: c.FailedOn, Since: earliest(c.NeedSince, patch.Failed, patch.Unknown)})
		}
	}
	for _, gather := range []func(context.Context, ident.Scope, time.Time) ([]Need, error){s.halted, s.unwell, s.undecided} {
		needs, err := gather(ctx, scope, now)
		if err != nil {
			return o, err
		}
		o.Needs = append(o.Needs, needs...)
	}
	slices.SortStableFunc(o.Needs, func(a, b Need) int {
		return cmp.Or(cmp.Compare(a.Kind.rank(), b.Kind.rank()), a.Since.Compare(b.Since))
	})
	o.Tonight, err = s.tonight(ctx, scope, o.Customers, now)
	return o, err
}

func earliest(since map[patch.State]time.Time, states ...patch.State) time.Time {
	var first time.Time
	for _, state := range states {
		if t, ok := since[state]; ok && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func (s *Service) halted(ctx context.Context, scope ident.Scope, _ time.Time) ([]Need, error) {
	if s.o.Deployments == nil {
		return nil, nil
	}
	list, _, err := s.o.Deployments.List(ctx, scope, deployment.Filter{State: deployment.Halted}, "", maxNeeds)
	if err != nil {
		return nil, err
	}
	needs := make([]Need, 0, len(list))
	for _, d := range list {
		devices := 0
		for _, r := range d.Rings {
			devices += r.Counts.Devices
		}
		needs = append(needs, Need{Kind: NeedHalted, Tenant: d.Tenant, ID: string(d.ID), Name: d.Release.Package + " " + d.Release.Version,
			Count: devices, Reason: d.Reason, Since: d.Since, Release: d.Release})
	}
	return needs, nil
}

// unwell are devices in conflict and those without contact.
func (s *Service) unwell(ctx context.Context, scope ident.Scope, now time.Time) ([]Need, error) {
	var needs []Need
	for kind, state := range map[NeedKind]fleet.State{NeedConflict: fleet.Conflict, NeedSilent: fleet.Stale} {
		filter := Filter{Terms: []Term{{Field: FieldState, Op: Is, Values: []string{string(state)}}}}
		rows, _, err := s.Devices(ctx, scope, Query{Filter: filter, Sort: ByLastSeen, Limit: maxNeeds, Now: now})
		if err != nil {
			return nil, err
		}
		for _, d := range rows {
			needs = append(needs, Need{Kind: kind, Tenant: d.Tenant, ID: string(d.ID), Name: d.Hostname, Count: 1, Reason: d.Reason, Since: d.Since})
		}
	}
	return needs, nil
}

func (s *Service) undecided(ctx context.Context, scope ident.Scope, now time.Time) ([]Need, error) {
	rows, _, err := s.Releases(ctx, scope, ReleaseQuery{Choice: Undecided, Limit: maxNeeds, Now: now})
	if err != nil {
		return nil, err
	}
	needs := make([]Need, 0, len(rows))
	for _, r := range rows {
		needs = append(needs, Need{Kind: NeedUndecided, Name: r.Package + " " + r.Version, Count: r.States[patch.Available], Since: r.FirstSeen, Release: r.Release})
	}
	return needs, nil
}

func (s *Service) tonight(ctx context.Context, scope ident.Scope, customers []TenantRow, now time.Time) ([]Tonight, error) {
	if s.o.Deployments == nil {
		return nil, nil
	}
	var out []Tonight
	for _, c := range customers {
		if c.Devices == 0 {
			continue
		}
		planned, err := s.o.Deployments.Plan(ctx, now, c.ID, 1)
		if err != nil {
			return nil, err
		}
		for _, p := range planned {
			if !scope.HasSite(c.ID, p.Site) {
				continue
			}
			out = append(out, Tonight{Tenant: c.ID, Planned: p})
		}
	}
	slices.SortStableFunc(out, func(a, b Tonight) int { return a.Opens.Compare(b.Opens) })
	return out, nil
}
