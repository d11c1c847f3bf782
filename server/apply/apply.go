// Package apply takes YAML documents in: Decode reads them strictly, Needs
// says what somebody must be allowed to do, each noun checks its own, Plan
// says purely what changes and what follows, and Run writes all of them in one
// transaction or, for a dry run, none.
package apply

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// Fleet keeps tenants and sites; *fleet.Service is it.
type Fleet interface {
	Tenants(ctx context.Context) ([]fleet.Tenant, error)
	Tenant(ctx context.Context, id ident.TenantID) (fleet.Tenant, error)
	Sites(ctx context.Context, tenant ident.TenantID) ([]fleet.Site, error)
	Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error)
	CreateTenant(ctx context.Context, now time.Time, by ident.Actor, t fleet.Tenant) error
	PutTenant(ctx context.Context, now time.Time, by ident.Actor, t fleet.Tenant) error
	PutSite(ctx context.Context, now time.Time, by ident.Actor, site fleet.Site) error
}

// Policies keeps policy documents; *policy.Service is it.
type Policies interface {
	Documents(ctx context.Context, tenant ident.TenantID) ([]policy.Document, error)
	Decisions(ctx context.Context, tenant ident.TenantID) ([]policy.Manually, error)
	Put(ctx context.Context, now time.Time, by ident.Actor, d policy.Document) error
	Remove(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, site ident.SiteID, name string) error
}

// Updates lists what devices lack; *patch.Service is it.
type Updates interface {
	Open(ctx context.Context, tenant ident.TenantID) ([]patch.Update, error)
}

// Catalogue knows releases; *inventory.Service is it.
type Catalogue interface {
	Release(ctx context.Context, source, pkg, version string) (inventory.Release, bool, error)
}

// Options are what a Service needs.
type Options struct {
	Fleet     Fleet
	Policies  Policies
	Updates   Updates
	Catalogue Catalogue
	Tx        func(ctx context.Context, f func(ctx context.Context) error) error
}

// Service applies documents.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Request is one text of documents, decoded and authorized.
type Request struct {
	By        ident.Actor
	Documents []Document
	MayCreate bool // new customers: the caller has auth.TenantCreate everywhere
	DryRun    bool
}

// Run plans the documents and, unless it is a dry run, writes them all in one
// transaction. Nothing is changed when one document is wrong.
func (s *Service) Run(ctx context.Context, now time.Time, r Request) ([]Change, error) {
	current, err := s.load(ctx, r.Documents)
	if err != nil {
		return nil, err
	}
	changes, err := Plan(now, current, r.Documents)
	if err != nil {
		return nil, err
	}
	for i, c := range changes {
		if c.Kind == Tenant && c.Action == Create && !r.MayCreate {
			e := auth.MissingTenant(c.Tenant)
			e.Kind, e.Field, e.Next = fault.Forbidden, place(r.Documents[i].root.at("slug")), "ask an owner of all tenants to create it"
			return nil, e
		}
	}
	if r.DryRun {
		return changes, nil
	}
	err = s.o.Tx(ctx, func(ctx context.Context) error {
		for _, kind := range []Kind{Tenant, Site, PatchPolicy} { // what others refer to first
			for i, c := range changes {
				if c.Kind != kind || c.Action == Unchanged {
					continue
				}
				if err := s.write(ctx, now, r.By, c.Action, r.Documents[i]); err != nil {
					return r.Documents[i].placed(err)
				}
			}
		}
		return nil
	})
	return changes, err
}

func (s *Service) write(ctx context.Context, now time.Time, by ident.Actor, action Action, d Document) error {
	switch {
	case d.Kind == Tenant && action == Create:
		return s.o.Fleet.CreateTenant(ctx, now, by, *d.Customer)
	case d.Kind == Tenant:
		// Read again in the transaction: an omitted mode is the one of now.
		old, err := s.o.Fleet.Tenant(ctx, d.Tenant)
		if err != nil {
			return err
		}
		return s.o.Fleet.PutTenant(ctx, now, by, wanted(*d.Customer, old))
	case d.Kind == Site:
		return s.o.Fleet.PutSite(ctx, now, by, *d.Place)
	case action == Delete:
		return s.o.Policies.Remove(ctx, now, by, d.Tenant, d.Site, d.Name)
	}
	return s.o.Policies.Put(ctx, now, by, *d.Policy)
}

// load reads what the documents concern: their tenants, and all of them for a
// document of the MSP's level.
func (s *Service) load(ctx context.Context, docs []Document) (Current, error) {
	current := Current{Tenants: map[ident.TenantID]*Holding{}, Releases: map[patch.Release]inventory.Release{}}
	all, policies := false, false
	for _, d := range docs {
		all = all || d.Tenant == ident.MSP
		policies = policies || d.Kind == PatchPolicy
		current.Tenants[d.Tenant] = nil
	}
	delete(current.Tenants, ident.MSP)
	tenants, err := s.o.Fleet.Tenants(ctx)
	if err != nil {
		return current, err
	}
	for _, t := range tenants {
		if _, named := current.Tenants[t.ID]; !named && !all {
			continue
		}
		h, err := s.holding(ctx, t, policies, &current)
		if err != nil {
			return current, err
		}
		current.Tenants[t.ID] = h
	}
	if policies {
		current.MSP, err = s.o.Policies.Documents(ctx, ident.MSP)
	}
	return current, err
}

func (s *Service) holding(ctx context.Context, t fleet.Tenant, policies bool, current *Current) (*Holding, error) {
	h := &Holding{Tenant: t}
	var err error
	if h.Sites, err = s.o.Fleet.Sites(ctx, t.ID); err != nil {
		return nil, err
	}
	if h.Devices, err = s.o.Fleet.Devices(ctx, t.ID); err != nil || !policies {
		return h, err
	}
	docs, err := s.o.Policies.Documents(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if d.Tenant == t.ID {
			h.Documents = append(h.Documents, d)
		}
	}
	if h.Decisions, err = s.o.Policies.Decisions(ctx, t.ID); err != nil {
		return nil, err
	}
	if h.Open, err = s.o.Updates.Open(ctx, t.ID); err != nil {
		return nil, err
	}
	for _, u := range h.Open {
		if _, known := current.Releases[u.Release]; known {
			continue
		}
		rel, found, err := s.o.Catalogue.Release(ctx, u.Source, u.Package, u.Version)
		if err != nil {
			return nil, err
		}
		if found {
			current.Releases[u.Release] = rel
		}
	}
	return h, nil
}
