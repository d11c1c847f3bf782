package cli

import (
	"fmt"
	"strings"

	"github.com/steward-rmm/steward/server/reason"
)

// Deployments are the commands of releases on their way through the rings.
type Deployments struct {
	List   deploymentsList   `cmd:"" help:"List deployments."`
	Show   deploymentsShow   `cmd:"" help:"A deployment with its rings and jobs."`
	Watch  deploymentsWatch  `cmd:"" help:"Follow it: 0 at completed or superseded, 3 at halted or cancelled."`
	Pause  deploymentsPause  `cmd:"" help:"Start nothing more, until it is resumed."`
	Resume deploymentsResume `cmd:"" help:"Let a paused or halted one go on."`
	Halt   deploymentsHalt   `cmd:"" help:"Stop it, withdrawing what can be withdrawn."`
	Cancel deploymentsCancel `cmd:"" help:"End it for good."`
	Agree  later             `cmd:"" passthrough:"" help:"Not in this version."`
	Create later             `cmd:"" passthrough:"" help:"Not in this version."`
}

type deploymentsList struct {
	listing
	State   string `placeholder:"STATE" help:"Like running or halted."`
	Policy  string `placeholder:"P" help:"Of this policy."`
	Package string `placeholder:"P" help:"Of this package."`
}

func (c *deploymentsList) Run(x *call) error {
	return x.list(c.listing, "deployments", c.path("deployments"), query("state", c.State, "policy", c.Policy, "package", c.Package),
		id("ID", "id"), id("CUSTOMER", "tenant"), text("SOURCE", "source"), long("PACKAGE", "package"), text("VERSION", "version"), text("POLICY", "policy"),
		state("STATE", "state"), column{title: "VERIFIED", right: true, give: firm, show: progress}, long("REASON", "reason"))
}

// tally sums the rings: how many devices, verified, failed.
func tally(o object) (devices, verified, failed int) {
	for _, r := range o.list("rings") {
		devices += r.number("devices")
		verified += r.number("verified")
		failed += r.number("failed")
	}
	return devices, verified, failed
}

func progress(o object) cell {
	devices, verified, failed := tally(o)
	c := cell{text: fmt.Sprintf("%d of %d", verified, devices)}
	if failed > 0 {
		c = cell{text: fmt.Sprintf("%d of %d, %d failed", verified, devices, failed), tone: bad}
	}
	return c
}

type deploymentsShow struct {
	item
}

func (c *deploymentsShow) Run(x *call) error {
	p, err := x.find("deployment", c.ID)
	if err != nil {
		return err
	}
	raw, o, err := x.object("GET", p.path(), nil, nil)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.headline(o)
	x.say("%s", nextStep(o))
	x.say("")
	x.objects(o.list("rings"), text("RING", "name"), state("STATE", "state"), number("DEVICES", "devices"), number("VERIFIED", "verified"),
		number("FAILED", "failed"), number("RUNNING", "running"), number("WAITING", "waiting"), long("REASON", "reason"))
	if jobs := o.list("jobs"); len(jobs) > 0 {
		x.say("")
		x.objects(jobs, id("JOB", "id"), long("DEVICE", "hostname", "device"), state("STATE", "state"), number("ATTEMPT", "attempt"),
			x.at("STARTED", "started_at"), x.at("FINISHED", "finished_at"), long("REASON", "reason"))
	}
	return nil
}

// headline says what a deployment is and how it stands.
func (x *call) headline(o object) {
	name := strings.TrimSpace(o.str("source") + " " + o.str("package") + " " + o.str("version"))
	s := stateCell(o.raw("state"))
	x.say("%s  %s  %s", x.paint(strong, name), x.paint(s.tone, s.text), o.str("reason"))
	x.facts([2]string{"id", o.str("id")}, [2]string{"customer", o.str("tenant")}, [2]string{"policy", o.str("policy")})
}

// nextStep is the reason's next step, which the API may leave to its reader.
func nextStep(o object) string {
	if next := o.str("next_step"); next != "" {
		return "→ " + next
	}
	r := reason.Reason{Code: reason.Code(o.raw("reason_code"))}
	if next := r.NextStep(nil); next != "nothing to do" && !strings.Contains(next, "?") {
		return "→ " + next
	}
	return "→ nothing to do"
}

type deploymentsPause struct {
	item
	because
}

func (c *deploymentsPause) Run(x *call) error { return x.act("deployment", c.ID, "pause", c.Reason) }

type deploymentsResume struct {
	item
	because
}

func (c *deploymentsResume) Run(x *call) error { return x.act("deployment", c.ID, "resume", c.Reason) }

type deploymentsHalt struct {
	item
	because
}

func (c *deploymentsHalt) Run(x *call) error { return x.act("deployment", c.ID, "halt", c.Reason) }

type deploymentsCancel struct {
	item
	because
}

func (c *deploymentsCancel) Run(x *call) error { return x.act("deployment", c.ID, "cancel", c.Reason) }
