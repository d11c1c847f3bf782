package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// Policy keeps policy documents and decisions by hand: policy.Store.
type Policy struct{ s *Store }

// Policy returns the store of policies.
func (s *Store) Policy() *Policy { return &Policy{s} }

// Documents lists the tenant's documents, its sites' and the MSP's.
func (p *Policy) Documents(ctx context.Context, tenant ident.TenantID) ([]policy.Document, error) {
	return list(ctx, p.s.main, func(r *sql.Rows) (d policy.Document, err error) {
		var off int64
		err = r.Scan(&d.Tenant, &d.Site, &d.Name, asJSON(&d.Fields), asJSON(&d.Lock), &off, &d.Version, asTime(&d.UpdatedAt), asJSON(&d.UpdatedBy))
		d.Off = off != 0
		return d, err
	}, `SELECT tenant_id, site_id, name, fields, locked, off, version, updated_at, updated_by
		FROM policies WHERE tenant_id IN ($1, $2) ORDER BY CASE WHEN tenant_id = $2 THEN 0 ELSE 1 END, site_id, name`, tenant, ident.MSP)
}

// PutDocument inserts or replaces a document.
func (p *Policy) PutDocument(ctx context.Context, d policy.Document) error {
	lock := d.Lock
	if lock == nil {
		lock = []string{}
	}
	_, err := p.s.exec(ctx, `INSERT INTO policies (tenant_id, site_id, name, fields, locked, off, version, updated_at, updated_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (tenant_id, site_id, name) DO UPDATE SET fields = excluded.fields, locked = excluded.locked, off = excluded.off,
			version = excluded.version, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
		d.Tenant, d.Site, d.Name, asJSON(d.Fields), asJSON(lock), btoi(d.Off), d.Version, ms(d.UpdatedAt), asJSON(d.UpdatedBy))
	return err
}

// RemoveDocument deletes a document.
func (p *Policy) RemoveDocument(ctx context.Context, tenant ident.TenantID, site ident.SiteID, name string) (bool, error) {
	n, err := p.s.exec(ctx, `DELETE FROM policies WHERE tenant_id = $1 AND site_id = $2 AND name = $3`, tenant, site, name)
	return n > 0, err
}

// Decisions lists the tenant's decisions and the MSP's, newest first.
func (p *Policy) Decisions(ctx context.Context, tenant ident.TenantID) ([]policy.Manually, error) {
	return list(ctx, p.s.main, func(r *sql.Rows) (m policy.Manually, err error) {
		err = r.Scan(&m.Tenant, &m.Source, &m.Package, &m.Version, &m.ID, &m.Action, &m.Days, asJSON(&m.Except), &m.Reason,
			asTime(&m.Expires), asJSON(&m.By), asTime(&m.At))
		return m, err
	}, `SELECT tenant_id, source, package, version, decision_id, action, days, except_ids, reason, expires, decided_by, decided_at
		FROM decisions WHERE tenant_id IN ($1, $2) ORDER BY decided_at DESC, decision_id DESC`, tenant, ident.MSP)
}

// PutDecision replaces the decision about the same source, package and version.
func (p *Policy) PutDecision(ctx context.Context, m policy.Manually) error {
	except := m.Except
	if except == nil {
		except = []ident.TenantID{}
	}
	_, err := p.s.exec(ctx, `INSERT INTO decisions (tenant_id, source, package, version, decision_id, action, days, except_ids, reason, expires, decided_by, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (tenant_id, source, package, version) DO UPDATE SET decision_id = excluded.decision_id, action = excluded.action,
			days = excluded.days, except_ids = excluded.except_ids, reason = excluded.reason, expires = excluded.expires,
			decided_by = excluded.decided_by, decided_at = excluded.decided_at`,
		m.Tenant, m.Source, m.Package, m.Version, m.ID, m.Action, m.Days, asJSON(except), m.Reason, ms(m.Expires), asJSON(m.By), ms(m.At))
	return err
}

// Bump raises the tenant's number of changes.
func (p *Policy) Bump(ctx context.Context, tenant ident.TenantID) error {
	_, err := p.s.exec(ctx, `INSERT INTO policy_revisions (tenant_id, number) VALUES ($1, 1)
		ON CONFLICT (tenant_id) DO UPDATE SET number = policy_revisions.number + 1`, tenant)
	return err
}

// Revision is the tenant's number of changes and the MSP's.
func (p *Policy) Revision(ctx context.Context, tenant ident.TenantID) (own, msp int64, err error) {
	read := func(id ident.TenantID) (n int64, err error) {
		err = p.s.queryRow(ctx, `SELECT number FROM policy_revisions WHERE tenant_id = $1`, id).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return n, err
	}
	if own, err = read(tenant); err != nil {
		return 0, 0, err
	}
	msp, err = read(ident.MSP)
	return own, msp, err
}
