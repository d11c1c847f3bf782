package inventory

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
)

// Store keeps pictures, their history and the catalogue of releases.
type Store interface {
	// Sections lists what is known of a device without the items.
	Sections(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]Section, error)
	// Items lists the items of a section in order of keys.
	Items(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, section wire.Section) ([]wire.Item, error)
	// PutSection writes a section's hash and times.
	PutSection(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, s Section) error
	// ChangeItems writes and deletes items of a section; full deletes all
	// others first.
	ChangeItems(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, c wire.Change) error
	// AddHistory appends lines to the device's history.
	AddHistory(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, lines []Change) error
	// History lists lines before a number (0: from the newest), newest first.
	History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]Change, error)
}

// Catalogue keeps releases, shared by all tenants.
type Catalogue interface {
	// Release finds one.
	Release(ctx context.Context, source, pkg, version string) (Release, bool, error)
	// See records releases that were not known, keeping the first time of
	// those that were.
	See(ctx context.Context, releases []Release) error
}

// stage holds the chunks of a section until the last one came.
type stage struct {
	change wire.Change
	size   int // bytes of its texts
	since  time.Time
}
