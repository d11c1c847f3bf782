package auth

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// cells says by hand, for each action, who may: v(iewer), t(echnician),
// o(wner); "whole" when a grant for one site is not enough in Authorize.
const cells = `
tenant.read        vto
device.read        vto
sample.read        vto
update.read        vto
policy.read        vto
deployment.read    vto
run.read           vto
job.read           vto
alert.read         vto
channel.read       vto
task.read          vto
view.read          vto
enrollment.read    vto
device.manage       to whole
update.decide       to whole
policy.apply        to whole
deployment.control  to whole
job.cancel          to whole
alert.manage        to whole
channel.manage      to whole
task.manage         to whole
site.manage         to whole
freeze.manage       to whole
enrollment.create   to whole
data.export         to
audit.read          to whole
people.read         to whole
token.create        to
tenant.create        o whole
tenant.manage        o whole
people.manage        o whole
token.manage         o whole
key.manage           o whole
`

func principal(g Grants) Principal {
	return Principal{Actor: ident.Actor{Kind: ident.Person, ID: "p", Tenant: ident.MSP}, Grants: g}
}

func TestEveryCellOfTheTable(t *testing.T) {
	seen := map[Action]bool{}
	for line := range strings.Lines(strings.TrimSpace(cells)) {
		f := strings.Fields(line)
		action, letters, whole := Action(f[0]), f[1], len(f) > 2
		seen[action] = true
		for _, role := range []Role{Viewer, Technician, Owner} {
			may := strings.Contains(letters, string(role[0]))
			check := func(what string, err error, allowed bool) {
				t.Helper()
				if allowed && err != nil || !allowed && !fault.Is(err, fault.Forbidden) {
					t.Errorf("%s, %s, %s: got %v, allowed %v", role, action, what, err, allowed)
				}
			}
			all, one, site := principal(Everywhere(role)), principal(InTenant(role, "acme")), principal(InTenant(role, "acme", "north"))
			check("all", Authorize(all, action, "acme"), may)
			check("all for the MSP", Authorize(all, action, ident.MSP), may)
			check("tenant", Authorize(one, action, "acme"), may)
			check("site", Authorize(site, action, "acme"), may && !whole)
			check("at the site", AuthorizeSite(site, action, "acme", "north"), may)
			check("at another site", AuthorizeSite(site, action, "acme", "south"), false)
			check("at no site", AuthorizeSite(site, action, "acme", ""), false)
			check("tenant for the MSP", Authorize(one, action, ident.MSP), false)
			check("tenant for all", AuthorizeAll(one, action), false)
			check("somewhere", AuthorizeSome(one, action), may)
			check("somewhere by site", AuthorizeSome(site, action), may && !whole)
			if Scope(all, action).All() != may || Scope(one, action).Has("acme") != may || Scope(site, action).Has("acme") != (may && !whole) {
				t.Errorf("%s, %s: scopes disagree with the table", role, action)
			}
			if Scope(one, action).Has("beta") || Scope(one, action).Has(ident.MSP) || Scope(site, action).HasSite("acme", "south") {
				t.Errorf("%s, %s: the scope is too wide", role, action)
			}
		}
	}
	for _, a := range Actions() {
		if !seen[a] {
			t.Errorf("%s is not in the test's table", a)
		}
	}
	if len(seen) != len(Actions()) {
		t.Errorf("the tables have %d and %d actions", len(seen), len(Actions()))
	}
}

func TestAnotherTenantLooksLikeAMissingOne(t *testing.T) {
	p := principal(InTenant(Owner, "acme"))
	for _, tenant := range []ident.TenantID{"beta", "no-such"} {
		for _, err := range []error{Authorize(p, DeviceRead, tenant), AuthorizeSite(p, DeviceRead, tenant, "main"), Authorize(Principal{}, DeviceRead, tenant)} {
			wantKind(t, err, fault.NotFound)
			if err.Error() != MissingTenant(tenant).Error() {
				t.Errorf("got %q", err)
			}
		}
	}
}

func TestWhatIsNotInTheTableIsDenied(t *testing.T) {
	for _, a := range []Action{"", "device.explode"} {
		wantKind(t, Authorize(Local(), a, "acme"), fault.Forbidden)
		wantKind(t, AuthorizeAll(Local(), a), fault.Forbidden)
		if s := Scope(Local(), a); s.All() || len(s.Tenants()) > 0 {
			t.Errorf("%q has a scope", a)
		}
	}
	strange := principal(Grants{{Role: "god", All: true}, {Role: "", All: true}})
	for _, a := range Actions() {
		wantKind(t, Authorize(strange, a, "acme"), fault.NotFound)
		if Scope(strange, a).All() {
			t.Errorf("%s: an unknown role has a scope", a)
		}
	}
}

func TestScopeJoinsGrants(t *testing.T) {
	p := principal(Grants{
		{Role: Viewer, Tenants: []Place{{Tenant: "acme", Sites: []ident.SiteID{"north"}}, {Tenant: "beta"}}},
		{Role: Technician, Tenants: []Place{{Tenant: "acme", Sites: []ident.SiteID{"south"}}, {Tenant: "beta", Sites: []ident.SiteID{"x"}}}},
	})
	s := Scope(p, DeviceRead)
	if !slices.Equal(s.Sites("acme"), []ident.SiteID{"north", "south"}) || s.Sites("beta") != nil || !s.HasSite("beta", "y") {
		t.Errorf("got %v, %v", s.Sites("acme"), s.Sites("beta"))
	}
	if s := Scope(p, DataExport); s.HasSite("acme", "north") || !s.HasSite("acme", "south") || s.HasSite("beta", "y") {
		t.Error("a viewer's places leaked into a technician's action")
	}
}

func genGrants(home ident.TenantID) *rapid.Generator[Grants] {
	place := rapid.Custom(func(t *rapid.T) Place {
		tenants := []ident.TenantID{"acme", "beta"}
		if home != ident.MSP {
			tenants = []ident.TenantID{home}
		}
		p := Place{Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant")}
		if rapid.Bool().Draw(t, "sited") {
			p.Sites = rapid.SliceOfNDistinct(rapid.SampledFrom([]ident.SiteID{"north", "south", "east"}), 1, 2, rapid.ID).Draw(t, "sites")
		}
		return p
	})
	return rapid.Custom(func(t *rapid.T) Grants {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Grant {
			g := Grant{Role: rapid.SampledFrom([]Role{Viewer, Technician, Owner}).Draw(t, "role")}
			if home == ident.MSP && rapid.Bool().Draw(t, "all") {
				g.All = true
				return g
			}
			g.Tenants = rapid.SliceOfN(place, 1, 3).Draw(t, "places")
			return g
		}), 0, 3).Draw(t, "grants")
	})
}

// each calls f with every question that can be asked about a few tenants.
func each(f func(a Action, tenant ident.TenantID, site ident.SiteID)) {
	for _, a := range Actions() {
		for _, tenant := range []ident.TenantID{"acme", "beta", "gamma", ident.MSP} {
			for _, site := range []ident.SiteID{"", "north", "south", "east", "west"} {
				f(a, tenant, site)
			}
		}
	}
}

func TestARoleNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := genGrants(ident.MSP).Draw(t, "grants")
		if len(g) == 0 {
			return
		}
		i := rapid.IntRange(0, len(g)-1).Draw(t, "which")
		lower := slices.Clone(g)
		lower[i].Role = rapid.SampledFrom([]Role{Viewer, Technician, Owner}).Filter(func(r Role) bool { return r.rank() <= g[i].Role.rank() }).Draw(t, "lower")
		if !lower.Within(g) {
			t.Fatalf("%s is not within %s", lower.text(), g.text())
		}
		each(func(a Action, tenant ident.TenantID, site ident.SiteID) {
			if AuthorizeSite(principal(lower), a, tenant, site) == nil && AuthorizeSite(principal(g), a, tenant, site) != nil {
				t.Fatalf("%s may %s in %s/%s, %s may not", lower.text(), a, tenant, site, g.text())
			}
		})
	})
}

func TestATokensRightsAreWithinItsMakers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token, maker := genGrants(ident.MSP).Draw(t, "token"), genGrants(ident.MSP).Draw(t, "maker")
		both := token.And(maker)
		if !both.Within(token) || !both.Within(maker) {
			t.Fatalf("%s and %s gave %s", token.text(), maker.text(), both.text())
		}
		each(func(a Action, tenant ident.TenantID, site ident.SiteID) {
			want := AuthorizeSite(principal(token), a, tenant, site) == nil && AuthorizeSite(principal(maker), a, tenant, site) == nil
			// Of a whole tenant both must have it by one grant, so "" is exact too.
			if got := AuthorizeSite(principal(both), a, tenant, site) == nil; got != want {
				t.Fatalf("%s & %s = %s: %s in %s/%s: %v", token.text(), maker.text(), both.text(), a, tenant, site, got)
			}
			if Authorize(principal(both), a, tenant) == nil && (Authorize(principal(token), a, tenant) != nil || Authorize(principal(maker), a, tenant) != nil) {
				t.Fatalf("the token may %s in %s", a, tenant)
			}
		})
	})
}

func TestWithinMeansNoRightMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genGrants(ident.MSP).Draw(t, "a"), genGrants(ident.MSP).Draw(t, "b")
		if !a.Within(b) {
			return
		}
		each(func(action Action, tenant ident.TenantID, site ident.SiteID) {
			if AuthorizeSite(principal(a), action, tenant, site) == nil && AuthorizeSite(principal(b), action, tenant, site) != nil {
				t.Fatalf("%s passed as within %s but may %s in %s/%s", a.text(), b.text(), action, tenant, site)
			}
		})
	})
}

func TestAScopeShowsWhatAuthorizeAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := principal(genGrants(ident.MSP).Draw(t, "grants"))
		each(func(a Action, tenant ident.TenantID, site ident.SiteID) {
			s := Scope(p, a)
			if got := Authorize(p, a, tenant) == nil; tenant != ident.MSP && got != s.Has(tenant) {
				t.Fatalf("%s: Authorize for %s in %s is %v, the scope says otherwise", p.Grants.text(), a, tenant, got)
			}
			if site != "" && s.HasSite(tenant, site) && AuthorizeSite(p, a, tenant, site) != nil {
				t.Fatalf("%s: the scope of %s shows %s/%s, AuthorizeSite refuses it", p.Grants.text(), a, tenant, site)
			}
		})
	})
}

func TestACustomersPersonStaysAtHome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := genGrants(ident.MSP).Draw(t, "whatever is stored")
		p := Person{Tenant: "acme", State: Active, Grants: stored}
		who := principal(p.rights())
		each(func(a Action, tenant ident.TenantID, site ident.SiteID) {
			if tenant != "acme" && AuthorizeSite(who, a, tenant, site) == nil || Scope(who, a).Has("beta") {
				t.Fatalf("%s lets a person of acme %s in %s", stored.text(), a, tenant)
			}
		})
		if err := genGrants("acme").Draw(t, "own").Check("acme"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestGrantsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		home ident.TenantID
		g    Grants
	}{
		"no role":          {ident.MSP, Grants{{All: true}}},
		"unknown role":     {ident.MSP, Grants{{Role: "root", All: true}}},
		"nowhere":          {ident.MSP, Grants{{Role: Viewer}}},
		"all and some":     {ident.MSP, Grants{{Role: Viewer, All: true, Tenants: []Place{{Tenant: "acme"}}}}},
		"the MSP by name":  {ident.MSP, InTenant(Owner, ident.MSP)},
		"bad tenant":       {ident.MSP, InTenant(Owner, "A b")},
		"bad site":         {ident.MSP, InTenant(Owner, "acme", "")},
		"all for customer": {"acme", Everywhere(Viewer)},
		"other customer":   {"acme", InTenant(Viewer, "beta")},
		"too many":         {ident.MSP, slices.Repeat(Everywhere(Viewer), maxGrants+1)},
		"too many places":  {ident.MSP, Grants{{Role: Viewer, Tenants: slices.Repeat([]Place{{Tenant: "acme"}}, maxPlaces+1)}}},
	} {
		if err := c.g.Check(c.home); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	must(t, Grants(nil).Check("acme"))
	must(t, Everywhere(Owner).Check(ident.MSP))
}
