package ring

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

func fleetOf(t *rapid.T) []fleet.Device {
	n := rapid.IntRange(1, 60).Draw(t, "devices")
	sites := rapid.IntRange(1, 4).Draw(t, "sites")
	out := make([]fleet.Device, n)
	for i := range out {
		out[i] = fleet.Device{ID: ident.DeviceID(fmt.Sprintf("d%03d", i)), Site: ident.SiteID(fmt.Sprintf("s%d", rapid.IntRange(1, sites).Draw(t, "site")))}
		if rapid.IntRange(0, 9).Draw(t, "tagged") == 0 {
			out[i].Tags = []string{"pilot"}
		}
	}
	return out
}

func threeRings(tagged bool) *policy.Effective {
	rings := []policy.Ring{{Name: "a", Share: 5}, {Name: "b", Share: 30}, {Name: "c", Share: 100}}
	if tagged {
		rings = append([]policy.Ring{{Name: "tag", Tags: []string{"pilot"}}}, rings...)
	}
	return &policy.Effective{Name: "p", Patch: policy.Patch{Rings: rings}}
}

func TestEveryDeviceHasOneRingOfTheStatedSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		devices := fleetOf(t)
		tagged := rapid.Bool().Draw(t, "by tag")
		eff := threeRings(tagged)
		irregular := func(id ident.DeviceID) bool { return Hash(string(id))%3 == 0 }
		got := Of(eff, devices, irregular)
		sizes, pool := make([]int, len(eff.Patch.Rings)), 0
		sites, of := map[ident.SiteID]int{}, map[[2]string]int{}
		for _, d := range devices {
			n, ok := got[d.ID]
			if !ok {
				t.Fatalf("%s has no ring", d.ID)
			}
			sizes[n]++
			sites[d.Site]++
			of[[2]string{eff.Patch.Rings[n].Name, string(d.Site)}]++
			if tagged && (n == 0) != d.HasTag("pilot") {
				t.Fatalf("%s with tags %v is in ring %d", d.ID, d.Tags, n)
			}
			if !tagged || n > 0 {
				pool++
			}
		}
		if tagged {
			sizes = sizes[1:]
		}
		if pool > 0 && sizes[0] < 1 {
			t.Fatalf("the first ring is empty: %v", sizes)
		}
		if most := int(math.Max(1, math.Ceil(0.05*float64(pool)))); sizes[0] > most {
			t.Fatalf("the first ring has %d, at most %d", sizes[0], most)
		}
		for at, n := range of {
			if at[0] != "c" && at[0] != "tag" && n > 1 && len(sites) > 1 && n == sites[ident.SiteID(at[1])] {
				t.Fatalf("ring %s takes all of site %s", at[0], at[1])
			}
		}
	})
}

func TestRingsAreStableAndPreferRegularDevices(t *testing.T) {
	var devices []fleet.Device
	for i := range 100 {
		devices = append(devices, fleet.Device{ID: ident.DeviceID(fmt.Sprintf("d%03d", i)), Site: "main"})
	}
	eff := threeRings(false)
	before := Of(eff, devices, nil)
	after := Of(eff, append([]fleet.Device{{ID: "new", Site: "main"}}, devices...), nil)
	moved := 0
	for id, n := range before {
		if after[id] != n {
			moved++
		}
	}
	if moved > 2 {
		t.Errorf("%d devices changed their ring when one came", moved)
	}
	away := func(id ident.DeviceID) bool { return before[id] == 0 }
	for id, n := range Of(eff, devices, away) {
		if n == 0 && away(id) {
			t.Errorf("%s is seldom in contact and still a canary", id)
		}
	}
	other := *eff
	other.Name = "q"
	same := 0
	for id, n := range Of(&other, devices, nil) {
		if n == 0 && before[id] == 0 {
			same++
		}
	}
	if same == 5 {
		t.Error("two policies have the same canaries")
	}
}
