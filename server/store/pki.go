package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
)

// PKI keeps enrollments and what became of them: pki.Store.
type PKI struct{ s *Store }

// PKI returns the store of enrollments.
func (s *Store) PKI() *PKI { return &PKI{s} }

// Tx joins or begins a transaction.
func (p *PKI) Tx(ctx context.Context, do func(ctx context.Context) error) error {
	return p.s.Tx(ctx, do)
}

// Insert adds an enrollment; fault.NotFound when its site is missing.
func (p *PKI) Insert(ctx context.Context, e pki.Enrollment) error {
	var n int
	if err := p.s.queryRow(ctx, `SELECT COUNT(*) FROM sites WHERE tenant_id = $1 AND site_id = $2`, e.Tenant, e.Site).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fault.NotFoundf("customer %q has no site %q", e.Tenant, e.Site)
	}
	tags := e.Tags
	if tags == nil {
		tags = []string{}
	}
	_, err := p.s.exec(ctx, `INSERT INTO enrollments (tenant_id, enrollment_id, site_id, class, tags, uses, used, per_minute, expires_at, may_install,
			created_by, created_at, revoked_at, token_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.Tenant, e.ID, e.Site, e.Class, asJSON(tags), e.Uses, e.Used, e.PerMinute, ms(e.ExpiresAt), btoi(e.MayInstall),
		asJSON(e.CreatedBy), ms(e.CreatedAt), ms(e.RevokedAt), e.TokenHash[:])
	return err
}

const enrollmentColumns = `tenant_id, enrollment_id, site_id, class, tags, uses, used, per_minute, expires_at, may_install,
	created_by, created_at, revoked_at, token_hash`

func scanEnrollment(scan func(...any) error) (e pki.Enrollment, err error) {
	var install int64
	var hash []byte
	err = scan(&e.Tenant, &e.ID, &e.Site, &e.Class, asJSON(&e.Tags), &e.Uses, &e.Used, &e.PerMinute, asTime(&e.ExpiresAt), &install,
		asJSON(&e.CreatedBy), asTime(&e.CreatedAt), asTime(&e.RevokedAt), &hash)
	e.MayInstall = install != 0
	copy(e.TokenHash[:], hash)
	return e, err
}

// ByHash finds the enrollment of a token's hash, locked inside a transaction.
func (p *PKI) ByHash(ctx context.Context, hash [32]byte) (pki.Enrollment, error) {
	e, err := scanEnrollment(p.s.queryRow(ctx, `SELECT `+enrollmentColumns+` FROM enrollments WHERE token_hash = $1`+p.s.locked(ctx), hash[:]).Scan)
	return e, missing(err, "there is no such enrollment")
}

// ByID finds a tenant's enrollment, locked inside a transaction.
func (p *PKI) ByID(ctx context.Context, tenant ident.TenantID, id ident.EnrollmentID) (pki.Enrollment, error) {
	e, err := scanEnrollment(p.s.queryRow(ctx, `SELECT `+enrollmentColumns+` FROM enrollments WHERE tenant_id = $1 AND enrollment_id = $2`+p.s.locked(ctx), tenant, id).Scan)
	return e, missing(err, "there is no enrollment %s", id)
}

// List returns what the scope covers, newest first.
func (p *PKI) List(ctx context.Context, scope ident.Scope) ([]pki.Enrollment, error) {
	where, args := inScope("tenant_id", scope, 1)
	all, err := list(ctx, p.s.main, func(r *sql.Rows) (pki.Enrollment, error) { return scanEnrollment(r.Scan) },
		`SELECT `+enrollmentColumns+` FROM enrollments WHERE `+where+` ORDER BY enrollment_id DESC`, args...)
	out := all[:0]
	for _, e := range all {
		if scope.HasSite(e.Tenant, e.Site) {
			out = append(out, e)
		}
	}
	return out, err
}

// Update writes Used and RevokedAt.
func (p *PKI) Update(ctx context.Context, e pki.Enrollment) error {
	n, err := p.s.exec(ctx, `UPDATE enrollments SET used = $3, revoked_at = $4 WHERE tenant_id = $1 AND enrollment_id = $2`, e.Tenant, e.ID, e.Used, ms(e.RevokedAt))
	return exactly(1, n, err, "update enrollment")
}

// Redeemed finds the device that a key enrolled with a token, or "".
func (p *PKI) Redeemed(ctx context.Context, tokenHash, keyHash [32]byte) (id ident.DeviceID, err error) {
	err = p.s.queryRow(ctx, `SELECT device_id FROM enrollment_uses WHERE token_hash = $1 AND key_hash = $2`, tokenHash[:], keyHash[:]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// SaveRedeemed keeps which key became which device.
func (p *PKI) SaveRedeemed(ctx context.Context, e pki.Enrollment, key [32]byte, device ident.DeviceID, at time.Time) error {
	_, err := p.s.exec(ctx, `INSERT INTO enrollment_uses (tenant_id, enrollment_id, token_hash, key_hash, device_id, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Tenant, e.ID, e.TokenHash[:], key[:], device, ms(at))
	return err
}
