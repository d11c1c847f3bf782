package audit

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// memory is a faithful store: transactions that join and roll back, unique ids
// and sequences, and refusal of writes outside of a transaction.
type memory struct {
	mu     sync.Mutex
	rows   []Row
	heads  []SignedHead
	points map[ident.TenantID]Checkpoint
}

type inTx struct{}

var errNoTx = errors.New("a write outside of a transaction")

func (m *memory) Tx(ctx context.Context, do func(context.Context) error) error {
	if ctx.Value(inTx{}) != nil {
		return do(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, heads, points := slices.Clone(m.rows), slices.Clone(m.heads), maps.Clone(m.points)
	err := do(context.WithValue(ctx, inTx{}, true))
	if err != nil {
		m.rows, m.heads, m.points = rows, heads, points
	}
	return err
}

func (m *memory) InsertUnsealed(ctx context.Context, row Row) error {
	if ctx.Value(inTx{}) == nil {
		return errNoTx
	}
	if slices.ContainsFunc(m.rows, func(r Row) bool { return r.ID == row.ID }) || row.Sealed() {
		return errors.New("id taken, or sealed already")
	}
	m.rows = append(m.rows, row)
	return nil
}

func (m *memory) Unsealed(_ context.Context, limit int) ([]Row, error) {
	var out []Row
	for _, r := range m.rows {
		if !r.Sealed() && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) Seal(ctx context.Context, rows []Row) error {
	if ctx.Value(inTx{}) == nil {
		return errNoTx
	}
	at := make(map[ident.EntryID]int)
	for i, r := range m.rows {
		at[r.ID] = i
	}
	for _, r := range rows {
		i, ok := at[r.ID]
		if !ok || m.rows[i].Sealed() {
			return errors.New("no such unsealed row")
		}
		m.rows[i].Seq, m.rows[i].Prev, m.rows[i].Hash = r.Seq, r.Prev, r.Hash
	}
	return nil
}

func (m *memory) chain(tenant ident.TenantID) []Row {
	var out []Row
	for _, r := range m.rows {
		if r.Tenant == tenant && r.Sealed() {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Row) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

func (m *memory) Chain(_ context.Context, tenant ident.TenantID, from uint64, limit int) ([]Row, error) {
	rows := m.chain(tenant)
	i, _ := slices.BinarySearchFunc(rows, from, func(r Row, s uint64) int { return cmp.Compare(r.Seq, s) })
	return rows[i:min(len(rows), i+limit)], nil
}

func (m *memory) Tips(_ context.Context, tenant ident.TenantID) ([]Tip, error) {
	last := make(map[ident.TenantID]Tip)
	for _, r := range m.rows {
		if (tenant == "" || tenant == r.Tenant) && r.Seq > last[r.Tenant].Seq {
			last[r.Tenant] = Tip{r.Tenant, r.Seq, r.Hash}
		}
	}
	var out []Tip
	for _, t := range slices.Sorted(maps.Keys(last)) {
		out = append(out, last[t])
	}
	return out, nil
}

func (m *memory) SaveHead(ctx context.Context, h SignedHead) error {
	if ctx.Value(inTx{}) == nil {
		return errNoTx
	}
	m.heads = append(m.heads, h)
	return nil
}

func (m *memory) Heads(_ context.Context, tenant ident.TenantID, limit int) ([]SignedHead, error) {
	var out []SignedHead
	for _, h := range slices.Backward(m.heads) {
		if h.Tenant == tenant && len(out) < limit {
			out = append(out, h)
		}
	}
	return out, nil
}

func (m *memory) List(_ context.Context, q Query) ([]Row, error) {
	var out []Row
	for _, r := range m.rows {
		switch {
		case !q.All && !slices.Contains(q.Tenants, r.Tenant), q.Before != "" && r.ID >= q.Before:
		case !q.From.IsZero() && r.At.Before(q.From), !q.To.IsZero() && !r.At.Before(q.To):
		case q.ActorID != "" && q.ActorID != r.ActorID, q.Action != "" && q.Action != r.Action:
		case q.ObjectKind != "" && q.ObjectKind != r.ObjectKind, q.ObjectID != "" && q.ObjectID != r.ObjectID:
		default:
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(b.ID, a.ID) })
	return out[:min(len(out), q.Limit)], nil
}

func (m *memory) CountUnsealed(_ context.Context, tenant ident.TenantID) (n uint64, _ error) {
	for _, r := range m.rows {
		if r.Tenant == tenant && !r.Sealed() {
			n++
		}
	}
	return n, nil
}

func (m *memory) Checkpoint(_ context.Context, tenant ident.TenantID) (Checkpoint, error) {
	return m.points[tenant], nil
}

func (m *memory) Prune(ctx context.Context, c Checkpoint) error {
	if ctx.Value(inTx{}) == nil {
		return errNoTx
	}
	m.rows = slices.DeleteFunc(m.rows, func(r Row) bool { return r.Tenant == c.Tenant && r.Sealed() && r.Seq <= c.Seq })
	m.heads = slices.DeleteFunc(m.heads, func(h SignedHead) bool { return h.Tenant == c.Tenant && h.Seq < c.Seq })
	m.points[c.Tenant] = c
	return nil
}

func (m *memory) Erase(ctx context.Context, tenant ident.TenantID, id ident.EntryID) error {
	if ctx.Value(inTx{}) == nil {
		return errNoTx
	}
	for i, r := range m.rows {
		if r.Tenant == tenant && r.ID == id && r.Sealed() {
			m.rows[i].Payload = nil
			return nil
		}
	}
	return fault.NotFoundf("no such entry")
}

// signer is a real key.
type signer struct{ key ed25519.PrivateKey }

func (s signer) SignAudit(message []byte) []byte { return ed25519.Sign(s.key, message) }

func (s signer) CheckAudit(message, signature []byte) bool {
	return ed25519.Verify(s.key.Public().(ed25519.PublicKey), message, signature)
}

func newSigner(seed byte) signer {
	return signer{ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))}
}

func newRecord() (*Service, *memory) {
	m := &memory{points: make(map[ident.TenantID]Checkpoint)}
	return New(Options{Store: m, Archive: m, Signer: newSigner(1)}), m
}
