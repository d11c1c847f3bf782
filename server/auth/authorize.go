package auth

import (
	"slices"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Principal is who asks, proved, with the rights of this moment. The zero
// value is nobody.
type Principal struct {
	Actor    ident.Actor
	Grants   Grants
	Session  ident.SessionID // of a person at the console; else empty
	TimeZone string          // IANA name for showing times; may be empty
}

// Local returns the principal of someone at the server's own machine, who has
// the data directory anyway: `steward init`, `steward token create`, `--dev`.
// No door that is reached over a network may use it.
func Local() Principal {
	return Principal{
		Actor:  ident.Actor{Kind: ident.System, ID: string(LocalMaker), Name: "the server's machine", Tenant: ident.MSP},
		Grants: Everywhere(Owner),
	}
}

// MissingTenant is the one answer for a tenant that does not exist and for
// one that the caller may not see.
func MissingTenant(t ident.TenantID) *fault.Error {
	return fault.NotFoundf("there is no tenant %q", string(t))
}

func forbidden(a Action) *fault.Error {
	return fault.New(fault.Forbidden, "your role does not include %s here", string(a)).
		WithNext("ask an owner")
}

// Authorize reports whether p may do the action in the tenant: nil, NotFound
// when p sees nothing of the tenant, else Forbidden. Reading passes with a
// grant for some sites (narrow the answer by Scope); changing needs the whole
// tenant, or AuthorizeSite. ident.MSP stands for what AuthorizeAll guards.
func Authorize(p Principal, a Action, t ident.TenantID) error {
	if t == ident.MSP {
		return AuthorizeAll(p, a)
	}
	seen := false
	for _, g := range p.Grants {
		if !g.Role.Valid() || !g.touches(t) {
			continue
		}
		seen = true
		if g.passes(a, t) {
			return nil
		}
	}
	if !seen {
		return MissingTenant(t)
	}
	return forbidden(a)
}

// passes reports whether this one grant is enough for the action.
func (g Grant) passes(a Action, t ident.TenantID) bool {
	n, ok := need(a)
	if !ok || !g.Role.Allows(a) {
		return false
	}
	return n.reach == part && g.touches(t) || g.covers(t, "")
}

// AuthorizeSite is Authorize for something that lies in one known site: a
// device, a document with `site:`. An empty site means the whole tenant, for
// reading too. A site that p does not see is Forbidden when p sees others of
// the tenant; look the thing up by Scope first, so that it is not found.
func AuthorizeSite(p Principal, a Action, t ident.TenantID, site ident.SiteID) error {
	if t == ident.MSP {
		return AuthorizeAll(p, a)
	}
	seen := false
	for _, g := range p.Grants {
		seen = seen || g.Role.Valid() && g.touches(t)
		if g.Role.Allows(a) && g.covers(t, site) {
			return nil
		}
	}
	if !seen {
		return MissingTenant(t)
	}
	return forbidden(a)
}

// AuthorizeAll reports whether p may do the action everywhere, which is what
// the MSP's own things need: its documents, its people, a new tenant.
func AuthorizeAll(p Principal, a Action) error {
	for _, g := range p.Grants {
		if g.All && g.Role.Allows(a) {
			return nil
		}
	}
	return forbidden(a).WithNext("this needs the right for all tenants; ask an owner")
}

// AuthorizeSome reports whether p may do the action anywhere at all, for the
// lists over all permitted tenants; Scope then says where.
func AuthorizeSome(p Principal, a Action) error {
	if s := Scope(p, a); s.All() || len(s.Tenants()) > 0 {
		return nil
	}
	return forbidden(a)
}

// Scope is where p may do the action: the tenants and sites that a list may
// show. It is the only place that makes scopes.
func Scope(p Principal, a Action) ident.Scope {
	n, ok := need(a)
	if !ok {
		return ident.Scope{}
	}
	tenants := map[ident.TenantID][]ident.SiteID{}
	complete := map[ident.TenantID]bool{}
	for _, g := range p.Grants {
		if !g.Role.Allows(a) {
			continue
		}
		if g.All {
			return ident.NewScopeAll()
		}
		for _, place := range g.Tenants {
			switch {
			case len(place.Sites) == 0:
				complete[place.Tenant], tenants[place.Tenant] = true, nil
			case n.reach == part && !complete[place.Tenant]:
				tenants[place.Tenant] = union(tenants[place.Tenant], place.Sites)
			}
		}
	}
	return ident.NewScope(tenants)
}

func union(a, b []ident.SiteID) []ident.SiteID {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
