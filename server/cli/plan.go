package cli

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// Plan is every window to come.
type Plan struct {
	whose
	Days int `default:"30" placeholder:"30" help:"How many days ahead."`
}

// Validate is called by kong.
func (c *Plan) Validate() error {
	if c.Days < 1 || c.Days > 90 {
		return fault.New(fault.Invalid, "--days: want 1 to 90, not %d", c.Days)
	}
	return nil
}

// opening is a row of the plan with its times read.
type opening struct {
	object
	opens, closes time.Time
}

// Run prints the plan by day.
func (c *Plan) Run(x *call) error {
	list, err := x.all(c.path("plan"), query("days", itoa(c.Days)))
	if err != nil {
		return err
	}
	if x.JSON {
		x.array(list)
		return nil
	}
	var plan []opening
	zones := x.zones(c.whose)
	for _, r := range list {
		o, err := decode(r)
		if err != nil {
			return err
		}
		p := opening{object: o}
		zone := zones.of(o.raw("tenant"), o.raw("site"))
		if p.opens, err = time.Parse(time.RFC3339, o.raw("opens_at")); err != nil {
			return fault.New(fault.Unavailable, "the server's plan has an opening without a time")
		}
		p.closes, _ = time.Parse(time.RFC3339, o.raw("closes_at"))
		p.opens, p.closes = p.opens.In(zone), p.closes.In(zone)
		plan = append(plan, p)
	}
	if len(plan) == 0 {
		x.say("No window opens in the next %s.", plural(c.Days, "day"))
		return nil
	}
	x.plan(plan)
	return nil
}

// zones are the time zones of sites, and of tenants under the empty site.
type zones struct {
	names map[[2]string]string
	other *time.Location
}

// zones reads them; where they are not to be had the reader's zone stands in.
func (x *call) zones(w whose) zones {
	z := zones{names: map[[2]string]string{}, other: x.Zone}
	note := func(slug func(object) [2]string) func(json.RawMessage) error {
		return func(raw json.RawMessage) error {
			if o, err := decode(raw); err == nil && o.raw("time_zone") != "" {
				z.names[slug(o)] = o.raw("time_zone")
			}
			return nil
		}
	}
	_ = x.walk([]string{"tenants"}, query(), nil, note(func(o object) [2]string { return [2]string{o.raw("slug"), ""} }))
	_ = x.walk(w.path("sites"), query(), nil, note(func(o object) [2]string { return [2]string{o.raw("tenant"), o.raw("slug")} }))
	return z
}

func (z zones) of(tenant, site string) *time.Location {
	for _, at := range [][2]string{{tenant, site}, {tenant, ""}} {
		if name := z.names[at]; name != "" {
			if loc, err := time.LoadLocation(name); err == nil {
				return loc
			}
		}
	}
	return z.other
}

// plan prints openings under the day on which they open, local to each.
func (x *call) plan(plan []opening) {
	slices.SortStableFunc(plan, func(a, b opening) int { return a.opens.Compare(b.opens) })
	cols := []column{
		{title: "DAY", give: firm}, {title: "OPENS", give: firm}, {title: "CLOSES", give: firm}, {title: "CUSTOMER", give: firm},
		{title: "SITE"}, {title: "POLICY", give: flex}, {title: "DEVICES", right: true, give: firm},
		{title: "MINUTES", right: true, give: firm}, {title: "CONFLICTS", give: flex},
	}
	var table [][]cell
	day := ""
	for _, p := range plan {
		shown := ""
		if d := p.opens.Format("Mon 2 Jan 2006"); d != day {
			day, shown = d, d
		}
		closes := p.closes.Format("15:04 MST")
		if p.closes.YearDay() != p.opens.YearDay() || p.closes.Year() != p.opens.Year() {
			closes = p.closes.Format("Mon 15:04 MST")
		}
		conflicts := cell{}
		if p.number("conflicts") > 0 {
			conflicts = cell{text: "! " + p.str("conflicts"), tone: bad}
		}
		devices := p.str("devices")
		if _, ok := p.get("devices").([]any); ok {
			devices = itoa(p.number("devices"))
		}
		if shown == "" {
			shown = " "
		}
		table = append(table, []cell{
			{text: shown, tone: strong}, {text: p.opens.Format("15:04 MST")}, {text: closes}, {text: p.str("tenant")}, {text: p.str("site")},
			{text: p.str("policy")}, {text: devices}, {text: p.str("expected_minutes")}, conflicts,
		})
	}
	x.table(cols, table)
}
