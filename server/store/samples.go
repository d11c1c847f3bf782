package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/telemetry"
)

// Samples keeps what telemetry stores, in the file of the samples.
type Samples struct{ s *Store }

var _ telemetry.Store = Samples{}

// Samples returns the samples' part of the store.
func (s *Store) Samples() Samples { return Samples{s} }

// forgetBatch is how many rows one transaction of Forget removes, so that
// reports wait for it but shortly.
const forgetBatch = 500

// Define implements telemetry.Store.
func (p Samples) Define(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, defs []telemetry.Definition) (all map[int]telemetry.Definition, err error) {
	err = p.s.samples.tx(ctx, func(ctx context.Context) error {
		if all, err = p.dictionary(ctx, tenant, device); err != nil {
			return err
		}
		known, last := map[string]bool{}, 0
		for number, d := range all {
			known[d.Key()] = true
			last = max(last, number)
		}
		for _, d := range defs {
			text := d.Key()
			if known[text] {
				continue
			}
			if last++; last > telemetry.MaxDefinitions {
				return fault.New(fault.TooMany, "device %s has had %d series", device, telemetry.MaxDefinitions)
			}
			if _, err := p.s.samples.exec(ctx, `INSERT INTO series (tenant_id, device_id, number, definition)
				VALUES ($1, $2, $3, $4)`, tenant, device, last, text); err != nil {
				return err
			}
			known[text], all[last] = true, d
		}
		return nil
	})
	return all, err
}

func (p Samples) dictionary(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (map[int]telemetry.Definition, error) {
	type entry struct {
		number int
		d      telemetry.Definition
	}
	entries, err := list(ctx, p.s.samples, func(r *sql.Rows) (e entry, err error) {
		return e, r.Scan(&e.number, asJSON(&e.d))
	}, `SELECT number, definition FROM series WHERE tenant_id = $1 AND device_id = $2`, tenant, device)
	if err != nil {
		return nil, err
	}
	out := make(map[int]telemetry.Definition, len(entries))
	for _, e := range entries {
		out[e.number] = e.d
	}
	return out, nil
}

// Append implements telemetry.Store. It is refused while the disk is nearly
// full.
func (p Samples) Append(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, rows []telemetry.Row) (added int, err error) {
	if err := p.s.disk.admitSamples(); err != nil {
		return 0, err
	}
	err = p.s.samples.tx(ctx, func(ctx context.Context) error {
		added = 0
		for _, row := range rows {
			n, err := p.s.samples.exec(ctx, `INSERT INTO tail (tenant_id, device_id, at, data) VALUES ($1, $2, $3, $4)
				ON CONFLICT (tenant_id, device_id, at) DO NOTHING`, tenant, device, row.At.Unix(), row.Data)
			if err != nil {
				return err
			}
			added += int(n)
		}
		return nil
	})
	return added, err
}

// Stretch implements telemetry.Store.
func (p Samples) Stretch(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, from, to time.Time) ([]telemetry.StoredBlock, []telemetry.Row, error) {
	// The rows first: a compaction in between then shows a report twice, which
	// readers sort out, and never hides one.
	rows, err := list(ctx, p.s.samples, func(r *sql.Rows) (row telemetry.Row, err error) {
		return row, r.Scan(asSeconds(&row.At), &row.Data)
	}, `SELECT at, data FROM tail WHERE tenant_id = $1 AND device_id = $2 AND at >= $3 AND at <= $4 ORDER BY at`,
		tenant, device, from.Unix(), to.Unix())
	if err != nil {
		return nil, nil, err
	}
	blocks, err := list(ctx, p.s.samples, func(r *sql.Rows) (b telemetry.StoredBlock, err error) {
		return b, r.Scan(asSeconds(&b.First), asSeconds(&b.Last), &b.Data)
	}, `SELECT first_at, last_at, data FROM block
		WHERE tenant_id = $1 AND device_id = $2 AND last_at >= $3 AND first_at <= $4 ORDER BY first_at, id`,
		tenant, device, from.Unix(), to.Unix())
	return blocks, rows, err
}

// Compact implements telemetry.Store.
func (p Samples) Compact(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, blocks []telemetry.StoredBlock, from, to time.Time, rows int) error {
	return p.s.samples.tx(ctx, func(ctx context.Context) error {
		for _, b := range blocks {
			if _, err := p.s.samples.exec(ctx, `INSERT INTO block (tenant_id, device_id, first_at, last_at, data)
				VALUES ($1, $2, $3, $4, $5)`, tenant, device, b.First.Unix(), b.Last.Unix(), b.Data); err != nil {
				return err
			}
		}
		n, err := p.s.samples.exec(ctx, `DELETE FROM tail WHERE tenant_id = $1 AND device_id = $2 AND at >= $3 AND at <= $4`,
			tenant, device, from.Unix(), to.Unix())
		if err == nil && int(n) != rows {
			return fmt.Errorf("the tail has %d rows where %d were read: a report came in between", n, rows)
		}
		return err
	})
}

// Starts implements telemetry.Store.
func (p Samples) Starts(ctx context.Context, yield func(telemetry.Start) error) error {
	starts, err := list(ctx, p.s.samples, func(r *sql.Rows) (start telemetry.Start, err error) {
		return start, r.Scan(&start.Tenant, &start.Device)
	}, `SELECT DISTINCT tenant_id, device_id FROM series`)
	if err != nil {
		return err
	}
	for _, start := range starts {
		if err := p.start(ctx, &start); err != nil {
			return err
		}
		if err := yield(start); err != nil {
			return err
		}
	}
	return nil
}

func (p Samples) start(ctx context.Context, start *telemetry.Start) (err error) {
	if start.Definitions, err = p.dictionary(ctx, start.Tenant, start.Device); err != nil {
		return err
	}
	db := p.s.samples
	err = db.queryRow(ctx, `SELECT min(at) FROM tail WHERE tenant_id = $1 AND device_id = $2`,
		start.Tenant, start.Device).Scan(asSeconds(&start.Oldest))
	if err != nil {
		return err
	}
	if !start.Oldest.IsZero() {
		return db.queryRow(ctx, `SELECT at, data FROM tail WHERE tenant_id = $1 AND device_id = $2 ORDER BY at DESC LIMIT 1`,
			start.Tenant, start.Device).Scan(asSeconds(&start.Last.At), &start.Last.Data)
	}
	err = db.queryRow(ctx, `SELECT data FROM block WHERE tenant_id = $1 AND device_id = $2 ORDER BY last_at DESC LIMIT 1`,
		start.Tenant, start.Device).Scan(&start.Block)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// Forget implements telemetry.Store, in small transactions.
func (p Samples) Forget(ctx context.Context, tenant ident.TenantID, before time.Time) (int, error) {
	tenants := []ident.TenantID{tenant}
	if tenant == "" {
		var err error
		if tenants, err = list(ctx, p.s.samples, func(r *sql.Rows) (t ident.TenantID, err error) {
			return t, r.Scan(&t)
		}, `SELECT DISTINCT tenant_id FROM series`); err != nil {
			return 0, err
		}
	}
	total := 0
	for _, t := range tenants {
		for _, text := range []string{
			`DELETE FROM block WHERE tenant_id = $1 AND last_at < $2 AND id IN
				(SELECT id FROM block WHERE tenant_id = $1 AND last_at < $2 LIMIT $3)`,
			`DELETE FROM tail WHERE tenant_id = $1 AND at < $2 AND (device_id, at) IN
				(SELECT device_id, at FROM tail WHERE tenant_id = $1 AND at < $2 LIMIT $3)`,
		} {
			n, err := p.deleteAll(ctx, text, t, before.Unix(), forgetBatch)
			total += n
			if err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// deleteAll repeats a statement, each time in its own transaction, until it
// removes less than a batch.
func (p Samples) deleteAll(ctx context.Context, text string, args ...any) (total int, err error) {
	for {
		var n int64
		err := p.s.samples.tx(ctx, func(ctx context.Context) (err error) {
			n, err = p.s.samples.exec(ctx, text, args...)
			return err
		})
		total += int(n)
		if err != nil || n < forgetBatch {
			return total, err
		}
	}
}

// Drop implements telemetry.Store.
func (p Samples) Drop(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) error {
	return p.s.samples.tx(ctx, func(ctx context.Context) error {
		for _, text := range []string{
			`DELETE FROM tail WHERE tenant_id = $1 AND device_id = $2`,
			`DELETE FROM block WHERE tenant_id = $1 AND device_id = $2`,
			`DELETE FROM series WHERE tenant_id = $1 AND device_id = $2`,
		} {
			if _, err := p.s.samples.exec(ctx, text, tenant, device); err != nil {
				return err
			}
		}
		return nil
	})
}

// seconds scans seconds since 1970 into a time in UTC; NULL gives the zero time.
type seconds struct{ t *time.Time }

func asSeconds(t *time.Time) seconds { return seconds{t} }

// Scan implements sql.Scanner.
func (s seconds) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		*s.t = time.Unix(v, 0).UTC()
	default:
		return fmt.Errorf("a time is stored as %T, not as seconds", src)
	}
	return nil
}
