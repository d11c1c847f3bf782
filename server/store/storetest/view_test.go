package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/view"
)

// place puts tenants with two sites into the store.
func place(t *testing.T, s *store.Store, tenants ...ident.TenantID) {
	t.Helper()
	write(t, s, func(ctx context.Context) error {
		for _, id := range tenants {
			if err := s.Fleet().PutTenant(ctx, fleet.Tenant{ID: id, Name: "The " + string(id), TimeZone: "Europe/Paris", Mode: fleet.Live, CreatedAt: at, UpdatedAt: at}); err != nil {
				return err
			}
			for _, site := range []ident.SiteID{ident.MainSite, "north"} {
				if err := s.Fleet().PutSite(ctx, fleet.Site{Tenant: id, ID: site, Name: string(site), TimeZone: "", CreatedAt: at}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// machine is device n of a fleet with all sorts.
func machine(n int) fleet.Device {
	tenants := []ident.TenantID{"acme", "bolt"}
	d := fleet.Device{Tenant: tenants[n%2], ID: ident.DeviceID(fmt.Sprintf("device-%04d", n)), Site: ident.MainSite, Hostname: fmt.Sprintf("PC-%02d", n%7),
		Class: []fleet.Class{fleet.Workstation, fleet.Laptop, fleet.Server}[n%3], Tags: []string{}, State: fleet.Active, Reason: reason.New(reason.DeviceInventory),
		Since: at, OS: fleet.OS{Family: []string{"windows", "macos", "linux"}[n%3], Name: "x", Version: "1"}, Serial: fmt.Sprintf("SN%d", n),
		KeyHash: [32]byte{9, byte(n >> 8), byte(n)}, EnrolledAt: at, LastSeen: at.Add(-time.Duration(n) * time.Hour), Online: n%4 == 0, OnlineSince: at}
	if n%5 == 0 {
		d.Site = "north"
	}
	if n%6 == 0 {
		d.Tags = []string{"fragile", "x-ray"}
	}
	if n%11 == 0 {
		d.State = fleet.Stale
	}
	return d
}

// lack gives the device one update.
func lack(t *testing.T, s *store.Store, d fleet.Device, pkg string, state patch.State, since time.Time) {
	t.Helper()
	u := patch.Update{Tenant: d.Tenant, Device: d.ID, Release: patch.Release{Source: "apt", Package: pkg, Version: "2"}, Installed: "1", Kind: inventory.Security,
		Severity: "high", Offered: true, State: state, Reason: reason.New(reason.InstallFailed, "error", pkg), Since: since, FirstSeen: since}
	write(t, s, func(ctx context.Context) error {
		return s.Patch().Put(ctx, u, &patch.Transition{Release: u.Release, To: state, Reason: u.Reason, At: since})
	})
}

func putDevices(t *testing.T, s *store.Store, devices ...fleet.Device) {
	t.Helper()
	write(t, s, func(ctx context.Context) error {
		for _, d := range devices {
			if err := s.Fleet().PutDevice(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// crowd is a store with 60 devices, some of which lack updates.
func crowd(t *testing.T, s *store.Store) []fleet.Device {
	t.Helper()
	place(t, s, "acme", "bolt")
	devices := make([]fleet.Device, 60)
	for n := range devices {
		devices[n] = machine(n)
	}
	putDevices(t, s, devices...)
	for n, d := range devices {
		for i := range n % 4 {
			lack(t, s, d, fmt.Sprintf("p%d", i), []patch.State{patch.Available, patch.Failed, patch.Approved}[i], at)
		}
	}
	return devices
}

func all() ident.Scope { return ident.NewScopeAll() }

func ask(t *testing.T, text string) view.Query {
	t.Helper()
	f, err := view.ParseFilter(text)
	if err != nil {
		t.Fatal(err)
	}
	return view.Query{Filter: f, Limit: 500, Now: at}
}

func TestFilterWordsMeanWhatTheySay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		devices := crowd(t, s)
		for text, holds := range map[string]func(n int, d fleet.Device) bool{
			"":                             func(int, fleet.Device) bool { return true },
			"os:linux":                     func(_ int, d fleet.Device) bool { return d.OS.Family == "linux" },
			"-os:linux,macos":              func(_ int, d fleet.Device) bool { return d.OS.Family == "windows" },
			"tag:x-ray":                    func(_ int, d fleet.Device) bool { return d.HasTag("x-ray") },
			"tag:x":                        func(int, fleet.Device) bool { return false },
			"updates>0":                    func(n int, _ fleet.Device) bool { return n%4 > 0 },
			"updates=2":                    func(n int, _ fleet.Device) bool { return n%4 == 2 },
			"updates<=1 class:server":      func(n int, d fleet.Device) bool { return n%4 <= 1 && d.Class == fleet.Server },
			"online:true":                  func(_ int, d fleet.Device) bool { return d.Online },
			"offline:10h":                  func(n int, d fleet.Device) bool { return !d.Online && n >= 10 },
			"state:stale":                  func(_ int, d fleet.Device) bool { return d.State == fleet.Stale },
			"site:north tenant:bolt":       func(_ int, d fleet.Device) bool { return d.Site == "north" && d.Tenant == "bolt" },
			"name:pc-03":                   func(_ int, d fleet.Device) bool { return d.Hostname == "PC-03" },
			"PC-03 fragile":                func(_ int, d fleet.Device) bool { return d.Hostname == "PC-03" && d.HasTag("fragile") },
			"sn17":                         func(n int, _ fleet.Device) bool { return n == 17 },
			"%":                            func(int, fleet.Device) bool { return false },
			"update:failed package:p1":     func(n int, _ fleet.Device) bool { return n%4 >= 2 },
			"-package:p0 source:apt":       func(int, fleet.Device) bool { return false },
			`name:"'; DROP TABLE devices"`: func(int, fleet.Device) bool { return false },
		} {
			q := ask(t, text)
			rows, err := s.View().Devices(context.Background(), all(), q, nil)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			want := 0
			got := map[ident.DeviceID]bool{}
			for _, r := range rows {
				got[r.ID] = true
			}
			for n, d := range devices {
				if holds(n, d) {
					want++
				}
				if holds(n, d) != got[d.ID] {
					t.Errorf("%q: device %d: listed %v", text, n, got[d.ID])
				}
			}
			if n, err := s.View().CountDevices(context.Background(), all(), q); err != nil || n != want || len(rows) != want {
				t.Errorf("%q: counted %d, listed %d, want %d, %v", text, n, len(rows), want, err)
			}
		}
	})
}

func TestADevicesRowSaysWhatItLacks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		devices := crowd(t, s)
		lack(t, s, devices[3], "old", patch.Verified, at.Add(-48*time.Hour))
		lack(t, s, devices[3], "new", patch.Verified, at.Add(-time.Hour))
		rows, err := s.View().Devices(context.Background(), all(), ask(t, "SN3"), nil)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		r := rows[0]
		if r.Available != 3 || r.Worst != patch.Failed || r.WorstReason.Args["error"] != "p1" || r.States[patch.Verified] != 1 || r.TenantName != "The bolt" ||
			r.SiteName != "main" || r.TimeZone != "Europe/Paris" || r.States.Word(view.WordNeeds) != 2 {
			t.Errorf("%+v", r)
		}
	})
}

func TestRetiredDevicesAreHiddenUnlessAskedFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		place(t, s, "acme", "bolt")
		gone, here := machine(2), machine(4)
		gone.State = fleet.Retired
		putDevices(t, s, gone, here)
		for text, want := range map[string]int{"": 1, "state:retired": 1, "state:retired,active": 2} {
			if n, err := s.View().CountDevices(context.Background(), all(), ask(t, text)); err != nil || n != want {
				t.Errorf("%q: %d, %v", text, n, err)
			}
		}
	})
}

func TestListsStayInsideTheScope(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		devices := crowd(t, s)
		ctx := context.Background()
		scopes := map[string]ident.Scope{
			"nobody": {}, "one": ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil}),
			"site": ident.NewScope(map[ident.TenantID][]ident.SiteID{"bolt": {"north"}, "acme": {"main", "nowhere"}}),
			"mix":  ident.NewScope(map[ident.TenantID][]ident.SiteID{"bolt": {"north"}, "acme": nil}), "all": all(),
		}
		for name, scope := range scopes {
			want, wantUpdates := 0, 0
			for n, d := range devices {
				if scope.HasSite(d.Tenant, d.Site) {
					want++
					wantUpdates += n % 4
				}
			}
			rows, err := s.View().Devices(ctx, scope, ask(t, ""), nil)
			updates, err2 := s.View().Updates(ctx, scope, view.UpdateQuery{Limit: 500}, nil)
			if err != nil || err2 != nil || len(rows) != want || len(updates) != wantUpdates {
				t.Errorf("%s: %d devices of %d, %d updates of %d, %v, %v", name, len(rows), want, len(updates), wantUpdates, err, err2)
			}
			for _, r := range rows {
				if !scope.HasSite(r.Tenant, r.Site) {
					t.Errorf("%s: saw %s/%s", name, r.Tenant, r.Site)
				}
			}
			counts, err := s.View().Counts(ctx, scope, at)
			if err != nil {
				t.Fatal(err)
			}
			devicesCounted, open := 0, 0
			for _, c := range counts {
				devicesCounted += c.Devices
				open += c.States.Open()
			}
			if devicesCounted != want || open != wantUpdates {
				t.Errorf("%s: counted %d devices and %d updates", name, devicesCounted, open)
			}
			kind, tenant, err := s.View().Find(ctx, scope, string(devices[5].ID)) // bolt, north
			if err != nil || (kind == view.KindDevice && tenant == "bolt") != scope.HasSite("bolt", "north") {
				t.Errorf("%s: found %q in %q, %v", name, kind, tenant, err)
			}
		}
	})
}

func TestPagesTogetherAreTheWholeWhileRowsComeIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		devices := crowd(t, s)
		service := view.New(view.Options{Store: s.View()})
		fresh := 1000
		rapid.Check(t, func(t *rapid.T) {
			q := view.Query{Sort: rapid.SampledFrom(view.Sorts()).Draw(t, "sort"), Descending: rapid.Bool().Draw(t, "descending"),
				Limit: rapid.IntRange(1, 25).Draw(t, "limit"), Now: at}
			insert := rapid.IntRange(0, 3).Draw(t, "insert after page")
			seen := map[ident.DeviceID]bool{}
			for n := 0; ; n++ {
				rows, next, err := service.Devices(context.Background(), ident.NewScopeAll(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					if seen[r.ID] {
						t.Fatalf("%s came twice", r.ID)
					}
					seen[r.ID] = true
				}
				if n == insert && fresh < 1020 {
					fresh++
					d := machine(fresh)
					if err := s.Tx(context.Background(), func(ctx context.Context) error { return s.Fleet().PutDevice(ctx, d) }); err != nil {
						t.Fatal(err)
					}
				}
				if q.Cursor = next; next == "" {
					break
				}
			}
			for _, d := range devices {
				if !seen[d.ID] {
					t.Fatalf("%s was left out", d.ID)
				}
			}
		})
	})
}

func TestUpdatesAndReleasesInPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		crowd(t, s)
		ctx := context.Background()
		write(t, s, func(ctx context.Context) error {
			return s.Inventory().See(ctx, []inventory.Release{
				{Source: "apt", Package: "p0", Version: "2", Kind: inventory.Feature, FirstSeen: at},
				{Source: "apt", Package: "p1", Version: "2", Kind: inventory.Security, Severity: "high", FirstSeen: at.Add(-time.Hour)},
				{Source: "apt", Package: "p2", Version: "2", Kind: inventory.Feature, FirstSeen: at},
			})
		})
		service := view.New(view.Options{Store: s.View()})
		var packages []string
		total := 0
		for q := (view.UpdateQuery{Limit: 7}); ; {
			rows, next, err := service.Updates(ctx, all(), q)
			if err != nil {
				t.Fatal(err)
			}
			total += len(rows)
			if q.Cursor = next; next == "" {
				break
			}
		}
		if n, err := service.CountUpdates(ctx, all(), view.UpdateQuery{}); err != nil || n != total || n != 90 {
			t.Errorf("%d updates in pages, counted %d, %v", total, n, err)
		}
		for q := (view.ReleaseQuery{Limit: 1, Now: at}); ; {
			rows, next, err := service.Releases(ctx, all(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				packages = append(packages, fmt.Sprintf("%s %d %s %d", r.Package, r.Devices, r.Choice, r.Tenants))
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		// p0 and p2 were first seen at the same time, p1 before.
		if want := []string{"p0 45 undecided 2", "p2 15 approved 1", "p1 30 approved 2"}; !slices.Equal(packages, want) {
			t.Errorf("%q", packages)
		}
		rows, _, err := service.Releases(ctx, all(), view.ReleaseQuery{Choice: view.Undecided, Now: at})
		if err != nil || len(rows) != 1 || rows[0].Package != "p0" {
			t.Errorf("%+v, %v", rows, err)
		}
		for _, q := range []view.ReleaseQuery{{State: patch.Failed}, {Package: "P1"}, {Kind: inventory.Security, Severity: "high", Source: "apt", Package: "p1"}} {
			q.Now = at
			if rows, _, err := service.Releases(ctx, all(), q); err != nil || len(rows) != 1 || rows[0].Package != "p1" {
				t.Errorf("%+v: %+v, %v", q, rows, err)
			}
		}
	})
}

func TestCursorsOfOtherListsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		crowd(t, s)
		service := view.New(view.Options{Store: s.View()})
		_, next, err := service.Devices(context.Background(), all(), view.Query{Limit: 1, Now: at})
		if err != nil || next == "" {
			t.Fatal(next, err)
		}
		for _, q := range []view.Query{{Cursor: "x"}, {Cursor: strings.Repeat("A", 5000)}, {Cursor: next, Sort: view.ByOS}, {Cursor: next, Descending: true}} {
			if _, _, err := service.Devices(context.Background(), all(), q); err == nil {
				t.Errorf("%+v was taken", q)
			}
		}
	})
}

func TestEventsInPagesOfOneDevice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		crowd(t, s)
		d := machine(4)
		for n := range 5 {
			lack(t, s, d, fmt.Sprintf("e%d", n), patch.Approved, at.Add(time.Duration(n/2)*time.Minute))
			write(t, s, func(ctx context.Context) error {
				if err := s.Fleet().AddPresence(ctx, d.Tenant, fleet.Presence{Device: d.ID, At: at.Add(time.Duration(n) * time.Minute), Online: n%2 == 0}); err != nil {
					return err
				}
				return s.Inventory().AddHistory(ctx, d.Tenant, d.ID, []inventory.Change{{At: at.Add(time.Minute), Section: "software", Key: fmt.Sprint(n), After: map[string]string{"a": "b"}}})
			})
		}
		service := view.New(view.Options{Store: s.View(), Fleet: fleet.New(fleet.Options{Tenants: s.Fleet(), Devices: s.Fleet()})})
		whole, _, err := service.Timeline(context.Background(), all(), d.Tenant, d.ID, "", 100)
		if err != nil || len(whole) != 15 {
			t.Fatalf("%d events, %v", len(whole), err)
		}
		for _, limit := range []int{1, 2, 4} {
			var got []view.Event
			for cursor := ""; ; {
				events, next, err := service.Timeline(context.Background(), all(), d.Tenant, d.ID, cursor, limit)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, events...)
				if cursor = next; next == "" {
					break
				}
			}
			if len(got) != len(whole) {
				t.Fatalf("limit %d: %d events", limit, len(got))
			}
			for i := range got {
				if got[i].Kind != whole[i].Kind || got[i].ID != whole[i].ID {
					t.Fatalf("limit %d: event %d is %s %s, want %s %s", limit, i, got[i].Kind, got[i].ID, whole[i].Kind, whole[i].ID)
				}
			}
		}
		if _, _, err := service.Timeline(context.Background(), ident.NewScope(map[ident.TenantID][]ident.SiteID{d.Tenant: {"north"}}), d.Tenant, d.ID, "", 10); err == nil {
			t.Error("a device of another site was shown")
		}
	})
}

// BenchmarkDevices is a list of 50 rows over 10,000 devices with 10 updates each.
func BenchmarkDevices(b *testing.B) {
	s := storetest.Open(b)
	ctx := context.Background()
	err := s.Tx(ctx, func(ctx context.Context) error {
		if err := s.Fleet().PutTenant(ctx, fleet.Tenant{ID: "acme", Name: "Acme", TimeZone: "UTC", Mode: fleet.Live}); err != nil {
			return err
		}
		if err := s.Fleet().PutTenant(ctx, fleet.Tenant{ID: "bolt", Name: "Bolt", TimeZone: "UTC", Mode: fleet.Live}); err != nil {
			return err
		}
		for _, t := range []ident.TenantID{"acme", "bolt"} {
			for _, site := range []ident.SiteID{"main", "north"} {
				if err := s.Fleet().PutSite(ctx, fleet.Site{Tenant: t, ID: site, Name: "x"}); err != nil {
					return err
				}
			}
		}
		for n := range 10_000 {
			d := machine(n)
			if err := s.Fleet().PutDevice(ctx, d); err != nil {
				return err
			}
			for i := range 10 {
				if err := s.Patch().Put(ctx, patch.Update{Tenant: d.Tenant, Device: d.ID, Release: patch.Release{Source: "apt", Package: fmt.Sprint("p", i), Version: "2"},
					State: patch.Available, Reason: reason.New(reason.NotApproved), Since: at, FirstSeen: at}, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, sort := range []view.Sort{view.ByName, view.ByLastSeen, view.ByUpdates} {
		for _, text := range []string{"", "os:windows updates>0 tag:fragile"} {
			b.Run(strings.TrimSpace(string(sort)+" "+text), func(b *testing.B) {
				f, err := view.ParseFilter(text)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := s.View().Devices(ctx, all(), view.Query{Filter: f, Sort: sort, Limit: 50, Now: at}, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("overview's counts", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.View().Counts(ctx, all(), at); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("releases", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.View().Releases(ctx, all(), view.ReleaseQuery{Limit: 50, Now: at}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
