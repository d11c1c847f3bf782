package audit

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Store keeps the chains. Every write happens inside Tx, which joins a
// transaction that ctx already carries.
type Store interface {
	Tx(ctx context.Context, do func(ctx context.Context) error) error
	// InsertUnsealed adds a row with Seq 0. The id is unique over all tenants.
	InsertUnsealed(ctx context.Context, row Row) error
	// Unsealed returns up to limit unsealed rows of all tenants, in the order
	// of their insertion as well as the database knows it.
	Unsealed(ctx context.Context, limit int) ([]Row, error)
	// Seal writes Seq, Prev and Hash of rows that were unsealed; it fails when
	// one was not, and when a sequence is taken.
	Seal(ctx context.Context, rows []Row) error
	// Chain returns up to limit sealed rows of a tenant from a sequence on, in
	// rising order.
	Chain(ctx context.Context, tenant ident.TenantID, from uint64, limit int) ([]Row, error)
	// Tips returns the last sealed place of one tenant's chain, or of all
	// chains when tenant is empty; none for an empty chain.
	Tips(ctx context.Context, tenant ident.TenantID) ([]Tip, error)
	// SaveHead keeps a signed head.
	SaveHead(ctx context.Context, head SignedHead) error
	// Heads returns up to limit signed heads of a tenant, the newest first.
	Heads(ctx context.Context, tenant ident.TenantID, limit int) ([]SignedHead, error)
}

// Archive is what reading and removing need of the store.
type Archive interface {
	// List returns rows, newest id first.
	List(ctx context.Context, query Query) ([]Row, error)
	// CountUnsealed counts a tenant's unsealed rows.
	CountUnsealed(ctx context.Context, tenant ident.TenantID) (uint64, error)
	// Checkpoint returns the tenant's latest checkpoint, or the zero one.
	Checkpoint(ctx context.Context, tenant ident.TenantID) (Checkpoint, error)
	// Prune saves the checkpoint and deletes the sealed rows up to its Seq and
	// the heads below it.
	Prune(ctx context.Context, c Checkpoint) error
	// Erase sets the payload of a sealed row to null; fault.NotFound when
	// the tenant has no such sealed row.
	Erase(ctx context.Context, tenant ident.TenantID, id ident.EntryID) error
}

// Options are what the record needs. Keep and HeadEvery have defaults.
type Options struct {
	Store     Store
	Archive   Archive
	Signer    Signer
	Keep      time.Duration // how long entries are kept; 2 years
	HeadEvery time.Duration // how often heads are signed; 1 hour
}

// The defaults of Options.
const (
	DefaultKeep      = 2 * 365 * 24 * time.Hour
	DefaultHeadEvery = time.Hour
)

const (
	sealBatch   = 500  // rows sealed in one transaction: about 5 ms of a writer's time
	sealRounds  = 20   // batches in one run
	verifyBatch = 1000 // rows read at once
	pruneBatch  = 1000 // rows removed in one transaction
)

// Service is the record.
type Service struct {
	Options
	mu       sync.Mutex
	headsDue time.Time // when heads are signed next; zero: look at the stored ones
}

// New returns the record.
func New(o Options) *Service {
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.HeadEvery == 0 {
		o.HeadEvery = DefaultHeadEvery
	}
	return &Service{Options: o}
}

// Record writes an entry. Call it inside the transaction that does what the
// entry says: both are kept, or neither. At is required, the id is given here
// when it is empty.
func (s *Service) Record(ctx context.Context, e Entry) error {
	if e.ID == "" {
		e.ID = ident.EntryID(ident.New(e.At))
	}
	e.At = millis(e.At)
	if err := e.check(); err != nil {
		return err
	}
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails since Go 1.24
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		return s.Store.InsertUnsealed(ctx, newRow(e, salt))
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// Erase removes what a sealed entry says (names, reason, detail) and leaves
// that it was made. The erasure is itself recorded.
func (s *Service) Erase(ctx context.Context, tenant ident.TenantID, id ident.EntryID, by ident.Actor, why string, now time.Time) error {
	if why == "" {
		return fault.Invalidf("reason", "missing").WithNext("say why the entry's text is erased")
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		if err := s.Archive.Erase(ctx, tenant, id); err != nil {
			return fmt.Errorf("erase audit entry: %w", err)
		}
		return s.Record(ctx, Entry{
			Tenant: tenant, At: now, Actor: by, Action: ActionErased,
			Object: Object{Kind: ObjectEntry, ID: string(id)}, Reason: why,
		})
	})
}

// Filter narrows a list; empty fields do not.
type Filter struct {
	From, To   time.Time // From is included, To is not
	ActorID    string
	Action     string
	ObjectKind string
	ObjectID   string
}

// Query is what Archive.List is asked.
type Query struct {
	All     bool             // all tenants; Tenants is then empty
	Tenants []ident.TenantID // otherwise these
	Filter
	Before ident.EntryID // only ids below it; empty: from the newest
	Limit  int
}

// Listed is an entry as a page shows it.
type Listed struct {
	Entry
	Seq    uint64 // 0 while unsealed
	Hash   Hash
	Erased bool // its names, reason and detail were removed
}

// MaxList is the most that one List returns.
const MaxList = 500

// List returns entries the scope may see, the newest first, and the cursor of
// the next page, empty at the end. A malformed row is returned without its text.
func (s *Service) List(ctx context.Context, scope ident.Scope, f Filter, cursor ident.EntryID, limit int) ([]Listed, ident.EntryID, error) {
	if cursor != "" && !ident.ValidID(string(cursor)) {
		return nil, "", fault.Invalidf("cursor", "not a cursor of this list")
	}
	if limit < 1 || limit > MaxList {
		limit = MaxList
	}
	q := Query{All: scope.All(), Tenants: scope.Tenants(), Filter: f, Before: cursor, Limit: limit + 1}
	if !q.All && len(q.Tenants) == 0 {
		return nil, "", nil
	}
	rows, err := s.Archive.List(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("list audit entries: %w", err)
	}
	next := ident.EntryID("")
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]Listed, 0, len(rows))
	for _, r := range rows {
		e, err := r.entry()
		out = append(out, Listed{Entry: e, Seq: r.Seq, Hash: r.Hash, Erased: r.Payload == nil || err != nil})
	}
	return out, next, nil
}
