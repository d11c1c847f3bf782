package cli

import (
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Tenants are the commands of customers.
type Tenants struct {
	List   tenantsList   `cmd:"" help:"List customers."`
	Create tenantsCreate `cmd:"" help:"Add a customer, in mode observe."`
	Mode   tenantsMode   `cmd:"" help:"Set how much Steward does for a customer."`
}

type tenantsList struct {
	Limit *int `placeholder:"N" xor:"rows" help:"Only the first N rows."`
	Count bool `xor:"rows" help:"Only how many there are."`
}

func (c *tenantsList) Validate() error { return listing{Limit: c.Limit}.Validate() }

func (c *tenantsList) Run(x *call) error {
	return x.list(listing{Limit: c.Limit, Count: c.Count}, "customers", []string{"tenants"}, query(),
		id("SLUG", "slug"), long("NAME", "name"), text("TIME ZONE", "time_zone"), state("MODE", "mode"),
		number("DEVICES", "devices"), number("ONLINE", "online"))
}

// slug is a new name for a customer or a site.
type slug string

// Validate is called by kong with what was given.
func (s slug) Validate() error {
	if s == "" || ident.ValidSlug(string(s)) {
		return nil
	}
	return fault.New(fault.Invalid, "%q is no slug: 1 to 63 of a-z, 0-9 and inner hyphens", line(string(s)))
}

type tenantsCreate struct {
	Slug     slug   `arg:"" help:"Short name in addresses, commands and documents."`
	Name     string `required:"" placeholder:"N" help:"The customer's name."`
	TimeZone string `required:"" placeholder:"ZONE" help:"IANA name, Europe/Paris."`
}

func (c *tenantsCreate) Run(x *call) error {
	raw, _, err := x.object("POST", []string{"tenants"}, nil,
		map[string]string{"slug": string(c.Slug), "name": c.Name, "time_zone": c.TimeZone})
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.say("Customer %s is there, in mode observe: it inventories and reports, nothing installs.", c.Slug)
	x.say("Next: steward enrollments create --tenant %s", c.Slug)
	return nil
}

type tenantsMode struct {
	Tenant tenant `arg:"" help:"The customer's slug."`
	Mode   string `arg:"" enum:"observe,pilot,live" help:"observe, pilot or live."`
	Reason string `placeholder:"TEXT" help:"Why; it stands in the audit record."`
}

func (c *tenantsMode) Run(x *call) error {
	body := map[string]string{"mode": c.Mode}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	raw, _, err := x.object("PUT", []string{"tenants", string(c.Tenant), "mode"}, nil, body)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.say("Customer %s: %s", c.Tenant, x.paint(toneOf(c.Mode), c.Mode))
	return nil
}
