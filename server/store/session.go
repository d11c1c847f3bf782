package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/session"
)

// Session keeps devices' sessions: session.Store.
type Session struct{ s *Store }

// Session returns the store of devices' sessions.
func (s *Store) Session() *Session { return &Session{s} }

// Record finds a device's record.
func (p *Session) Record(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (r session.Record, found bool, err error) {
	var number, through, desired, acknowledged int64
	var epoch string
	err = p.s.queryRow(ctx, `SELECT tenant_id, device_id, journal, number, through, epoch, opened_at, reports_through, desired, desired_hash, acknowledged, wants
		FROM device_sessions WHERE tenant_id = $1 AND device_id = $2`, tenant, device).
		Scan(&r.Tenant, &r.Device, &r.Journal, &number, &through, &epoch, asTime(&r.OpenedAt), asTime(&r.ReportsThrough), &desired, &r.DesiredHash, &acknowledged, asJSON(&r.Wants))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Record{}, false, nil
	}
	if err != nil {
		return session.Record{}, false, err
	}
	r.Number, r.Through, r.Desired, r.Acknowledged = uint64(number), uint64(through), uint64(desired), uint64(acknowledged)
	r.Epoch, err = strconv.ParseUint(epoch, 10, 64)
	return r, err == nil, err
}

// PutRecord inserts or replaces a device's record.
func (p *Session) PutRecord(ctx context.Context, r session.Record) error {
	_, err := p.s.exec(ctx, `INSERT INTO device_sessions (tenant_id, device_id, journal, number, through, epoch, opened_at, reports_through, desired, desired_hash, acknowledged, wants)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (tenant_id, device_id) DO UPDATE SET journal = excluded.journal, number = excluded.number, through = excluded.through,
			epoch = excluded.epoch, opened_at = excluded.opened_at, reports_through = excluded.reports_through, desired = excluded.desired,
			desired_hash = excluded.desired_hash, acknowledged = excluded.acknowledged, wants = excluded.wants`,
		r.Tenant, r.Device, r.Journal, int64(r.Number), int64(r.Through), strconv.FormatUint(r.Epoch, 10), ms(r.OpenedAt), ms(r.ReportsThrough),
		int64(r.Desired), r.DesiredHash, int64(r.Acknowledged), asJSON(listed(r.Wants)))
	return err
}

// Advance moves through up by one, if nobody else has.
func (p *Session) Advance(ctx context.Context, r session.Record, from uint64) (bool, error) {
	n, err := p.s.exec(ctx, `UPDATE device_sessions SET through = through + 1
		WHERE tenant_id = $1 AND device_id = $2 AND journal = $3 AND number = $4 AND through = $5`,
		r.Tenant, r.Device, r.Journal, int64(r.Number), int64(from))
	return n == 1, err
}

// PutDesired writes the version and hash of what the device should hold, and
// the version that it acknowledged.
func (p *Session) PutDesired(ctx context.Context, r session.Record) error {
	_, err := p.s.exec(ctx, `UPDATE device_sessions SET desired = $3, desired_hash = $4, acknowledged = $5 WHERE tenant_id = $1 AND device_id = $2`,
		r.Tenant, r.Device, int64(r.Desired), r.DesiredHash, int64(r.Acknowledged))
	return err
}

// PutProgress writes how far the device's reports are stored, and the sections
// that it was asked for.
func (p *Session) PutProgress(ctx context.Context, r session.Record) error {
	_, err := p.s.exec(ctx, `UPDATE device_sessions SET reports_through = $3, wants = $4 WHERE tenant_id = $1 AND device_id = $2`,
		r.Tenant, r.Device, ms(r.ReportsThrough), asJSON(listed(r.Wants)))
	return err
}

// listed is never nil, so that JSON has an empty list.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Secret is a key's secret; zero when there is none.
func (p *Session) Secret(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, key [32]byte) (s session.Secret, err error) {
	var epoch string
	err = p.s.queryRow(ctx, `SELECT confirmed, offered, epoch, conflict_at FROM device_secrets WHERE tenant_id = $1 AND device_id = $2 AND key_hash = $3`,
		tenant, device, key[:]).Scan(&s.Confirmed, &s.Offered, &epoch, asTime(&s.ConflictAt))
	if errors.Is(err, sql.ErrNoRows) {
		return session.Secret{}, nil
	}
	if err != nil {
		return session.Secret{}, err
	}
	s.Epoch, err = strconv.ParseUint(epoch, 10, 64)
	return s, err
}

// PutSecret inserts or replaces a key's secret.
func (p *Session) PutSecret(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, key [32]byte, s session.Secret) error {
	_, err := p.s.exec(ctx, `INSERT INTO device_secrets (tenant_id, device_id, key_hash, confirmed, offered, epoch, conflict_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant_id, device_id, key_hash) DO UPDATE SET confirmed = excluded.confirmed, offered = excluded.offered,
			epoch = excluded.epoch, conflict_at = excluded.conflict_at`,
		tenant, device, key[:], s.Confirmed, s.Offered, strconv.FormatUint(s.Epoch, 10), ms(s.ConflictAt))
	return err
}

// DropSecrets forgets the secrets of the device's other keys.
func (p *Session) DropSecrets(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, except [32]byte) error {
	_, err := p.s.exec(ctx, `DELETE FROM device_secrets WHERE tenant_id = $1 AND device_id = $2 AND key_hash <> $3`, tenant, device, except[:])
	return err
}
