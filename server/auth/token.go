package auth

import (
	"context"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// The life of API tokens.
const (
	TokenLife    = 90 * 24 * time.Hour // unless its maker says otherwise
	TokenLifeMax = 366 * 24 * time.Hour
)

// LocalMaker is the maker of tokens from `steward token create`, which needs
// the server's machine and no account.
const LocalMaker ident.PersonID = "local"

// Token lets a script act within its grants and within what its maker may at
// that moment.
type Token struct {
	ID         ident.TokenID
	Tenant     ident.TenantID // its maker's home
	Name       string
	Hash       Digest
	Grants     Grants
	Maker      ident.PersonID // or LocalMaker
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // to the minute; zero when never
	RevokedAt  time.Time // zero while good
}

// Tokens is the store of tokens. What is not there is a fault.NotFound.
type Tokens interface {
	Add(ctx context.Context, t Token) error
	ByHash(ctx context.Context, hash Digest) (Token, error)
	ByID(ctx context.Context, tenant ident.TenantID, id ident.TokenID) (Token, error)
	// Touch sets LastUsedAt, never back.
	Touch(ctx context.Context, id ident.TokenID, at time.Time) error
	// Revoke sets RevokedAt.
	Revoke(ctx context.Context, id ident.TokenID, at time.Time) error
	// List returns tokens whose tenant the scope has, and the maker's own (an
	// empty maker is nobody), by creation; revoked ones too.
	List(ctx context.Context, scope ident.Scope, maker ident.PersonID) ([]Token, error)
}

// Live reports whether the token may be used now.
func (t Token) Live(now time.Time) bool { return t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) }

func (t Token) object() Object {
	return Object{Kind: "token", ID: string(t.ID), Name: t.Name, Tenant: t.Tenant}
}

// NewToken is a token to be made. Life zero means TokenLife.
type NewToken struct {
	Name   string
	Grants Grants
	Life   time.Duration
}

// maker returns whose the tokens are that the principal makes; empty for a
// principal that makes none. A token makes no tokens: it would outlive its own
// revocation.
func (p Principal) maker() ident.PersonID {
	switch {
	case p.Actor == Local().Actor:
		return LocalMaker
	case p.Actor.Kind == ident.Person:
		return ident.PersonID(p.Actor.ID)
	}
	return ""
}

// CreateToken makes a token of one's own, within one's own rights. The secret
// is given here and never again.
func (s *Service) CreateToken(ctx context.Context, now time.Time, by Principal, n NewToken) (Token, Secret, error) {
	maker := by.maker()
	if maker == "" {
		return Token{}, Secret{}, fault.New(fault.Forbidden, "a token cannot make tokens").WithNext("sign in to the console")
	}
	if err := checkName("name", n.Name); err != nil {
		return Token{}, Secret{}, err
	}
	if len(n.Grants) == 0 {
		return Token{}, Secret{}, fault.Invalidf("grants", "are missing")
	}
	if err := n.Grants.Check(by.Actor.Tenant); err != nil {
		return Token{}, Secret{}, err
	}
	if !n.Grants.Within(by.Grants) {
		return Token{}, Secret{}, beyond()
	}
	if n.Life == 0 {
		n.Life = TokenLife
	}
	if n.Life < time.Minute || n.Life > TokenLifeMax {
		return Token{}, Secret{}, fault.Invalidf("expires", "must be between a minute and %d days", int(TokenLifeMax.Hours()/24))
	}
	secret, digest := newSecret(tokenPrefix)
	t := Token{
		ID: ident.TokenID(ident.New(now)), Tenant: by.Actor.Tenant, Name: n.Name, Hash: digest,
		Grants: n.Grants, Maker: maker, CreatedAt: now, ExpiresAt: now.Add(n.Life),
	}
	err := s.tx(ctx, func(ctx context.Context) error {
		if err := s.tokens.Add(ctx, t); err != nil {
			return err
		}
		return s.record(ctx, now, by.Actor, "token.created", t.object(), "",
			map[string]string{"grants": t.Grants.text(), "expires_at": t.ExpiresAt.UTC().Format(time.RFC3339)})
	})
	if err != nil {
		return Token{}, Secret{}, err
	}
	return t, secret, nil
}

// RevokeToken ends a token of one's own, or with TokenManage anybody's. It
// acts at once here and within a second anywhere. Twice is no error.
func (s *Service) RevokeToken(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.TokenID, why string) error {
	defer s.cache.clear()
	return s.tx(ctx, func(ctx context.Context) error {
		t, err := s.tokens.ByID(ctx, tenant, id)
		if err != nil {
			return err
		}
		if t.Maker != by.maker() && Authorize(by, TokenManage, tenant) != nil {
			// Another's token is not there for who may not manage tokens.
			return fault.NotFoundf("there is no token %s", printable(string(id), 64))
		}
		if !t.RevokedAt.IsZero() {
			return nil
		}
		if err := s.tokens.Revoke(ctx, id, now); err != nil {
			return err
		}
		return s.record(ctx, now, by.Actor, "token.revoked", t.object(), why, nil)
	})
}

// ListTokens returns one's own tokens and those one may manage.
func (s *Service) ListTokens(ctx context.Context, by Principal) ([]Token, error) {
	return s.tokens.List(ctx, Scope(by, TokenManage), by.maker())
}

// Token returns who the bearer is: the token as actor, with the rights that
// both it and its maker have now. Anything else is Unauthenticated. An answer
// is kept for a second, so a revocation acts within one.
func (s *Service) Token(ctx context.Context, now time.Time, bearer string) (Principal, error) {
	invalid := fault.New(fault.Unauthenticated, "this token is not valid: unknown, expired or revoked").
		WithNext("make a new one in the console, or with steward token create")
	digest, ok := parseSecret(tokenPrefix, bearer)
	if !ok {
		return Principal{}, invalid
	}
	if p, ok := s.cache.get(digest, now); ok {
		return p, nil
	}
	t, err := s.tokens.ByHash(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return Principal{}, invalid
	}
	if err != nil {
		return Principal{}, err
	}
	if !t.Hash.equal(digest) || !t.Live(now) {
		return Principal{}, invalid
	}
	grants := t.Grants
	if t.Maker != LocalMaker {
		maker, err := s.reload(ctx, Person{ID: t.Maker, Tenant: t.Tenant})
		if err != nil {
			return Principal{}, err
		}
		if maker.State != Active {
			return Principal{}, invalid
		}
		grants = t.Grants.And(maker.rights())
	}
	if minute := now.Truncate(time.Minute); minute.After(t.LastUsedAt) {
		s.touch(ctx, "token", func(ctx context.Context) error { return s.tokens.Touch(ctx, t.ID, minute) })
	}
	p := Principal{
		Actor:  ident.Actor{Kind: ident.Token, ID: string(t.ID), Name: t.Name, Tenant: t.Tenant},
		Grants: grants,
	}
	s.cache.put(digest, p, now, t.ExpiresAt)
	return p, nil
}

const (
	cacheFor  = time.Second
	cacheSize = 1024
)

// tokenCache keeps answers of Token for at most a second. Only good answers
// are kept, so guesses cannot fill it.
type tokenCache struct {
	mu      sync.Mutex
	entries map[Digest]cached
}

type cached struct {
	principal Principal
	from, to  time.Time
}

func newTokenCache() *tokenCache { return &tokenCache{entries: map[Digest]cached{}} }

func (c *tokenCache) get(d Digest, now time.Time) (Principal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[d]
	// A clock set back must not make an answer last longer.
	if !ok || now.Before(e.from) || !now.Before(e.to) {
		return Principal{}, false
	}
	return e.principal, true
}

// put keeps an answer that was read at now; a token's own end comes first.
func (c *tokenCache) put(d Digest, p Principal, now, expires time.Time) {
	to := now.Add(cacheFor)
	if expires.Before(to) {
		to = expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cacheSize {
		clear(c.entries)
	}
	c.entries[d] = cached{principal: p, from: now, to: to}
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}
