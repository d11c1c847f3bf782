package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Fleet keeps tenants, sites, devices and presence: fleet.TenantStore and
// fleet.DeviceStore.
type Fleet struct{ s *Store }

// Fleet returns the store of the fleet.
func (s *Store) Fleet() *Fleet { return &Fleet{s} }

// Tenants lists all tenants but the MSP itself.
func (f *Fleet) Tenants(ctx context.Context) ([]fleet.Tenant, error) {
	return list(ctx, f.s.main, func(r *sql.Rows) (t fleet.Tenant, err error) {
		err = r.Scan(&t.ID, &t.Name, &t.TimeZone, &t.Mode, &t.Changed, asTime(&t.CreatedAt), asTime(&t.UpdatedAt))
		return t, err
	}, `SELECT tenant_id, name, time_zone, mode, changed_per_hour, created_at, updated_at
		FROM tenants WHERE tenant_id <> $1 ORDER BY tenant_id`, ident.MSP)
}

// PutTenant inserts or changes a tenant.
func (f *Fleet) PutTenant(ctx context.Context, t fleet.Tenant) error {
	_, err := f.s.exec(ctx, `INSERT INTO tenants (tenant_id, name, time_zone, mode, changed_per_hour, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone, mode = excluded.mode,
			changed_per_hour = excluded.changed_per_hour, updated_at = excluded.updated_at`,
		t.ID, t.Name, t.TimeZone, t.Mode, t.Changed, ms(t.CreatedAt), ms(t.UpdatedAt))
	return err
}

// Sites lists a tenant's sites.
func (f *Fleet) Sites(ctx context.Context, tenant ident.TenantID) ([]fleet.Site, error) {
	return list(ctx, f.s.main, func(r *sql.Rows) (s fleet.Site, err error) {
		err = r.Scan(&s.Tenant, &s.ID, &s.Name, &s.TimeZone, asTime(&s.CreatedAt))
		return s, err
	}, `SELECT tenant_id, site_id, name, time_zone, created_at FROM sites WHERE tenant_id = $1 ORDER BY site_id`, tenant)
}

// PutSite inserts or changes a site.
func (f *Fleet) PutSite(ctx context.Context, s fleet.Site) error {
	_, err := f.s.exec(ctx, `INSERT INTO sites (tenant_id, site_id, name, time_zone, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, site_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone`,
		s.Tenant, s.ID, s.Name, s.TimeZone, ms(s.CreatedAt))
	return err
}

const deviceColumns = `tenant_id, device_id, site_id, hostname, class, tags, state, reason, since, key_hash, next_key_hash,
	serial, board_uuid, os_family, os_name, os_version, arch, time_zone, agent_version, may_install, enrollment_id,
	enrolled_at, last_seen, online, online_since`

func scanDevice(scan func(...any) error) (d fleet.Device, err error) {
	var key, next []byte
	var why string
	var install, online int64
	err = scan(&d.Tenant, &d.ID, &d.Site, &d.Hostname, &d.Class, asJSON(&d.Tags), &d.State, &why, asTime(&d.Since), &key, &next,
		&d.Serial, &d.BoardUUID, &d.OS.Family, &d.OS.Name, &d.OS.Version, &d.Arch, &d.TimeZone, &d.AgentVersion, &install, &d.Enrollment,
		asTime(&d.EnrolledAt), asTime(&d.LastSeen), &online, asTime(&d.OnlineSince))
	if err != nil {
		return d, err
	}
	copy(d.KeyHash[:], key)
	copy(d.NextKeyHash[:], next)
	d.MayInstall, d.Online = install != 0, online != 0
	d.Reason, err = reason.Decode(why)
	return d, err
}

// Devices lists a tenant's devices, or all of them for "".
func (f *Fleet) Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error) {
	return list(ctx, f.s.main, func(r *sql.Rows) (fleet.Device, error) { return scanDevice(r.Scan) },
		`SELECT `+deviceColumns+` FROM devices WHERE (tenant_id = $1 OR CAST($1 AS TEXT) = '') ORDER BY tenant_id, device_id`, tenant)
}

// Device finds a device of the tenant, or wherever it is for "".
func (f *Fleet) Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, bool, error) {
	d, err := scanDevice(f.s.queryRow(ctx, `SELECT `+deviceColumns+` FROM devices
		WHERE device_id = $1 AND (tenant_id = $2 OR CAST($2 AS TEXT) = '')`, id, tenant).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return fleet.Device{}, false, nil
	}
	return d, err == nil, err
}

// PutDevice inserts or replaces a device's row; last_seen never goes back.
func (f *Fleet) PutDevice(ctx context.Context, d fleet.Device) error {
	tags := d.Tags
	if tags == nil {
		tags = []string{}
	}
	var next []byte
	if d.NextKeyHash != ([32]byte{}) {
		next = d.NextKeyHash[:]
	}
	_, err := f.s.exec(ctx, `INSERT INTO devices (`+deviceColumns+`, search)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
		ON CONFLICT (tenant_id, device_id) DO UPDATE SET site_id = excluded.site_id, hostname = excluded.hostname, class = excluded.class,
			tags = excluded.tags, state = excluded.state, reason = excluded.reason, since = excluded.since, key_hash = excluded.key_hash,
			next_key_hash = excluded.next_key_hash, serial = excluded.serial, board_uuid = excluded.board_uuid,
			os_family = excluded.os_family, os_name = excluded.os_name, os_version = excluded.os_version, arch = excluded.arch,
			time_zone = excluded.time_zone, agent_version = excluded.agent_version, may_install = excluded.may_install,
			enrollment_id = excluded.enrollment_id, enrolled_at = excluded.enrolled_at,
			last_seen = CASE WHEN excluded.last_seen > devices.last_seen THEN excluded.last_seen ELSE devices.last_seen END,
			online = excluded.online, online_since = excluded.online_since, search = excluded.search`,
		d.Tenant, d.ID, d.Site, d.Hostname, d.Class, asJSON(tags), d.State, d.Reason.Encode(), ms(d.Since), d.KeyHash[:], next,
		d.Serial, d.BoardUUID, d.OS.Family, d.OS.Name, d.OS.Version, d.Arch, d.TimeZone, d.AgentVersion, btoi(d.MayInstall), d.Enrollment,
		ms(d.EnrolledAt), ms(d.LastSeen), btoi(d.Online), ms(d.OnlineSince), strings.ToLower(d.Hostname+" "+strings.Join(tags, " ")))
	return err
}

// SetSeen moves last_seen of many devices forward.
func (f *Fleet) SetSeen(ctx context.Context, seen map[fleet.Ref]time.Time) error {
	for ref, at := range seen {
		if _, err := f.s.exec(ctx, `UPDATE devices SET last_seen = $3 WHERE tenant_id = $1 AND device_id = $2 AND last_seen < $3`,
			ref.Tenant, ref.Device, ms(at)); err != nil {
			return err
		}
	}
	return nil
}

// AddPresence appends a flip; two in the same millisecond are the last one.
func (f *Fleet) AddPresence(ctx context.Context, tenant ident.TenantID, p fleet.Presence) error {
	_, err := f.s.exec(ctx, `INSERT INTO presence (tenant_id, device_id, at, online) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, device_id, at) DO UPDATE SET online = excluded.online`, tenant, p.Device, ms(p.At), btoi(p.Online))
	return err
}

// Presence lists flips from a time on and, for each device, the last before it.
func (f *Fleet) Presence(ctx context.Context, tenant ident.TenantID, from time.Time) ([]fleet.Presence, error) {
	return list(ctx, f.s.main, func(r *sql.Rows) (p fleet.Presence, err error) {
		var online int64
		err = r.Scan(&p.Device, asTime(&p.At), &online)
		p.Online = online != 0
		return p, err
	}, `SELECT device_id, at, online FROM presence WHERE tenant_id = $1 AND at >= $2
		UNION ALL
		SELECT p.device_id, p.at, p.online FROM presence p WHERE p.tenant_id = $1 AND p.at =
			(SELECT MAX(q.at) FROM presence q WHERE q.tenant_id = $1 AND q.device_id = p.device_id AND q.at < $2)
		ORDER BY 2, 1`, tenant, ms(from))
}
