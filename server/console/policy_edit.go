package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

func (c *Console) newPolicy(f *frame) error {
	tenant := string(f.tenant.ID)
	if f.tenant.ID == "" || f.tenant.ID == ident.MSP {
		tenant = `"*"`
		if !f.CanAll("policy.apply") {
			tenant = "CUSTOMER"
		}
	}
	return c.showEditor(f, http.StatusOK, editBody{YAML: fmt.Sprintf(newPolicy, tenant), Title: "New policy", Back: f.At("policies"), New: true})
}

func (c *Console) editPolicy(f *frame) error {
	name, site := f.r.PathValue("policy"), ident.SiteID(f.r.URL.Query().Get("site"))
	docs, err := c.o.Views.Documents(f.ctx(), f.scope, f.tenant.ID)
	if err != nil {
		return err
	}
	b := editBody{Title: name, Back: tenantPath(f.tenant.ID, "policies/"+name)}
	found := false
	for _, d := range docs {
		if d.Name != name {
			continue
		}
		found = true
		if d.Tenant == f.tenant.ID && d.Site == site {
			b.YAML = policyYAML(d)
		}
	}
	if !found {
		return fault.NotFoundf("no such policy")
	}
	if b.YAML == "" { // inherited whole: begin a document of differences
		b.YAML = "kind: PatchPolicy\ntenant: " + scalar(string(f.tenant.ID)) + "\nname: " + scalar(name) + "\n# only what differs here\n"
	}
	return c.showEditor(f, http.StatusOK, b)
}

func (c *Console) showEditor(f *frame, status int, b editBody) error {
	return f.answer(status, "edit", page{Title: b.Title, Nav: "policies", Body: b, Crumbs: []crumb{{"Policies", f.At("policies")}, {b.Title, ""}}})
}

// previewPolicy says what the text would do, saves nothing.
func (c *Console) previewPolicy(f *frame) error { return c.applyText(f, true) }

// savePolicy applies the text.
func (c *Console) savePolicy(f *frame) error { return c.applyText(f, false) }

func (c *Console) applyText(f *frame, dry bool) error {
	if c.o.Applier == nil {
		return fault.NotYetf("editing policies here")
	}
	text := strings.ReplaceAll(f.r.PostForm.Get("yaml"), "\r\n", "\n")
	b := editBody{YAML: text, Title: f.field("title"), Back: ownPath(f.field("back")), Asked: true}
	changes, err := c.run(f, text, dry)
	if err != nil {
		p, status, ok := problemOf(err)
		if !ok {
			return err
		}
		if p.Field != "" {
			p.Text, p.Field = "At "+p.Field+": "+p.Text, "yaml"
		}
		b.Problem = p
		return c.showEditor(f, status, b)
	}
	if !dry {
		return f.to(b.Back, "Saved: "+plural(len(changes), "document", "documents")+".")
	}
	for _, one := range changes {
		b.Changes = append(b.Changes, changeRow{Kind: string(one.Kind), Name: one.Name, Level: f.levelOf(one.Tenant, one.Site), Mark: changeMark(one.Action), Effects: one.Effects})
	}
	return c.showEditor(f, http.StatusOK, b)
}

// run decodes, authorizes each document before anything is read, and runs.
func (c *Console) run(f *frame, text string, dry bool) ([]apply.Change, error) {
	docs, err := apply.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, fault.Invalidf("yaml", "there is no document in it")
	}
	for _, n := range apply.Needs(docs) {
		if err := auth.AuthorizeSite(f.who, n.Action, n.Tenant, n.Site); err != nil {
			return nil, err
		}
	}
	return c.o.Applier.Run(f.ctx(), f.now, apply.Request{By: f.who.Actor, Documents: docs, MayCreate: auth.AuthorizeAll(f.who, auth.TenantCreate) == nil, DryRun: dry})
}

func changeMark(a apply.Action) mark {
	return pick(map[apply.Action]mark{
		apply.Create: {"plus", "new", "idle"}, apply.Update: {"pencil", "changed", "idle"}, apply.Delete: {"ban", "removed", "hold"}, apply.Unchanged: {"check", "unchanged", "idle"},
	}, a)
}

// planDay is a day of the plan's calendar.
type planDay struct {
	Label   string
	Past    bool
	Today   bool
	Windows []planWindow
}

type planWindow struct{ At, Count, Title string }

// month lays the plan out by weeks, from the Monday of this week on, in the
// technician's zone.
func (f *frame) month(planned []deployment.Planned, policy string) ([]planDay, []string, int) {
	today := f.now.In(f.loc)
	start := time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, f.loc).AddDate(0, 0, -(int(today.Weekday())+6)%7)
	days := make([]planDay, 35)
	at := map[string]int{}
	for i := range days {
		d := start.AddDate(0, 0, i)
		days[i] = planDay{Label: d.Format("2"), Past: d.AddDate(0, 0, 1).Before(today), Today: d.YearDay() == today.YearDay() && d.Year() == today.Year()}
		if i == 0 || d.Day() == 1 {
			days[i].Label = d.Format("2 Jan")
		}
		at[d.Format(time.DateOnly)] = i
	}
	var conflicts []string
	n := 0
	for _, p := range planned {
		if p.Policy != policy {
			continue
		}
		n++
		for _, text := range p.Conflicts {
			conflicts = append(conflicts, full(p.Opens, f.loc, f.now)+": "+text)
		}
		if i, ok := at[p.Opens.In(f.loc).Format(time.DateOnly)]; ok && len(days[i].Windows) < 3 {
			days[i].Windows = append(days[i].Windows, planWindow{p.Opens.In(f.loc).Format("15:04"), num(len(p.Devices)),
				full(p.Opens, f.loc, f.now) + " for " + span(p.Closes.Sub(p.Opens)) + ", site " + string(p.Site) + ", " + plural(len(p.Devices), "device", "devices") + ", about " + span(time.Duration(p.ExpectedMinutes)*time.Minute)})
		}
	}
	return days, conflicts[:min(len(conflicts), 10)], n
}
