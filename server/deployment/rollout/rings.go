package rollout

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// RingOf assigns each device of a policy to a ring, by index into
// eff.Patch.Rings. devices are all those that the policy covers.
//
// Rings by tag take the devices with any of their tags, the first such ring
// wins. The others are filled in an order that is stable by a hash of policy
// and device: cumulative shares of the devices without a ring of their tag,
// rounded up, at least one each while devices last; the last ring is the rest.
// A ring but the last never takes a whole site while another site exists,
// unless nobody else could be in it. The first ring prefers devices of which
// irregular (may be nil) does not say that they are seldom in contact.
func RingOf(eff *policy.Effective, devices []fleet.Device, irregular func(ident.DeviceID) bool) map[ident.DeviceID]int {
	rings := eff.Patch.Rings
	out := make(map[ident.DeviceID]int, len(devices))
	var pool []fleet.Device
	for _, d := range devices {
		if n := tagRing(rings, d); n >= 0 {
			out[d.ID] = n
		} else {
			pool = append(pool, d)
		}
	}
	slices.SortFunc(pool, byHash(eff.Name))
	sites := map[ident.SiteID]int{}
	for _, d := range devices {
		sites[d.Site]++
	}
	total, taken, first := len(pool), 0, true
	for n := range rings {
		if len(rings[n].Tags) > 0 || n == len(rings)-1 {
			continue
		}
		want := int(math.Ceil(rings[n].Share.Of(total)-1e-9)) - taken
		want = min(len(pool), max(1, want))
		chosen := choose(pool, want, sites, first, irregular)
		first = false
		taken += len(chosen)
		for _, d := range chosen {
			out[d.ID] = n
		}
		pool = slices.DeleteFunc(pool, func(d fleet.Device) bool { _, in := out[d.ID]; return in })
	}
	for _, d := range pool {
		out[d.ID] = len(rings) - 1
	}
	return out
}

func tagRing(rings []policy.Ring, d fleet.Device) int {
	return slices.IndexFunc(rings, func(r policy.Ring) bool { return slices.ContainsFunc(r.Tags, d.HasTag) })
}

// choose takes up to want devices of the pool, in its order, without taking a
// whole site; at least one, whatever the sites.
func choose(pool []fleet.Device, want int, sites map[ident.SiteID]int, first bool, irregular func(ident.DeviceID) bool) []fleet.Device {
	if first && irregular != nil {
		pool = slices.Clone(pool)
		slices.SortStableFunc(pool, func(a, b fleet.Device) int { return rank(irregular(a.ID)) - rank(irregular(b.ID)) })
	}
	var out []fleet.Device
	from := map[ident.SiteID]int{}
	for _, d := range pool {
		if len(out) == want {
			break
		}
		if len(sites) > 1 && from[d.Site]+1 >= sites[d.Site] {
			continue
		}
		from[d.Site]++
		out = append(out, d)
	}
	if len(out) == 0 && want > 0 {
		out = append(out, pool[0])
	}
	return out
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// byHash orders devices by a hash of policy and device, so that a device keeps
// its place whatever others come and go, and another one in another policy.
func byHash(policy string) func(a, b fleet.Device) int {
	return func(a, b fleet.Device) int {
		return cmp.Or(cmp.Compare(hash(policy, string(a.ID)), hash(policy, string(b.ID))), cmp.Compare(a.ID, b.ID))
	}
}

// hash is stable over versions: rings and jitter rest on it.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // never fails
		_, _ = h.Write([]byte{0})
	}
	// FNV moves its last bytes little; the mix spreads them over all bits.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	return x ^ x>>33
}

// assignment is RingOf for a policy of the world, worked out once.
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
		got = RingOf(eff, covered, func(id ident.DeviceID) bool { return v.w.Irregular[Seat{name, id}] })
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
