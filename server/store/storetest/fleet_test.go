package storetest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

// at is a fixed point of time with whole milliseconds, as stored.
var at = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// write runs one transaction that must commit.
func write(t *testing.T, s *store.Store, f func(ctx context.Context) error) {
	t.Helper()
	if err := s.Tx(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// enroll puts a tenant with its site main and a device into the store.
func enroll(t *testing.T, s *store.Store, tenant ident.TenantID, id ident.DeviceID) fleet.Device {
	t.Helper()
	d := fleet.Device{Tenant: tenant, ID: id, Site: ident.MainSite, Hostname: "Host-" + string(id), Class: fleet.Server, Tags: []string{"a", "b"},
		State: fleet.Active, Reason: reason.New(reason.DeviceInventory), Since: at, KeyHash: [32]byte{1, byte(len(id)), id[len(id)-1], tenant[0]},
		OS: fleet.OS{Family: "linux", Name: "Debian", Version: "12"}, EnrolledAt: at, LastSeen: at, OnlineSince: at}
	write(t, s, func(ctx context.Context) error {
		if err := s.Fleet().PutTenant(ctx, fleet.Tenant{ID: tenant, Name: string(tenant), TimeZone: "Europe/Paris", Mode: fleet.Live, CreatedAt: at, UpdatedAt: at}); err != nil {
			return err
		}
		if err := s.Fleet().PutSite(ctx, fleet.Site{Tenant: tenant, ID: ident.MainSite, Name: "Main", CreatedAt: at}); err != nil {
			return err
		}
		return s.Fleet().PutDevice(ctx, d)
	})
	return d
}

func TestFleetKeepsWhatWasPut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, f := context.Background(), s.Fleet()
		want := enroll(t, s, "acme", "d1")
		enroll(t, s, "other", "d2")
		got, found, err := f.Device(ctx, "acme", "d1")
		if err != nil || !found || !slices.Equal(got.Tags, want.Tags) || got.KeyHash != want.KeyHash || got.OS != want.OS || !got.Since.Equal(at) || got.Reason.Code != want.Reason.Code {
			t.Fatalf("got %+v, %v, %v", got, found, err)
		}
		if _, found, _ := f.Device(ctx, "other", "d1"); found {
			t.Error("another tenant's device was found")
		}
		if _, found, _ := f.Device(ctx, "", "d1"); !found {
			t.Error("a device was not found by its id alone")
		}
		all, err := f.Devices(ctx, "")
		if err != nil || len(all) != 2 {
			t.Errorf("%d devices, %v", len(all), err)
		}
		tenants, err := f.Tenants(ctx)
		if err != nil || len(tenants) != 2 || tenants[0].ID != "acme" {
			t.Errorf("tenants %+v, %v", tenants, err)
		}
	})
}

func TestLastSeenNeverGoesBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		d := enroll(t, s, "acme", "d1")
		later := at.Add(time.Hour)
		write(t, s, func(ctx context.Context) error {
			return s.Fleet().SetSeen(ctx, map[fleet.Ref]time.Time{{Tenant: "acme", Device: "d1"}: later})
		})
		write(t, s, func(ctx context.Context) error { return s.Fleet().PutDevice(ctx, d) })
		write(t, s, func(ctx context.Context) error {
			return s.Fleet().SetSeen(ctx, map[fleet.Ref]time.Time{{Tenant: "acme", Device: "d1"}: at})
		})
		if got, _, err := s.Fleet().Device(ctx, "acme", "d1"); err != nil || !got.LastSeen.Equal(later) {
			t.Errorf("last seen %v, %v", got.LastSeen, err)
		}
	})
}

func TestPresenceKnowsTheStateBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		for i, online := range []bool{true, false, true} {
			write(t, s, func(ctx context.Context) error {
				return s.Fleet().AddPresence(ctx, "acme", fleet.Presence{Device: "d1", At: at.Add(time.Duration(i) * time.Hour), Online: online})
			})
		}
		got, err := s.Fleet().Presence(context.Background(), "acme", at.Add(90*time.Minute))
		if err != nil || len(got) != 2 || got[0].Online || !got[1].Online {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}
