// Package inventory keeps the current picture of each device, the history of
// its changes, and the catalogue of releases that all tenants share.
package inventory

import (
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
)

// Section is one part of a device's picture as it was last confirmed.
type Section struct {
	Name      wire.Section
	Items     []wire.Item // in order of keys
	Hash      [32]byte
	UpdatedAt time.Time // last change
	ScannedAt time.Time // last time the device looked, also without a change
}

// Update is one available step on one device, as its source told it.
type Update struct {
	Source    string `json:"source"`
	Package   string `json:"package"`
	Installed string `json:"installed_version"`
	Available string `json:"available_version"`
	Kind      Kind   `json:"kind"`
	Severity  string `json:"severity"`
	Origin    string `json:"origin,omitempty"`
	Held      bool   `json:"held"`
	Phased    bool   `json:"phased"`
	SizeBytes int64  `json:"size_bytes,omitempty"`
}

// Kind is the sort of an update.
type Kind string

// The kinds. Unknown is shown as unknown, never as harmless.
const (
	SecurityExploited Kind = "security-exploited"
	Security          Kind = "security"
	Definition        Kind = "definition"
	Quality           Kind = "quality"
	Preview           Kind = "preview"
	Feature           Kind = "feature"
	Driver            Kind = "driver"
	Firmware          Kind = "firmware"
	AppPatch          Kind = "app-patch"
	AppMinor          Kind = "app-minor"
	AppMajor          Kind = "app-major"
	Unknown           Kind = "unknown"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{SecurityExploited, Security, Definition, Quality, Preview, Feature, Driver, Firmware, AppPatch, AppMinor, AppMajor, Unknown}
}

// Release is one version of one package of one source, the same on all
// devices. Its clock starts when it is first seen anywhere.
type Release struct {
	Source    string
	Package   string
	Version   string
	Kind      Kind
	Severity  string
	FirstSeen time.Time
}

// As returns the release with the kind and severity that a tenant's own scan
// gives it. The catalogue is filled by devices of all tenants: when a release
// was first seen counts for everyone, what it is only by one's own sources.
func (r Release) As(kind Kind, severity string) Release {
	r.Kind, r.Severity = kind, severity
	return r
}

// Scan is what is known of a device's updates at one moment: what patch
// reconciles against.
type Scan struct {
	Tenant     ident.TenantID
	Device     ident.DeviceID
	At         time.Time // when the device asked its sources; zero: never
	Updates    []Update
	Installed  map[string]string // "source:package" → installed version, whole ones only
	Broken     map[string]string // "source:package" → why it is there but not whole
	RebootPend bool              // the machine wants a restart
	Sources    []Source
}

// Source is the state of one update source on a device.
type Source struct {
	Name        string
	Available   bool
	Why         string // when not available
	BusyWith    string // process that holds its lock; "" when free
	LastRefresh time.Time
}

// Change is a line of a device's inventory history.
type Change struct {
	Seq     int64
	At      time.Time
	Section wire.Section
	Key     string
	Before  map[string]string // nil: appeared
	After   map[string]string // nil: went away
}
