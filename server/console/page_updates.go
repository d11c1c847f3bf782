package console

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/view"
)

type updatesBody struct {
	Tabs    []tab
	Rows    []releaseRow
	Package string
	Source  string
	Sources []string
	Key     string // of the chosen tab
	Checked int
	Pager   pager
	Chosen  *chosenRelease
	Hidden  map[string]string
	Path    string
}

type releaseRow struct {
	view.ReleaseRow
	Href      string
	On        bool
	Exploited bool
	Choice    mark
	Done      int
	Failed    int
	ID        string
}

type chosenRelease struct {
	releaseRow
	Words     []wordCount
	Devices   []view.UpdateRow
	More      bool
	Close     string
	Customers []view.TenantRow
	All       bool // may decide for all customers
	Decide    bool
	Tenant    ident.TenantID
	Problem   string
}

type wordCount struct {
	Mark mark
	N    int
}

func releasePath(t ident.TenantID, r patch.Release) string {
	return address(tenantPath(t, "updates"), url.Values{"source": {r.Source}, "package": {r.Package}, "version": {r.Version}, "tab": {"all"}})
}

func updateTabs() []struct {
	key, text string
	q         view.ReleaseQuery
} {
	return []struct {
		key, text string
		q         view.ReleaseQuery
	}{
		{"", "To decide", view.ReleaseQuery{Choice: view.Undecided}}, {"all", "All", view.ReleaseQuery{}},
		{"approved", "Approved", view.ReleaseQuery{State: patch.Approved}}, {"waiting", "Waiting", view.ReleaseQuery{State: patch.Waiting}},
		{"failed", "Failed", view.ReleaseQuery{State: patch.Failed}}, {"denied", "Denied", view.ReleaseQuery{State: patch.Denied}},
		{"done", "Done", view.ReleaseQuery{State: patch.Verified}},
	}
}

func choiceMark(c view.Choice) mark {
	return pick(map[view.Choice]mark{
		view.Undecided: {"circle-dot", "to decide", "hold"}, view.Denied: {"ban", "denied", "idle"},
		view.Waiting: {"hourglass", "waiting", "idle"}, view.Approved: {"thumbs-up", "approved", "idle"},
	}, c)
}

func (c *Console) updates(f *frame) error {
	v := f.r.URL.Query()
	b := updatesBody{Package: v.Get("name"), Source: v.Get("of"), Key: v.Get("tab"), Sources: policy.Sources(), Hidden: map[string]string{}, Path: f.At("updates")}
	var q view.ReleaseQuery
	known := false
	for _, t := range updateTabs() {
		keep := url.Values{}
		if t.key != "" {
			keep.Set("tab", t.key)
		}
		b.Tabs = append(b.Tabs, tab{Text: t.text, Href: address(b.Path, keep), On: t.key == b.Key})
		if t.key == b.Key {
			q, known = t.q, true
		}
	}
	if !known {
		return fault.NotFoundf("no such view")
	}
	q.Tenant, q.Source, q.Package, q.Cursor, q.Limit, q.Now = f.tenant.ID, b.Source, b.Package, v.Get("cursor"), 50, f.now
	rows, next, err := c.o.Rows.Releases(f.ctx(), f.scope, q)
	if err != nil {
		return err
	}
	chosen := patch.Release{Source: v.Get("source"), Package: v.Get("package"), Version: v.Get("version")}
	for _, r := range rows {
		b.Rows = append(b.Rows, f.releaseRow(r, r.Release == chosen))
	}
	for _, t := range f.customers() {
		if f.tenant.ID == "" || f.tenant.ID == t.ID {
			b.Checked += t.Checked
		}
	}
	b.Pager.Text = plural(len(rows), "release", "releases") + ", the newest first"
	if next != "" {
		w := f.r.URL.Query()
		w.Set("cursor", next)
		b.Pager.Next = address(b.Path, w)
	}
	if chosen.Package != "" {
		if b.Chosen, err = f.chosenRelease(chosen); err != nil {
			return err
		}
	}
	return f.show("updates", page{Title: "Updates", Nav: "updates", Body: b})
}

func (f *frame) releaseRow(r view.ReleaseRow, on bool) releaseRow {
	v := f.r.URL.Query()
	v.Set("source", r.Source)
	v.Set("package", r.Package)
	v.Set("version", r.Version)
	return releaseRow{ReleaseRow: r, Href: address(f.At("updates"), v) + "#release", On: on, Exploited: r.Kind == inventory.SecurityExploited, Choice: choiceMark(r.Choice),
		Done: r.States[patch.Verified], Failed: r.States[patch.Failed] + r.States[patch.Unknown]}
}

// chosenRelease is the side panel: how it went, who has it, and the decision.
func (f *frame) chosenRelease(r patch.Release) (*chosenRelease, error) {
	rows, _, err := f.c.o.Rows.Releases(f.ctx(), f.scope, view.ReleaseQuery{Tenant: f.tenant.ID, Source: r.Source, Package: r.Package, Version: r.Version, Limit: 100, Now: f.now})
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(rows, func(row view.ReleaseRow) bool { return row.Release == r })
	if at < 0 {
		return nil, fault.NotFoundf("no such release")
	}
	out := &chosenRelease{releaseRow: f.releaseRow(rows[at], true), Decide: f.Can("update.decide"), All: f.CanAll("update.decide"), Tenant: f.tenant.ID}
	for _, w := range view.Words() {
		if n := rows[at].States.Word(w); n > 0 {
			out.Words = append(out.Words, wordCount{wordMark(w), n})
		}
	}
	v := f.r.URL.Query()
	for _, key := range []string{"source", "package", "version"} {
		v.Del(key)
	}
	out.Close = address(f.At("updates"), v)
	scope := auth.Scope(f.who, auth.UpdateDecide)
	for _, t := range f.customers() {
		if scope.Has(t.ID) && (f.tenant.ID == "" || f.tenant.ID == t.ID) {
			out.Customers = append(out.Customers, t)
		}
	}
	devices, next, err := f.c.o.Rows.Updates(f.ctx(), f.scope, view.UpdateQuery{Tenant: f.tenant.ID, Source: r.Source, Package: r.Package, Version: r.Version, Limit: 8})
	out.Devices, out.More = devices, next != ""
	return out, err
}

// decide takes a person's word on a release for one customer or for all.
func (c *Console) decide(f *frame) error {
	tenant := ident.TenantID(f.field("tenant"))
	if tenant == "" {
		return fault.Invalidf("tenant", "choose for whom")
	}
	if err := auth.Authorize(f.who, auth.UpdateDecide, tenant); err != nil {
		return err
	}
	why, err := f.why()
	if err != nil {
		return err
	}
	m := policy.Manually{Tenant: tenant, ID: ident.New(f.now), Action: policy.Action(f.field("action")), Source: f.field("source"), Package: f.field("package"),
		Version: f.field("version"), Reason: why, By: f.who.Actor, At: f.now}
	if m.Action == policy.Wait {
		if m.Days, err = strconv.Atoi(f.field("days")); err != nil || m.Days < 1 || m.Days > 365 {
			return fault.Invalidf("days", "1 to 365 days are needed")
		}
	}
	if m.Action != policy.Approve && m.Action != policy.Deny && m.Action != policy.Wait {
		return fault.Invalidf("action", "choose approve, wait or deny")
	}
	if err := c.o.Policies.Decide(f.ctx(), f.now, f.who.Actor, m); err != nil {
		return err
	}
	verb := map[policy.Action]string{policy.Approve: "Approved", policy.Deny: "Denied", policy.Wait: "Waiting " + plural(m.Days, "day", "days")}[m.Action]
	return f.to(ownPath(f.field("back")), verb+": "+m.Package+" "+m.Version+".")
}
