package rollout

import (
	"slices"

	"github.com/steward-rmm/steward/server/deployment/ring"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// assignment is ring.Of for a policy of the world, worked out once.
func (v *view) assignment(name string) map[ident.DeviceID]int {
	if got, ok := v.assigned[name]; ok {
		return got
	}
	var covered []fleet.Device
	for i := range v.w.Devices {
		d := &v.w.Devices[i]
		if d.MayWork() && v.covers(name, d) {
			covered = append(covered, d.Device)
		}
	}
	got := map[ident.DeviceID]int{}
	if eff := v.base(name); eff != nil {
		got = ring.Of(eff, covered, func(id ident.DeviceID) bool { return v.w.Irregular[Seat{name, id}] })
	}
	v.assigned[name] = got
	return got
}

// covers reports whether the policy of that name has the device as a target.
func (v *view) covers(name string, d *Device) bool {
	effs := v.w.Policies[d.Site]
	i := slices.IndexFunc(effs, func(e policy.Effective) bool { return e.Name == name })
	return i >= 0 && effs[i].Patch.Targets.Covers(d.Device)
}

// base is the policy whose rings and limits count for the tenant: that of the
// tenant's level, else of the first site that has it. nil when none has.
func (v *view) base(name string) *policy.Effective {
	sites := make([]ident.SiteID, 0, len(v.w.Policies))
	for site := range v.w.Policies {
		sites = append(sites, site)
	}
	slices.Sort(sites) // "" is first
	for _, site := range sites {
		for i := range v.w.Policies[site] {
			if e := &v.w.Policies[site][i]; e.Name == name {
				return e
			}
		}
	}
	return nil
}
