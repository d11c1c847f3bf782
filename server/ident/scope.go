package ident

import "slices"

// Scope is what a caller may see: all tenants, or some, each with all of its
// sites or named ones. The zero value is nobody. Only server/auth calls the
// constructors outside of tests (scripts/archtest sees to it).
type Scope struct {
	all     bool
	tenants map[TenantID][]SiteID // an empty list means all sites
}

// NewScopeAll returns the scope of one who may see every tenant.
func NewScopeAll() Scope { return Scope{all: true} }

// NewScope returns a scope of the given tenants; an empty list of sites means
// all sites of that tenant.
func NewScope(tenants map[TenantID][]SiteID) Scope {
	copied := make(map[TenantID][]SiteID, len(tenants))
	for t, sites := range tenants {
		copied[t] = slices.Clone(sites)
	}
	return Scope{tenants: copied}
}

// All reports whether the scope covers every tenant.
func (s Scope) All() bool { return s.all }

// Has reports whether the scope touches the tenant at all.
func (s Scope) Has(t TenantID) bool {
	_, ok := s.tenants[t]
	return s.all || ok
}

// HasSite reports whether the scope covers the site.
func (s Scope) HasSite(t TenantID, site SiteID) bool {
	if s.all {
		return true
	}
	sites, ok := s.tenants[t]
	return ok && (len(sites) == 0 || slices.Contains(sites, site))
}

// Tenants lists the named tenants in order; nil when All.
func (s Scope) Tenants() []TenantID {
	if s.all {
		return nil
	}
	out := make([]TenantID, 0, len(s.tenants))
	for t := range s.tenants {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Sites lists the named sites of a tenant; nil means all of them. Ask Has first.
func (s Scope) Sites(t TenantID) []SiteID { return s.tenants[t] }

// Only returns the part of the scope that lies in one tenant: nobody when the
// scope does not touch it.
func (s Scope) Only(t TenantID) Scope {
	if !s.Has(t) {
		return Scope{}
	}
	return NewScope(map[TenantID][]SiteID{t: s.tenants[t]})
}
