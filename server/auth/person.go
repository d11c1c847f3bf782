package auth

import (
	"context"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// State is where a person stands.
type State string

// The states of a person.
const (
	Invited  State = "invited" // has never used a link yet
	Active   State = "active"
	Disabled State = "disabled"
)

// Person is someone who may sign in. Tenant is their home: ident.MSP for the
// provider's own people, else the customer they belong to.
type Person struct {
	ID       ident.PersonID
	Tenant   ident.TenantID
	Email    string // lower case, unique over all tenants
	Name     string
	Grants   Grants
	TimeZone string // IANA name; empty means the console's default

	State       State
	StateReason string
	StateSince  time.Time

	PasswordHash string // encoded argon2id; empty until one is set
	PasswordNo   int    // rises with each new password, not with a rehash
	Lockout      Lockout
	CreatedAt    time.Time
}

// People is the store of persons. What is not there is a fault.NotFound.
//
// A read inside a transaction that may go on to Save must see no other change
// until the end (SELECT … FOR UPDATE on PostgreSQL; SQLite has one writer):
// the lockout counts on it.
type People interface {
	// Add fails with fault.Conflict when the e-mail address is taken.
	Add(ctx context.Context, p Person) error
	// Save replaces the row of p.Tenant and p.ID.
	Save(ctx context.Context, p Person) error
	ByID(ctx context.Context, tenant ident.TenantID, id ident.PersonID) (Person, error)
	// ByEmail looks in all tenants; the address is in lower case.
	ByEmail(ctx context.Context, email string) (Person, error)
	// List returns those whose home the scope has, by creation. ident.MSP is
	// in the scope of all tenants only.
	List(ctx context.Context, scope ident.Scope) ([]Person, error)
	Count(ctx context.Context) (int, error)
}

// Transition moves the person to a state. The reason is stored and shown.
func (p *Person) Transition(to State, reason string, now time.Time) error {
	legal := false
	switch to {
	case Active:
		legal = p.State == Invited || p.State == Disabled
	case Disabled:
		legal = p.State == Active || p.State == Invited
	case Invited:
		legal = p.State == "" || p.State == Disabled
	}
	if !legal {
		return fault.Conflictf("%s is %s and cannot become %s", p.Email, p.State, to)
	}
	p.State, p.StateReason, p.StateSince = to, reason, now
	return nil
}

// rights are the person's live grants.
func (p Person) rights() Grants {
	if p.State != Active {
		return nil
	}
	return p.Grants.clip(p.Tenant)
}

// actor is the person as others see it in records.
func (p Person) actor() ident.Actor {
	return ident.Actor{Kind: ident.Person, ID: string(p.ID), Name: p.Name, Tenant: p.Tenant}
}

func (p Person) object() Object {
	return Object{Kind: "person", ID: string(p.ID), Name: p.Email, Tenant: p.Tenant}
}

// ownsAll reports whether the person can run the whole server.
func (p Person) ownsAll() bool {
	return p.State == Active && Everywhere(Owner).Within(p.rights())
}

// NormalEmail returns the form in which an address is stored and compared, or
// Invalid: a plain ASCII address (RFC 5321 without quoting), lower case.
func NormalEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	bad := fault.Invalidf("email", "is no e-mail address").WithNext("write it as name@example.com")
	if s == "" || len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>(),;:\[]`, r) }) {
		return "", bad
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || parsed.Name != "" {
		return "", bad
	}
	if local, domain, _ := strings.Cut(s, "@"); len(local) > 64 || domain == "" {
		return "", bad
	}
	return s, nil
}

// checkName reports a display name that is empty, too long, or hides
// characters from the reader.
func checkName(field, s string) error {
	switch {
	case strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s:
		return fault.Invalidf(field, "is empty or has spaces around it")
	case utf8.RuneCountInString(s) > 100:
		return fault.Invalidf(field, "is longer than 100 characters")
	case printable(s, len(s)) != s:
		return fault.Invalidf(field, "has control characters")
	}
	return nil
}

// printable drops control and direction-override characters and what is over
// the limit, in bytes.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return -1
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func checkZone(name string) error {
	if name == "" {
		return nil
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return fault.Invalidf("time_zone", "%q is no IANA time zone", printable(name, 64)).WithNext("write it as Europe/Paris")
	}
	return nil
}
