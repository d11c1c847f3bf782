package cli

import (
	"github.com/steward-rmm/steward/server/fault"
)

// Enrollments are the commands of strings that let devices in.
type Enrollments struct {
	Create enrollmentsCreate `cmd:"" help:"Make a string; prints it alone, and only now."`
	List   enrollmentsList   `cmd:"" help:"List strings, without their secret."`
	Revoke enrollmentsRevoke `cmd:"" help:"Let nobody in by it any more."`
}

type enrollmentsCreate struct {
	Tenant    tenant   `required:"" placeholder:"T" help:"The customer's slug."`
	Site      slug     `placeholder:"S" help:"The site; otherwise main."`
	Class     string   `enum:"workstation,laptop,server," default:"" help:"workstation, laptop or server; otherwise the device tells."`
	Tags      []string `placeholder:"a,b" help:"Tags for each device."`
	Uses      int      `default:"1" placeholder:"N" help:"How many devices it lets in."`
	PerMinute int      `default:"10" placeholder:"N" help:"How many attempts a minute."`
	Expires   span     `default:"24h" placeholder:"24h" help:"How long it is good."`
}

func (c *enrollmentsCreate) Validate() error {
	if c.Uses < 1 {
		return fault.New(fault.Invalid, "--uses: want at least 1, not %d", c.Uses)
	}
	if c.PerMinute < 1 {
		return fault.New(fault.Invalid, "--per-minute: want at least 1, not %d", c.PerMinute)
	}
	return nil
}

func (c *enrollmentsCreate) Run(x *call) error {
	body := map[string]any{"uses": c.Uses, "per_minute": c.PerMinute, "expires": string(c.Expires)}
	if c.Site != "" {
		body["site"] = string(c.Site)
	}
	if c.Class != "" {
		body["class"] = c.Class
	}
	if len(c.Tags) > 0 {
		body["tags"] = c.Tags
	}
	raw, o, err := x.object("POST", []string{"tenants", string(c.Tenant), "enrollments"}, nil, body)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	secret := o.first("string", "enrollment")
	if secret == "" {
		return fault.New(fault.Unavailable, "the server made an enrollment and did not tell its string").WithNext("are steward and the server of one version?")
	}
	x.say("%s", secret)
	return nil
}

type enrollmentsList struct {
	listing
}

func (c *enrollmentsList) Run(x *call) error {
	used := column{title: "USED", right: true, give: firm, show: func(o object) cell {
		return cell{text: o.first("used") + " of " + o.first("uses")}
	}}
	return x.list(c.listing, "enrollments", c.path("enrollments"), query(),
		id("CUSTOMER", "tenant"), text("SITE", "site"), text("CLASS", "class"), long("TAGS", "tags"), used,
		x.at("EXPIRES", "expires_at"), x.at("REVOKED", "revoked_at"), long("BY", "created_by"), id("ID", "id"))
}

type enrollmentsRevoke struct {
	item
}

func (c *enrollmentsRevoke) Run(x *call) error { return x.act("enrollment", c.ID, "revoke", "") }
