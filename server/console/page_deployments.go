package console

import (
	"net/url"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

type deploymentsBody struct {
	Tabs   []tab
	Rows   []deploymentRow
	Pager  pager
	Across bool
}

type deploymentRow struct {
	deployment.Deployment
	Customer string
	Mark     mark
	Reason   string
	Href     string
	Bar      []barPart
	Sum      deployment.Counts
	Ring     string
}

// barPart is a piece of a bar of counts, in units of 100.
type barPart struct {
	X, W float64
	Tone string
}

func deploymentTabs() []struct {
	text  string
	state deployment.State
} {
	return []struct {
		text  string
		state deployment.State
	}{{"All", ""}, {"Running", deployment.Running}, {"Halted", deployment.Halted}, {"Paused", deployment.Paused},
		{"Completed", deployment.Completed}, {"Cancelled", deployment.Cancelled}, {"Superseded", deployment.Superseded}}
}

func (c *Console) deployments(f *frame) error {
	v := f.r.URL.Query()
	state := deployment.State(v.Get("state"))
	b := deploymentsBody{Across: f.tenant.ID == ""}
	known := false
	for _, t := range deploymentTabs() {
		keep := url.Values{}
		if t.state != "" {
			keep.Set("state", string(t.state))
		}
		known = known || t.state == state
		b.Tabs = append(b.Tabs, tab{Text: t.text, Href: address(f.At("deployments"), keep), On: t.state == state})
	}
	if !known {
		return fault.NotFoundf("no such view")
	}
	rows, next, err := c.o.Deployments.List(f.ctx(), f.scope, deployment.Filter{State: state, Policy: v.Get("policy"), Package: v.Get("package")}, v.Get("cursor"), 50)
	if err != nil {
		return err
	}
	names := map[ident.TenantID]string{}
	for _, t := range f.customers() {
		names[t.ID] = t.Name
	}
	for _, d := range rows {
		b.Rows = append(b.Rows, f.deploymentRow(d, names[d.Tenant]))
	}
	b.Pager.Text = plural(len(rows), "deployment", "deployments") + ", the newest first"
	if next != "" {
		v.Set("cursor", next)
		b.Pager.Next = address(f.At("deployments"), v)
	}
	return f.show("deployments", page{Title: "Deployments", Nav: "deployments", Body: b})
}

func (f *frame) deploymentRow(d deployment.Deployment, customer string) deploymentRow {
	r := deploymentRow{Deployment: d, Customer: customer, Mark: deploymentMark(d.State), Reason: sentence(d.Reason.Text(f.loc)), Href: tenantPath(d.Tenant, "deployments", string(d.ID))}
	for _, ring := range d.Rings {
		r.Sum = deployment.Counts{Devices: r.Sum.Devices + ring.Counts.Devices, Verified: r.Sum.Verified + ring.Counts.Verified, Failed: r.Sum.Failed + ring.Counts.Failed,
			Running: r.Sum.Running + ring.Counts.Running, Waiting: r.Sum.Waiting + ring.Counts.Waiting, Other: r.Sum.Other + ring.Counts.Other}
		if r.Ring == "" && ring.State != deployment.RingPassed {
			r.Ring = ring.Name + ", " + ringMark(ring.State).Word
		}
	}
	r.Bar = barOf(r.Sum)
	return r
}

// barOf is the counts as pieces of a bar: good first, what waits stays empty.
func barOf(c deployment.Counts) []barPart {
	if c.Devices == 0 {
		return nil
	}
	var out []barPart
	x := 0.0
	for _, part := range []struct {
		n    int
		tone string
	}{{c.Verified, "good"}, {c.Running, "moving"}, {c.Other, "hold"}, {c.Failed, "bad"}} {
		if part.n == 0 {
			continue
		}
		w := float64(part.n) / float64(c.Devices) * 100
		out = append(out, barPart{X: x, W: w, Tone: part.tone})
		x += w
	}
	return out
}

// The moves that a person makes by hand, as pages that ask for the reason.

type moveBody struct {
	Verb, Title, Effect, Button, Back string
	Danger                            bool
	Problem                           *problem
	Why                               string
}

func (c *Console) moveOf(f *frame, verb string, d deployment.Deployment) (moveBody, error) {
	r := f.deploymentRow(d, f.tenant.Name)
	what := d.Release.Package + " " + d.Release.Version
	b := moveBody{Verb: verb, Back: r.Href}
	legal := false
	switch verb {
	case "pause":
		b.Title, b.Button = "Pause "+what+"?", "Pause "+what
		b.Effect = plural(r.Sum.Running, "device finishes what it began", "devices finish what they began") + "; nothing new starts until someone resumes."
		legal = d.State == deployment.Running
	case "resume":
		b.Title, b.Button = "Resume "+what+" for "+plural(r.Sum.Waiting, "device", "devices")+"?", "Resume "+plural(r.Sum.Waiting, "device", "devices")
		b.Effect = "It goes on where it stopped, inside the policy's windows."
		if d.State == deployment.Halted {
			b.Effect = "Steward halted it. " + sentence(d.Reason.Text(f.loc)) + " " + b.Effect
		}
		legal = d.State == deployment.Paused || d.State == deployment.Halted
	case "halt":
		b.Title, b.Button, b.Danger = "Halt "+what+"?", "Halt "+plural(r.Sum.Devices, "device", "devices"), true
		b.Effect = "No lease goes out and no start is granted from now on. " + plural(r.Sum.Running, "device is", "devices are") + " under way and cannot be stopped halfway."
		legal = d.State == deployment.Running || d.State == deployment.Paused
	case "cancel":
		b.Title, b.Button, b.Danger = "Cancel "+what+"?", "Cancel for good", true
		b.Effect = "This is final: " + plural(r.Sum.Waiting, "device", "devices") + " that wait will not get it from this deployment. What is installed stays."
		legal = !d.State.Final()
	default:
		return b, fault.NotFoundf("no such action")
	}
	if !legal {
		return b, fault.Conflictf("this deployment is %s: it cannot be moved so", d.State).WithNext("open it to see what is possible")
	}
	return b, nil
}

func (c *Console) askMove(f *frame) error {
	d, err := c.o.Deployments.Deployment(f.ctx(), f.tenant.ID, ident.DeploymentID(f.r.PathValue("deployment")))
	if err != nil {
		return err
	}
	b, err := c.moveOf(f, f.r.PathValue("verb"), d)
	if err != nil {
		return err
	}
	return c.showMove(f, 200, d, b)
}

func (c *Console) showMove(f *frame, status int, d deployment.Deployment, b moveBody) error {
	return f.answer(status, "move", page{Title: b.Title, Nav: "deployments", Body: b, Crumbs: []crumb{{"Deployments", f.At("deployments")}, {d.Release.Package + " " + d.Release.Version, b.Back}, {b.Verb, ""}}})
}

func (c *Console) moveDeployment(f *frame) error {
	id := ident.DeploymentID(f.r.PathValue("deployment"))
	d, err := c.o.Deployments.Deployment(f.ctx(), f.tenant.ID, id)
	if err != nil {
		return err
	}
	b, err := c.moveOf(f, f.r.PathValue("verb"), d)
	if err != nil {
		return err
	}
	why, err := f.why()
	if err == nil {
		switch b.Verb {
		case "pause":
			err = c.o.Control.Pause(f.ctx(), f.now, f.who.Actor, f.tenant.ID, id, why)
		case "resume":
			err = c.o.Control.Resume(f.ctx(), f.now, f.who.Actor, f.tenant.ID, id, why)
		case "halt":
			err = c.o.Control.Halt(f.ctx(), f.now, f.who.Actor, f.tenant.ID, id, why)
		default:
			err = c.o.Control.Cancel(f.ctx(), f.now, f.who.Actor, f.tenant.ID, id, why)
		}
	}
	if err != nil {
		p, status, ok := problemOf(err)
		if !ok {
			return err
		}
		b.Problem, b.Why = p, why
		return c.showMove(f, status, d, b)
	}
	said := map[string]string{"pause": "Paused.", "resume": "Resumed.", "halt": "Halted.", "cancel": "Cancelled."}[b.Verb]
	return f.to(b.Back, said)
}

// mayMove lists the moves that a state has, for those who may.
func mayMove(f *frame, s deployment.State) []string {
	if !f.Can(string(auth.DeploymentControl)) {
		return nil
	}
	switch s {
	case deployment.Running:
		return []string{"pause", "halt", "cancel"}
	case deployment.Paused:
		return []string{"resume", "halt", "cancel"}
	case deployment.Halted:
		return []string{"resume", "cancel"}
	}
	return nil
}
