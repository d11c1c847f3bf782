package storetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func service(s *store.Store) *inventory.Service {
	return inventory.New(inventory.Options{Store: s.Inventory(), Catalogue: s.Inventory(), Tx: s.Tx})
}

func offered(pkg, version string) wire.Item {
	return wire.Item{Key: "apt:" + pkg, Facts: map[string]string{wire.FactSource: "apt", wire.FactPackage: pkg,
		wire.FactInstalled: "1.0", wire.FactAvailable: version, wire.FactKind: "security"}}
}

func take(t *testing.T, s *store.Store, inv *inventory.Service, when time.Time, c wire.Change, final bool) bool {
	t.Helper()
	var ok bool
	write(t, s, func(ctx context.Context) (err error) {
		ok, err = inv.Take(ctx, when, "acme", "d1", inventory.Part{Change: c, Final: final, Scanned: when})
		return err
	})
	return ok
}

func TestInventoryFollowsChangesAndKeepsTheirHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, inv := context.Background(), service(s)
		enroll(t, s, "acme", "d1")
		first := []wire.Item{offered("bash", "2"), offered("curl", "3")}
		full, _ := wire.Diff(wire.SectionUpdates, nil, first)
		full.Full = true
		if !take(t, s, inv, at, full, true) {
			t.Fatal("the first picture did not add up")
		}
		second := []wire.Item{offered("bash", "2.1"), offered("zlib", "1")}
		delta, _ := wire.Diff(wire.SectionUpdates, first, second)
		if !take(t, s, inv, at.Add(time.Hour), delta, true) {
			t.Fatal("the change did not add up")
		}
		if take(t, s, inv, at.Add(2*time.Hour), wire.Change{Section: wire.SectionUpdates, Upsert: []wire.Item{offered("x", "1")}}, true) {
			t.Fatal("a change with a wrong hash was taken")
		}
		scan, err := inv.Scan(ctx, "acme", "d1")
		if err != nil || len(scan.Updates) != 2 || scan.Updates[0].Available != "2.1" || !scan.At.Equal(at.Add(time.Hour)) {
			t.Fatalf("%+v, %v", scan, err)
		}
		history, err := inv.History(ctx, "acme", "d1", 0, 10)
		if err != nil || len(history) != 3 || history[0].Key != "apt:curl" || history[0].After != nil || history[0].Seq != 3 {
			t.Fatalf("%+v, %v", history, err)
		}
		rel, found, err := inv.Release(ctx, "apt", "bash", "2")
		if err != nil || !found || !rel.FirstSeen.Equal(at) || rel.Kind != inventory.Security {
			t.Errorf("%+v, %v, %v", rel, found, err)
		}
		if other, err := inv.Scan(ctx, "other", "d1"); err != nil || len(other.Updates) != 0 {
			t.Errorf("another tenant sees %+v, %v", other.Updates, err)
		}
	})
}

func TestInventoryInChunksIsAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		inv := service(s)
		enroll(t, s, "acme", "d1")
		var items []wire.Item
		for i := range 3 {
			items = append(items, offered(fmt.Sprint("p", i), "1"))
		}
		hash := wire.HashItems(items)
		for i, it := range items {
			c := wire.Change{Section: wire.SectionUpdates, Full: i == 0, Upsert: []wire.Item{it}, Hash: hash}
			if !take(t, s, inv, at, c, i == 2) {
				t.Fatalf("chunk %d", i)
			}
			got, err := s.Inventory().Items(context.Background(), "acme", "d1", wire.SectionUpdates)
			if err != nil || len(got) != map[bool]int{true: 3, false: 0}[i == 2] {
				t.Fatalf("after chunk %d: %d items, %v", i, len(got), err)
			}
		}
	})
}

func TestInventoryRefusesWhatPassesTheLimits(t *testing.T) {
	s := storetest.Open(t)
	inv := service(s)
	enroll(t, s, "acme", "d1")
	var items []wire.Item
	for i := range wire.MaxOtherItems + 1 {
		items = append(items, wire.Item{Key: fmt.Sprint(i)})
	}
	for name, c := range map[string]wire.Change{
		"unknown section": {Section: "nosuch"},
		"too many items":  {Section: wire.SectionDisks, Full: true, Upsert: items, Hash: wire.HashItems(items)},
		"an endless fact": {Section: wire.SectionDisks, Upsert: []wire.Item{{Key: "a", Facts: map[string]string{"x": string(make([]byte, 2000))}}}},
	} {
		err := s.Tx(context.Background(), func(ctx context.Context) error {
			_, err := inv.Take(ctx, at, "acme", "d1", inventory.Part{Change: c, Final: true})
			return err
		})
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooMany) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
