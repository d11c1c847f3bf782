package console

import (
	"net/url"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/window"
)

// A policy's page: what it says, what holds, and the windows to come.

type policyBody struct {
	Name, YAML string
	Site       ident.SiteID
	Level      string
	Doc        *policy.Document // at the level of the page; nil when all is inherited
	Values     []effectiveValue
	Rings      []policy.Ring
	Windows    []string
	Levels     []policyRow
	Days       []planDay
	Conflicts  []string
	Planned    int
	Covers     int
	CanApply   bool
	Edit       string
}

type effectiveValue struct {
	Name   string
	Lines  []string
	Origin string
	Locked bool
}

func (c *Console) policy(f *frame) error {
	name, site := f.r.PathValue("policy"), ident.SiteID(f.r.URL.Query().Get("site"))
	all, err := c.o.Views.Policies(f.ctx(), f.scope, f.tenant.ID)
	if err != nil {
		return err
	}
	b := policyBody{Name: name, Site: site, Level: f.levelOf(f.tenant.ID, site), Covers: all.Targets[name], CanApply: f.Can("policy.apply") && c.o.Applier != nil}
	b.Edit = tenantPath(f.tenant.ID, "policies/"+url.PathEscape(name)+"/edit")
	if site != "" {
		b.Edit += "?site=" + url.QueryEscape(string(site))
	}
	if !b.fill(f, all) {
		return fault.NotFoundf("no such policy")
	}
	if f.tenant.ID != ident.MSP {
		planned, err := c.o.Answers.Plan(f.ctx(), f.now, f.tenant.ID, 30)
		if err != nil {
			return err
		}
		b.Days, b.Conflicts, b.Planned = f.month(planned, name)
	}
	return f.show("policy", page{Title: name, Nav: "policies", Body: b, Crumbs: []crumb{{"Policies", f.At("policies")}, {name, ""}}})
}

// fill finds the documents of the name and what holds at the page's level.
func (b *policyBody) fill(f *frame, all view.PolicyPage) bool {
	for i, d := range all.Documents {
		if d.Name != b.Name {
			continue
		}
		b.Levels = append(b.Levels, policyRow{Document: d, Level: f.levelOf(d.Tenant, d.Site), Href: policyPath(d)})
		if d.Tenant == f.tenant.ID && d.Site == b.Site {
			b.Doc, b.YAML = &all.Documents[i], policyYAML(d)
		}
	}
	effective := all.Effective
	if b.Site != "" && all.Sites[b.Site] != nil {
		effective = all.Sites[b.Site]
	}
	for _, e := range effective {
		if e.Name != b.Name {
			continue
		}
		b.Values, b.Rings = valuesOf(f, e), e.Patch.Rings
		for _, r := range e.Patch.Windows {
			b.Windows = append(b.Windows, window.Describe(r))
		}
	}
	return len(b.Levels) > 0
}

func valuesOf(f *frame, e policy.Effective) []effectiveValue {
	p := e.Patch
	rules := []string{}
	for _, r := range p.Approvals {
		rules = append(rules, ruleText(r))
	}
	if len(rules) == 0 {
		rules = []string{"none: a person decides each release"}
	}
	windows := []string{}
	for _, r := range p.Windows {
		windows = append(windows, window.Describe(r))
	}
	if len(windows) == 0 {
		windows = []string{"never opens"}
	}
	sources := []string{}
	for _, s := range p.Sources {
		sources = append(sources, sourceName(s))
	}
	jitter := "a quarter of the window, at most 30 min"
	if p.Jitter != nil {
		jitter = p.Jitter.String()
	}
	out := []effectiveValue{
		{Name: "targets", Lines: []string{targetsText(p.Targets)}}, {Name: "sources", Lines: []string{strings.Join(sources, ", ")}}, {Name: "approvals", Lines: rules},
		{Name: "windows", Lines: windows}, {Name: "rings", Lines: []string{ringsText(p.Rings)}},
		{Name: "limits", Lines: []string{p.Limits.InFlight.String() + " of a ring at once; stops at " + p.Limits.Failures.String() + " failed"}},
		{Name: "jitter", Lines: []string{"starts are spread over " + jitter}}, {Name: "reboot", Lines: []string{p.Reboot.When}}, {Name: "alone", Lines: []string{map[policy.Alone]string{policy.AloneNever: "a device asks before each start", policy.AloneLastRing: "devices of the last ring may start without contact"}[p.Alone]}},
	}
	for i := range out {
		level, ok := e.Origins[out[i].Name]
		switch {
		case !ok:
			out[i].Origin = "the default"
		case level.Tenant == ident.MSP:
			out[i].Origin, out[i].Locked = "from: MSP", level.Locked
		default:
			out[i].Origin, out[i].Locked = "from: "+f.levelOf(level.Tenant, level.Site), level.Locked
		}
	}
	return out
}

func ruleText(r policy.Rule) string {
	var on []string
	if r.Match.Package != "" {
		on = append(on, r.Match.Package)
	}
	if r.Match.Kind != "" {
		on = append(on, kindWord(r.Match.Kind))
	}
	if r.Match.Severity != "" {
		on = append(on, r.Match.Severity)
	}
	if r.Match.Source != "" {
		on = append(on, "from "+sourceName(r.Match.Source))
	}
	if len(on) == 0 {
		on = []string{"everything else"}
	}
	does := map[policy.Action]string{policy.Approve: "approve", policy.Deny: "deny", policy.Manual: "ask a person", policy.Wait: "wait " + r.For.String()}[r.Action]
	text := strings.Join(on, ", ") + ": " + does
	if r.Reason != "" {
		text += ", “" + r.Reason + "”"
	}
	return text
}

// EditForm is the editor of a policy, or of a new one.

type editBody struct {
	YAML, Title, Back string
	Changes           []changeRow
	Asked             bool // a preview was computed
	Problem           *problem
	New               bool
}

type changeRow struct {
	Kind, Name, Level string
	Mark              mark
	Effects           []string
}

const newPolicy = `kind: PatchPolicy
tenant: %s
name: workstations
targets: {class: [workstation, laptop]}
sources: [chocolatey, homebrew, apt]
approvals:
  - {match: {kind: security}, action: approve}
  - {match: {}, action: wait, for: 3d}
windows:
  - {cron: "0 22 * * 1-5", duration: 4h, time_zone: device}
rings:
  - {name: pilots, share: 5%%, soak: 24h}
  - {name: everyone, share: 100%%}
limits: {in_flight: 20%%, failures: "max(2, 10%%)"}
`
