// Package ring says which device of a policy goes first: a pure assignment
// that is stable by a hash, so that a device keeps its place.
package ring

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// Of assigns each device of a policy to a ring, by index into
// eff.Patch.Rings. devices are all those that the policy covers.
//
// Rings by tag take the devices with any of their tags, the first such ring
// wins. The others are filled in an order that is stable by a hash of policy
// and device: cumulative shares of the devices without a ring of their tag,
// rounded up, at least one each while devices last; the last ring is the rest.
// A ring but the last never takes a whole site while another site exists,
// unless nobody else could be in it. The first ring prefers devices of which
// irregular (may be nil) does not say that they are seldom in contact.
func Of(eff *policy.Effective, devices []fleet.Device, irregular func(ident.DeviceID) bool) map[ident.DeviceID]int {
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
	slices.SortFunc(pool, ByHash(eff.Name))
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

// ByHash orders devices by a hash of policy and device, so that a device keeps
// its place whatever others come and go, and another one in another policy.
func ByHash(policy string) func(a, b fleet.Device) int {
	return func(a, b fleet.Device) int {
		return cmp.Or(cmp.Compare(Hash(policy, string(a.ID)), Hash(policy, string(b.ID))), cmp.Compare(a.ID, b.ID))
	}
}

// Hash is stable over versions: rings and jitter rest on it.
func Hash(parts ...string) uint64 {
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
