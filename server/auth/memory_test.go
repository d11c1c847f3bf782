package auth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// memory is the store of the tests: it rolls back, and panics on a write
// outside of a transaction.
type memory struct {
	serial   sync.Mutex // one transaction at a time
	mu       sync.Mutex
	tables   tables
	deaf     func(action string) bool // records that fail
	readOnly bool
}

type tables struct {
	people   map[ident.PersonID]Person
	sessions map[ident.SessionID]Session
	tokens   map[ident.TokenID]Token
	links    map[string]Link
	records  []record
}

type record struct {
	at             time.Time
	actor          ident.Actor
	action, reason string
	object         Object
	detail         map[string]string
}

func (t tables) clone() tables {
	return tables{maps.Clone(t.people), maps.Clone(t.sessions), maps.Clone(t.tokens), maps.Clone(t.links), slices.Clone(t.records)}
}

type inTx struct{}

func (m *memory) Tx(ctx context.Context, f func(context.Context) error) error {
	if ctx.Value(inTx{}) != nil {
		return f(ctx)
	}
	m.serial.Lock()
	defer m.serial.Unlock()
	if m.readOnly {
		return errors.New("disk full")
	}
	m.mu.Lock()
	before := m.tables.clone()
	m.mu.Unlock()
	err := f(context.WithValue(ctx, inTx{}, true))
	if err != nil {
		m.mu.Lock()
		m.tables = before
		m.mu.Unlock()
	}
	return err
}

func (m *memory) write(ctx context.Context, f func(t *tables) error) error {
	if ctx.Value(inTx{}) == nil {
		panic("write outside of a transaction")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f(&m.tables)
}

func (m *memory) read() tables {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tables.clone()
}

func (m *memory) Record(ctx context.Context, now time.Time, actor ident.Actor, action string, object Object, reason string, detail map[string]string) error {
	return m.write(ctx, func(t *tables) error {
		if m.deaf != nil && m.deaf(action) {
			return errors.New("record failed")
		}
		t.records = append(t.records, record{now, actor, action, reason, object, detail})
		return nil
	})
}

func find[K comparable, V any](m map[K]V, k K, ok func(V) bool) (V, error) {
	v, found := m[k]
	if !found || !ok(v) {
		var zero V
		return zero, fault.NotFoundf("not there")
	}
	return v, nil
}

func search[K comparable, V any](m map[K]V, ok func(V) bool) (V, error) {
	for _, v := range m {
		if ok(v) {
			return v, nil
		}
	}
	var zero V
	return zero, fault.NotFoundf("not there")
}

func remove[K comparable, V any](m map[K]V, gone func(V) bool) int {
	n := len(m)
	maps.DeleteFunc(m, func(_ K, v V) bool { return gone(v) })
	return n - len(m)
}

type memPeople struct{ *memory }

func (m memPeople) Add(ctx context.Context, p Person) error {
	return m.write(ctx, func(t *tables) error {
		if _, err := search(t.people, func(o Person) bool { return o.Email == p.Email }); err == nil {
			return fault.Conflictf("taken")
		}
		t.people[p.ID] = p
		return nil
	})
}

func (m memPeople) Save(ctx context.Context, p Person) error {
	return m.write(ctx, func(t *tables) error { t.people[p.ID] = p; return nil })
}

func (m memPeople) ByID(_ context.Context, tenant ident.TenantID, id ident.PersonID) (Person, error) {
	return find(m.read().people, id, func(p Person) bool { return p.Tenant == tenant })
}

func (m memPeople) ByEmail(_ context.Context, email string) (Person, error) {
	return search(m.read().people, func(p Person) bool { return p.Email == email })
}

func (m memPeople) List(_ context.Context, scope ident.Scope) ([]Person, error) {
	out := slices.Collect(maps.Values(m.read().people))
	out = slices.DeleteFunc(out, func(p Person) bool { return !scope.Has(p.Tenant) })
	slices.SortFunc(out, func(a, b Person) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (m memPeople) Count(context.Context) (int, error) { return len(m.read().people), nil }

type memSessions struct{ *memory }

func (m memSessions) Add(ctx context.Context, s Session) error {
	return m.write(ctx, func(t *tables) error { t.sessions[s.ID] = s; return nil })
}

func (m memSessions) ByHash(_ context.Context, d Digest) (Session, error) {
	return search(m.read().sessions, func(s Session) bool { return s.Hash == d })
}

func (m memSessions) OfPerson(_ context.Context, tenant ident.TenantID, person ident.PersonID) ([]Session, error) {
	out := slices.Collect(maps.Values(m.read().sessions))
	return slices.DeleteFunc(out, func(s Session) bool { return s.Tenant != tenant || s.Person != person }), nil
}

func (m memSessions) Touch(ctx context.Context, id ident.SessionID, at time.Time) error {
	return m.write(ctx, func(t *tables) error {
		if s, ok := t.sessions[id]; ok && at.After(s.SeenAt) {
			s.SeenAt = at
			t.sessions[id] = s
		}
		return nil
	})
}

func (m memSessions) Delete(ctx context.Context, id ident.SessionID) error {
	return m.write(ctx, func(t *tables) error { delete(t.sessions, id); return nil })
}

func (m memSessions) Prune(ctx context.Context, created, seen time.Time) (n int, err error) {
	return n, m.write(ctx, func(t *tables) error {
		n = remove(t.sessions, func(s Session) bool { return !s.CreatedAt.After(created) || !s.SeenAt.After(seen) })
		return nil
	})
}

type memTokens struct{ *memory }

func (m memTokens) Add(ctx context.Context, tok Token) error {
	return m.write(ctx, func(t *tables) error { t.tokens[tok.ID] = tok; return nil })
}

func (m memTokens) ByHash(_ context.Context, d Digest) (Token, error) {
	return search(m.read().tokens, func(t Token) bool { return t.Hash == d })
}

func (m memTokens) ByID(_ context.Context, tenant ident.TenantID, id ident.TokenID) (Token, error) {
	return find(m.read().tokens, id, func(t Token) bool { return t.Tenant == tenant })
}

func (m memTokens) Touch(ctx context.Context, id ident.TokenID, at time.Time) error {
	return m.write(ctx, func(t *tables) error {
		tok := t.tokens[id]
		tok.LastUsedAt = at
		t.tokens[id] = tok
		return nil
	})
}

func (m memTokens) Revoke(ctx context.Context, id ident.TokenID, at time.Time) error {
	return m.write(ctx, func(t *tables) error {
		tok := t.tokens[id]
		tok.RevokedAt = at
		t.tokens[id] = tok
		return nil
	})
}

func (m memTokens) List(_ context.Context, scope ident.Scope, maker ident.PersonID) ([]Token, error) {
	out := slices.Collect(maps.Values(m.read().tokens))
	out = slices.DeleteFunc(out, func(t Token) bool { return !scope.Has(t.Tenant) && (maker == "" || t.Maker != maker) })
	slices.SortFunc(out, func(a, b Token) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

type memLinks struct{ *memory }

func (m memLinks) Add(ctx context.Context, l Link) error {
	return m.write(ctx, func(t *tables) error { t.links[l.ID] = l; return nil })
}

func (m memLinks) ByHash(_ context.Context, d Digest) (Link, error) {
	return search(m.read().links, func(l Link) bool { return l.Hash == d })
}

func (m memLinks) Use(ctx context.Context, id string, at time.Time) (won bool, err error) {
	return won, m.write(ctx, func(t *tables) error {
		l := t.links[id]
		if won = l.UsedAt.IsZero(); won {
			l.UsedAt = at
			t.links[id] = l
		}
		return nil
	})
}

func (m memLinks) Void(ctx context.Context, tenant ident.TenantID, person ident.PersonID, at time.Time) error {
	return m.write(ctx, func(t *tables) error {
		for id, l := range t.links {
			if l.Tenant == tenant && l.Person == person && l.UsedAt.IsZero() {
				l.UsedAt = at
				t.links[id] = l
			}
		}
		return nil
	})
}

func (m memLinks) Prune(ctx context.Context, expired time.Time) (n int, err error) {
	return n, m.write(ctx, func(t *tables) error {
		n = remove(t.links, func(l Link) bool { return !l.ExpiresAt.After(expired) })
		return nil
	})
}

// house is a Service over a memory, with the cheapest hashes.
type house struct {
	*Service
	*memory
	ctx  context.Context
	runs func() int // hashes computed since the last call
}

const good = "four unrelated words stay"

func start() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

func cheap() Params { return Params{Memory: 8, Passes: 1, Threads: 1} }

func newHouse(t interface {
	Helper()
	Fatal(...any)
}) *house {
	t.Helper()
	m := &memory{tables: tables{people: map[ident.PersonID]Person{}, sessions: map[ident.SessionID]Session{}, tokens: map[ident.TokenID]Token{}, links: map[string]Link{}}}
	s, err := New(Options{People: memPeople{m}, Sessions: memSessions{m}, Tokens: memTokens{m}, Links: memLinks{m}, Recorder: m, Tx: m.Tx, Params: cheap()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	s.hasher.onRun = func() { mu.Lock(); n++; mu.Unlock() }
	return &house{Service: s, memory: m, ctx: context.Background(), runs: func() int {
		mu.Lock()
		defer mu.Unlock()
		got := n
		n = 0
		return got
	}}
}

// person adds an active person with the good password.
func (h *house) person(t testing.TB, tenant ident.TenantID, email string, g Grants) Person {
	t.Helper()
	p, link, err := h.Invite(h.ctx, tenant, start(), Local(), NewPerson{Email: email, Name: "N. " + email[:1], Grants: g})
	must(t, err)
	token, _, err := h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", "")
	must(t, err)
	must(t, h.SignOut(h.ctx, start(), token.Reveal()))
	h.runs()
	return h.fetch(p.ID)
}

func (h *house) fetch(id ident.PersonID) Person { return h.read().people[id] }

// as returns the principal of a person who has just signed in.
func (h *house) as(t testing.TB, p Person) Principal {
	t.Helper()
	token, _, err := h.SignIn(h.ctx, start(), p.Email, good, "", "")
	must(t, err)
	who, _, err := h.Service.Session(h.ctx, start(), token.Reveal())
	must(t, err)
	return who
}

// told returns the actions recorded so far.
func (h *house) told() []string {
	var out []string
	for _, r := range h.read().records {
		out = append(out, r.action)
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("got %v, want a fault of kind %d", err, kind)
	}
}
