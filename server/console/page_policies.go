package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

type policiesBody struct {
	Rows      []policyRow
	Decisions []decisionRow
	Ties      []string
	CanApply  bool
	Tenant    string
}

type policyRow struct {
	policy.Document
	Level   string
	Href    string
	Windows string
	Rings   string
	Targets string
	Covers  int
	Covered bool
}

type decisionRow struct {
	policy.Manually
	Mark  mark
	For   string
	Until string
}

func policyPath(d policy.Document) string {
	path := tenantPath(d.Tenant, "policies/"+url.PathEscape(d.Name))
	if d.Site != "" {
		path += "?site=" + url.QueryEscape(string(d.Site))
	}
	return path
}

// levelOf says where a document stands.
func (f *frame) levelOf(t ident.TenantID, site ident.SiteID) string {
	if t == ident.MSP {
		return "All customers"
	}
	name := string(t)
	for _, row := range f.customers() {
		if row.ID == t {
			name = row.Name
		}
	}
	if site != "" {
		return name + ", site " + string(site)
	}
	return name
}

func (c *Console) policies(f *frame) error {
	docs, err := c.o.Views.Documents(f.ctx(), f.scope, f.tenant.ID)
	if err != nil {
		return err
	}
	b := policiesBody{CanApply: f.Can("policy.apply") && c.o.Applier != nil, Tenant: string(f.tenant.ID)}
	covers := map[string]int{}
	if f.tenant.ID != "" {
		all, err := c.o.Views.Policies(f.ctx(), f.scope, f.tenant.ID)
		if err != nil {
			return err
		}
		covers, b.Ties = all.Targets, all.Ties
		for _, m := range all.Decisions {
			b.Decisions = append(b.Decisions, f.decisionRow(m))
		}
	}
	for _, d := range docs {
		row := policyRow{Document: d, Level: f.levelOf(d.Tenant, d.Site), Href: policyPath(d), Covers: covers[d.Name], Covered: f.tenant.ID != ""}
		if f.tenant.ID != "" && d.Tenant == ident.MSP {
			row.Href = tenantPath(f.tenant.ID, "policies/"+url.PathEscape(d.Name))
		}
		if own := f.customers(); f.tenant.ID == "" && d.Tenant == ident.MSP && !f.CanAll("policy.read") && len(own) > 0 {
			row.Href = tenantPath(own[0].ID, "policies/"+url.PathEscape(d.Name)) // the MSP's own page is not theirs to open
		}
		if resolved, err := policy.Resolve(d.Tenant, d.Site, aboveAnd(docs, d)); err == nil {
			for _, e := range resolved {
				if e.Name == d.Name {
					row.Windows, row.Rings, row.Targets = windowsText(e.Patch.Windows), ringsText(e.Patch.Rings), targetsText(e.Patch.Targets)
				}
			}
		}
		b.Rows = append(b.Rows, row)
	}
	return f.show("policies", page{Title: "Policies", Nav: "policies", Body: b})
}

// aboveAnd are the documents of a policy's name from the MSP's level down to d.
func aboveAnd(docs []policy.Document, d policy.Document) []policy.Document {
	return slices.DeleteFunc(slices.Clone(docs), func(o policy.Document) bool {
		above := o.Tenant == ident.MSP || o.Tenant == d.Tenant && (o.Site == "" || o.Site == d.Site)
		return o.Name != d.Name || !above
	})
}

func (f *frame) decisionRow(m policy.Manually) decisionRow {
	row := decisionRow{Manually: m, For: f.levelOf(m.Tenant, ""), Until: "stays"}
	row.Mark = map[policy.Action]mark{policy.Approve: {"thumbs-up", "approved", "good"}, policy.Deny: {"ban", "denied", "idle"}, policy.Wait: {"hourglass", "waits " + plural(m.Days, "day", "days"), "idle"}}[m.Action]
	if !m.Expires.IsZero() {
		row.Until = "until " + full(m.Expires, f.loc, f.now)
	}
	if m.Version == "" {
		row.Version = "every version"
	}
	return row
}

func windowsText(rules []window.Rule) string {
	if len(rules) == 0 {
		return "never opens"
	}
	out := []string{}
	for _, r := range rules {
		out = append(out, window.Describe(r))
	}
	return strings.Join(out, "; ")
}

func ringsText(rings []policy.Ring) string {
	out := []string{}
	for _, r := range rings {
		share := r.Share.String()
		if len(r.Tags) > 0 {
			share = "tags " + strings.Join(r.Tags, ", ")
		}
		text := r.Name + " " + share
		if r.Soak > 0 {
			text += ", soak " + r.Soak.String()
		}
		out = append(out, text)
	}
	return strings.Join(out, " → ")
}

func targetsText(t policy.Targets) string {
	var out []string
	if len(t.Class) > 0 {
		classes := []string{}
		for _, c := range t.Class {
			classes = append(classes, string(c))
		}
		out = append(out, strings.Join(classes, " or "))
	}
	if len(t.Tags) > 0 {
		out = append(out, "tagged "+strings.Join(t.Tags, " and "))
	}
	if len(t.ExcludeTags) > 0 {
		out = append(out, "not tagged "+strings.Join(t.ExcludeTags, " or "))
	}
	if len(out) == 0 {
		return "all devices"
	}
	return strings.Join(out, ", ")
}
