package fleet

import (
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Class is the sort of a computer.
type Class string

// The classes.
const (
	Workstation Class = "workstation"
	Laptop      Class = "laptop"
	Server      Class = "server"
)

// State is what Steward holds of a device. Online is a fact beside it.
type State string

// The states of a device. Retired is final.
const (
	Pending  State = "pending" // enrolled, no full inventory yet
	Active   State = "active"
	Stale    State = "stale"    // no contact: a server for 3 days, others for 14
	Conflict State = "conflict" // two machines use its key
	Revoked  State = "revoked"
	Retired  State = "retired"
)

// StaleAfter is how long without contact a device of the class stays active.
func StaleAfter(c Class) time.Duration {
	if c == Server {
		return 3 * 24 * time.Hour
	}
	return 14 * 24 * time.Hour
}

// OS is the operating system as the device reports it.
type OS struct {
	Family  string `json:"family"` // windows, macos, linux
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Device is one enrolled computer.
type Device struct {
	Tenant       ident.TenantID
	ID           ident.DeviceID
	Site         ident.SiteID
	Hostname     string
	Class        Class
	Tags         []string // sorted, without repeats
	State        State
	Reason       reason.Reason // of the state
	Since        time.Time     // of the state
	KeyHash      [32]byte      // SHA-256 of the SPKI of the key in use
	NextKeyHash  [32]byte      // of a renewed key that has not opened a session yet; zero: none
	Serial       string
	BoardUUID    string
	OS           OS
	Arch         string
	TimeZone     string // IANA as reported; "" is the site's
	AgentVersion string
	MayInstall   bool
	Enrollment   ident.EnrollmentID
	EnrolledAt   time.Time
	LastSeen     time.Time
	Online       bool
	OnlineSince  time.Time // when Online last flipped
}

// HasTag reports whether the device carries the tag.
func (d Device) HasTag(tag string) bool {
	for _, t := range d.Tags {
		if t == tag {
			return true
		}
	}
	return false
}

// MayConnect reports whether a session of the device may be opened.
func (d Device) MayConnect() bool {
	return d.State == Pending || d.State == Active || d.State == Stale || d.State == Conflict
}

// MayWork reports whether jobs may go to the device.
func (d Device) MayWork() bool { return d.State == Active || d.State == Stale }

// Presence is a stretch in which a device was in contact or not: one row per flip.
type Presence struct {
	Device ident.DeviceID
	At     time.Time
	Online bool
}
