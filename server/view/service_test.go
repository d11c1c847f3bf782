package view_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/wake"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// place is a view on real services: acme has a device in each of its sites,
// bolt one that is stale; each lacks curl, which failed at pc-north.
type place struct {
	t       *testing.T
	view    *view.Service
	devices map[string]fleet.Device
}

// plans stands in for deployment.Service.
type plans struct{}

func (plans) List(_ context.Context, s ident.Scope, f deployment.Filter, _ string, _ int) ([]deployment.Deployment, string, error) {
	if !s.Has("bolt") || f.State != deployment.Halted {
		return nil, "", nil
	}
	return []deployment.Deployment{{Tenant: "bolt", ID: "dep", Release: patch.Release{Source: "apt", Package: "curl", Version: "2"}, State: deployment.Halted,
		Reason: reason.New(reason.HaltedFailures, "ring", "pilots"), Since: now, Rings: []deployment.Ring{{Counts: deployment.Counts{Devices: 3}}, {Counts: deployment.Counts{Devices: 4}}}}}, "", nil
}

func (plans) Plan(_ context.Context, now time.Time, t ident.TenantID, _ int) ([]deployment.Planned, error) {
	later := map[ident.TenantID]time.Duration{"acme": 3 * time.Hour, "bolt": time.Hour}[t]
	return []deployment.Planned{{Policy: "nightly", Site: "main", Opens: now.Add(later)}}, nil
}

func open(t *testing.T) place {
	t.Helper()
	s, hub, ctx := storetest.Open(t), &wake.Hub{}, context.Background()
	record := audit.New(audit.Options{Store: s.Audit(), Archive: s.Audit()})
	devices := fleet.New(fleet.Options{Tenants: s.Fleet(), Devices: s.Fleet(), Tx: s.Tx, After: s.After, Audit: record, Wake: hub})
	pictures := inventory.New(inventory.Options{Store: s.Inventory(), Catalogue: s.Inventory(), Tx: s.Tx})
	policies := policy.New(policy.Options{Store: s.Policy(), Tx: s.Tx, After: s.After, Audit: record, Wake: hub})
	patches := patch.New(patch.Options{Store: s.Patch(), Scans: pictures, Policies: policies, Devices: devices, Tx: s.Tx, After: s.After, Wake: hub})
	p := place{t: t, devices: map[string]fleet.Device{}, view: view.New(view.Options{Store: s.View(), Fleet: devices, Inventory: pictures, Policies: policies,
		Updates: patches, Deployments: plans{}, Record: record})}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := ident.Steward("test")
	for _, id := range []ident.TenantID{"acme", "bolt", "empty"} {
		must(devices.CreateTenant(ctx, now, by, fleet.Tenant{ID: id, Name: "The " + string(id), TimeZone: "Europe/Paris", Mode: fleet.Live}))
		must(devices.PutSite(ctx, now, by, fleet.Site{Tenant: id, ID: "north", Name: "North", TimeZone: "Europe/London"}))
	}
	for name, at := range map[string]struct {
		tenant ident.TenantID
		site   ident.SiteID
		update patch.State
	}{"pc-main": {"acme", "main", patch.Available}, "pc-north": {"acme", "north", patch.Failed}, "pc-bolt": {"bolt", "main", patch.Verified}} {
		must(s.Tx(ctx, func(ctx context.Context) error {
			d, err := devices.Enroll(ctx, now, fleet.Device{Tenant: at.tenant, Site: at.site, Hostname: name, Class: fleet.Server, KeyHash: [32]byte{2, byte(len(name)), at.tenant[0]}})
			if err != nil {
				return err
			}
			p.devices[name] = d
			return s.Patch().Put(ctx, patch.Update{Tenant: d.Tenant, Device: d.ID, Release: patch.Release{Source: "apt", Package: "curl", Version: "2"}, State: at.update,
				Reason: reason.New(reason.InstallFailed, "error", "x"), Since: now.Add(-time.Hour), FirstSeen: now}, nil)
		}))
		_, err := devices.Transition(ctx, now, at.tenant, p.devices[name].ID, fleet.Active, reason.New(reason.DeviceInventory), by)
		must(err)
	}
	_, err := devices.Transition(ctx, now, "bolt", p.devices["pc-bolt"].ID, fleet.Stale, reason.New(reason.DeviceSilent, "since", "x"), by)
	must(err)
	change := wire.Change{Section: wire.SectionSources, Full: true, Upsert: []wire.Item{{Key: "apt", Facts: map[string]string{"state": "available"}}}}
	items := change.Upsert
	change.Hash = wire.HashItems(items)
	must(s.Tx(ctx, func(ctx context.Context) error {
		_, err := pictures.Take(ctx, now, "acme", p.devices["pc-main"].ID, inventory.Part{Change: change, Final: true, Scanned: now})
		return err
	}))
	must(policies.Put(ctx, now, by, policy.Document{Tenant: ident.MSP, Name: "base", Fields: map[string]json.RawMessage{"approvals": json.RawMessage(`[{"match":{},"action":"approve"}]`)}}))
	must(policies.Put(ctx, now, by, policy.Document{Tenant: "acme", Site: "north", Name: "base", Fields: map[string]json.RawMessage{"jitter": json.RawMessage(`"5m"`)}}))
	must(policies.Decide(ctx, now, by, policy.Manually{Tenant: "acme", Action: policy.Deny, Source: "apt", Package: "vim", Reason: "no"}))
	return p
}

func north() ident.Scope { return ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"north"}}) }

func TestTheOverviewSaysWhatNeedsAPerson(t *testing.T) {
	p := open(t)
	o, err := p.view.Overview(context.Background(), ident.NewScopeAll(), now)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []view.NeedKind
	for _, n := range o.Needs {
		kinds = append(kinds, n.Kind)
	}
	if want := []view.NeedKind{view.NeedHalted, view.NeedFailed, view.NeedSilent, view.NeedUndecided}; !slices.Equal(kinds, want) {
		t.Fatalf("%v", kinds)
	}
	if n := o.Needs[0]; n.Count != 7 || n.Tenant != "bolt" || n.Name != "curl 2" || n.Reason.IsZero() {
		t.Errorf("%+v", n)
	}
	if n := o.Needs[1]; n.Tenant != "acme" || n.Count != 1 || !n.Since.Equal(now.Add(-time.Hour)) {
		t.Errorf("%+v", n)
	}
	if n := o.Needs[3]; n.Release.Package != "curl" || n.Count != 1 {
		t.Errorf("%+v", n)
	}
	// No window of a customer without devices, and the soonest first.
	if len(o.Tonight) != 2 || o.Tonight[0].Tenant != "bolt" {
		t.Errorf("%+v", o.Tonight)
	}
	if len(o.Customers) != 3 || o.Total.Devices != 3 || o.Total.Stale != 1 || o.Total.Lacking != 2 || o.Total.States[patch.Verified] != 1 || o.Total.Undecided != 1 {
		t.Errorf("%+v", o.Total)
	}
	if share := o.Total.States.Verified(); share != (view.Share{Part: 1, Of: 2}) {
		t.Errorf("%+v", share)
	}
	mine, err := p.view.Overview(context.Background(), north(), now)
	if err != nil || len(mine.Customers) != 1 || mine.Total.Devices != 1 || len(mine.Needs) != 1 || len(mine.Tonight) != 0 || mine.Needs[0].Kind != view.NeedFailed {
		t.Errorf("of one site: %+v, %v", mine, err)
	}
}

func TestADevicesPage(t *testing.T) {
	p := open(t)
	ctx := context.Background()
	d, err := p.view.Device(ctx, ident.NewScopeAll(), "acme", p.devices["pc-north"].ID)
	if err != nil {
		t.Fatal(err)
	}
	if d.TenantName != "The acme" || d.SiteName != "North" || d.Location.String() != "Europe/London" || len(d.Updates) != 1 || d.Updates[0].Policy != "base" || d.States[patch.Failed] != 1 {
		t.Errorf("%+v", d)
	}
	if len(d.Policies) != 1 || !slices.Contains(d.Policies[0].Rules, "apt") || d.Policies[0].Origins["jitter"].Site != "north" || d.Policies[0].Origins["approvals"].Tenant != ident.MSP {
		t.Errorf("%+v", d.Policies)
	}
	if main, err := p.view.Device(ctx, ident.NewScopeAll(), "acme", p.devices["pc-main"].ID); err != nil || len(main.Sections) != 1 || main.Sections[0].Items[0].Key != "apt" {
		t.Errorf("%+v, %v", main.Sections, err)
	}
	for name, ask := range map[string]func() error{
		"another site": func() error { _, err := p.view.Device(ctx, north(), "acme", p.devices["pc-main"].ID); return err },
		"another tenant": func() error {
			_, err := p.view.Device(ctx, ident.NewScopeAll(), "acme", p.devices["pc-bolt"].ID)
			return err
		},
		"lookup": func() error {
			_, _, err := p.view.Lookup(ctx, north(), string(p.devices["pc-main"].ID))
			return err
		},
		"no id": func() error { _, _, err := p.view.Lookup(ctx, ident.NewScopeAll(), "x"); return err },
	} {
		if err := ask(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if kind, tenant, err := p.view.Lookup(ctx, north(), string(p.devices["pc-north"].ID)); kind != view.KindDevice || tenant != "acme" || err != nil {
		t.Errorf("%s %s %v", kind, tenant, err)
	}
}

func TestPoliciesWithTheirOrigins(t *testing.T) {
	p := open(t)
	page, err := p.view.Policies(context.Background(), ident.NewScopeAll(), "acme")
	if err != nil || len(page.Documents) != 2 || len(page.Effective) != 1 || page.Targets["base"] != 2 || len(page.Ties) != 0 || len(page.Decisions) != 1 || len(page.Sites) != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, own := page.Effective[0].Origins["jitter"]; own || page.Sites["north"][0].Origins["jitter"].Site != "north" {
		t.Error("a site's value is shown at the customer's level")
	}
	main := ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"main"}})
	if page, err := p.view.Policies(context.Background(), main, "acme"); err != nil || len(page.Documents) != 1 || page.Targets["base"] != 1 {
		t.Errorf("of one site: %+v, %v", page, err)
	}
	if page, err := p.view.Policies(context.Background(), ident.NewScopeAll(), ident.MSP); err != nil || len(page.Documents) != 1 || len(page.Sites) != 0 {
		t.Errorf("of the MSP: %+v, %v", page, err)
	}
	for scope, want := range map[string]int{"all": 2, "acme": 2, "main": 1} {
		s := map[string]ident.Scope{"all": ident.NewScopeAll(), "acme": ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil}), "main": main}[scope]
		for _, tenant := range []ident.TenantID{"", "acme"} {
			if docs, err := p.view.Documents(context.Background(), s, tenant); err != nil || len(docs) != want {
				t.Errorf("%s of %q: %d documents, %v", scope, tenant, len(docs), err)
			}
		}
	}
}

func TestATimelineMergesTheHistories(t *testing.T) {
	p := open(t)
	events, next, err := p.view.Timeline(context.Background(), ident.NewScopeAll(), "bolt", p.devices["pc-bolt"].ID, "", 2)
	if err != nil || len(events) != 2 || next == "" {
		t.Fatalf("%+v, %q, %v", events, next, err)
	}
	rest, end, err := p.view.Timeline(context.Background(), ident.NewScopeAll(), "bolt", p.devices["pc-bolt"].ID, next, 10)
	if err != nil || end != "" {
		t.Fatal(end, err)
	}
	var actions []string
	for _, e := range append(events, rest...) {
		if e.Kind == view.EventDevice {
			actions = append(actions, e.Action)
		}
	}
	slices.Sort(actions)
	if want := []string{"device.active", "device.enrolled", "device.stale"}; !slices.Equal(actions, want) {
		t.Errorf("%q", actions)
	}
	for _, cursor := range []string{"x", strings.Repeat("A", 20)} {
		if _, _, err := p.view.Timeline(context.Background(), ident.NewScopeAll(), "bolt", p.devices["pc-bolt"].ID, cursor, 10); !fault.Is(err, fault.Invalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestEveryStateHasItsWord(t *testing.T) {
	for state, want := range map[patch.State]view.Word{
		patch.Available: view.WordNeeds, patch.Failed: view.WordNeeds, patch.Halted: view.WordNeeds, patch.Unknown: view.WordNeeds, patch.Approved: view.WordWaiting,
		patch.Waiting: view.WordWaiting, patch.Scheduled: view.WordTonight, patch.Downloading: view.WordRunning, patch.Installing: view.WordRunning,
		patch.RebootPending: view.WordRestart, patch.Verified: view.WordDone, patch.Denied: view.WordNone, patch.Superseded: view.WordNone,
	} {
		if got := view.WordOf(state); got != want {
			t.Errorf("%s: %q", state, got)
		}
		if state.Open() && state != patch.Denied && !slices.Contains(view.StatesBySeverity(), state) {
			t.Errorf("%s has no severity", state)
		}
	}
	s := view.States{patch.Available: 2, patch.Denied: 1, patch.Verified: 4, patch.Installing: 1}
	if s.Open() != 4 || s.Word(view.WordNeeds) != 2 || s.Worst() != patch.Available || s.Verified() != (view.Share{Part: 4, Of: 5}) {
		t.Errorf("%d %d %s %+v", s.Open(), s.Word(view.WordNeeds), s.Worst(), s.Verified())
	}
	if (view.States{}).Verified().Of != 0 || (view.States{}).Worst() != "" {
		t.Error("nothing is known of nothing")
	}
}

func TestAChoiceIsOfAllDevices(t *testing.T) {
	for want, s := range map[view.Choice]view.States{
		view.Undecided: {patch.Available: 1, patch.Approved: 9}, view.Denied: {patch.Denied: 2, patch.Verified: 1}, view.Waiting: {patch.Waiting: 1, patch.Denied: 1},
		view.Approved: {patch.Failed: 1, patch.Waiting: 1},
	} {
		if got := view.ChoiceOf(s); got != want {
			t.Errorf("%v: %s", s, got)
		}
	}
}
