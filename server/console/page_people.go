package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

type peopleBody struct {
	People    []personRow
	Tokens    []tokenRow
	CanSee    bool
	CanManage bool
	CanAll    bool
	Homes     []home
	Secret    string // shown once
	SecretIs  string
	Problem   *problem
	Tenants   []home
}

type home struct{ ID, Name string }

type personRow struct {
	auth.Person
	Mark   mark
	Locked bool
	Rights string
	Home   string
	Path   string
	Mine   bool
}

type tokenRow struct {
	auth.Token
	Mark   mark
	Rights string
	Path   string
}

func rightsText(f *frame, g auth.Grants) string {
	var out []string
	for _, one := range g {
		if one.All {
			out = append(out, string(one.Role)+" everywhere")
			continue
		}
		for _, p := range one.Tenants {
			text := string(one.Role) + " at " + f.levelOf(p.Tenant, "")
			if len(p.Sites) > 0 {
				text += " (some sites)"
			}
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "no rights"
	}
	return strings.Join(out[:min(len(out), 3)], ", ")
}

func (c *Console) people(f *frame) error { return c.showPeople(f, http.StatusOK, peopleBody{}) }

func (c *Console) showPeople(f *frame, status int, b peopleBody) error {
	b.CanSee, b.CanManage, b.CanAll = f.Can("people.read"), f.Can("people.manage"), f.CanAll("people.manage")
	if b.CanSee {
		list, err := c.o.People.List(f.ctx(), auth.Scope(f.who, auth.PeopleRead))
		if err != nil {
			return err
		}
		for _, p := range list {
			locked := p.Lockout.Locked(f.now)
			home := f.levelOf(p.Tenant, "")
			if p.Tenant == ident.MSP {
				home = "MSP"
			}
			b.People = append(b.People, personRow{Person: p, Mark: personMark(p, locked), Locked: locked, Rights: rightsText(f, p.Grants), Home: home,
				Path: tenantPath(p.Tenant, "people", string(p.ID)), Mine: string(p.ID) == f.who.Actor.ID})
		}
	}
	tokens, err := c.o.Tokens.ListTokens(f.ctx(), f.who)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		row := tokenRow{Token: t, Mark: mark{"circle-check", "good", "good"}, Rights: rightsText(f, t.Grants), Path: tenantPath(t.Tenant, "tokens", string(t.ID))}
		if !t.Live(f.now) {
			row.Mark = mark{"timer-off", "over", "idle"}
		}
		if !t.RevokedAt.IsZero() {
			row.Mark = mark{"ban", "revoked", "idle"}
		}
		b.Tokens = append(b.Tokens, row)
	}
	manage := auth.Scope(f.who, auth.PeopleManage)
	if b.CanAll {
		b.Homes = append(b.Homes, home{string(ident.MSP), "MSP: all customers"})
	}
	for _, t := range f.customers() {
		if manage.Has(t.ID) {
			b.Homes = append(b.Homes, home{string(t.ID), t.Name})
		}
		b.Tenants = append(b.Tenants, home{string(t.ID), t.Name})
	}
	return f.answer(status, "people", page{Title: "People and tokens", Nav: "people", Body: b})
}

// grantsFrom reads a role and where it holds: everywhere ("*") or one customer.
func grantsFrom(role, where string) (auth.Grants, error) {
	r := auth.Role(role)
	if !r.Valid() {
		return nil, fault.Invalidf("role", "choose a role")
	}
	if where == string(ident.MSP) {
		return auth.Everywhere(r), nil
	}
	if !ident.ValidSlug(where) {
		return nil, fault.Invalidf("where", "choose where it holds")
	}
	return auth.InTenant(r, ident.TenantID(where)), nil
}

func (c *Console) invite(f *frame) error {
	where := f.field("where")
	if err := auth.Authorize(f.who, auth.PeopleManage, ident.TenantID(where)); err != nil {
		return err
	}
	grants, err := grantsFrom(f.field("role"), where)
	var person auth.Person
	var secret auth.Secret
	if err == nil {
		person, secret, err = c.o.People.Invite(f.ctx(), ident.TenantID(where), f.now, f.who, auth.NewPerson{Email: f.field("email"), Name: f.field("name"), Grants: grants, TimeZone: f.field("time_zone")})
	}
	if err != nil {
		return c.peopleProblem(f, err)
	}
	return c.showPeople(f, http.StatusOK, peopleBody{Secret: c.link(secret), SecretIs: "The link for " + person.Email + ", good for 24 hours and for one use. Send it to them; it is shown this once."})
}

func (c *Console) peopleProblem(f *frame, err error) error {
	p, status, ok := problemOf(err)
	if !ok {
		return err
	}
	return c.showPeople(f, status, peopleBody{Problem: p})
}

// link is the address that a one-time secret opens.
func (c *Console) link(s auth.Secret) string {
	return strings.TrimSuffix(c.o.URL, "/") + "/link/" + s.Reveal()
}

// changePerson is what one may do with an account.
func (c *Console) changePerson(f *frame) error {
	tenant, id := ident.TenantID(f.r.PathValue("tenant")), ident.PersonID(f.r.PathValue("person"))
	verb := f.r.PathValue("verb")
	if verb == "link" {
		secret, err := c.o.People.CreateLink(f.ctx(), tenant, f.now, f.who, id, auth.Purpose(f.field("purpose")))
		if err != nil {
			return c.peopleProblem(f, err)
		}
		return c.showPeople(f, http.StatusOK, peopleBody{Secret: c.link(secret), SecretIs: "A one-time link. Earlier ones work no more; this one is shown this once."})
	}
	why, err := f.why()
	if err != nil {
		return c.peopleProblem(f, err)
	}
	switch verb {
	case "disable":
		err = c.o.People.Disable(f.ctx(), tenant, f.now, f.who, id, why)
	case "enable":
		err = c.o.People.Enable(f.ctx(), tenant, f.now, f.who, id, why)
	case "unlock":
		err = c.o.People.Unlock(f.ctx(), tenant, f.now, f.who, id, why)
	default:
		return fault.NotFoundf("no such action")
	}
	if err != nil {
		return c.peopleProblem(f, err)
	}
	return f.to("/people", map[string]string{"disable": "The account is closed; its sessions have ended.", "enable": "The account is open again.", "unlock": "The account is unlocked."}[verb])
}

func (c *Console) createToken(f *frame) error {
	grants, err := grantsFrom(f.field("role"), f.field("where"))
	var token auth.Token
	var secret auth.Secret
	if err == nil {
		days := map[string]int{"30": 30, "90": 90, "365": 365}[f.field("days")]
		token, secret, err = c.o.Tokens.CreateToken(f.ctx(), f.now, f.who, auth.NewToken{Name: f.field("name"), Grants: grants, Life: time.Duration(days) * 24 * time.Hour})
	}
	if err != nil {
		return c.peopleProblem(f, err)
	}
	return c.showPeople(f, http.StatusOK, peopleBody{Secret: secret.Reveal(), SecretIs: "The token " + token.Name + ". It is shown this once: keep it as a password."})
}

func (c *Console) revokeToken(f *frame) error {
	why, err := f.why()
	if err == nil {
		err = c.o.Tokens.RevokeToken(f.ctx(), ident.TenantID(f.r.PathValue("tenant")), f.now, f.who, ident.TokenID(f.r.PathValue("token")), why)
	}
	if err != nil {
		return c.peopleProblem(f, err)
	}
	return f.to("/people", "The token works no more.")
}
