package fleet

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/ident"
)

// TenantStore keeps tenants and sites. Tenants never lists ident.MSP.
type TenantStore interface {
	Tenants(ctx context.Context) ([]Tenant, error)
	PutTenant(ctx context.Context, t Tenant) error
	Sites(ctx context.Context, tenant ident.TenantID) ([]Site, error)
	PutSite(ctx context.Context, s Site) error
}

// DeviceStore keeps devices and when they were in contact.
type DeviceStore interface {
	// Devices lists a tenant's devices in order of id; of all tenants for "".
	Devices(ctx context.Context, tenant ident.TenantID) ([]Device, error)
	// Device finds one by id; with tenant "" wherever it is. found is false
	// when there is none.
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (d Device, found bool, err error)
	// PutDevice inserts or replaces the row.
	PutDevice(ctx context.Context, d Device) error
	// SetSeen moves last_seen of many devices forward.
	SetSeen(ctx context.Context, seen map[Ref]time.Time) error
	// AddPresence appends a flip of Online.
	AddPresence(ctx context.Context, tenant ident.TenantID, p Presence) error
	// Presence lists a tenant's flips from a time on, oldest first, and for
	// each device the last one before.
	Presence(ctx context.Context, tenant ident.TenantID, from time.Time) ([]Presence, error)
}

// Ref names a device.
type Ref struct {
	Tenant ident.TenantID
	Device ident.DeviceID
}

// Auditor records what people did.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
}
