package cli

// Sites are the commands of a customer's places.
type Sites struct {
	List   sitesList   `cmd:"" help:"List sites."`
	Create sitesCreate `cmd:"" help:"Add a site."`
}

type sitesList struct {
	listing
}

func (c *sitesList) Run(x *call) error {
	return x.list(c.listing, "sites", c.path("sites"), query(),
		id("SLUG", "slug"), id("CUSTOMER", "tenant"), long("NAME", "name"), text("TIME ZONE", "time_zone"))
}

type sitesCreate struct {
	Slug     slug   `arg:"" help:"Short name, unique for the customer."`
	Tenant   tenant `required:"" placeholder:"T" help:"The customer's slug."`
	Name     string `required:"" placeholder:"N" help:"The site's name."`
	TimeZone string `placeholder:"ZONE" help:"IANA name; otherwise the customer's."`
}

func (c *sitesCreate) Run(x *call) error {
	raw, _, err := x.object("POST", []string{"tenants", string(c.Tenant), "sites"}, nil,
		map[string]string{"slug": string(c.Slug), "name": c.Name, "time_zone": c.TimeZone})
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.say("Site %s of %s is there.", c.Slug, c.Tenant)
	return nil
}
