package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
)

// Inventory keeps pictures of devices and the catalogue: inventory.Store and
// inventory.Catalogue.
type Inventory struct{ s *Store }

// Inventory returns the store of the inventory.
func (s *Store) Inventory() *Inventory { return &Inventory{s} }

// Sections lists what is known of a device without the items.
func (i *Inventory) Sections(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]inventory.Section, error) {
	return list(ctx, i.s.main, func(r *sql.Rows) (sec inventory.Section, err error) {
		var hash []byte
		err = r.Scan(&sec.Name, &hash, asTime(&sec.UpdatedAt), asTime(&sec.ScannedAt))
		copy(sec.Hash[:], hash)
		return sec, err
	}, `SELECT section, hash, updated_at, scanned_at FROM inventory_sections WHERE tenant_id = $1 AND device_id = $2 ORDER BY section`, tenant, device)
}

// Items lists the items of a section in order of keys.
func (i *Inventory) Items(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, section wire.Section) ([]wire.Item, error) {
	return list(ctx, i.s.main, func(r *sql.Rows) (it wire.Item, err error) {
		err = r.Scan(&it.Key, asJSON(&it.Facts))
		return it, err
	}, `SELECT item, facts FROM inventory_items WHERE tenant_id = $1 AND device_id = $2 AND section = $3 ORDER BY item`, tenant, device, section)
}

// PutSection writes a section's hash and times.
func (i *Inventory) PutSection(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, sec inventory.Section) error {
	_, err := i.s.exec(ctx, `INSERT INTO inventory_sections (tenant_id, device_id, section, hash, updated_at, scanned_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant_id, device_id, section) DO UPDATE SET hash = excluded.hash, updated_at = excluded.updated_at, scanned_at = excluded.scanned_at`,
		tenant, device, sec.Name, sec.Hash[:], ms(sec.UpdatedAt), ms(sec.ScannedAt))
	return err
}

// ChangeItems writes and deletes items of a section.
func (i *Inventory) ChangeItems(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, c wire.Change) error {
	if c.Full {
		if _, err := i.s.exec(ctx, `DELETE FROM inventory_items WHERE tenant_id = $1 AND device_id = $2 AND section = $3`, tenant, device, c.Section); err != nil {
			return err
		}
	}
	for _, key := range c.Remove {
		if _, err := i.s.exec(ctx, `DELETE FROM inventory_items WHERE tenant_id = $1 AND device_id = $2 AND section = $3 AND item = $4`,
			tenant, device, c.Section, key); err != nil {
			return err
		}
	}
	for _, it := range c.Upsert {
		if _, err := i.s.exec(ctx, `INSERT INTO inventory_items (tenant_id, device_id, section, item, facts) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant_id, device_id, section, item) DO UPDATE SET facts = excluded.facts`,
			tenant, device, c.Section, it.Key, asJSON(it.Facts)); err != nil {
			return err
		}
	}
	return nil
}

// AddHistory appends lines to the device's history.
func (i *Inventory) AddHistory(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, lines []inventory.Change) error {
	var last int64
	if err := i.s.queryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM inventory_history WHERE tenant_id = $1 AND device_id = $2`, tenant, device).Scan(&last); err != nil {
		return err
	}
	for n, c := range lines {
		before, err := factsText(c.Before)
		if err != nil {
			return err
		}
		after, err := factsText(c.After)
		if err != nil {
			return err
		}
		if _, err := i.s.exec(ctx, `INSERT INTO inventory_history (tenant_id, device_id, seq, at, section, item, before, after)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, tenant, device, last+int64(n)+1, ms(c.At), c.Section, c.Key, before, after); err != nil {
			return err
		}
	}
	return nil
}

func factsText(facts map[string]string) (string, error) {
	if facts == nil {
		return "", nil
	}
	b, err := json.Marshal(facts)
	if err != nil {
		return "", fmt.Errorf("facts: %w", err)
	}
	return string(b), nil
}

// History lists lines before a number, newest first.
func (i *Inventory) History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]inventory.Change, error) {
	if before == 0 {
		before = 1 << 62
	}
	return list(ctx, i.s.main, func(r *sql.Rows) (c inventory.Change, err error) {
		err = r.Scan(&c.Seq, asTime(&c.At), &c.Section, &c.Key, asJSON(&c.Before), asJSON(&c.After))
		return c, err
	}, `SELECT seq, at, section, item, before, after FROM inventory_history
		WHERE tenant_id = $1 AND device_id = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4`, tenant, device, before, limit)
}

// Release finds a release of the catalogue.
func (i *Inventory) Release(ctx context.Context, source, pkg, version string) (inventory.Release, bool, error) {
	rel := inventory.Release{Source: source, Package: pkg, Version: version}
	err := i.s.queryRow(ctx, `SELECT kind, severity, first_seen FROM releases WHERE source = $1 AND package = $2 AND version = $3`,
		source, pkg, version).Scan(&rel.Kind, &rel.Severity, asTime(&rel.FirstSeen))
	if errors.Is(err, sql.ErrNoRows) {
		return inventory.Release{}, false, nil
	}
	return rel, err == nil, err
}

// See records releases; the first time stays, a kind that was unknown is filled in.
func (i *Inventory) See(ctx context.Context, releases []inventory.Release) error {
	for _, rel := range releases {
		if _, err := i.s.exec(ctx, `INSERT INTO releases (source, package, version, kind, severity, first_seen) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (source, package, version) DO UPDATE SET kind = excluded.kind, severity = excluded.severity
			WHERE releases.kind = 'unknown' AND excluded.kind <> 'unknown'`,
			rel.Source, rel.Package, rel.Version, rel.Kind, rel.Severity, ms(rel.FirstSeen)); err != nil {
			return err
		}
	}
	return nil
}
