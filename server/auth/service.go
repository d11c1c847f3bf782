// Package auth knows who is asking and what they may do: people, their
// sign-in, sessions, one-time links, API tokens, and the table of roles.
//
// Decisions are pure functions (Lockout.Failed, Pace.Wait, Session.Live,
// Grants.Within, Authorize); Service loads, decides and writes in one
// transaction together with the audit record. A secret is given out once and
// stored only as a digest. Doors ask Authorize and Scope and nothing else.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/steward-rmm/steward/server/ident"
)

// Object is what a record is about. Tenant is the chain it belongs to.
type Object struct {
	Kind   string // person | session | token | link
	ID     string
	Name   string
	Tenant ident.TenantID
}

// Recorder writes the audit record of a change. It is called inside the
// transaction of the change; an error undoes both. Detail never holds secrets.
type Recorder interface {
	Record(ctx context.Context, now time.Time, actor ident.Actor, action string, object Object, reason string, detail map[string]string) error
}

// Options is what a Service needs. The five stores and Tx are required.
type Options struct {
	People   People
	Sessions Sessions
	Tokens   Tokens
	Links    Links
	Recorder Recorder
	// Tx runs f in one transaction, which rides in the context; a nested call
	// joins the outer one.
	Tx func(ctx context.Context, f func(ctx context.Context) error) error

	Params  Params       // argon2id; zero means DefaultParams
	Hashers int          // password hashes computed at once; 0 means one per CPU
	Queue   int          // callers that may wait for a turn; 0 means 64
	Log     *slog.Logger // nil means none
	// Count is told how each attempt with a password ended: ok, refused, paced
	// or busy, for a metric. nil means none.
	Count func(result string)
}

// Service is the room's use cases. It is safe for concurrent use.
type Service struct {
	people    People
	sessions  Sessions
	tokens    Tokens
	links     Links
	recorder  Recorder
	tx        func(ctx context.Context, f func(ctx context.Context) error) error
	hasher    *Hasher
	addresses *addresses
	cache     *tokenCache
	log       *slog.Logger
	count     func(result string)
}

// New makes a Service. It fails when a part is missing or the argon2 parameters
// are out of bounds.
func New(o Options) (*Service, error) {
	if o.People == nil || o.Sessions == nil || o.Tokens == nil || o.Links == nil || o.Recorder == nil || o.Tx == nil {
		return nil, errors.New("auth: People, Sessions, Tokens, Links, Recorder and Tx are all needed")
	}
	hasher, err := NewHasher(o.Params, o.Hashers, o.Queue)
	if err != nil {
		return nil, err
	}
	s := &Service{
		people: o.People, sessions: o.Sessions, tokens: o.Tokens, links: o.Links,
		recorder: o.Recorder, tx: o.Tx, hasher: hasher,
		addresses: newAddresses(), cache: newTokenCache(), log: o.Log,
		count: o.Count,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.count == nil {
		s.count = func(string) {}
	}
	return s, nil
}

// Prune removes sessions that ended by time and links that ended more than a
// day ago, and says how many rows went. A loop calls it every few minutes.
func (s *Service) Prune(ctx context.Context, now time.Time) (int, error) {
	total := 0
	err := s.tx(ctx, func(ctx context.Context) error {
		n, err := s.sessions.Prune(ctx, now.Add(-SessionLife), now.Add(-SessionIdle))
		if err != nil {
			return err
		}
		m, err := s.links.Prune(ctx, now.Add(-24*time.Hour))
		total = n + m
		return err
	})
	return total, err
}

// record writes one audit record; it must be called inside a transaction.
func (s *Service) record(ctx context.Context, now time.Time, by ident.Actor, action string, object Object, reason string, detail map[string]string) error {
	return s.recorder.Record(ctx, now, by, action, object, reason, detail)
}
