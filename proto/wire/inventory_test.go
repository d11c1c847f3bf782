package wire_test

import (
	"encoding/hex"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
)

func items() *rapid.Generator[[]wire.Item] {
	item := rapid.Custom(func(t *rapid.T) wire.Item {
		return wire.Item{
			Key:   rapid.StringMatching(`[a-f]{1,2}`).Draw(t, "key"),
			Facts: rapid.MapOfN(rapid.StringMatching(`[a-c]`), rapid.StringN(0, 4, 8), 0, 3).Draw(t, "facts"),
		}
	})
	return rapid.SliceOfNDistinct(item, 0, 12, func(i wire.Item) string { return i.Key })
}

func TestDiffThenApplyGivesTheSamePicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := items().Draw(t, "before"), items().Draw(t, "after")
		change, changed := wire.Diff(wire.SectionSoftware, before, after)
		got, ok := change.Apply(before)
		if !ok || wire.HashItems(got) != wire.HashItems(after) {
			t.Fatalf("applied %v to %v: got %v, want %v", change, before, got, after)
		}
		if changed == (wire.HashItems(before) == wire.HashItems(after)) {
			t.Fatalf("changed=%v but hashes say otherwise", changed)
		}
	})
}

func TestApplyNoticesAMissedChange(t *testing.T) {
	a := []wire.Item{{Key: "x", Facts: map[string]string{"version": "1"}}}
	b := append(slices.Clone(a), wire.Item{Key: "y"})
	c := append(slices.Clone(b), wire.Item{Key: "z"})
	change, _ := wire.Diff(wire.SectionSoftware, b, c)
	if _, ok := change.Apply(a); ok {
		t.Fatal("a change applied to the wrong picture was taken for right")
	}
}

// The golden value pins the bytes that agents in the field compute.
func TestHashItemsIsPinned(t *testing.T) {
	got := wire.HashItems([]wire.Item{
		{Key: "apt:bash", Facts: map[string]string{"version": "5.2", "arch": "amd64"}},
		{Key: "apt:apt", Facts: map[string]string{}},
	})
	const want = "766d7461fc6446ebbfb16e2fff98ac4c8c1da8a59fb2ab2618b17d5679e3efb3"
	if hex.EncodeToString(got[:]) != want {
		t.Fatalf("hash changed: %x", got)
	}
}
