// Package view is reading that joins nouns: rows of devices, a device's page,
// releases, customers, the overview, timelines and the filter language. Each
// number has its one definition here; API, console and CLI call the same
// functions. Nothing is written.
//
// Every read over tenants takes an ident.Scope and shows what lies in it,
// narrowed to named sites where the scope names them.
package view

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/telemetry"
)

// Limits of lists.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Store reads what is joined in SQL. Lists have at most Limit+1 rows, so that
// the caller knows whether there are more.
type Store interface {
	Devices(ctx context.Context, scope ident.Scope, q Query, after *Place) ([]DeviceRow, error)
	CountDevices(ctx context.Context, scope ident.Scope, q Query) (int, error)
	Updates(ctx context.Context, scope ident.Scope, q UpdateQuery, after []string) ([]UpdateRow, error)
	CountUpdates(ctx context.Context, scope ident.Scope, q UpdateQuery) (int, error)
	// Releases lists releases with the devices that have them, in each state.
	Releases(ctx context.Context, scope ident.Scope, q ReleaseQuery, after *Place) ([]ReleaseRow, error)
	// Counts sums devices and updates by tenant.
	Counts(ctx context.Context, scope ident.Scope, now time.Time) (map[ident.TenantID]Counts, error)
	// Events lists a device's histories after the mark, newest first.
	Events(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, after Mark, limit int) ([]Event, error)
	// Find says what an id names and where; kind is "" when it names nothing
	// that the scope covers.
	Find(ctx context.Context, scope ident.Scope, id string) (kind Kind, tenant ident.TenantID, err error)
}

// Fleet answers for tenants, sites and devices; *fleet.Service is it.
type Fleet interface {
	Tenants(ctx context.Context) ([]fleet.Tenant, error)
	Tenant(ctx context.Context, id ident.TenantID) (fleet.Tenant, error)
	Sites(ctx context.Context, tenant ident.TenantID) ([]fleet.Site, error)
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error)
}

// Inventory answers what a device is; *inventory.Service is it.
type Inventory interface {
	Sections(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]inventory.Section, error)
}

// Policies answers what was decided; *policy.Service is it.
type Policies interface {
	Documents(ctx context.Context, tenant ident.TenantID) ([]policy.Document, error)
	Decisions(ctx context.Context, tenant ident.TenantID) ([]policy.Manually, error)
}

// Updates answers what is true of a device's updates; *patch.Service is it.
type Updates interface {
	Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]patch.Update, error)
}

// Deployments answers which releases are under way; *deployment.Service is it.
type Deployments interface {
	// List lists deployments, newest first.
	List(ctx context.Context, scope ident.Scope, f deployment.Filter, cursor string, limit int) ([]deployment.Deployment, string, error)
	// Plan lists the openings to come of a tenant's windows, soonest first.
	Plan(ctx context.Context, now time.Time, tenant ident.TenantID, days int) ([]deployment.Planned, error)
}

// Samples answers what was measured last; *telemetry.Service is it.
type Samples interface {
	Latest(tenant ident.TenantID, device ident.DeviceID) []telemetry.Reading
}

// Record answers what was done; *audit.Service is it.
type Record interface {
	List(ctx context.Context, scope ident.Scope, f audit.Filter, cursor ident.EntryID, limit int) ([]audit.Listed, ident.EntryID, error)
}

// Options are what a Service needs. Deployments, Samples and Record may be
// nil: what they tell is then left out.
type Options struct {
	Store       Store
	Fleet       Fleet
	Inventory   Inventory
	Policies    Policies
	Updates     Updates
	Deployments Deployments
	Samples     Samples
	Record      Record
}

// Service reads.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Kind is what an id can name.
type Kind string

// The kinds that Lookup knows.
const (
	KindDevice     Kind = "device"
	KindJob        Kind = "job"
	KindRun        Kind = "run"
	KindDeployment Kind = "deployment"
	KindEnrollment Kind = "enrollment"
)

func clampLimit(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return min(n, MaxLimit)
}
