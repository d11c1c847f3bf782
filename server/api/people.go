package api

import (
	"cmp"
	"context"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// Person is someone who may sign in.
type Person struct {
	ID        ident.PersonID `json:"id"`
	Tenant    ident.TenantID `json:"tenant" doc:"home: * for the provider's own people"`
	Email     string         `json:"email"`
	Name      string         `json:"name"`
	State     auth.State     `json:"state"`
	Grants    auth.Grants    `json:"grants"`
	TimeZone  string         `json:"time_zone"`
	CreatedAt *time.Time     `json:"created_at"`
}

func renderPerson(p auth.Person) Person {
	return Person{p.ID, p.Tenant, p.Email, p.Name, p.State, p.Grants, p.TimeZone, stamp(p.CreatedAt)}
}

// Token is an API token without its secret.
type Token struct {
	ID         ident.TokenID  `json:"id"`
	Tenant     ident.TenantID `json:"tenant"`
	Name       string         `json:"name"`
	Grants     auth.Grants    `json:"grants"`
	CreatedAt  *time.Time     `json:"created_at"`
	ExpiresAt  *time.Time     `json:"expires_at"`
	LastUsedAt *time.Time     `json:"last_used_at"`
	RevokedAt  *time.Time     `json:"revoked_at"`
}

func renderToken(t auth.Token) Token {
	return Token{t.ID, t.Tenant, t.Name, t.Grants, stamp(t.CreatedAt), stamp(t.ExpiresAt), stamp(t.LastUsedAt), stamp(t.RevokedAt)}
}

// Rights are a role somewhere: in one customer, at some of its sites, or in all.
type Rights struct {
	Role   string   `json:"role" enum:"owner,technician,viewer"`
	Tenant string   `json:"tenant,omitempty" maxLength:"63" doc:"left out: all customers"`
	Sites  []string `json:"sites,omitempty" maxItems:"100"`
}

func (b Rights) grants() auth.Grants {
	if b.Tenant == "" || b.Tenant == string(ident.MSP) {
		return auth.Everywhere(auth.Role(b.Role))
	}
	sites := make([]ident.SiteID, len(b.Sites))
	for i, s := range b.Sites {
		sites[i] = ident.SiteID(s)
	}
	return auth.InTenant(auth.Role(b.Role), ident.TenantID(b.Tenant), sites...)
}

type inviteIn struct {
	Body struct {
		Rights
		Email    string `json:"email" maxLength:"254"`
		Name     string `json:"name,omitempty" maxLength:"200"`
		TimeZone string `json:"time_zone,omitempty" maxLength:"100"`
		Home     string `json:"home,omitempty" maxLength:"63" doc:"the customer that the person belongs to; left out: the provider's own"`
	}
}

type invitedJSON struct {
	Person
	Link string `json:"link" doc:"the sign-in link, good for 24 hours; it cannot be shown again"`
}

type tokenIn struct {
	Body struct {
		Rights
		Name    string `json:"name" maxLength:"200"`
		Expires string `json:"expires,omitempty" maxLength:"20" doc:"a duration; left out: 90 days"`
	}
}

type tokenMadeJSON struct {
	Token
	Secret string `json:"token" doc:"the token; it cannot be shown again"`
}

func (a *api) people() {
	both(a, "people", auth.PeopleRead, false, "People", a.listPeople)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/people", Action: auth.PeopleManage, Creates: true, Status: 201, Summary: "Invite a person of a customer"}, a.invite)
	register(a, Route{Method: "POST", Path: "/people", Action: auth.PeopleManage, Reach: Anywhere, Creates: true, Status: 201, Summary: "Invite a person"}, a.invite)
	register(a, Route{Method: "POST", Path: "/people/{id}/disable", Action: auth.PeopleManage, Reach: Anywhere, Summary: "Close an account"}, a.disable)
	register(a, Route{Method: "POST", Path: "/people/{id}/enable", Action: auth.PeopleManage, Reach: Anywhere, Summary: "Open an account again"}, a.enable)
	register(a, Route{Method: "GET", Path: "/tokens", Action: auth.TokenCreate, Reach: Anywhere, Summary: "One's own tokens, and those that one may manage"}, a.listTokens)
	register(a, Route{Method: "POST", Path: "/tokens", Action: auth.TokenCreate, Reach: Anywhere, Creates: true, Status: 201, Summary: "Make a token of one's own"}, a.createToken)
	register(a, Route{Method: "POST", Path: "/tokens/{id}/revoke", Action: auth.TokenCreate, Reach: Anywhere, Summary: "End a token"}, a.revokeToken)
}

func (a *api) listPeople(ctx context.Context, c *caller, in *ListIn) (*pageOut[Person], error) {
	list, err := a.o.People.List(ctx, c.scope)
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(p auth.Person) string { return string(p.ID) }, renderPerson)
}

func (a *api) invite(ctx context.Context, c *caller, in *inviteIn) (*bodyOut[invitedJSON], error) {
	home := cmp.Or(c.tenant, ident.TenantID(in.Body.Home), ident.MSP)
	if c.tenant != "" && in.Body.Tenant == "" {
		in.Body.Tenant = string(c.tenant)
	}
	if err := auth.Authorize(c.Principal, auth.PeopleManage, home); err != nil {
		return nil, err
	}
	p, link, err := a.o.People.Invite(ctx, home, c.now, c.Principal, auth.NewPerson{Email: in.Body.Email, Name: in.Body.Name, Grants: in.Body.grants(), TimeZone: in.Body.TimeZone})
	if err != nil {
		return nil, err
	}
	return &bodyOut[invitedJSON]{invitedJSON{renderPerson(p), a.o.Link(link.Reveal())}}, nil
}

// person finds whom the caller may manage.
func (a *api) person(ctx context.Context, c *caller) (auth.Person, error) {
	list, err := a.o.People.List(ctx, c.scope)
	for _, p := range list {
		if string(p.ID) == c.id {
			return p, err
		}
	}
	if err == nil {
		err = missing()
	}
	return auth.Person{}, err
}

func (a *api) disable(ctx context.Context, c *caller, in *whyIn) (*okOut, error) {
	p, err := a.person(ctx, c)
	if err != nil {
		return nil, err
	}
	return okay(), a.o.People.Disable(ctx, p.Tenant, c.now, c.Principal, p.ID, in.Body.Reason)
}

func (a *api) enable(ctx context.Context, c *caller, in *whyIn) (*okOut, error) {
	p, err := a.person(ctx, c)
	if err != nil {
		return nil, err
	}
	return okay(), a.o.People.Enable(ctx, p.Tenant, c.now, c.Principal, p.ID, in.Body.Reason)
}

func (a *api) listTokens(ctx context.Context, c *caller, in *ListIn) (*pageOut[Token], error) {
	list, err := a.o.People.ListTokens(ctx, c.Principal)
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(t auth.Token) string { return string(t.ID) }, renderToken)
}

func (a *api) createToken(ctx context.Context, c *caller, in *tokenIn) (*bodyOut[tokenMadeJSON], error) {
	n := auth.NewToken{Name: in.Body.Name, Grants: in.Body.grants()}
	if in.Body.Expires != "" {
		life, err := policy.ParseDuration(in.Body.Expires)
		if err != nil {
			return nil, fault.Invalidf("expires", "this is no duration").WithNext("write 24h or 90d")
		}
		n.Life = time.Duration(life)
	}
	t, secret, err := a.o.People.CreateToken(ctx, c.now, c.Principal, n)
	if err != nil {
		return nil, err
	}
	return &bodyOut[tokenMadeJSON]{tokenMadeJSON{renderToken(t), secret.Reveal()}}, nil
}

func (a *api) revokeToken(ctx context.Context, c *caller, in *whyIn) (*okOut, error) {
	list, err := a.o.People.ListTokens(ctx, c.Principal)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if string(t.ID) == c.id {
			return okay(), a.o.People.RevokeToken(ctx, t.Tenant, c.now, c.Principal, t.ID, in.Body.Reason)
		}
	}
	return nil, missing()
}
