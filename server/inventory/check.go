package inventory

import (
	"slices"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
)

// limit is how many items a section may have.
func limit(s wire.Section) int {
	switch s {
	case wire.SectionSoftware:
		return wire.MaxSoftware
	case wire.SectionUpdates:
		return wire.MaxUpdates
	}
	return wire.MaxOtherItems
}

func checkPart(p Part) error {
	if !slices.Contains(wire.Sections(), p.Change.Section) {
		return fault.Invalidf("section", "%q is no section", p.Change.Section)
	}
	if n := len(p.Change.Upsert) + len(p.Change.Remove); n > 2*wire.MaxChunkItems {
		return fault.New(fault.TooMany, "section %s: %d items in one message, at most %d", p.Change.Section, n, wire.MaxChunkItems)
	}
	for _, it := range p.Change.Upsert {
		if len(it.Facts) > wire.MaxFacts || badText(it.Key) {
			return fault.Invalidf(string(p.Change.Section), "an item has a bad key or more than %d facts", wire.MaxFacts)
		}
		for name, value := range it.Facts {
			if badText(name) || len(value) > wire.MaxText || !utf8.ValidString(value) {
				return fault.Invalidf(string(p.Change.Section), "a fact of %q is too long or no text", it.Key)
			}
		}
	}
	return nil
}

func badText(s string) bool { return s == "" || len(s) > wire.MaxText || !utf8.ValidString(s) }

// sizeOf is the bytes of a change's texts.
func sizeOf(c wire.Change) (size int) {
	for _, it := range c.Upsert {
		size += len(it.Key)
		for name, value := range it.Facts {
			size += len(name) + len(value)
		}
	}
	for _, key := range c.Remove {
		size += len(key)
	}
	return size
}

func checkSize(section wire.Section, items []wire.Item) error {
	if len(items) > limit(section) {
		return fault.New(fault.TooMany, "section %s has %d items, at most %d", section, len(items), limit(section))
	}
	if size := sizeOf(wire.Change{Upsert: items}); size > wire.MaxInventory {
		return fault.New(fault.TooMany, "section %s has %d bytes, at most %d", section, size, wire.MaxInventory)
	}
	return nil
}
