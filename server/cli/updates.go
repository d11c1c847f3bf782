package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Updates are the commands of what could be installed, and of deciding it by
// hand. A decision by hand wins over every rule.
type Updates struct {
	List    updatesList    `cmd:"" help:"List updates of devices."`
	Approve updatesApprove `cmd:"" help:"Let it be installed."`
	Deny    updatesDeny    `cmd:"" help:"Keep it away."`
	Wait    updatesWait    `cmd:"" help:"Let it be installed some days after it was first seen."`
}

type updatesList struct {
	listing
	State   string `placeholder:"STATE" help:"Like approved, failed or verified."`
	Source  string `placeholder:"S" help:"Like chocolatey or apt."`
	Package string `placeholder:"P" help:"Of this package."`
	Kind    string `placeholder:"KIND" help:"Like security or app-minor."`
	Device  string `placeholder:"ID" help:"Of this device."`
}

func (c *updatesList) Run(x *call) error {
	return x.list(c.listing, "updates", c.path("updates"),
		query("state", c.State, "source", c.Source, "package", c.Package, "kind", c.Kind, "device", c.Device),
		long("HOST", "hostname", "device"), id("CUSTOMER", "tenant"), text("SOURCE", "source"), long("PACKAGE", "package"),
		text("INSTALLED", "installed_version"), text("AVAILABLE", "available_version"), text("KIND", "kind"),
		column{title: "STATE", give: firm, show: word}, long("REASON", "reason"))
}

// word is one of the six words that lists show for an update; of an ended one
// its state.
func word(o object) cell {
	w := o.raw("word")
	switch w {
	case "":
		return stateCell(o.raw("state"))
	case "needs_you":
		return cell{text: words(w), tone: bad}
	case "restart_needed":
		return cell{text: words(w), tone: care}
	case "running", "tonight":
		return cell{text: words(w), tone: busy}
	case "done":
		return cell{text: words(w), tone: good}
	}
	return cell{text: words(w), tone: plain}
}

// release is what a decision is about.
type release struct {
	choice
	Source  string `required:"" placeholder:"S" help:"Like chocolatey or apt."`
	Package string `required:"" placeholder:"GLOB" help:"The package; * stands for any characters."`
	Version string `placeholder:"V" help:"Only this version."`
	Days    *int   `placeholder:"N" help:"Of wait: how many days."`
	Expires span   `placeholder:"D" help:"How long the decision holds; otherwise until another one."`
	because
}

// decide checks and posts a decision.
func (x *call) decide(action string, c release) error {
	if err := c.check(); err != nil {
		return err
	}
	if action == "wait" && (c.Days == nil || *c.Days < 1) {
		return fault.New(fault.Invalid, "--days: how many days shall it wait? Give at least 1")
	}
	if action != "wait" && c.Days != nil {
		return fault.New(fault.Invalid, "--days: only with wait")
	}
	body := map[string]any{"action": action, "source": c.Source, "package": c.Package, "reason": c.Reason}
	if c.Version != "" {
		body["version"] = c.Version
	}
	if c.Days != nil {
		body["days"] = *c.Days
	}
	if c.Expires != "" {
		body["expires"] = string(c.Expires)
	}
	if c.Tenant == tenant(ident.MSP) {
		c.Tenant = "" // the MSP's own decisions hold for all customers
	}
	if len(c.Except) > 0 {
		body["except"] = c.Except
	}
	raw, _, err := x.object("POST", whose{c.Tenant}.path("decisions"), nil, body)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	whom := "all customers"
	if c.Tenant != "" {
		whom = string(c.Tenant)
	}
	done := map[string]string{"approve": "Approved", "deny": "Denied", "wait": "Waits"}[action]
	x.say("%s for %s: %s", done, whom, strings.TrimSpace(line(c.Source)+" "+line(c.Package)+" "+line(c.Version)))
	return nil
}

type updatesApprove struct {
	release
}

func (c *updatesApprove) Run(x *call) error { return x.decide("approve", c.release) }

type updatesDeny struct {
	release
}

func (c *updatesDeny) Run(x *call) error { return x.decide("deny", c.release) }

type updatesWait struct {
	release
}

func (c *updatesWait) Run(x *call) error { return x.decide("wait", c.release) }

// pairs are the names and values of a map, in order of name.
func pairs(m map[string]any) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, line(k)+"="+show(m[k]))
	}
	return out
}
