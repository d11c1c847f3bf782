package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/window"
)

// depth is how particular a document's level is: 0 MSP, 1 tenant, 2 site.
func (d Document) depth() int {
	switch {
	case d.Tenant == ident.MSP:
		return 0
	case d.Site == "":
		return 1
	}
	return 2
}

// Resolve combines the documents that concern a site into the policies that
// hold there, in order of name: field by field from the general to the
// particular, unless a higher level locked the field. Every value remembers
// its level. Policies that are switched off are left out.
func Resolve(tenant ident.TenantID, site ident.SiteID, docs []Document) ([]Effective, error) {
	byName := map[string][]Document{}
	for _, d := range docs {
		if d.Tenant == ident.MSP || d.Tenant == tenant && (d.Site == "" || d.Site == site) {
			byName[d.Name] = append(byName[d.Name], d)
		}
	}
	var out []Effective
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		chain := byName[name]
		slices.SortFunc(chain, func(a, b Document) int { return a.depth() - b.depth() })
		if chain[len(chain)-1].Off {
			continue
		}
		eff, err := combine(chain)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
		out = append(out, eff)
	}
	return out, nil
}

func combine(chain []Document) (Effective, error) {
	eff := Effective{Name: chain[0].Name, Tenant: chain[0].Tenant, Patch: Default(), Origins: map[string]Level{}}
	locked := map[string]bool{}
	for _, d := range chain {
		eff.Depth = d.depth()
		for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
			if locked[name] {
				continue
			}
			read, ok := fields[name]
			if !ok {
				continue // of a later version; Check refuses it at the door
			}
			if err := read(d.Fields[name], &eff.Patch); err != nil {
				return Effective{}, err
			}
			eff.Origins[name] = Level{Tenant: d.Tenant, Site: d.Site}
		}
		for _, name := range d.Lock {
			locked[name] = true
			o := eff.Origins[name]
			o.Locked = true
			eff.Origins[name] = o
		}
	}
	var err error
	eff.Windows, err = window.Compile(eff.Patch.Windows)
	return eff, err
}

// Covers reports whether the targets include the device.
func (t Targets) Covers(d fleet.Device) bool {
	if len(t.Class) > 0 && !slices.Contains(t.Class, d.Class) {
		return false
	}
	return !slices.ContainsFunc(t.Tags, func(tag string) bool { return !d.HasTag(tag) }) &&
		!slices.ContainsFunc(t.ExcludeTags, d.HasTag)
}

// For finds the policy that rules a source on a device. Between policies the
// lower level wins, then the longer target (tags, then class). ties names the
// others that claim it equally: then nothing may be scheduled.
func For(effective []Effective, d fleet.Device, source string) (eff *Effective, ties []string) {
	for i := range effective {
		e := &effective[i]
		if !e.Patch.Targets.Covers(d) || !slices.Contains(e.Patch.Sources, source) {
			continue
		}
		switch {
		case eff == nil || compareClaim(e, eff) > 0:
			eff, ties = e, nil
		case compareClaim(e, eff) == 0:
			ties = append(ties, e.Name)
		}
	}
	if len(ties) > 0 {
		ties = append([]string{eff.Name}, ties...)
	}
	return eff, ties
}

// compareClaim says whose claim on a device is stronger.
func compareClaim(a, b *Effective) int {
	if a.Depth != b.Depth {
		return a.Depth - b.Depth
	}
	if n := len(a.Patch.Targets.Tags) - len(b.Patch.Targets.Tags); n != 0 {
		return n
	}
	return boolInt(len(a.Patch.Targets.Class) > 0) - boolInt(len(b.Patch.Targets.Class) > 0)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Ties lists sources and policies that claim the same device equally, for the
// dry run: one line each, empty when there are none.
func Ties(effective []Effective, devices []fleet.Device) []string {
	found := map[string]bool{}
	for _, d := range devices {
		for _, source := range Sources() {
			if _, ties := For(effective, d, source); len(ties) > 0 {
				found[fmt.Sprintf("%s on %s is claimed equally by %s", source, d.Hostname, strings.Join(ties, ", "))] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
