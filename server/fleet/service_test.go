package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/wake"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	by  = ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya", Tenant: ident.MSP}
)

// recorder keeps the actions that were audited.
type recorder struct {
	mu      sync.Mutex
	actions []string
	fail    error
}

func (r *recorder) Record(_ context.Context, e audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.actions = append(r.actions, e.Action)
	return r.fail
}

type house struct {
	*fleet.Service
	store *store.Store
	audit *recorder
	hub   *wake.Hub
}

func on(t *testing.T, s *store.Store) *house {
	t.Helper()
	h := &house{store: s, audit: &recorder{}, hub: &wake.Hub{}}
	h.Service = fleet.New(fleet.Options{Tenants: s.Fleet(), Devices: s.Fleet(), Tx: s.Tx, After: s.After, Audit: h.audit, Wake: h.hub})
	if err := h.Load(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

func open(t *testing.T) *house {
	t.Helper()
	h := on(t, storetest.Open(t))
	for _, id := range []ident.TenantID{"acme", "other"} {
		if err := h.CreateTenant(ctx, now, by, fleet.Tenant{ID: id, TimeZone: "Europe/Paris"}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// enroll adds a device with a key of its own.
func (h *house) enroll(t *testing.T, tenant ident.TenantID, key byte, change func(*fleet.Device)) fleet.Device {
	t.Helper()
	d := fleet.Device{Tenant: tenant, Site: ident.MainSite, Hostname: fmt.Sprintf("pc-%d", key), Class: fleet.Server, KeyHash: [32]byte{key}}
	if change != nil {
		change(&d)
	}
	var out fleet.Device
	err := h.store.Tx(ctx, func(ctx context.Context) (err error) {
		out, err = h.Enroll(ctx, now, d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func machine(serial, board string) func(*fleet.Device) {
	return func(d *fleet.Device) { d.Serial, d.BoardUUID = serial, board }
}

func TestTenantsHaveASiteAndAreAudited(t *testing.T) {
	h := open(t)
	if err := h.CreateTenant(ctx, now, by, fleet.Tenant{ID: "acme", TimeZone: "UTC"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("twice: %v", err)
	}
	got, err := h.Tenant(ctx, "acme")
	if err != nil || got.Mode != fleet.Observe || got.Name != "acme" {
		t.Errorf("%+v, %v", got, err)
	}
	if sites, err := h.Sites(ctx, "acme"); err != nil || len(sites) != 1 || sites[0].ID != ident.MainSite {
		t.Errorf("sites %+v, %v", sites, err)
	}
	if err := h.SetMode(ctx, now, by, "acme", fleet.Live, "signed"); err != nil {
		t.Fatal(err)
	}
	if err := h.SetMode(ctx, now, by, "nobody", fleet.Live, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such tenant: %v", err)
	}
	if err := h.PutSite(ctx, now, by, fleet.Site{Tenant: "acme", ID: "lyon", Name: "Lyon"}); err != nil {
		t.Fatal(err)
	}
	if err := h.PutSite(ctx, now, by, fleet.Site{Tenant: "nobody", ID: "lyon", Name: "Lyon"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a site of nobody: %v", err)
	}
	if n := len(h.audit.actions); n != 4 {
		t.Errorf("audited %v", h.audit.actions)
	}
	if _, err := h.Tenant(ctx, ident.MSP); !fault.Is(err, fault.NotFound) {
		t.Errorf("the provider is a customer: %v", err)
	}
}

func TestNothingIsChangedWhenItCannotBeAudited(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	h.audit.fail = errors.New("no room")
	if _, err := h.Revoke(ctx, now, by, "acme", d.ID, "stolen"); err == nil {
		t.Fatal("revoked without a record")
	}
	if got, err := h.Device(ctx, "acme", d.ID); err != nil || got.State != fleet.Pending {
		t.Errorf("%s, %v", got.State, err)
	}
	if got, _ := h.ByKey(d.KeyHash); got.State != fleet.Pending {
		t.Errorf("memory says %s", got.State)
	}
}

func TestEnrollingTheSameMachineKeepsItsRow(t *testing.T) {
	h := open(t)
	first := h.enroll(t, "acme", 1, machine("S1", "U1"))
	again := h.enroll(t, "acme", 2, machine("S1", "U1"))
	if again.ID != first.ID || again.State != fleet.Pending {
		t.Errorf("%s, then %s (%s)", first.ID, again.ID, again.State)
	}
	if _, ok := h.ByKey(first.KeyHash); ok {
		t.Error("the replaced key is still known")
	}
	if elsewhere := h.enroll(t, "other", 3, machine("S1", "U1")); elsewhere.ID == first.ID {
		t.Error("a machine was found in another tenant")
	}
	if named := h.enroll(t, "acme", 4, func(d *fleet.Device) { d.Hostname = first.Hostname }); named.ID == first.ID {
		t.Error("the host name alone decided")
	}
	if _, err := h.Retire(ctx, now, by, "acme", first.ID, "sold"); err != nil {
		t.Fatal(err)
	}
	if sold := h.enroll(t, "acme", 5, machine("S1", "U1")); sold.ID == first.ID {
		t.Error("a retired device came back")
	}
	tagged := h.enroll(t, "acme", 6, func(d *fleet.Device) { d.Tags = []string{"b", "a", "b"} })
	if len(tagged.Tags) != 2 || !tagged.HasTag("a") || tagged.HasTag("c") {
		t.Errorf("tags %v", tagged.Tags)
	}
	if _, err := h.Service.Enroll(ctx, now, fleet.Device{Class: "toaster"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a class that is none: %v", err)
	}
}

func TestARenewedKeyReplacesTheOldOneWhenItIsUsed(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	next := [32]byte{2}
	if err := h.NextKey(ctx, now, "acme", d.ID, next); err != nil {
		t.Fatal(err)
	}
	for _, key := range [][32]byte{d.KeyHash, next} {
		if got, ok := h.ByKey(key); !ok || got.ID != d.ID {
			t.Errorf("key %x is not known", key[0])
		}
	}
	if _, ok := h.ByKey([32]byte{}); ok {
		t.Error("no key is somebody's")
	}
	if err := h.KeyUsed(ctx, "acme", d.ID, [32]byte{9}); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.ByKey(d.KeyHash); !ok {
		t.Error("a key that was never offered replaced the old one")
	}
	if err := h.KeyUsed(ctx, "acme", d.ID, next); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.ByKey(d.KeyHash); ok {
		t.Error("the old key is still good")
	}
	// What memory knows is what a fresh start reads.
	if got, ok := on(t, h.store).ByKey(next); !ok || got.ID != d.ID || got.KeyHash != next || got.NextKeyHash != ([32]byte{}) {
		t.Errorf("after a restart: %+v, %v", got, ok)
	}
}

func TestPeopleMoveDevicesAndMemoryFollows(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	hints, cancel := h.hub.Subscribe(fleet.DevicesTopic("acme"))
	defer cancel()
	steps := []struct {
		do      func() (fleet.Device, error)
		want    fleet.State
		connect bool
		work    bool
	}{
		{func() (fleet.Device, error) {
			return h.Transition(ctx, now, "acme", d.ID, fleet.Active, reason.New(reason.DeviceInventory), ident.Steward("session"))
		}, fleet.Active, true, true},
		{func() (fleet.Device, error) { return h.Revoke(ctx, now, by, "acme", d.ID, "stolen") }, fleet.Revoked, false, false},
		{func() (fleet.Device, error) { return h.Readmit(ctx, now, by, "acme", d.ID, "found") }, fleet.Active, true, true},
		{func() (fleet.Device, error) {
			return h.Transition(ctx, now, "acme", d.ID, fleet.Conflict, reason.New(reason.DeviceConflict), ident.Steward("session"))
		}, fleet.Conflict, true, false},
		{func() (fleet.Device, error) { return h.Retire(ctx, now, by, "acme", d.ID, "sold") }, fleet.Retired, false, false},
	}
	for _, step := range steps {
		got, err := step.do()
		if err != nil || got.State != step.want {
			t.Fatalf("%s: %s, %v", step.want, got.State, err)
		}
		known, ok := h.ByKey(d.KeyHash)
		if !ok || known.State != step.want || known.MayConnect() != step.connect || known.MayWork() != step.work {
			t.Errorf("memory: %s, connect %v, work %v", known.State, known.MayConnect(), known.MayWork())
		}
		select {
		case <-hints:
		default:
			t.Errorf("%s: nobody was told", step.want)
		}
	}
	if _, err := h.Readmit(ctx, now, by, "acme", d.ID, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("readmitted from retirement: %v", err)
	}
	if _, err := h.Revoke(ctx, now, by, "other", d.ID, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("through another tenant: %v", err)
	}
	if got, err := h.Find(ctx, d.ID); err != nil || got.Tenant != "acme" {
		t.Errorf("find: %+v, %v", got, err)
	}
}

func TestReportWritesOnlyWhatChanged(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	hints, cancel := h.hub.Subscribe(fleet.DevicesTopic("acme"))
	defer cancel()
	facts := fleet.Facts{Hostname: "renamed", AgentVersion: "2", OS: fleet.OS{Family: "linux"}}
	if err := h.Report(ctx, "acme", d.ID, facts); err != nil {
		t.Fatal(err)
	}
	<-hints
	if err := h.Report(ctx, "acme", d.ID, facts); err != nil {
		t.Fatal(err)
	}
	select {
	case <-hints:
		t.Error("the same facts woke everybody")
	default:
	}
	if got, err := h.Device(ctx, "acme", d.ID); err != nil || got.Hostname != "renamed" || got.OS.Family != "linux" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSeenIsWrittenInBatchesAndNeverGoesBack(t *testing.T) {
	h := open(t)
	const devices = 30
	var all []fleet.Device
	for key := range byte(devices) {
		all = append(all, h.enroll(t, "acme", key+1, nil))
	}
	later := now.Add(time.Hour)
	for _, d := range all {
		h.Seen(later, "acme", d.ID)
		h.Seen(now.Add(time.Minute), "acme", d.ID) // late
	}
	h.Seen(later, "acme", "nobody")
	if got, err := h.Device(ctx, "acme", all[0].ID); err != nil || !got.LastSeen.Equal(now) {
		t.Errorf("written at once: %v, %v", got.LastSeen, err)
	}
	if got, _ := h.ByKey(all[0].KeyHash); !got.LastSeen.Equal(later) {
		t.Errorf("memory says %v", got.LastSeen)
	}
	if err := h.RunOnce(ctx, later); err != nil {
		t.Fatal(err)
	}
	list, err := h.Devices(ctx, "acme")
	if err != nil || len(list) != devices {
		t.Fatalf("%d devices, %v", len(list), err)
	}
	for _, d := range list {
		if !d.LastSeen.Equal(later) {
			t.Errorf("%s was seen at %v", d.Hostname, d.LastSeen)
		}
	}
}

func TestSeenIsKeptWhenTheDatabaseFails(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	h.Seen(now.Add(time.Hour), "acme", d.ID)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := h.RunOnce(gone, now); err == nil {
		t.Fatal("written without a database")
	}
	if err := h.RunOnce(ctx, now); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Device(ctx, "acme", d.ID); err != nil || !got.LastSeen.Equal(now.Add(time.Hour)) {
		t.Errorf("%v, %v", got.LastSeen, err)
	}
}

func TestRunOnceMovesSilentDevicesAndThoseThatCameBack(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	if _, err := h.Transition(ctx, now, "acme", d.ID, fleet.Active, reason.New(reason.DeviceInventory), ident.Steward("session")); err != nil {
		t.Fatal(err)
	}
	silent := now.Add(fleet.StaleAfter(fleet.Server))
	if err := h.RunOnce(ctx, silent); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.ByKey(d.KeyHash); got.State != fleet.Stale {
		t.Fatalf("after the silence: %s", got.State)
	}
	h.Seen(silent.Add(time.Hour), "acme", d.ID)
	if err := h.RunOnce(ctx, silent.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.ByKey(d.KeyHash); got.State != fleet.Active {
		t.Errorf("back in contact: %s", got.State)
	}
}

func TestPresenceHasARowForEachFlip(t *testing.T) {
	h := open(t)
	d := h.enroll(t, "acme", 1, nil)
	flips := []bool{true, true, false, false, true}
	for i, online := range flips {
		when := now.Add(time.Duration(i+1) * time.Minute)
		do := h.Disconnected
		if online {
			do = h.Connected
		}
		if err := do(ctx, when, "acme", d.ID); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := h.Presence(ctx, "acme", now)
	if err != nil || len(rows) != 3 || !rows[0].Online || rows[1].Online || !rows[2].Online {
		t.Fatalf("%+v, %v", rows, err)
	}
	if got, err := h.Device(ctx, "acme", d.ID); err != nil || !got.Online || !got.OnlineSince.Equal(now.Add(5*time.Minute)) {
		t.Errorf("%+v, %v", got, err)
	}
	// The next process knows whom to expect back.
	if online := on(t, h.store).Online(); len(online) != 1 || online[0].Device != d.ID {
		t.Errorf("expects %+v", online)
	}
}
