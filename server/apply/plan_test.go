package apply_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// now is a Friday noon in winter.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// current is one live customer with three workstations and a server, each
// lacking a security update of curl.
func current() apply.Current {
	h := &apply.Holding{Tenant: fleet.Tenant{ID: "acme", Name: "Acme", TimeZone: "Europe/Paris", Mode: fleet.Live},
		Sites: []fleet.Site{{Tenant: "acme", ID: "main", Name: "Main"}, {Tenant: "acme", ID: "north", Name: "North"}}}
	for n := range 4 {
		d := fleet.Device{Tenant: "acme", ID: ident.DeviceID(fmt.Sprint("d", n)), Site: "main", Hostname: fmt.Sprint("pc", n), Class: fleet.Workstation, State: fleet.Active}
		if n == 3 {
			d.Class, d.Site = fleet.Server, "north"
		}
		h.Devices = append(h.Devices, d)
		h.Open = append(h.Open, patch.Update{Tenant: "acme", Device: d.ID, Release: patch.Release{Source: "apt", Package: "curl", Version: "2"}, Kind: inventory.Security, FirstSeen: now})
	}
	return apply.Current{Tenants: map[ident.TenantID]*apply.Holding{"acme": h}, Releases: map[patch.Release]inventory.Release{}}
}

func decode(t testing.TB, text string) []apply.Document {
	t.Helper()
	docs, err := apply.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

const nightly = `kind: PatchPolicy
tenant: acme
name: nightly
targets: {class: [workstation]}
windows: [{cron: "0 22 * * 2", duration: 4h, time_zone: device, blackout: ["2026-12-08/2026-12-31"]}]
approvals: [{match: {kind: security}, action: approve}]
`

func TestEffectsAreWordsWithNumbers(t *testing.T) {
	for _, c := range []struct {
		name, text string
		change     func(*apply.Current)
		action     apply.Action
		effects    []string
	}{
		{"a new policy", nightly, nil, apply.Create,
			[]string{"targets 3 devices", "opens Tue 24 Nov, 22:00 CET for 4 h, 2 windows in the next 30 days", "approves 3 updates now on 3 devices"}},
		{"in observe", nightly, func(c *apply.Current) { c.Tenants["acme"].Tenant.Mode = fleet.Observe }, apply.Create,
			[]string{"targets 3 devices", "opens Tue 24 Nov, 22:00 CET for 4 h, 2 windows in the next 30 days", "approves 3 updates now on 3 devices", "installs nothing for 1 customer in mode observe"}},
		{"already approved by hand", nightly, func(c *apply.Current) {
			c.Tenants["acme"].Documents = []policy.Document{{Tenant: "acme", Name: "nightly"}}
			c.Tenants["acme"].Decisions = []policy.Manually{{Tenant: "acme", Action: policy.Approve, Source: "apt", Package: "curl"}}
		}, apply.Update, []string{"targets 3 devices", "no longer rules 1 device", "opens Tue 24 Nov, 22:00 CET for 4 h, 2 windows in the next 30 days",
			"withdraws the approval of 1 update on 1 device"}},
		{"of all customers", strings.Replace(nightly, "acme", `"*"`, 1), nil, apply.Create,
			[]string{"targets 3 devices", "opens Tue 24 Nov, 22:00 CET for 4 h, 2 windows in the next 30 days", "approves 3 updates now on 3 devices"}},
		{"of a site", strings.Replace(nightly, "name:", "site: north\nname:", 1), nil, apply.Create, []string{"targets 0 devices"}},
		{"without windows", "kind: PatchPolicy\ntenant: acme\nname: x", nil, apply.Create, []string{"targets 4 devices", "never opens: it has no window"}},
		{"open now", "kind: PatchPolicy\ntenant: acme\nname: x\ntargets: {class: [server]}\nwindows: [{cron: \"0 10 * * 5\", duration: 150m, time_zone: UTC}]", nil, apply.Create,
			[]string{"targets 1 device", "is open since Fri 20 Nov, 11:00 CET for 2 h 30 min, 5 windows in the next 30 days"}},
		{"switched off", strings.Split(nightly, "targets")[0] + "state: off", func(c *apply.Current) { c.Tenants["acme"].Documents = []policy.Document{*decode(t, nightly)[0].Policy} }, apply.Update,
			[]string{"no longer rules 3 devices", "withdraws the approval of 3 updates on 3 devices"}},
		{"removed", strings.Split(nightly, "targets")[0] + "state: absent", func(c *apply.Current) { c.Tenants["acme"].Documents = []policy.Document{*decode(t, nightly)[0].Policy} }, apply.Delete,
			[]string{"no longer rules 3 devices", "withdraws the approval of 3 updates on 3 devices"}},
		{"removed and not there", strings.Split(nightly, "targets")[0] + "state: absent", nil, apply.Unchanged, []string{}},
		{"the same", nightly, func(c *apply.Current) { c.Tenants["acme"].Documents = []policy.Document{*decode(t, nightly)[0].Policy} }, apply.Unchanged, []string{}},
		{"a customer", "kind: Tenant\nslug: bolt\ntime_zone: UTC", nil, apply.Create, []string{"adds the customer with its site main, in mode observe"}},
		{"the same customer", "kind: Tenant\nslug: acme\nname: Acme\ntime_zone: Europe/Paris", nil, apply.Unchanged, []string{}},
		{"a mode", "kind: Tenant\nslug: acme\nname: Acme\ntime_zone: Europe/Rome\nmode: observe", nil, apply.Update,
			[]string{"mode live becomes observe for 4 devices: nothing new installs", "time zone Europe/Paris becomes Europe/Rome"}},
		{"a site", "kind: Site\ntenant: acme\nslug: south", nil, apply.Create, []string{"adds the site"}},
		{"a site's zone", "kind: Site\ntenant: acme\nslug: main\nname: Main\ntime_zone: Europe/Rome", nil, apply.Update,
			[]string{"time zone (default) becomes Europe/Rome for 3 devices that report none"}},
	} {
		cur := current()
		if c.change != nil {
			c.change(&cur)
		}
		changes, err := apply.Plan(now, cur, decode(t, c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := changes[0]; got.Action != c.action || !slices.Equal(got.Effects, c.effects) {
			t.Errorf("%s: %s\n got %q\nwant %q", c.name, got.Action, got.Effects, c.effects)
		}
	}
}

func TestPlanRefusesWhatDoesNotFit(t *testing.T) {
	for text, says := range map[string]string{
		"kind: PatchPolicy\ntenant: ghost\nname: x":                                               "no tenant",
		"kind: PatchPolicy\ntenant: acme\nsite: mars\nname: x":                                    "no such site",
		"kind: PatchPolicy\ntenant: acme\nname: a\n---\nkind: PatchPolicy\ntenant: acme\nname: b": "claimed equally by a and b",
		"kind: Site\ntenant: ghost\nslug: x":                                                      "no tenant",
	} {
		_, err := apply.Plan(now, current(), decode(t, text))
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || !strings.Contains(f.Message, says) || !strings.HasPrefix(f.Field, "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestATieThatWasThereIsNoReasonToRefuse(t *testing.T) {
	cur := current()
	cur.Tenants["acme"].Documents = []policy.Document{{Tenant: "acme", Name: "a"}, {Tenant: "acme", Name: "b"}}
	if _, err := apply.Plan(now, cur, decode(t, "kind: PatchPolicy\ntenant: acme\nname: b\njitter: 5m")); err != nil {
		t.Error(err)
	}
	if _, err := apply.Plan(now, cur, decode(t, "kind: PatchPolicy\ntenant: acme\nname: c")); err == nil {
		t.Error("a third claim was taken")
	}
}

func TestTheOrderOfDocumentsDoesNotMatter(t *testing.T) {
	texts := []string{"kind: Tenant\nslug: bolt\ntime_zone: UTC", "kind: Site\ntenant: bolt\nslug: dock", "kind: PatchPolicy\ntenant: bolt\nsite: dock\nname: n", nightly}
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.Permutation(texts).Draw(t, "order")
		docs, err := apply.Decode([]byte(strings.Join(order, "\n---\n")))
		if err != nil {
			t.Fatal(err)
		}
		changes, err := apply.Plan(now, current(), docs)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range changes {
			if c.Action != apply.Create || c.Name != docs[i].Name {
				t.Fatalf("%+v", c)
			}
		}
	})
}
