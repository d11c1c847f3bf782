package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// Section names one part of a device's inventory. Each travels, is hashed and
// is resent by itself.
type Section string

// The sections of an inventory. Software and updates are the two that grow.
const (
	SectionSystem   Section = "system"   // one item: manufacturer, model, serial, uuid, chassis, hostname …
	SectionBoard    Section = "board"    // one item
	SectionFirmware Section = "firmware" // one item
	SectionCPU      Section = "cpu"      // one item per package
	SectionMemory   Section = "memory"   // one item per module, and "total"
	SectionDisks    Section = "disks"    // one item per physical disk
	SectionVolumes  Section = "volumes"  // one item per mounted local file system
	SectionNetwork  Section = "network"  // one item per interface
	SectionOS       Section = "os"       // one item: family, name, version, kernel, arch, time_zone …
	SectionSources  Section = "sources"  // one item per update source: state, version, busy, last_refresh …
	SectionSoftware Section = "software" // one item per installed package, key source:name[:arch]
	SectionUpdates  Section = "updates"  // one item per available update, key source:package
)

// Sections lists all sections in the order in which they are sent.
func Sections() []Section {
	return []Section{
		SectionSystem, SectionBoard, SectionFirmware, SectionCPU, SectionMemory, SectionDisks,
		SectionVolumes, SectionNetwork, SectionOS, SectionSources, SectionSoftware, SectionUpdates,
	}
}

// Item is one thing in a section, known by its key, with its facts as text.
// Fact names are snake_case and carry their unit (size_bytes, speed_mts);
// a fact that is not known is absent, never empty or zero. Times are RFC 3339.
type Item struct {
	Key   string            `json:"key"`
	Facts map[string]string `json:"facts"`
}

// Facts of an item of SectionUpdates.
const (
	FactSource    = "source"
	FactPackage   = "package"
	FactInstalled = "installed_version"
	FactAvailable = "available_version"
	FactKind      = "kind"
	FactSeverity  = "severity"
	FactOrigin    = "origin"
	FactHeld      = "held"   // "true" when pinned or held on the device
	FactPhased    = "phased" // "true" when the source withholds it here for now
	FactSize      = "size_bytes"
	FactName      = "name"
	FactVersion   = "version"
	FactArch      = "arch"
	FactBroken    = "broken" // of software: why it is there but not whole
)

// Equal reports whether two items are the same thing with the same facts.
func (i Item) Equal(o Item) bool { return i.Key == o.Key && maps.Equal(i.Facts, o.Facts) }

// Change is what turns one picture of a section into the next. A full change
// replaces the section. Hash is the hash of the section afterwards.
type Change struct {
	Section Section
	Full    bool
	Upsert  []Item
	Remove  []string
	Hash    [32]byte
}

// HashItems returns the hash of a section: SHA-256 over the items in order of
// their keys, each as key, number of facts, and the facts in order of their
// names, every text preceded by its length as an unsigned varint. The order of
// the argument does not matter; a repeated key counts with its last value.
func HashItems(items []Item) [32]byte {
	byKey := make(map[string]Item, len(items))
	for _, it := range items {
		byKey[it.Key] = it
	}
	h := sha256.New()
	var buf []byte
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		facts := byKey[key].Facts
		buf = appendText(buf[:0], key)
		buf = binary.AppendUvarint(buf, uint64(len(facts)))
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			buf = appendText(appendText(buf, name), facts[name])
		}
		h.Write(buf)
	}
	return [32]byte(h.Sum(nil))
}

// Diff returns the change from before to after; ok is false when they are equal.
func Diff(section Section, before, after []Item) (change Change, ok bool) {
	old := make(map[string]Item, len(before))
	for _, it := range before {
		old[it.Key] = it
	}
	change = Change{Section: section, Hash: HashItems(after)}
	seen := make(map[string]bool, len(after))
	for _, it := range after {
		if seen[it.Key] {
			continue
		}
		seen[it.Key] = true
		if was, had := old[it.Key]; !had || !was.Equal(it) {
			change.Upsert = append(change.Upsert, it)
		}
	}
	for _, it := range before {
		if !seen[it.Key] {
			seen[it.Key] = true
			change.Remove = append(change.Remove, it.Key)
		}
	}
	return change, len(change.Upsert)+len(change.Remove) > 0
}

// Apply returns the picture after the change, in order of keys, and whether
// its hash is the one the change promised.
func (c Change) Apply(before []Item) (after []Item, ok bool) {
	byKey := make(map[string]Item, len(before)+len(c.Upsert))
	if !c.Full {
		for _, it := range before {
			byKey[it.Key] = it
		}
	}
	for _, key := range c.Remove {
		delete(byKey, key)
	}
	for _, it := range c.Upsert {
		byKey[it.Key] = it
	}
	after = make([]Item, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		after = append(after, byKey[key])
	}
	return after, HashItems(after) == c.Hash
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
