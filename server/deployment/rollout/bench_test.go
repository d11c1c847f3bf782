package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
)

// BenchmarkPlan plans a tenant of 20,000 devices with 40 open updates each, of
// which everything is approved: outside the window, where nothing is to be
// done, and with the window of the last ring open and a job for every device.
// "read" is the cost of a fresh picture, which a tick pays once.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name string
		at   time.Time
		last bool
	}{
		{"shut", noon, false},
		{"ringsWait", night, false},
		{"everyoneOpen", night, true},
	} {
		w := large(20_000, 40, c.last)
		w.index()
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				Plan(c.at, w)
			}
		})
	}
	b.Run("read", func(b *testing.B) {
		w := large(20_000, 40, false)
		for b.Loop() {
			w.ix = nil
			w.index()
		}
	})
}

// large is a tenant in the middle of its rollouts: ring 0 of each release
// soaks, or everyone's is open.
func large(devices, releases int, last bool) *World {
	w := small(devices)
	for r := range releases {
		rel := patch.Release{Source: "apt", Package: fmt.Sprintf("package-%02d", r), Version: "2"}
		w.Releases[rel] = inventory.Release{Source: "apt", Package: rel.Package, Version: "2", FirstSeen: noon.Add(-time.Hour * 100)}
		d := deploymentOf(w, ident.DeploymentID(fmt.Sprintf("deployment-%02d", r)), rel)
		for i := range w.Devices {
			m := Member{Device: w.Devices[i].ID, Ring: 1}
			if i%20 == 0 {
				m.Ring = 0
			}
			if i%20 == 0 {
				m.Result, m.EndedAt, m.Verified = "verified", noon.Add(-time.Hour), noon.Add(-time.Hour)
			}
			d.Members = append(d.Members, m)
		}
		d.Rings[0].State, d.Rings[1].State = RingSoaking, RingWaiting
		d.Rings[0].Soak = 48 * time.Hour
		if last {
			d.Rings[0].State, d.Rings[1].State = RingPassed, RingActive
		}
		w.Deployments = append(w.Deployments, d)
	}
	for i := range w.Devices {
		for r := range releases {
			if i%20 != 0 {
				w.Updates = append(w.Updates, patch.Update{Tenant: "acme", Device: w.Devices[i].ID, Release: w.Deployments[r].Release, Offered: true, State: patch.Approved})
			}
		}
	}
	return w
}
