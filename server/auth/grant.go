package auth

import (
	"slices"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Place is a tenant a grant covers; without sites it is the whole tenant.
type Place struct {
	Tenant ident.TenantID `json:"tenant"`
	Sites  []ident.SiteID `json:"sites,omitempty"`
}

// Grant gives a role in all tenants (All, then Tenants is empty) or in some.
type Grant struct {
	Role    Role    `json:"role"`
	All     bool    `json:"all,omitempty"`
	Tenants []Place `json:"tenants,omitempty"`
}

// Grants is all that someone was given. The zero value is no right at all.
type Grants []Grant

// Limits on grants; they bound the work of one check.
const (
	maxGrants = 16
	maxPlaces = 2000
)

// Everywhere returns the grants of a role in all tenants.
func Everywhere(r Role) Grants { return Grants{{Role: r, All: true}} }

// InTenant returns the grants of a role in one tenant, or at some of its sites.
func InTenant(r Role, t ident.TenantID, sites ...ident.SiteID) Grants {
	return Grants{{Role: r, Tenants: []Place{{Tenant: t, Sites: sites}}}}
}

// Check reports grants that are malformed, or that reach beyond the home of
// the one who gets them: a customer's person never sees another customer.
func (g Grants) Check(home ident.TenantID) error {
	if len(g) > maxGrants {
		return fault.Invalidf("grants", "more than %d", maxGrants)
	}
	places := 0
	for _, one := range g {
		places += len(one.Tenants)
		if places > maxPlaces {
			return fault.Invalidf("grants", "more than %d tenants", maxPlaces)
		}
		if err := one.check(home); err != nil {
			return err
		}
	}
	return nil
}

func (g Grant) check(home ident.TenantID) error {
	if !g.Role.Valid() {
		return fault.Invalidf("role", "is %q; it must be owner, technician or viewer", string(g.Role))
	}
	if g.All == (len(g.Tenants) > 0) {
		return fault.Invalidf("grants", "name either all tenants or some")
	}
	if g.All && home != ident.MSP {
		return fault.Invalidf("grants", "a customer's person can have rights in %s only", home)
	}
	for _, p := range g.Tenants {
		if !ident.ValidSlug(string(p.Tenant)) {
			return fault.Invalidf("tenant", "%q is no tenant's name", string(p.Tenant))
		}
		if home != ident.MSP && p.Tenant != home {
			return fault.Invalidf("grants", "a customer's person can have rights in %s only", home)
		}
		for _, s := range p.Sites {
			if !ident.ValidSlug(string(s)) {
				return fault.Invalidf("site", "%q is no site's name", string(s))
			}
		}
	}
	return nil
}

// touches reports whether the grant covers any part of the tenant. What
// belongs to the MSP itself is touched by grants for all tenants alone.
func (g Grant) touches(t ident.TenantID) bool {
	return g.All || slices.ContainsFunc(g.Tenants, func(p Place) bool { return p.Tenant == t })
}

// covers reports whether the grant covers one site, or with an empty site the
// whole tenant.
func (g Grant) covers(t ident.TenantID, site ident.SiteID) bool {
	return g.All || slices.ContainsFunc(g.Tenants, func(p Place) bool {
		return p.Tenant == t && (len(p.Sites) == 0 || site != "" && slices.Contains(p.Sites, site))
	})
}

// Within reports whether every right in g is also in o, grant by grant: for
// each place one grant of o with the same role or a higher one covers it.
func (g Grants) Within(o Grants) bool {
	return !slices.ContainsFunc(g, func(one Grant) bool { return !one.within(o) })
}

func (g Grant) within(o Grants) bool {
	has := func(t ident.TenantID, site ident.SiteID) bool {
		return slices.ContainsFunc(o, func(h Grant) bool {
			return h.Role.rank() >= g.Role.rank() && h.covers(t, site)
		})
	}
	if g.All {
		return slices.ContainsFunc(o, func(h Grant) bool { return h.All && h.Role.rank() >= g.Role.rank() })
	}
	for _, p := range g.Tenants {
		if has(p.Tenant, "") {
			continue
		}
		if len(p.Sites) == 0 || slices.ContainsFunc(p.Sites, func(s ident.SiteID) bool { return !has(p.Tenant, s) }) {
			return false
		}
	}
	return true
}

// And returns the rights that are in both: for each pair the lower role in
// the common places. It never holds more than either side.
func (g Grants) And(o Grants) Grants {
	var out Grants
	for _, a := range g {
		for _, b := range o {
			if c, ok := a.and(b); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

func (g Grant) and(o Grant) (Grant, bool) {
	role := g.Role
	if o.Role.rank() < role.rank() {
		role = o.Role
	}
	if !role.Valid() {
		return Grant{}, false
	}
	switch {
	case g.All && o.All:
		return Grant{Role: role, All: true}, true
	case g.All:
		return Grant{Role: role, Tenants: slices.Clone(o.Tenants)}, len(o.Tenants) > 0
	case o.All:
		return Grant{Role: role, Tenants: slices.Clone(g.Tenants)}, len(g.Tenants) > 0
	}
	mine := map[ident.TenantID][]Place{}
	for _, p := range g.Tenants {
		mine[p.Tenant] = append(mine[p.Tenant], p)
	}
	var common []Place
	for _, q := range o.Tenants {
		for _, p := range mine[q.Tenant] {
			if c, ok := p.and(q); ok {
				common = append(common, c)
			}
		}
	}
	return Grant{Role: role, Tenants: common}, len(common) > 0
}

// and returns what two places of the same tenant have in common.
func (p Place) and(q Place) (Place, bool) {
	switch {
	case len(p.Sites) == 0:
		return Place{Tenant: q.Tenant, Sites: slices.Clone(q.Sites)}, true
	case len(q.Sites) == 0:
		return Place{Tenant: p.Tenant, Sites: slices.Clone(p.Sites)}, true
	}
	var sites []ident.SiteID
	for _, s := range p.Sites {
		if slices.Contains(q.Sites, s) {
			sites = append(sites, s)
		}
	}
	// An empty list would mean the whole tenant.
	return Place{Tenant: p.Tenant, Sites: sites}, len(sites) > 0
}

// clip cuts a customer's person down to its home, whatever is stored.
func (g Grants) clip(home ident.TenantID) Grants {
	if home == ident.MSP {
		return g
	}
	return g.And(InTenant(Owner, home))
}
