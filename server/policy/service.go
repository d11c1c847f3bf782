package policy

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/wake"
)

// Store keeps documents and decisions by hand.
type Store interface {
	// Documents lists the tenant's documents, its sites' and the MSP's; for
	// ident.MSP the MSP's alone. In order of depth, site and name.
	Documents(ctx context.Context, tenant ident.TenantID) ([]Document, error)
	PutDocument(ctx context.Context, d Document) error
	RemoveDocument(ctx context.Context, tenant ident.TenantID, site ident.SiteID, name string) (found bool, err error)
	// Decisions lists the tenant's and the MSP's, newest first.
	Decisions(ctx context.Context, tenant ident.TenantID) ([]Manually, error)
	// PutDecision replaces the one about the same source, package and version.
	PutDecision(ctx context.Context, m Manually) error
	// Bump raises the number of the tenant's changes.
	Bump(ctx context.Context, tenant ident.TenantID) error
	// Revision is the tenant's number of changes and the MSP's.
	Revision(ctx context.Context, tenant ident.TenantID) (own, msp int64, err error)
}

// Auditor records what people did.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
}

// Options are what a Service needs.
type Options struct {
	Store Store
	Tx    func(ctx context.Context, f func(ctx context.Context) error) error
	After func(ctx context.Context, f func())
	Audit Auditor
	Wake  *wake.Hub
}

// Service keeps policies and decisions by hand.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Topic is woken when any policy or decision changed.
func Topic() string { return "policy" }

// Documents lists the tenant's documents, its sites' and the MSP's.
func (s *Service) Documents(ctx context.Context, tenant ident.TenantID) ([]Document, error) {
	return s.o.Store.Documents(ctx, tenant)
}

// Decisions lists what people decided for the tenant or for all, newest first.
func (s *Service) Decisions(ctx context.Context, tenant ident.TenantID) ([]Manually, error) {
	return s.o.Store.Decisions(ctx, tenant)
}

// Revision changes whenever a policy or decision that concerns the tenant does.
func (s *Service) Revision(ctx context.Context, tenant ident.TenantID) (string, error) {
	own, msp, err := s.o.Store.Revision(ctx, tenant)
	return fmt.Sprintf("%d.%d", own, msp), err
}

// Put writes a document whole, in place of the one of its name.
func (s *Service) Put(ctx context.Context, now time.Time, by ident.Actor, d Document) error {
	if err := Check(d); err != nil {
		return err
	}
	d.UpdatedAt, d.UpdatedBy = now, by
	return s.o.Tx(ctx, func(ctx context.Context) error {
		docs, err := s.o.Store.Documents(ctx, d.Tenant)
		if err != nil {
			return err
		}
		d.Version = 1
		for _, old := range docs {
			if old.Tenant == d.Tenant && old.Site == d.Site && old.Name == d.Name {
				d.Version = old.Version + 1
			}
		}
		if err := s.o.Store.PutDocument(ctx, d); err != nil {
			return err
		}
		return s.changed(ctx, now, by, d.Tenant, "policy.changed", "", audit.Object{Kind: "policy", ID: d.Name, Name: d.Name},
			map[string]string{"site": string(d.Site), "version": fmt.Sprint(d.Version)})
	})
}

// Remove takes a document away.
func (s *Service) Remove(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, site ident.SiteID, name string) error {
	return s.o.Tx(ctx, func(ctx context.Context) error {
		found, err := s.o.Store.RemoveDocument(ctx, tenant, site, name)
		if err != nil {
			return err
		}
		if !found {
			return fault.NotFoundf("there is no policy %q", name)
		}
		return s.changed(ctx, now, by, tenant, "policy.removed", "", audit.Object{Kind: "policy", ID: name, Name: name}, map[string]string{"site": string(site)})
	})
}

// Decide records a decision by hand; it replaces an earlier one about the same
// source, package and version.
func (s *Service) Decide(ctx context.Context, now time.Time, by ident.Actor, m Manually) error {
	m.By, m.At, m.ID = by, now, ident.New(now)
	if err := m.check(now); err != nil {
		return err
	}
	return s.o.Tx(ctx, func(ctx context.Context) error {
		if err := s.o.Store.PutDecision(ctx, m); err != nil {
			return err
		}
		return s.changed(ctx, now, by, m.Tenant, "update."+string(m.Action), m.Reason,
			audit.Object{Kind: "release", ID: m.Source + ":" + m.Package, Name: m.Package}, map[string]string{"version": m.Version, "days": fmt.Sprint(m.Days)})
	})
}

func (m Manually) check(now time.Time) error {
	if !slices.Contains([]Action{Approve, Deny, Wait}, m.Action) {
		return fault.Invalidf("action", "%q is no action", m.Action).WithNext("use approve, deny or wait")
	}
	if !slices.Contains(Sources(), m.Source) {
		return fault.Invalidf("source", "%q is no source", m.Source).WithNext("known: %v", Sources())
	}
	if _, err := path.Match(m.Package, ""); err != nil || m.Package == "" || len(m.Package) > maxText {
		return fault.Invalidf("package", "%q is no pattern", m.Package).WithNext("use a name, or * and ? as in file names")
	}
	if m.Reason == "" || len(m.Reason) > 1000 {
		return fault.Invalidf("reason", "say why, in 1 to 1000 bytes")
	}
	if m.Action == Wait && (m.Days < 1 || m.Days > 365) {
		return fault.Invalidf("days", "%d is out of range: 1 to 365", m.Days)
	}
	if !m.Expires.IsZero() && !m.Expires.After(now) {
		return fault.Invalidf("expires", "lies in the past")
	}
	return nil
}

func (s *Service) changed(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, action, why string, obj audit.Object, detail map[string]string) error {
	if err := s.o.Store.Bump(ctx, tenant); err != nil {
		return err
	}
	s.o.After(ctx, func() { s.o.Wake.Wake(Topic()) })
	return s.o.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: action, Object: obj, Reason: why, Detail: detail})
}
