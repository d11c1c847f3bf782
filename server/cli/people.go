package cli

import (
	"net/url"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// People are the commands of who signs in.
type People struct {
	List    peopleList    `cmd:"" help:"List people."`
	Invite  peopleInvite  `cmd:"" help:"Let someone in; prints their one-time link."`
	Disable peopleDisable `cmd:"" help:"Shut someone out at once."`
}

type peopleList struct {
	listing
}

func (c *peopleList) Run(x *call) error {
	return x.list(c.listing, "people", c.path("people"), query(),
		long("NAME", "name"), long("E-MAIL", "email"), id("OF", "tenant"), column{title: "RIGHTS", give: flex, show: rights},
		state("STATE", "state"), id("ID", "id"))
}

// rights says a person's or a token's roles and where they hold.
func rights(o object) cell {
	var parts []string
	for _, g := range o.list("grants") {
		where := "all customers"
		if g.get("all") != true {
			var places []string
			for _, p := range g.list("tenants") {
				place := p.str("tenant")
				if sites := p.str("sites"); sites != "" {
					place += " (" + sites + ")"
				}
				places = append(places, place)
			}
			where = strings.Join(places, ", ")
		}
		parts = append(parts, g.str("role")+" of "+where)
	}
	return cell{text: strings.Join(parts, "; ")}
}

type peopleInvite struct {
	Email  string `arg:"" help:"Where the person reads mail; also the name to sign in with."`
	Name   string `placeholder:"N" help:"The person's name."`
	Role   string `enum:"owner,technician,viewer" default:"technician" help:"owner, technician or viewer."`
	Tenant tenant `placeholder:"T" help:"A customer's own person, with rights there alone; without it the provider's, with rights everywhere."`
}

func (c *peopleInvite) Validate() error {
	if before, after, ok := strings.Cut(c.Email, "@"); !ok || before == "" || after == "" || strings.ContainsAny(c.Email, " \t\r\n") {
		return fault.New(fault.Invalid, "%q is no e-mail address", line(c.Email))
	}
	return nil
}

func (c *peopleInvite) Run(x *call) error {
	body := map[string]string{"email": c.Email, "role": c.Role}
	if c.Name != "" {
		body["name"] = c.Name
	}
	if c.Tenant == tenant(ident.MSP) {
		c.Tenant = ""
	}
	raw, o, err := x.object("POST", whose{c.Tenant}.path("people"), nil, body)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	if link := o.str("link"); link != "" {
		if !strings.Contains(link, "://") { // the secret alone, of a server that does not know its own address
			link = x.api.base.JoinPath("link", url.PathEscape(link)).String()
		}
		x.say("%s", link)
		return nil
	}
	x.say("%s is invited.", line(c.Email))
	return nil
}

type peopleDisable struct {
	item
	because
}

func (c *peopleDisable) Run(x *call) error { return x.actOn("people", c.ID, "disable", c.Reason) }

// actOn is act for what belongs to no customer's path.
func (x *call) actOn(noun, id, action, reason string) error {
	if !ident.ValidID(id) {
		return fault.NotFoundf("there is nothing by the id %q", cut(line(id), 80)).WithNext("steward %s list shows the ids", noun)
	}
	raw, _, err := x.object("POST", []string{noun, id, action}, nil, map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.say("%s: done", id)
	return nil
}
