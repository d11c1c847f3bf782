package auth

import (
	"context"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// NewPerson is what is known of a person to come. An empty Grants is a person
// without any right, which is how an account begins unless someone decides.
type NewPerson struct {
	Email    string
	Name     string // empty means the address
	Grants   Grants
	TimeZone string
}

// CreatePerson adds an invited person to the tenant, who gets in once someone
// makes a link for them. Nobody can give away more than they have.
func (s *Service) CreatePerson(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, n NewPerson) (Person, error) {
	p, err := newPerson(tenant, now, n)
	if err != nil {
		return Person{}, err
	}
	if err := manages(by, p); err != nil {
		return Person{}, err
	}
	err = s.tx(ctx, func(ctx context.Context) error {
		if err := s.people.Add(ctx, p); err != nil {
			if fault.Is(err, fault.Conflict) {
				return fault.Conflictf("%s is in use already", p.Email).WithNext("look under people, disabled ones too")
			}
			return err
		}
		return s.record(ctx, now, by.Actor, "person.created", p.object(), "", map[string]string{"grants": p.Grants.text()})
	})
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

// Invite adds a person and makes their link, good for 24 hours.
func (s *Service) Invite(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, n NewPerson) (Person, Secret, error) {
	var p Person
	var link Secret
	err := s.tx(ctx, func(ctx context.Context) (err error) {
		if p, err = s.CreatePerson(ctx, tenant, now, by, n); err != nil {
			return err
		}
		link, err = s.CreateLink(ctx, tenant, now, by, p.ID, Invitation)
		return err
	})
	if err != nil {
		return Person{}, Secret{}, err
	}
	return p, link, nil
}

// FirstOwner makes the first person, an owner of everything, and the link by
// which they come in (purpose Init, or Dev). Once there is a person it refuses
// for ever, whoever asks.
func (s *Service) FirstOwner(ctx context.Context, now time.Time, email string, purpose Purpose) (Secret, error) {
	var link Secret
	err := s.tx(ctx, func(ctx context.Context) error {
		n, err := s.people.Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Conflictf("this server has its first owner already").
				WithNext("ask an owner to invite you")
		}
		p, err := s.CreatePerson(ctx, ident.MSP, now, Local(), NewPerson{Email: email, Grants: Everywhere(Owner)})
		if err != nil {
			return err
		}
		link, err = s.CreateLink(ctx, ident.MSP, now, Local(), p.ID, purpose)
		return err
	})
	if err != nil {
		return Secret{}, err
	}
	return link, nil
}

// List returns the people whose home is in the scope; of Scope(p, PeopleRead).
func (s *Service) List(ctx context.Context, scope ident.Scope) ([]Person, error) {
	return s.people.List(ctx, scope)
}

// Disable closes an account: its sessions end now, its tokens and links work
// no more. The last owner of everything cannot be disabled.
func (s *Service) Disable(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, why string) error {
	defer s.cache.clear()
	return s.change(ctx, tenant, now, by, id, "person.disabled", why, func(ctx context.Context, p *Person) error {
		if err := p.Transition(Disabled, why, now); err != nil {
			return err
		}
		if err := s.links.Void(ctx, tenant, id, now); err != nil {
			return err
		}
		return s.endSessions(ctx, now, by.Actor, *p, "", "account disabled")
	})
}

// Enable opens an account again. Without a password it needs a new link.
func (s *Service) Enable(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, why string) error {
	return s.change(ctx, tenant, now, by, id, "person.enabled", why, func(_ context.Context, p *Person) error {
		if p.PasswordHash == "" {
			return p.Transition(Invited, why, now)
		}
		return p.Transition(Active, why, now)
	})
}

// Unlock ends a lockout before its time.
func (s *Service) Unlock(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, why string) error {
	return s.change(ctx, tenant, now, by, id, "person.unlocked", why, func(_ context.Context, p *Person) error {
		p.Lockout = Lockout{}
		return nil
	})
}

// SetGrants replaces what a person may do; it acts on their next request.
func (s *Service) SetGrants(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, g Grants, why string) error {
	if err := g.Check(tenant); err != nil {
		return err
	}
	if !g.Within(by.Grants) {
		return beyond()
	}
	defer s.cache.clear()
	return s.change(ctx, tenant, now, by, id, "person.granted", why, func(_ context.Context, p *Person) error {
		p.Grants = g
		return nil
	})
}

// change loads a person, has f change it, and saves and records it, keeping
// two promises: nobody manages a person with more rights than their own, and
// an active owner of everything remains.
func (s *Service) change(ctx context.Context, tenant ident.TenantID, now time.Time, by Principal, id ident.PersonID, action, why string, f func(context.Context, *Person) error) error {
	return s.tx(ctx, func(ctx context.Context) error {
		p, err := s.people.ByID(ctx, tenant, id)
		if err != nil {
			return err
		}
		if err := manages(by, p); err != nil {
			return err
		}
		before := p
		if err := f(ctx, &p); err != nil {
			return err
		}
		if before.ownsAll() && !p.ownsAll() {
			if err := s.otherOwner(ctx, p.ID); err != nil {
				return err
			}
		}
		if err := s.people.Save(ctx, p); err != nil {
			return err
		}
		return s.record(ctx, now, by.Actor, action, p.object(), why,
			map[string]string{"state": string(p.State), "grants": p.Grants.text()})
	})
}

// otherOwner fails when nobody but id is an active owner of everything.
func (s *Service) otherOwner(ctx context.Context, id ident.PersonID) error {
	all, err := s.people.List(ctx, ident.NewScopeAll())
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.ID != id && p.ownsAll() {
			return nil
		}
	}
	return fault.Conflictf("this is the last owner of all tenants").WithNext("make another person an owner first")
}

func newPerson(tenant ident.TenantID, now time.Time, n NewPerson) (Person, error) {
	email, err := NormalEmail(n.Email)
	if err != nil {
		return Person{}, err
	}
	if n.Name == "" {
		n.Name = email[:min(len(email), 100)]
	}
	if err := checkName("name", n.Name); err != nil {
		return Person{}, err
	}
	if err := checkZone(n.TimeZone); err != nil {
		return Person{}, err
	}
	if err := n.Grants.Check(tenant); err != nil {
		return Person{}, err
	}
	p := Person{
		ID: ident.PersonID(ident.New(now)), Tenant: tenant, Email: email, Name: n.Name,
		Grants: n.Grants, TimeZone: n.TimeZone, CreatedAt: now,
	}
	return p, p.Transition(Invited, "", now)
}

// manages reports whether by may act on the person: only on those whose
// rights are within their own, else a link or a grant would raise them.
func manages(by Principal, p Person) error {
	if !p.Grants.Within(by.Grants) {
		return beyond()
	}
	return nil
}

func beyond() error {
	return fault.New(fault.Forbidden, "this reaches beyond your own rights").WithNext("ask an owner of all tenants")
}

// text is the grants in one line, for records: "owner: *; viewer: acme/main".
func (g Grants) text() string {
	var parts []string
	for _, one := range g {
		if one.All {
			parts = append(parts, string(one.Role)+": *")
			continue
		}
		var places []string
		for _, p := range one.Tenants {
			if len(p.Sites) == 0 {
				places = append(places, string(p.Tenant))
			}
			for _, site := range p.Sites {
				places = append(places, string(p.Tenant)+"/"+string(site))
			}
		}
		parts = append(parts, string(one.Role)+": "+strings.Join(places, ","))
	}
	return strings.Join(parts, "; ")
}
