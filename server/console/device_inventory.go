package console

import (
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/view"
)

// section is a part of the inventory as it is shown.
type section struct {
	Key, Name, Icon string
	Items           []item
	Named           bool // its items have names of their own
	Seen, Changed   template.HTML
}

type item struct {
	Name  string
	Facts []pair
}

type pair struct{ Name, Value string }

func sectionItems(all []inventory.Section, name wire.Section) []wire.Item {
	for _, s := range all {
		if s.Name == name {
			return s.Items
		}
	}
	return nil
}

func factsOf(all []inventory.Section, name wire.Section, key string) map[string]string {
	for _, it := range sectionItems(all, name) {
		if it.Key == key {
			return it.Facts
		}
	}
	return nil
}

func hardwareFact(d view.Device) fact {
	system := factsOf(d.Sections, wire.SectionSystem, "system")
	one := fact{Name: "Hardware", Value: "not known yet", Note: text(strings.TrimSpace(system["manufacturer"] + " " + system["model"]))}
	cores := 0
	for _, cpu := range sectionItems(d.Sections, wire.SectionCPU) {
		n, _ := strconv.Atoi(cpu.Facts["cores"])
		cores += n
	}
	var parts []string
	if cores > 0 {
		parts = append(parts, plural(cores, "core", "cores"))
	}
	for _, m := range sectionItems(d.Sections, wire.SectionMemory) {
		if n, err := strconv.ParseInt(m.Facts["size_bytes"], 10, 64); err == nil && m.Key == "total" {
			parts = append(parts, size(n, 1024))
		}
	}
	if len(parts) > 0 {
		one.Value = text(strings.Join(parts, ", "))
	}
	return one
}

// size writes bytes: memory in steps of 1024, disks in steps of 1000.
func size(n int64, step float64) string {
	v, units, i := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}, 0
	for v >= step && i < len(units)-1 {
		v /= step
		i++
	}
	digits := 0
	if v < 10 && i > 0 && v != float64(int64(v)) {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + units[i]
}

// sections are all parts but software and updates, which have pages of their own.
func sections(b *deviceBody) []section {
	names := map[wire.Section][2]string{
		wire.SectionSystem: {"System", "monitor"}, wire.SectionBoard: {"Board", "cpu"}, wire.SectionFirmware: {"Firmware", "cpu"},
		wire.SectionCPU: {"Processors", "cpu"}, wire.SectionMemory: {"Memory", "cpu"}, wire.SectionDisks: {"Disks", "hard-drive"},
		wire.SectionVolumes: {"File systems", "hard-drive"}, wire.SectionNetwork: {"Network", "network"}, wire.SectionOS: {"Operating system", "app-window"},
		wire.SectionSources: {"Update sources", "package"},
	}
	var out []section
	for _, key := range wire.Sections() {
		name, ok := names[key]
		if !ok {
			continue
		}
		for _, s := range b.D.Sections {
			if s.Name != key {
				continue
			}
			one := section{Key: string(key), Name: name[0], Icon: name[1], Named: named(key), Seen: b.T.Since(s.ScannedAt), Changed: b.T.Since(s.UpdatedAt)}
			for _, it := range s.Items {
				one.Items = append(one.Items, itemOf(key, it, b.T))
			}
			out = append(out, one)
		}
	}
	return out
}

// named reports whether a section's keys say something to a person.
func named(s wire.Section) bool {
	switch s {
	case wire.SectionSystem, wire.SectionBoard, wire.SectionFirmware, wire.SectionOS:
		return false
	}
	return true
}

func itemOf(section wire.Section, it wire.Item, t stamps) item {
	out := item{Name: it.Key}
	if section == wire.SectionSources {
		out.Name = sourceName(it.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(it.Facts)) {
		value := it.Facts[key]
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && strings.HasSuffix(key, "_bytes") {
			step := 1000.0
			if section == wire.SectionMemory {
				step = 1024
			}
			value = size(n, step)
		}
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			value = full(at, t.loc, t.now)
		}
		name := strings.TrimSuffix(strings.ReplaceAll(key, "_", " "), " bytes")
		switch value {
		case "true":
			value = "yes"
		case "false":
			value = "no"
		}
		out.Facts = append(out.Facts, pair{name, value})
	}
	return out
}

// maxSoftware is how many programs one page lists; searching finds the rest.
const maxSoftware = 500

func (b *deviceBody) fillSoftware(q string) {
	b.Search = strings.TrimSpace(q)
	needle := strings.ToLower(b.Search)
	for _, it := range sectionItems(b.D.Sections, wire.SectionSoftware) {
		if needle != "" && !strings.Contains(strings.ToLower(it.Key+" "+it.Facts[wire.FactName]), needle) {
			continue
		}
		if b.Found++; len(b.Software) < maxSoftware {
			b.Software = append(b.Software, it)
		}
	}
}
