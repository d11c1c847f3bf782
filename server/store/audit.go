package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Audit keeps the sealed record: audit.Store and audit.Archive.
type Audit struct{ s *Store }

// Audit returns the store of the record.
func (s *Store) Audit() *Audit { return &Audit{s} }

// Tx joins or begins a transaction.
func (a *Audit) Tx(ctx context.Context, do func(ctx context.Context) error) error {
	return a.s.Tx(ctx, do)
}

// InsertUnsealed adds an entry without its place in the chain.
func (a *Audit) InsertUnsealed(ctx context.Context, r audit.Row) error {
	_, err := a.s.exec(ctx, `INSERT INTO audit_entries (tenant_id, entry_id, at, actor_kind, actor_id, actor_tenant, action, object_kind, object_id, payload, payload_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		r.Tenant, r.ID, ms(r.At), r.ActorKind, r.ActorID, r.ActorTenant, r.Action, r.ObjectKind, r.ObjectID, r.Payload, r.PayloadHash[:])
	return err
}

const auditColumns = `tenant_id, entry_id, at, actor_kind, actor_id, actor_tenant, action, object_kind, object_id, payload, payload_hash,
	COALESCE(seq, 0), prev, hash`

func scanEntry(rows *sql.Rows) (r audit.Row, err error) {
	var payloadHash, prev, hash []byte
	var seq int64
	err = rows.Scan(&r.Tenant, &r.ID, asTime(&r.At), &r.ActorKind, &r.ActorID, &r.ActorTenant, &r.Action, &r.ObjectKind, &r.ObjectID,
		&r.Payload, &payloadHash, &seq, &prev, &hash)
	copy(r.PayloadHash[:], payloadHash)
	copy(r.Prev[:], prev)
	copy(r.Hash[:], hash)
	r.Seq = uint64(seq)
	return r, err
}

// Unsealed lists entries without a place, in the order in which they were made.
func (a *Audit) Unsealed(ctx context.Context, limit int) ([]audit.Row, error) {
	return list(ctx, a.s.main, scanEntry, `SELECT `+auditColumns+` FROM audit_entries WHERE seq IS NULL ORDER BY at, entry_id LIMIT $1`, limit)
}

// Seal gives entries their place; each must have been without one.
func (a *Audit) Seal(ctx context.Context, rows []audit.Row) error {
	for _, r := range rows {
		n, err := a.s.exec(ctx, `UPDATE audit_entries SET seq = $3, prev = $4, hash = $5 WHERE tenant_id = $1 AND entry_id = $2 AND seq IS NULL`,
			r.Tenant, r.ID, int64(r.Seq), r.Prev[:], r.Hash[:])
		if err := exactly(1, n, err, "seal audit entry"); err != nil {
			return err
		}
	}
	return nil
}

// Chain lists sealed entries from a sequence on.
func (a *Audit) Chain(ctx context.Context, tenant ident.TenantID, from uint64, limit int) ([]audit.Row, error) {
	return list(ctx, a.s.main, scanEntry, `SELECT `+auditColumns+` FROM audit_entries WHERE tenant_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3`,
		tenant, int64(from), limit)
}

// Tips lists the last sealed place of one chain, or of all.
func (a *Audit) Tips(ctx context.Context, tenant ident.TenantID) ([]audit.Tip, error) {
	return list(ctx, a.s.main, func(rows *sql.Rows) (t audit.Tip, err error) {
		var seq int64
		var hash []byte
		err = rows.Scan(&t.Tenant, &seq, &hash)
		t.Seq = uint64(seq)
		copy(t.Hash[:], hash)
		return t, err
	}, `SELECT e.tenant_id, e.seq, e.hash FROM audit_entries e
		JOIN (SELECT tenant_id, MAX(seq) AS seq FROM audit_entries WHERE seq IS NOT NULL AND (tenant_id = $1 OR CAST($1 AS TEXT) = '') GROUP BY tenant_id) m
		ON m.tenant_id = e.tenant_id AND m.seq = e.seq ORDER BY e.tenant_id`, tenant)
}

// SaveHead keeps a signed head.
func (a *Audit) SaveHead(ctx context.Context, h audit.SignedHead) error {
	_, err := a.s.exec(ctx, `INSERT INTO audit_heads (tenant_id, seq, hash, at, signature) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, at, seq) DO UPDATE SET hash = excluded.hash, signature = excluded.signature`,
		h.Tenant, int64(h.Seq), h.Hash[:], ms(h.At), h.Signature)
	return err
}

// Heads lists signed heads, newest first.
func (a *Audit) Heads(ctx context.Context, tenant ident.TenantID, limit int) ([]audit.SignedHead, error) {
	return list(ctx, a.s.main, func(rows *sql.Rows) (h audit.SignedHead, err error) {
		var seq int64
		var hash []byte
		err = rows.Scan(&h.Tenant, &seq, &hash, asTime(&h.At), &h.Signature)
		h.Seq = uint64(seq)
		copy(h.Hash[:], hash)
		return h, err
	}, `SELECT tenant_id, seq, hash, at, signature FROM audit_heads WHERE tenant_id = $1 ORDER BY at DESC, seq DESC LIMIT $2`, tenant, limit)
}

// List returns entries, newest first.
func (a *Audit) List(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if !q.All {
		text, values := inTenants("tenant_id", q.Tenants, 1)
		where, args = append(where, text), append(args, values...)
	}
	if q.Before != "" {
		add("entry_id < $%d", q.Before)
	}
	if !q.From.IsZero() {
		add("at >= $%d", ms(q.From))
	}
	if !q.To.IsZero() {
		add("at < $%d", ms(q.To))
	}
	for column, value := range map[string]string{"actor_id": q.ActorID, "action": q.Action, "object_kind": q.ObjectKind, "object_id": q.ObjectID} {
		if value != "" {
			add(column+" = $%d", value)
		}
	}
	args = append(args, q.Limit)
	return list(ctx, a.s.main, scanEntry, `SELECT `+auditColumns+` FROM audit_entries WHERE `+strings.Join(where, " AND ")+
		fmt.Sprintf(" ORDER BY entry_id DESC LIMIT $%d", len(args)), args...)
}

// CountUnsealed counts a tenant's entries without a place.
func (a *Audit) CountUnsealed(ctx context.Context, tenant ident.TenantID) (uint64, error) {
	var n int64
	err := a.s.queryRow(ctx, `SELECT COUNT(*) FROM audit_entries WHERE tenant_id = $1 AND seq IS NULL`, tenant).Scan(&n)
	return uint64(n), err
}

// Checkpoint is what stands for a removed prefix, or the zero one.
func (a *Audit) Checkpoint(ctx context.Context, tenant ident.TenantID) (audit.Checkpoint, error) {
	c := audit.Checkpoint{Tenant: tenant}
	var seq int64
	var hash []byte
	err := a.s.queryRow(ctx, `SELECT seq, hash, at, signature FROM audit_checkpoints WHERE tenant_id = $1`, tenant).
		Scan(&seq, &hash, asTime(&c.At), &c.Signature)
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Checkpoint{}, nil
	}
	c.Seq = uint64(seq)
	copy(c.Hash[:], hash)
	return c, err
}

// Prune saves the checkpoint and removes what it stands for.
func (a *Audit) Prune(ctx context.Context, c audit.Checkpoint) error {
	if _, err := a.s.exec(ctx, `INSERT INTO audit_checkpoints (tenant_id, seq, hash, at, signature) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at, signature = excluded.signature`,
		c.Tenant, int64(c.Seq), c.Hash[:], ms(c.At), c.Signature); err != nil {
		return err
	}
	if _, err := a.s.exec(ctx, `DELETE FROM audit_entries WHERE tenant_id = $1 AND seq <= $2`, c.Tenant, int64(c.Seq)); err != nil {
		return err
	}
	_, err := a.s.exec(ctx, `DELETE FROM audit_heads WHERE tenant_id = $1 AND seq < $2`, c.Tenant, int64(c.Seq))
	return err
}

// Erase removes an entry's payload.
func (a *Audit) Erase(ctx context.Context, tenant ident.TenantID, id ident.EntryID) error {
	n, err := a.s.exec(ctx, `UPDATE audit_entries SET payload = NULL WHERE tenant_id = $1 AND entry_id = $2 AND seq IS NOT NULL`, tenant, id)
	if err == nil && n == 0 {
		return fault.NotFoundf("there is no sealed audit entry %s", id)
	}
	return err
}
