package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// People keeps persons: auth.People.
type People struct{ s *Store }

// People returns the store of persons.
func (s *Store) People() *People { return &People{s} }

const personColumns = `tenant_id, person_id, email, name, grants, time_zone, state, state_reason, state_since, password_hash, password_no, lockout, created_at`

func scanPerson(scan func(...any) error) (p auth.Person, err error) {
	err = scan(&p.Tenant, &p.ID, &p.Email, &p.Name, asJSON(&p.Grants), &p.TimeZone, &p.State, &p.StateReason, asTime(&p.StateSince),
		&p.PasswordHash, &p.PasswordNo, asJSON(&p.Lockout), asTime(&p.CreatedAt))
	return p, err
}

func personArgs(p auth.Person) []any {
	return []any{p.Tenant, p.ID, p.Email, p.Name, asJSON(p.Grants), p.TimeZone, p.State, p.StateReason, ms(p.StateSince),
		p.PasswordHash, p.PasswordNo, asJSON(p.Lockout), ms(p.CreatedAt)}
}

// Add inserts a person; fault.Conflict when the address is taken. Two adds at
// once are one after the other, so that there is one first owner.
func (p *People) Add(ctx context.Context, person auth.Person) error {
	if err := p.s.alone(ctx, "people"); err != nil {
		return err
	}
	n, err := p.s.exec(ctx, `INSERT INTO people (`+personColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (email) DO NOTHING`, personArgs(person)...)
	if err == nil && n == 0 {
		return fault.Conflictf("the address is in use")
	}
	return err
}

// Save replaces a person's row.
func (p *People) Save(ctx context.Context, person auth.Person) error {
	n, err := p.s.exec(ctx, `UPDATE people SET email = $3, name = $4, grants = $5, time_zone = $6, state = $7, state_reason = $8, state_since = $9,
		password_hash = $10, password_no = $11, lockout = $12, created_at = $13 WHERE tenant_id = $1 AND person_id = $2`, personArgs(person)...)
	if err == nil && n == 0 {
		return fault.NotFoundf("there is no such person")
	}
	return err
}

// ByID finds a person of the tenant, locked inside a transaction.
func (p *People) ByID(ctx context.Context, tenant ident.TenantID, id ident.PersonID) (auth.Person, error) {
	person, err := scanPerson(p.s.queryRow(ctx, `SELECT `+personColumns+` FROM people WHERE tenant_id = $1 AND person_id = $2`+p.s.locked(ctx), tenant, id).Scan)
	return person, missing(err, "there is no such person")
}

// ByEmail finds a person by address, locked inside a transaction.
func (p *People) ByEmail(ctx context.Context, email string) (auth.Person, error) {
	person, err := scanPerson(p.s.queryRow(ctx, `SELECT `+personColumns+` FROM people WHERE email = $1`+p.s.locked(ctx), email).Scan)
	return person, missing(err, "there is no such person")
}

// List returns those whose home the scope has, by creation.
func (p *People) List(ctx context.Context, scope ident.Scope) ([]auth.Person, error) {
	where, args := inScope("tenant_id", scope, 1)
	return list(ctx, p.s.main, func(r *sql.Rows) (auth.Person, error) { return scanPerson(r.Scan) },
		`SELECT `+personColumns+` FROM people WHERE `+where+` ORDER BY created_at, person_id`, args...)
}

// Count counts all persons. Inside a transaction nobody is added until its end.
func (p *People) Count(ctx context.Context) (n int, err error) {
	if err := p.s.alone(ctx, "people"); err != nil {
		return 0, err
	}
	err = p.s.queryRow(ctx, `SELECT COUNT(*) FROM people`).Scan(&n)
	return n, err
}

// SignIns keeps sessions: auth.Sessions.
type SignIns struct{ s *Store }

// SignIns returns the store of people's sessions.
func (s *Store) SignIns() *SignIns { return &SignIns{s} }

const sessionColumns = `session_id, tenant_id, person_id, hash, created_at, seen_at, stepped_up_at, address, user_agent`

func scanSession(scan func(...any) error) (v auth.Session, err error) {
	var hash []byte
	err = scan(&v.ID, &v.Tenant, &v.Person, &hash, asTime(&v.CreatedAt), asTime(&v.SeenAt), asTime(&v.SteppedUpAt), &v.Address, &v.UserAgent)
	copy(v.Hash[:], hash)
	return v, err
}

// Add inserts a session.
func (i *SignIns) Add(ctx context.Context, v auth.Session) error {
	_, err := i.s.exec(ctx, `INSERT INTO sessions (`+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		v.ID, v.Tenant, v.Person, v.Hash[:], ms(v.CreatedAt), ms(v.SeenAt), ms(v.SteppedUpAt), v.Address, v.UserAgent)
	return err
}

// ByHash finds a session.
func (i *SignIns) ByHash(ctx context.Context, hash auth.Digest) (auth.Session, error) {
	v, err := scanSession(i.s.queryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE hash = $1`, hash[:]).Scan)
	return v, missing(err, "there is no such session")
}

// OfPerson lists a person's sessions, oldest first.
func (i *SignIns) OfPerson(ctx context.Context, tenant ident.TenantID, person ident.PersonID) ([]auth.Session, error) {
	return list(ctx, i.s.main, func(r *sql.Rows) (auth.Session, error) { return scanSession(r.Scan) },
		`SELECT `+sessionColumns+` FROM sessions WHERE tenant_id = $1 AND person_id = $2 ORDER BY created_at, session_id`, tenant, person)
}

// Touch moves the last use forward.
func (i *SignIns) Touch(ctx context.Context, id ident.SessionID, at time.Time) error {
	_, err := i.s.exec(ctx, `UPDATE sessions SET seen_at = $2 WHERE session_id = $1 AND seen_at < $2`, id, ms(at))
	return err
}

// Delete ends a session.
func (i *SignIns) Delete(ctx context.Context, id ident.SessionID) error {
	_, err := i.s.exec(ctx, `DELETE FROM sessions WHERE session_id = $1`, id)
	return err
}

// Prune deletes sessions that are over.
func (i *SignIns) Prune(ctx context.Context, created, seen time.Time) (int, error) {
	n, err := i.s.exec(ctx, `DELETE FROM sessions WHERE created_at <= $1 OR seen_at <= $2`, ms(created), ms(seen))
	return int(n), err
}

// Tokens keeps API tokens: auth.Tokens.
type Tokens struct{ s *Store }

// Tokens returns the store of API tokens.
func (s *Store) Tokens() *Tokens { return &Tokens{s} }

const tokenColumns = `token_id, tenant_id, name, hash, grants, maker, created_at, expires_at, last_used_at, revoked_at`

func scanToken(scan func(...any) error) (v auth.Token, err error) {
	var hash []byte
	err = scan(&v.ID, &v.Tenant, &v.Name, &hash, asJSON(&v.Grants), &v.Maker, asTime(&v.CreatedAt), asTime(&v.ExpiresAt), asTime(&v.LastUsedAt), asTime(&v.RevokedAt))
	copy(v.Hash[:], hash)
	return v, err
}

// Add inserts a token.
func (t *Tokens) Add(ctx context.Context, v auth.Token) error {
	_, err := t.s.exec(ctx, `INSERT INTO tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		v.ID, v.Tenant, v.Name, v.Hash[:], asJSON(v.Grants), v.Maker, ms(v.CreatedAt), ms(v.ExpiresAt), ms(v.LastUsedAt), ms(v.RevokedAt))
	return err
}

// ByHash finds a token.
func (t *Tokens) ByHash(ctx context.Context, hash auth.Digest) (auth.Token, error) {
	v, err := scanToken(t.s.queryRow(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = $1`, hash[:]).Scan)
	return v, missing(err, "there is no such token")
}

// ByID finds a tenant's token.
func (t *Tokens) ByID(ctx context.Context, tenant ident.TenantID, id ident.TokenID) (auth.Token, error) {
	v, err := scanToken(t.s.queryRow(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE tenant_id = $1 AND token_id = $2`, tenant, id).Scan)
	return v, missing(err, "there is no such token")
}

// Touch moves the last use forward.
func (t *Tokens) Touch(ctx context.Context, id ident.TokenID, at time.Time) error {
	_, err := t.s.exec(ctx, `UPDATE tokens SET last_used_at = $2 WHERE token_id = $1 AND last_used_at < $2`, id, ms(at))
	return err
}

// Revoke ends a token.
func (t *Tokens) Revoke(ctx context.Context, id ident.TokenID, at time.Time) error {
	_, err := t.s.exec(ctx, `UPDATE tokens SET revoked_at = $2 WHERE token_id = $1 AND revoked_at = 0`, id, ms(at))
	return err
}

// List returns tokens whose tenant the scope has, and the maker's own.
func (t *Tokens) List(ctx context.Context, scope ident.Scope, maker ident.PersonID) ([]auth.Token, error) {
	where, args := inScope("tenant_id", scope, 2)
	return list(ctx, t.s.main, func(r *sql.Rows) (auth.Token, error) { return scanToken(r.Scan) },
		`SELECT `+tokenColumns+` FROM tokens WHERE (maker = $1 AND maker <> '') OR `+where+` ORDER BY created_at, token_id`, append([]any{maker}, args...)...)
}

// Links keeps one-time links: auth.Links.
type Links struct{ s *Store }

// Links returns the store of one-time links.
func (s *Store) Links() *Links { return &Links{s} }

// Add inserts a link.
func (l *Links) Add(ctx context.Context, v auth.Link) error {
	_, err := l.s.exec(ctx, `INSERT INTO links (link_id, tenant_id, person_id, purpose, hash, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		v.ID, v.Tenant, v.Person, v.Purpose, v.Hash[:], ms(v.CreatedAt), ms(v.ExpiresAt), ms(v.UsedAt))
	return err
}

// ByHash finds a link.
func (l *Links) ByHash(ctx context.Context, hash auth.Digest) (v auth.Link, err error) {
	var stored []byte
	err = l.s.queryRow(ctx, `SELECT link_id, tenant_id, person_id, purpose, hash, created_at, expires_at, used_at FROM links WHERE hash = $1`, hash[:]).
		Scan(&v.ID, &v.Tenant, &v.Person, &v.Purpose, &stored, asTime(&v.CreatedAt), asTime(&v.ExpiresAt), asTime(&v.UsedAt))
	copy(v.Hash[:], stored)
	return v, missing(err, "there is no such link")
}

// Use marks a link used; of many at once exactly one gets true.
func (l *Links) Use(ctx context.Context, id string, at time.Time) (bool, error) {
	n, err := l.s.exec(ctx, `UPDATE links SET used_at = $2 WHERE link_id = $1 AND used_at = 0`, id, ms(at))
	return n == 1, err
}

// Void ends all of a person's unused links.
func (l *Links) Void(ctx context.Context, tenant ident.TenantID, person ident.PersonID, at time.Time) error {
	_, err := l.s.exec(ctx, `UPDATE links SET used_at = $3 WHERE tenant_id = $1 AND person_id = $2 AND used_at = 0`, tenant, person, ms(at))
	return err
}

// Prune deletes expired links.
func (l *Links) Prune(ctx context.Context, expired time.Time) (int, error) {
	n, err := l.s.exec(ctx, `DELETE FROM links WHERE expires_at <= $1`, ms(expired))
	return int(n), err
}
