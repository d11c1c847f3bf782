package rollout

import (
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

// PresenceSpan is how far back windows are looked for, lastWindows how many.
const (
	PresenceSpan = 35 * 24 * time.Hour
	lastWindows  = 10
)

// Irregular finds the devices that were in contact in fewer than half of the
// last ten windows of each policy with more than one ring, counting from their
// enrollment. flips are in order of time.
func Irregular(now time.Time, w *World, flips []fleet.Presence) map[Seat]bool {
	ofDevice := map[ident.DeviceID][]fleet.Presence{}
	for _, f := range flips {
		ofDevice[f.Device] = append(ofDevice[f.Device], f)
	}
	out := map[Seat]bool{}
	type clock struct {
		eff  *policy.Effective
		zone zonePair
	}
	last := map[clock][]window.Occurrence{}
	for i := range w.Devices {
		d := &w.Devices[i]
		for n := range w.Policies[d.Site] {
			eff := &w.Policies[d.Site][n]
			if len(eff.Patch.Rings) < 2 || !eff.Patch.Targets.Covers(d.Device) {
				continue
			}
			k := clock{eff, zonePair{d.Zone, d.SiteZone}}
			occs, ok := last[k]
			if !ok {
				occs = window.Between(eff.Windows.Bind(d.Zone, d.SiteZone), nil, now.Add(-PresenceSpan), now)
				occs = occs[max(0, len(occs)-lastWindows):]
				last[k] = occs
			}
			var there, of int
			for _, o := range occs {
				if o.Opens.Before(d.EnrolledAt) {
					continue
				}
				of++
				there += rank(inContact(ofDevice[d.ID], o.Opens, o.Closes))
			}
			if 2*there < of {
				out[Seat{eff.Name, d.ID}] = true
			}
		}
	}
	return out
}

// inContact reports whether any stretch of contact touches [from, to).
func inContact(flips []fleet.Presence, from, to time.Time) bool {
	online := false
	for _, f := range flips {
		if !f.At.After(from) {
			online = f.Online
			continue
		}
		if !f.At.Before(to) {
			break
		}
		if f.Online {
			return true
		}
	}
	return online
}
