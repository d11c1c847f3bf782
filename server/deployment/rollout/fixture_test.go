package rollout

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// The window of the fixtures is 22:00 to 02:00 UTC.
var (
	noon  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	night = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	bash  = patch.Release{Source: "apt", Package: "bash", Version: "2"}
)

const twoRings = `{"approvals":[{"match":{},"action":"approve"}],"windows":[{"cron":"0 22 * * *","duration":"4h","time_zone":"UTC"}],
	"rings":[{"name":"pilots","share":"10%","soak":"1h"},{"name":"everyone","share":"100%"}],"jitter":"0s"}`

// effective resolves one policy "p" of the tenant's level.
func effective(fields string) []policy.Effective {
	var f map[string]json.RawMessage
	if err := json.Unmarshal([]byte(fields), &f); err != nil {
		panic(err)
	}
	doc := policy.Document{Tenant: "acme", Name: "p", Fields: f}
	if err := policy.Check(doc); err != nil {
		panic(err)
	}
	effs, err := policy.Resolve("acme", ident.MainSite, []policy.Document{doc})
	if err != nil {
		panic(err)
	}
	return effs
}

// small is a live tenant with n devices in contact and a policy of two rings.
func small(n int) *World {
	effs := effective(twoRings)
	w := &World{Tenant: fleet.Tenant{ID: "acme", Mode: fleet.Live}, Policies: map[ident.SiteID][]policy.Effective{"": effs, ident.MainSite: effs},
		Releases: map[patch.Release]inventory.Release{}, Minutes: map[patch.Release]time.Duration{}}
	for i := range n {
		w.Devices = append(w.Devices, Device{Device: fleet.Device{Tenant: "acme", ID: ident.DeviceID(fmt.Sprintf("d%05d", i)), Site: ident.MainSite,
			State: fleet.Active, Online: true, LastSeen: noon}, Zone: time.UTC, SiteZone: time.UTC})
	}
	return w
}

// needing lets every device need bash.
func needing(w *World) *World {
	for i := range w.Devices {
		w.Updates = append(w.Updates, patch.Update{Tenant: "acme", Device: w.Devices[i].ID, Release: bash, Installed: "1", Offered: true, State: patch.Approved})
	}
	return w
}

// deploymentOf is a running deployment without members.
func deploymentOf(w *World, id ident.DeploymentID, r patch.Release) Deployment {
	d := newView(noon, w).create(key{"p", w.index().release(r)})
	w.ix = nil
	d.ID, d.Tenant = id, "acme"
	return d
}

// made applies a Plan's changes of deployments to a copy of the world, as the
// service would, with ids by number.
func made(w *World, r Result) *World {
	next := *w
	next.ix = nil
	next.Deployments = append([]Deployment(nil), w.Deployments...)
	for _, up := range r.Updates {
		for i := range next.Deployments {
			d := &next.Deployments[i]
			if d.ID != up.Deployment {
				continue
			}
			members := map[ident.DeviceID]Member{}
			for _, m := range append(append([]Member(nil), d.Members...), up.Members...) {
				members[m.Device] = m
			}
			d.Members = nil
			for _, m := range members {
				d.Members = append(d.Members, m)
			}
			SortMembers(d.Members)
			d.State, d.Reason, d.Rings = up.To, up.Reason, up.Rings
		}
	}
	for i, d := range r.Create {
		d.ID = ident.DeploymentID(fmt.Sprintf("deployment-%d", len(w.Deployments)+i))
		SortMembers(d.Members)
		next.Deployments = append(next.Deployments, d)
	}
	return &next
}

// codes are the codes of blockers, in order.
func codes(t *testing.T, now time.Time, w *World, device int) (out []reason.Code) {
	t.Helper()
	list, ok := Blockers(now, w, w.Devices[device].ID, bash)
	if !ok {
		t.Fatal("no such update")
	}
	for _, b := range list {
		out = append(out, b.Reason.Code)
	}
	return out
}
