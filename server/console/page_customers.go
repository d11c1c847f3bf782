package console

import (
	"html/template"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
)

type customersBody struct {
	Rows   []customer
	CanNew bool
}

func (c *Console) customers(f *frame) error {
	rows, err := c.o.Views.Tenants(f.ctx(), f.scope, f.now)
	if err != nil {
		return err
	}
	b := customersBody{CanNew: f.CanAll("tenant.create")}
	for _, t := range rows {
		b.Rows = append(b.Rows, customer{t, shareOf(t.States.Verified()), modeMark(t.Mode)})
	}
	return f.show("customers", page{Title: "Customers", Nav: "customers", Body: b})
}

// customerBody is what a customer's page has beyond the overview.
type customerBody struct {
	fleet.Tenant
	Mode    mark
	Effect  string
	Sites   []siteLine
	Modes   []modeLine
	CanMode bool
	CanSite bool
}

type siteLine struct {
	fleet.Site
	Zone  string
	Clock template.HTML
}

type modeLine struct {
	Mode   fleet.Mode
	Effect string
	On     bool
}

func modeEffect(m fleet.Mode) string {
	switch m {
	case fleet.Observe:
		return "Inventory and health alone. Nothing is installed, whatever a policy says."
	case fleet.Live:
		return "Policies install what is approved, inside their windows, ring by ring."
	}
	return "The first ring alone gets anything."
}

func (c *Console) customerBody(f *frame) (*customerBody, error) {
	sites, err := c.o.Customers.Sites(f.ctx(), f.tenant.ID)
	if err != nil {
		return nil, err
	}
	b := &customerBody{Tenant: f.tenant, Mode: modeMark(f.tenant.Mode), Effect: modeEffect(f.tenant.Mode),
		CanMode: f.Can("tenant.manage"), CanSite: f.Can("site.manage")}
	scope := f.scopeOf(auth.TenantRead)
	for _, s := range sites {
		if !scope.HasSite(s.Tenant, s.ID) {
			continue
		}
		loc := fleet.Location(f.tenant, s, fleet.Device{})
		b.Sites = append(b.Sites, siteLine{s, loc.String(), stamps{f.now, loc}.Clock(f.now)})
	}
	for _, m := range []fleet.Mode{fleet.Observe, fleet.Live} {
		b.Modes = append(b.Modes, modeLine{m, modeEffect(m), m == f.tenant.Mode})
	}
	return b, nil
}

func (c *Console) customerSettings(f *frame) error {
	b, err := c.customerBody(f)
	if err != nil {
		return err
	}
	return f.show("customer", page{Title: "Settings of " + f.tenant.Name, Nav: "customers", Crumbs: []crumb{{"Customers", "/customers"}, {f.tenant.Name, tenantPath(f.tenant.ID)}, {"Settings", ""}}, Body: b})
}

type newCustomerBody struct {
	Slug, Name, Zone string
	Problem          *problem
}

// problem is a form's error: a summary that takes the focus, and the field.
type problem struct {
	Title, Kept, Text, Next, Field string
}

func problemOf(err error) (*problem, int, bool) {
	text, status, ok := spoken(err)
	if !ok || status == 404 || status == 403 {
		return nil, 0, false
	}
	p := &problem{Title: "Something needs another value.", Kept: "Nothing was saved.", Text: text}
	if known := asFault(err); known != nil {
		p.Field, p.Text, p.Next = known.Field, sentence(known.Message), sentence(known.Next)
	}
	return p, status, true
}

func (c *Console) newCustomer(f *frame) error {
	if err := auth.AuthorizeAll(f.who, auth.TenantCreate); err != nil {
		return err
	}
	return f.show("newcustomer", page{Title: "Add a customer", Nav: "customers", Crumbs: []crumb{{"Customers", "/customers"}, {"Add", ""}}, Body: newCustomerBody{Zone: f.loc.String()}})
}

func (c *Console) createCustomer(f *frame) error {
	if err := auth.AuthorizeAll(f.who, auth.TenantCreate); err != nil {
		return err
	}
	b := newCustomerBody{Slug: f.field("slug"), Name: f.field("name"), Zone: f.field("time_zone")}
	t := fleet.Tenant{ID: ident.TenantID(b.Slug), Name: b.Name, TimeZone: b.Zone, Mode: fleet.Observe}
	if err := c.o.Customers.CreateTenant(f.ctx(), f.now, f.who.Actor, t); err != nil {
		p, status, ok := problemOf(err)
		if !ok {
			return err
		}
		b.Problem = p
		return f.answer(status, "newcustomer", page{Title: "Add a customer", Nav: "customers", Crumbs: []crumb{{"Customers", "/customers"}, {"Add", ""}}, Body: b})
	}
	c.nav.forget()
	return f.to(tenantPath(t.ID), t.Name+" is here, in mode observe: nothing is installed before you say so.")
}

func (c *Console) setMode(f *frame) error {
	why, err := f.why()
	if err != nil {
		return err
	}
	mode := fleet.Mode(f.field("mode"))
	if err := c.o.Customers.SetMode(f.ctx(), f.now, f.who.Actor, f.tenant.ID, mode, why); err != nil {
		return err
	}
	c.nav.forget()
	return f.to(tenantPath(f.tenant.ID, "settings"), "Mode: "+string(mode)+". "+modeEffect(mode))
}

func (c *Console) putCustomer(f *frame) error {
	t := f.tenant
	t.Name, t.TimeZone, t.Changed = f.field("name"), f.field("time_zone"), f.field("changed")
	if err := c.o.Customers.PutTenant(f.ctx(), f.now, f.who.Actor, t); err != nil {
		return err
	}
	c.nav.forget()
	return f.to(tenantPath(t.ID, "settings"), "Saved.")
}

func (c *Console) putSite(f *frame) error {
	s := fleet.Site{Tenant: f.tenant.ID, ID: ident.SiteID(f.field("slug")), Name: f.field("name"), TimeZone: f.field("time_zone"), CreatedAt: f.now}
	if !ident.ValidSlug(string(s.ID)) {
		return fault.Invalidf("slug", "%q is no short name: 1 to 63 of a-z, 0-9 and inner hyphens", strings.ToValidUTF8(string(s.ID), ""))
	}
	if s.Name == "" {
		s.Name = string(s.ID)
	}
	if s.TimeZone != "" {
		if _, err := time.LoadLocation(s.TimeZone); err != nil {
			return fault.Invalidf("time_zone", "this is no time zone").WithNext("write one as Europe/London")
		}
	}
	if err := c.o.Customers.PutSite(f.ctx(), f.now, f.who.Actor, s); err != nil {
		return err
	}
	return f.to(tenantPath(f.tenant.ID, "settings"), "Site "+s.Name+" is saved.")
}
