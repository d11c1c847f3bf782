package fleet

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/wake"
)

// Options are what a Service needs.
type Options struct {
	Tenants TenantStore
	Devices DeviceStore
	Tx      func(ctx context.Context, f func(ctx context.Context) error) error
	After   func(ctx context.Context, f func()) // runs f after the commit
	Audit   Auditor
	Wake    *wake.Hub
	// Changed is told of a tenant whose devices or settings changed, after the
	// commit; nil: nobody is.
	Changed func(tenant ident.TenantID)
	Log     *slog.Logger
}

// Service answers for tenants, sites and devices. Sessions look devices up by
// key in memory: revocation acts on the next message.
type Service struct {
	opts Options

	mu    sync.RWMutex
	keys  map[[32]byte]Ref // keys in use and renewed ones
	known map[Ref]Device   // as committed, with LastSeen kept fresher than the table
	dirty map[Ref]bool     // LastSeen not yet written
}

// New makes a Service; Load fills its memory.
func New(o Options) *Service {
	return &Service{opts: o, keys: map[[32]byte]Ref{}, known: map[Ref]Device{}, dirty: map[Ref]bool{}}
}

// Load reads all devices into memory.
func (s *Service) Load(ctx context.Context) error {
	devices, err := s.opts.Devices.Devices(ctx, "")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range devices {
		s.remember(d)
	}
	return nil
}

// remember makes d the known picture. The caller holds mu.
func (s *Service) remember(d Device) {
	ref := Ref{d.Tenant, d.ID}
	if old, ok := s.known[ref]; ok {
		delete(s.keys, old.KeyHash)
		delete(s.keys, old.NextKeyHash)
		if old.LastSeen.After(d.LastSeen) {
			d.LastSeen = old.LastSeen
		}
	}
	s.known[ref] = d
	s.keys[d.KeyHash] = ref
	if d.NextKeyHash != ([32]byte{}) {
		s.keys[d.NextKeyHash] = ref
	}
}

// ByKey finds the device of a key (SHA-256 of its SPKI) in memory.
func (s *Service) ByKey(hash [32]byte) (Device, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ref, ok := s.keys[hash]
	if !ok || hash == ([32]byte{}) {
		return Device{}, false
	}
	return s.known[ref], true
}

// Known is the memory's picture of a device.
func (s *Service) Known(tenant ident.TenantID, id ident.DeviceID) (Device, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.known[Ref{tenant, id}]
	return d, ok
}

// Tenants lists all tenants but ident.MSP, in order of slug.
func (s *Service) Tenants(ctx context.Context) ([]Tenant, error) {
	return s.opts.Tenants.Tenants(ctx)
}

// Tenant finds a tenant; fault.NotFound when there is none.
func (s *Service) Tenant(ctx context.Context, id ident.TenantID) (Tenant, error) {
	all, err := s.opts.Tenants.Tenants(ctx)
	if err != nil {
		return Tenant{}, err
	}
	for _, t := range all {
		if t.ID == id {
			return t, nil
		}
	}
	return Tenant{}, fault.NotFoundf("there is no customer %q", id)
}

// CreateTenant makes a tenant with its site main.
func (s *Service) CreateTenant(ctx context.Context, now time.Time, by ident.Actor, t Tenant) error {
	if t.Mode == "" {
		t.Mode = Observe
	}
	if t.Name == "" {
		t.Name = string(t.ID)
	}
	if err := CheckTenant(t); err != nil {
		return err
	}
	t.CreatedAt, t.UpdatedAt = now, now
	return s.opts.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.Tenant(ctx, t.ID); err == nil {
			return fault.Conflictf("customer %q exists already", t.ID)
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := s.putTenant(ctx, t); err != nil {
			return err
		}
		main := Site{Tenant: t.ID, ID: ident.MainSite, Name: "Main", CreatedAt: now}
		if err := s.opts.Tenants.PutSite(ctx, main); err != nil {
			return err
		}
		return s.record(ctx, now, by, t.ID, "tenant.created", "", audit.Object{Kind: "tenant", ID: string(t.ID), Name: t.Name},
			map[string]string{"mode": string(t.Mode), "time_zone": t.TimeZone})
	})
}

// PutTenant changes a tenant's name, zone, mode and limit.
func (s *Service) PutTenant(ctx context.Context, now time.Time, by ident.Actor, t Tenant) error {
	if err := CheckTenant(t); err != nil {
		return err
	}
	return s.opts.Tx(ctx, func(ctx context.Context) error {
		old, err := s.Tenant(ctx, t.ID)
		if err != nil {
			return err
		}
		t.CreatedAt, t.UpdatedAt = old.CreatedAt, now
		if err := s.putTenant(ctx, t); err != nil {
			return err
		}
		return s.record(ctx, now, by, t.ID, "tenant.changed", "", audit.Object{Kind: "tenant", ID: string(t.ID), Name: t.Name},
			map[string]string{"mode": string(t.Mode), "time_zone": t.TimeZone, "changed_per_hour": t.Changed})
	})
}

// SetMode changes what Steward does for a tenant.
func (s *Service) SetMode(ctx context.Context, now time.Time, by ident.Actor, id ident.TenantID, mode Mode, why string) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	return s.opts.Tx(ctx, func(ctx context.Context) error {
		t, err := s.Tenant(ctx, id)
		if err != nil {
			return err
		}
		before := t.Mode
		t.Mode, t.UpdatedAt = mode, now
		if err := s.putTenant(ctx, t); err != nil {
			return err
		}
		return s.record(ctx, now, by, id, "tenant.mode", why, audit.Object{Kind: "tenant", ID: string(id), Name: t.Name},
			map[string]string{"from": string(before), "to": string(mode)})
	})
}

// Sites lists a tenant's sites in order of slug.
func (s *Service) Sites(ctx context.Context, tenant ident.TenantID) ([]Site, error) {
	return s.opts.Tenants.Sites(ctx, tenant)
}

// PutSite makes or changes a site.
func (s *Service) PutSite(ctx context.Context, now time.Time, by ident.Actor, site Site) error {
	if err := CheckSite(site); err != nil {
		return err
	}
	return s.opts.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.Tenant(ctx, site.Tenant); err != nil {
			return err
		}
		site.CreatedAt = now
		if err := s.opts.Tenants.PutSite(ctx, site); err != nil {
			return err
		}
		return s.record(ctx, now, by, site.Tenant, "site.changed", "", audit.Object{Kind: "site", ID: string(site.ID), Name: site.Name}, nil)
	})
}

func (s *Service) putTenant(ctx context.Context, t Tenant) error {
	s.opts.After(ctx, func() { s.told(t.ID) })
	return s.opts.Tenants.PutTenant(ctx, t)
}

// told wakes who waits for changes of the tenant.
func (s *Service) told(tenant ident.TenantID) {
	s.opts.Wake.Wake(DevicesTopic(tenant))
	if s.opts.Changed != nil {
		s.opts.Changed(tenant)
	}
}

func (s *Service) record(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, action, why string, obj audit.Object, detail map[string]string) error {
	return s.opts.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: action, Object: obj, Reason: why, Detail: detail})
}

// DevicesTopic is woken when a device of the tenant changed.
func DevicesTopic(tenant ident.TenantID) string { return "devices/" + string(tenant) }
