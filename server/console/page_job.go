package console

import (
	"html/template"
	"strings"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

func jobState(s string) job.State { return job.State(s) }

// jobLine is a job in a list and on its page.
type jobLine struct {
	job.Job
	Mark     mark
	Reason   string
	Next     string
	What     string
	Href     string
	When     template.HTML
	Window   template.HTML
	Releases []releaseLine
}

type releaseLine struct {
	job.Release
	Mark   mark
	Reason string
}

func lineOf(j job.Job, t stamps) jobLine {
	l := jobLine{Job: j, Mark: jobMark(j.State), Reason: sentence(j.Reason.Text(t.loc)), Next: sentence(j.Reason.NextStep(t.loc)),
		Href: tenantPath(j.Tenant, "jobs", string(j.ID)), When: t.Clock(j.Since), Window: t.Clock(j.NotBefore) + " to " + t.Clock(j.Deadline)}
	names := []string{}
	for _, r := range j.Releases {
		names = append(names, r.Package+" "+r.Version)
		l.Releases = append(l.Releases, releaseLine{r, resultMark(r.Result), sentence(r.Reason.Text(t.loc))})
		if r.Reason.IsZero() {
			l.Releases[len(l.Releases)-1].Reason = ""
		}
	}
	if l.What = strings.Join(names, ", "); l.What == "" {
		l.What = string(j.Kind)
	}
	return l
}

// logLine is one step of a job.
type logLine struct {
	At         template.HTML
	Icon, Tone string
	Text       string
}

type jobBody struct {
	Job       jobLine
	Device    fleet.Device
	Path      string
	Log       []logLine
	Output    string
	Cancel    bool
	T         stamps
	OnlyPanel bool
}

// maxOutput is how much of what sources printed a page shows, the end of it.
const maxOutput = 64 << 10

func (c *Console) job(f *frame) error {
	b, err := c.jobBody(f, ident.JobID(f.r.PathValue("job")))
	if err != nil {
		return err
	}
	return f.show("job", page{Title: "Job on " + hostname(b.Device), Nav: "devices", Body: b,
		Crumbs: []crumb{{"Devices", f.At("devices")}, {hostname(b.Device), b.Path}, {"Job", ""}}})
}

func (c *Console) jobBody(f *frame, id ident.JobID) (*jobBody, error) {
	j, err := c.o.Jobs.Job(f.ctx(), f.tenant.ID, id)
	if err != nil {
		return nil, err
	}
	v, err := c.o.Views.Device(f.ctx(), f.scopeOf(auth.DeviceRead), j.Tenant, j.Device)
	if err != nil {
		return nil, err
	}
	t := stamps{f.now, f.loc}
	if v.Location != nil {
		t.loc = v.Location
	}
	b := &jobBody{Job: lineOf(j, t), Device: v.Device, Path: devicePath(j.Tenant, j.Device), T: t,
		Cancel: f.Can("job.cancel") && (j.State == job.Queued || j.State == job.Leased || j.State == job.NeedsAgreement)}
	history, err := c.o.Jobs.History(f.ctx(), j.Tenant, id)
	if err != nil {
		return nil, err
	}
	for _, h := range history {
		m := jobMark(h.To)
		b.Log = append(b.Log, logLine{t.Second(h.At), m.Icon, m.Tone, sentence(h.Reason.Text(t.loc))})
	}
	parts, err := c.o.Jobs.Log(f.ctx(), j.Tenant, id)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	for _, p := range parts {
		out.WriteString(p.Text)
	}
	b.Output = out.String()
	if len(b.Output) > maxOutput {
		b.Output = "… " + strings.ToValidUTF8(b.Output[len(b.Output)-maxOutput:], "")
	}
	return b, nil
}

func (c *Console) cancelJob(f *frame) error {
	why, err := f.why()
	if err != nil {
		return err
	}
	id := ident.JobID(f.r.PathValue("job"))
	if _, err := c.jobBody(f, id); err != nil {
		return err
	}
	if err := c.o.Jobs.Cancel(f.ctx(), f.now, f.who.Actor, f.tenant.ID, id, reason.New(reason.CancelledBy, "by", f.who.Actor.Name, "why", why)); err != nil {
		return err
	}
	return f.to(tenantPath(f.tenant.ID, "jobs", string(id)), "The job is withdrawn. Its device lets go of it when it next hears from the server.")
}
