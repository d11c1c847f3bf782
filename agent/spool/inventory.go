package spool

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// picture is the last one told of a section. Forgotten: the server does not
// have it, so the next change is a full one.
type picture struct {
	Items     []wire.Item `json:"items"`
	Hash      [32]byte    `json:"hash"`
	ScannedAt time.Time   `json:"scanned_at,omitzero"`
	Cause     string      `json:"cause,omitempty"`
	Forgotten bool        `json:"forgotten,omitempty"`
}

// confirmation is the hash of a section whose change was acknowledged.
type confirmation struct {
	Hash [32]byte `json:"hash"`
}

// Sizes of the parts of a change. Bytes are counted as the protocol writes
// them, generously, well below wire.MaxMessage.
const (
	maxChunkBytes   = 160 << 10
	bytesPerText    = 6
	maxUnsentEvents = 512 // inventory events that wait; above, changes are gathered
)

// RecordInventory tells what a scan found in a section: it appends the
// difference from the last picture told, in parts, and keeps the picture, in
// one transaction. told is false when there was nothing to tell, or when so
// many changes wait for the server that this one is gathered into a later one.
// For updates and software a new time of the scan is told by a change without
// items. Items beyond the limits of the protocol are left out, the last keys
// first; of a repeated key the last item counts.
func (j *Journal) RecordInventory(at time.Time, section wire.Section, items []wire.Item, scannedAt time.Time, cause string) (told bool, err error) {
	if !slices.Contains(wire.Sections(), section) {
		return false, fmt.Errorf("journal: inventory section %q is not one of the protocol's", section)
	}
	items, scannedAt = fit(section, items), clean(scannedAt)
	err = j.update("inventory", func(c *change) error {
		told = false
		last, had, err := read[picture](c, bucketSections, string(section))
		if err != nil || c.meta.UnsentInventory >= maxUnsentEvents {
			return err
		}
		now := picture{Items: items, ScannedAt: scannedAt, Cause: cause}
		full := !had || last.Forgotten
		if full {
			last.Items = nil
		}
		diff, differs := wire.Diff(section, last.Items, items)
		diff.Full, now.Hash = full, diff.Hash
		rescanned := (section == wire.SectionUpdates || section == wire.SectionSoftware) && !scannedAt.Equal(last.ScannedAt)
		if !differs && !full && !rescanned {
			return nil
		}
		told = true
		return c.tell(at, diff, now)
	})
	return told, err
}

// Picture returns the items of a section as they were told last; none before
// the first.
func (j *Journal) Picture(section wire.Section) (items []wire.Item, err error) {
	err = j.b.view(func(t tx) error {
		last, _, err := read[picture](t, bucketSections, string(section))
		items = last.Items
		return err
	})
	return items, err
}

// ForgetSection notes that the server does not have the section: the next
// RecordInventory of it is a full one, and its hash is no longer confirmed.
func (j *Journal) ForgetSection(section wire.Section) error {
	return j.update("forget", func(c *change) error { return c.forget(section) })
}

// ResendSection tells the last picture of a section in full at once, without a
// new scan. told is false when there is no picture yet.
func (j *Journal) ResendSection(at time.Time, section wire.Section) (told bool, err error) {
	err = j.update("resend", func(c *change) error {
		last, had, err := read[picture](c, bucketSections, string(section))
		told = had
		if err != nil || !had {
			return err
		}
		diff, _ := wire.Diff(section, nil, last.Items)
		diff.Full, last.Forgotten = true, false
		if err := c.delete(bucketConfirmed, string(section)); err != nil {
			return err
		}
		return c.tell(at, diff, last)
	})
	return told, err
}

func (c *change) forgetAll() error {
	for _, section := range wire.Sections() {
		if err := c.forget(section); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) forget(section wire.Section) error {
	if err := c.delete(bucketConfirmed, string(section)); err != nil {
		return err
	}
	last, had, err := read[picture](c, bucketSections, string(section))
	if err != nil || !had || last.Forgotten {
		return err
	}
	last.Forgotten = true
	return write(c, bucketSections, string(section), last)
}

// tell appends a change in parts and keeps the picture it leads to.
func (c *change) tell(at time.Time, diff wire.Change, now picture) error {
	for _, part := range split(diff) {
		part.ScannedAt, part.Cause = now.ScannedAt, now.Cause
		if _, err := c.append(at, Event{Inventory: &part}); err != nil {
			return err
		}
	}
	return write(c, bucketSections, string(diff.Section), now)
}

// split cuts a change into parts that fit a message; at least one.
func split(diff wire.Change) []InventoryEvent {
	parts := []InventoryEvent{{Section: diff.Section, Full: diff.Full, Hash: diff.Hash}}
	count, size := 0, 0
	room := func(bytes int) *InventoryEvent {
		if count > 0 && (count == wire.MaxChunkItems || size+bytes > maxChunkBytes) {
			parts = append(parts, InventoryEvent{Section: diff.Section, Hash: diff.Hash})
			count, size = 0, 0
		}
		count, size = count+1, size+bytes
		return &parts[len(parts)-1]
	}
	for _, key := range diff.Remove {
		p := room(len(key) + bytesPerText)
		p.Remove = append(p.Remove, key)
	}
	for _, it := range diff.Upsert {
		p := room(itemBytes(it))
		p.Upsert = append(p.Upsert, it)
	}
	parts[len(parts)-1].Final = true
	return parts
}

func itemBytes(it wire.Item) int {
	n := len(it.Key) + bytesPerText
	for name, value := range it.Facts {
		n += len(name) + len(value) + 3*bytesPerText
	}
	return n
}

// fit brings items within the limits of the protocol, in order of their keys.
func fit(section wire.Section, items []wire.Item) []wire.Item {
	byKey := make(map[string]wire.Item, len(items))
	for _, it := range items {
		it.Key = cut(it.Key)
		it.Facts = fitFacts(it.Facts)
		byKey[it.Key] = it
	}
	limit := wire.MaxOtherItems
	switch section {
	case wire.SectionSoftware:
		limit = wire.MaxSoftware
	case wire.SectionUpdates:
		limit = wire.MaxUpdates
	}
	out := make([]wire.Item, 0, min(limit, len(byKey)))
	size := 0
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		size += itemBytes(byKey[key])
		if len(out) == limit || size > wire.MaxInventory*9/10 {
			break
		}
		out = append(out, byKey[key])
	}
	return out
}

func fitFacts(facts map[string]string) map[string]string {
	out := make(map[string]string, len(facts))
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if value := cut(facts[name]); value != "" && len(out) < wire.MaxFacts {
			out[cut(name)] = value
		}
	}
	return out
}

// cut makes a text valid and at most wire.MaxText bytes long.
func cut(s string) string {
	// The server cleans what it takes in; a hash over anything else never adds up.
	s = wire.Clean(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= wire.MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:wire.MaxText], "")
}
