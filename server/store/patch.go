package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// Patch keeps updates on devices, their history and learned durations: patch.Store.
type Patch struct{ s *Store }

// Patch returns the store of updates.
func (s *Store) Patch() *Patch { return &Patch{s} }

const updateColumns = `tenant_id, device_id, source, package, version, installed, kind, severity, held, phased, offered,
	state, reason, since, first_seen, tries, last_error, last_try, job_id, seq`

func scanUpdate(r *sql.Rows) (u patch.Update, err error) {
	var why string
	var held, phased, offered int64
	err = r.Scan(&u.Tenant, &u.Device, &u.Source, &u.Package, &u.Version, &u.Installed, &u.Kind, &u.Severity, &held, &phased, &offered,
		&u.State, &why, asTime(&u.Since), asTime(&u.FirstSeen), &u.Tries, &u.LastError, asTime(&u.LastTry), &u.Job, &u.Seq)
	if err != nil {
		return u, err
	}
	u.Held, u.Phased, u.Offered = held != 0, phased != 0, offered != 0
	u.Reason, err = reason.Decode(why)
	return u, err
}

// Updates lists all rows of a device.
func (p *Patch) Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]patch.Update, error) {
	return list(ctx, p.s.main, scanUpdate, `SELECT `+updateColumns+` FROM updates
		WHERE tenant_id = $1 AND device_id = $2 ORDER BY source, package, version`, tenant, device)
}

// Open lists the open rows of a tenant.
func (p *Patch) Open(ctx context.Context, tenant ident.TenantID) ([]patch.Update, error) {
	return list(ctx, p.s.main, scanUpdate, `SELECT `+updateColumns+` FROM updates
		WHERE tenant_id = $1 AND open = 1 ORDER BY device_id, source, package, version`, tenant)
}

// OfRelease lists the open rows of a release.
func (p *Patch) OfRelease(ctx context.Context, tenant ident.TenantID, r patch.Release) ([]patch.Update, error) {
	return list(ctx, p.s.main, scanUpdate, `SELECT `+updateColumns+` FROM updates
		WHERE tenant_id = $1 AND source = $2 AND package = $3 AND version = $4 AND open = 1 ORDER BY device_id`, tenant, r.Source, r.Package, r.Version)
}

// Put writes a row and a line of history when it moved.
func (p *Patch) Put(ctx context.Context, u patch.Update, moved *patch.Transition) error {
	if moved != nil {
		var last int64
		if err := p.s.queryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM update_history WHERE tenant_id = $1 AND device_id = $2`, u.Tenant, u.Device).Scan(&last); err != nil {
			return err
		}
		u.Seq = last + 1
		if _, err := p.s.exec(ctx, `INSERT INTO update_history (tenant_id, device_id, seq, source, package, version, state_from, state_to, reason, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, u.Tenant, u.Device, u.Seq, moved.Release.Source, moved.Release.Package, moved.Release.Version,
			moved.From, moved.To, moved.Reason.Encode(), ms(moved.At)); err != nil {
			return err
		}
	}
	_, err := p.s.exec(ctx, `INSERT INTO updates (`+updateColumns+`, open)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
		ON CONFLICT (tenant_id, device_id, source, package, version) DO UPDATE SET installed = excluded.installed, kind = excluded.kind,
			severity = excluded.severity, held = excluded.held, phased = excluded.phased, offered = excluded.offered, state = excluded.state,
			reason = excluded.reason, since = excluded.since, tries = excluded.tries, last_error = excluded.last_error,
			last_try = excluded.last_try, job_id = excluded.job_id, seq = excluded.seq, open = excluded.open`,
		u.Tenant, u.Device, u.Source, u.Package, u.Version, u.Installed, u.Kind, u.Severity, btoi(u.Held), btoi(u.Phased), btoi(u.Offered),
		u.State, u.Reason.Encode(), ms(u.Since), ms(u.FirstSeen), u.Tries, u.LastError, ms(u.LastTry), u.Job, u.Seq, btoi(u.State.Open()))
	return err
}

// History lists a device's transitions before a number, newest first.
func (p *Patch) History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]patch.Transition, error) {
	if before == 0 {
		before = 1 << 62
	}
	return list(ctx, p.s.main, func(r *sql.Rows) (t patch.Transition, err error) {
		var why string
		if err = r.Scan(&t.Seq, &t.Release.Source, &t.Release.Package, &t.Release.Version, &t.From, &t.To, &why, asTime(&t.At)); err != nil {
			return t, err
		}
		t.Reason, err = reason.Decode(why)
		return t, err
	}, `SELECT seq, source, package, version, state_from, state_to, reason, at FROM update_history
		WHERE tenant_id = $1 AND device_id = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4`, tenant, device, before, limit)
}

// AddDuration records how long a release took.
func (p *Patch) AddDuration(ctx context.Context, r patch.Release, took time.Duration, at time.Time) error {
	_, err := p.s.exec(ctx, `INSERT INTO durations (source, package, version, at, seconds) VALUES ($1, $2, $3, $4, $5)`,
		r.Source, r.Package, r.Version, ms(at), int64(took/time.Second))
	return err
}

// Durations lists the latest durations of a release, a package or a source.
func (p *Patch) Durations(ctx context.Context, r patch.Release) ([]time.Duration, error) {
	return list(ctx, p.s.main, func(rows *sql.Rows) (time.Duration, error) {
		var seconds int64
		err := rows.Scan(&seconds)
		return time.Duration(seconds) * time.Second, err
	}, `SELECT seconds FROM durations WHERE source = $1 AND (package = $2 OR CAST($2 AS TEXT) = '') AND (version = $3 OR CAST($3 AS TEXT) = '')
		ORDER BY at DESC LIMIT 100`, r.Source, r.Package, r.Version)
}
