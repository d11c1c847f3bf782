package auth

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Purpose is what a one-time link is for.
type Purpose string

// The purposes of links.
const (
	Init       Purpose = "init"       // the first owner
	Dev        Purpose = "dev"        // signs in without a password; made at the server's machine only
	Invitation Purpose = "invitation" // a new person
	Reset      Purpose = "reset"      // a forgotten password
)

// Life returns how long a link is good; zero for what is no purpose.
func (p Purpose) Life() time.Duration {
	switch p {
	case Init, Invitation:
		return 24 * time.Hour
	case Reset:
		return time.Hour
	case Dev:
		return 15 * time.Minute
	}
	return 0
}

// Link lets one person in once.
type Link struct {
	ID        string // UUIDv7
	Tenant    ident.TenantID
	Person    ident.PersonID
	Purpose   Purpose
	Hash      Digest
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // when used or voided; zero while good
}

// Links is the store of links. What is not there is a fault.NotFound.
type Links interface {
	Add(ctx context.Context, l Link) error
	ByHash(ctx context.Context, hash Digest) (Link, error)
	// Use sets UsedAt if it was not set, and reports whether it did: of many
	// at once exactly one gets true.
	Use(ctx context.Context, id string, at time.Time) (bool, error)
	// Void sets UsedAt of all of the person's links that have none.
	Void(ctx context.Context, tenant ident.TenantID, person ident.PersonID, at time.Time) error
	// Prune deletes links that expired at the time or before.
	Prune(ctx context.Context, expired time.Time) (int, error)
}

// Usable reports whether the link lets someone in now.
func (l Link) Usable(now time.Time) bool {
	return l.UsedAt.IsZero() && now.Before(l.ExpiresAt)
}

func (l Link) object() Object {
	return Object{Kind: "link", ID: l.ID, Name: string(l.Purpose), Tenant: l.Tenant}
}

func deadLink() error {
	return fault.New(fault.Unauthenticated, "this link was used before or has expired").
		WithNext("ask for a new one")
}

// CreateLink makes a link for a person and voids the earlier ones. It is as
// good as the person's account, so it needs rights that include theirs.
func (s *Service) CreateLink(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, purpose Purpose) (Secret, error) {
	if purpose.Life() == 0 {
		return Secret{}, fault.Invalidf("purpose", "%q is none of init, dev, invitation, reset", string(purpose))
	}
	if (purpose == Dev || purpose == Init) && by.Actor != Local().Actor {
		return Secret{}, fault.New(fault.Forbidden, "such a link is made on the server's machine only")
	}
	secret, digest := newSecret(linkPrefix)
	err := s.tx(ctx, func(ctx context.Context) error {
		p, err := s.people.ByID(ctx, tenant, id)
		if err != nil {
			return err
		}
		if err := manages(by, p); err != nil {
			return err
		}
		if p.State == Disabled {
			return fault.Conflictf("%s is disabled", p.Email).WithNext("enable the account first")
		}
		if p.State != Invited && (purpose == Invitation || purpose == Init) {
			return fault.Conflictf("%s came in already", p.Email).WithNext("make a link of purpose reset")
		}
		if err := s.links.Void(ctx, tenant, id, now); err != nil {
			return err
		}
		l := Link{
			ID: ident.New(now), Tenant: tenant, Person: id, Purpose: purpose, Hash: digest,
			CreatedAt: now, ExpiresAt: now.Add(purpose.Life()),
		}
		if err := s.links.Add(ctx, l); err != nil {
			return err
		}
		return s.record(ctx, now, by.Actor, "link.created", l.object(), "", map[string]string{"person": string(id)})
	})
	if err != nil {
		return Secret{}, err
	}
	return secret, nil
}

// DevLink makes a link of purpose Dev for the first owner of everything that
// is not disabled.
func (s *Service) DevLink(ctx context.Context, now time.Time) (Secret, error) {
	all, err := s.people.List(ctx, ident.NewScopeAll())
	if err != nil {
		return Secret{}, err
	}
	for _, p := range all {
		if p.State != Disabled && Everywhere(Owner).Within(p.Grants) {
			return s.CreateLink(ctx, p.Tenant, now, Local(), p.ID, Dev)
		}
	}
	return Secret{}, fault.NotFoundf("there is no owner yet").WithNext("run steward init")
}

// PeekLink returns the link and its person for the page that asks for the
// password, without using it: mail scanners open links too.
func (s *Service) PeekLink(ctx context.Context, now time.Time, plain string) (Person, Link, error) {
	digest, ok := parseSecret(linkPrefix, plain)
	if !ok {
		return Person{}, Link{}, deadLink()
	}
	l, err := s.links.ByHash(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return Person{}, Link{}, deadLink()
	}
	if err != nil {
		return Person{}, Link{}, err
	}
	p, err := s.reload(ctx, Person{ID: l.Person, Tenant: l.Tenant})
	if err != nil {
		return Person{}, Link{}, err
	}
	if !l.Hash.equal(digest) || !l.Usable(now) || p.ID == "" || p.State == Disabled {
		return Person{}, Link{}, deadLink()
	}
	return p, l, nil
}

// RedeemLink uses the link up: it sets the password, opens the account, ends
// its other sessions and signs the person in. Only a Dev link may come without
// a password. A password that is not good enough leaves the link unused.
func (s *Service) RedeemLink(ctx context.Context, now time.Time, plain, password, addr, userAgent string) (Secret, Session, error) {
	p, l, err := s.PeekLink(ctx, now, plain)
	if err != nil {
		return Secret{}, Session{}, err
	}
	stored := ""
	if password != "" || l.Purpose != Dev {
		if err := CheckPassword(password, p.Email, p.Name); err != nil {
			return Secret{}, Session{}, err
		}
		if stored, err = s.hasher.Hash(ctx, password); err != nil {
			return Secret{}, Session{}, err
		}
	}
	var token Secret
	var session Session
	err = s.tx(ctx, func(ctx context.Context) error {
		// The link and the account as they are now, not as they were before
		// the hash was computed.
		p, l, err := s.PeekLink(ctx, now, plain)
		if err != nil {
			return err
		}
		won, err := s.links.Use(ctx, l.ID, now)
		if err != nil {
			return err
		}
		if !won {
			return deadLink()
		}
		if p.State == Invited {
			if err := p.Transition(Active, "used a link", now); err != nil {
				return err
			}
		}
		p.Lockout = Lockout{}
		if stored != "" {
			p.setPassword(stored)
			if err := s.endSessions(ctx, now, p.actor(), p, "", "new password"); err != nil {
				return err
			}
		}
		if err := s.people.Save(ctx, p); err != nil {
			return err
		}
		if err := s.record(ctx, now, p.actor(), "link.redeemed", l.object(), "", map[string]string{"address": printable(addr, 64)}); err != nil {
			return err
		}
		token, session, err = s.open(ctx, now, p, addr, userAgent, "link")
		return err
	})
	if err != nil {
		return Secret{}, Session{}, err
	}
	return token, session, nil
}

func (p *Person) setPassword(stored string) {
	p.PasswordHash = stored
	p.PasswordNo++
}

// SetPassword changes one's own password. A wrong old one counts towards the
// lockout, so that a stolen session cannot guess it. Other sessions end.
func (s *Service) SetPassword(ctx context.Context, now time.Time, by Principal, old, next string) error {
	if by.Actor.Kind != ident.Person || by.Session == "" {
		return fault.New(fault.Forbidden, "only a person who is signed in can change their password")
	}
	known, err := s.people.ByID(ctx, by.Actor.Tenant, ident.PersonID(by.Actor.ID))
	if err != nil {
		return err
	}
	if err := CheckPassword(next, known.Email, known.Name); err != nil {
		return err
	}
	right := known.PasswordHash == "" // came in by a Dev link and has none yet
	if !right {
		if right, _, err = s.verify(ctx, known, old); err != nil {
			return err
		}
	}
	stored := ""
	if right {
		if stored, err = s.hasher.Hash(ctx, next); err != nil {
			return err
		}
	}
	why := ""
	err = s.tx(ctx, func(ctx context.Context) error {
		p, err := s.people.ByID(ctx, known.Tenant, known.ID)
		if err != nil {
			return err
		}
		if why = p.refuses(now, right, known.PasswordNo); why != "" {
			return s.refuse(ctx, now, p, "person.password_refused", p.Email, "", why)
		}
		p.Lockout = Lockout{}
		p.setPassword(stored)
		if err := s.people.Save(ctx, p); err != nil {
			return err
		}
		if err := s.links.Void(ctx, p.Tenant, p.ID, now); err != nil {
			return err
		}
		if err := s.endSessions(ctx, now, by.Actor, p, by.Session, "new password"); err != nil {
			return err
		}
		return s.record(ctx, now, by.Actor, "person.password_set", p.object(), "", nil)
	})
	if err == nil && why != "" {
		return fault.Invalidf("old_password", "is wrong, or the account is locked").
			WithNext("wait %d minutes after %d failures", int(LockoutFor.Minutes()), LockoutFailures)
	}
	return err
}
