// Package patch holds what is true of each update on each device: one row per
// device and update with its state, the reason, since when, and its history.
// Reconcile is the only place that says verified or superseded.
package patch

import (
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/reason"
)

// State is where an update on a device stands.
type State string

// The states of an update on a device.
const (
	Available     State = "available"
	Approved      State = "approved"
	Denied        State = "denied"
	Waiting       State = "waiting"
	Scheduled     State = "scheduled"
	Downloading   State = "downloading"
	Installing    State = "installing"
	RebootPending State = "reboot_pending"
	Verified      State = "verified"
	Failed        State = "failed"
	Unknown       State = "unknown"
	Superseded    State = "superseded"
	Halted        State = "halted"
)

// Open reports whether the update is still to be installed or under way.
func (s State) Open() bool { return s != Verified && s != Superseded }

// UnderWay reports whether a job holds the update now.
func (s State) UnderWay() bool {
	return s == Downloading || s == Installing || s == RebootPending
}

// Release names a release: one version of one package of one source.
type Release struct {
	Source  string `json:"source"`
	Package string `json:"package"`
	Version string `json:"version"`
}

// Update is one step, installed version → available version, on one device.
type Update struct {
	Tenant    ident.TenantID
	Device    ident.DeviceID
	Release          // the available version
	Installed string // version on which the step starts
	Kind      inventory.Kind
	Severity  string
	Held      bool // pinned on the device
	Phased    bool // withheld by its source for now
	Offered   bool // the last scan offers it
	State     State
	Reason    reason.Reason
	Since     time.Time
	FirstSeen time.Time // on this device
	Tries     int       // attempts that ended failed
	LastError string    // of the last failed attempt
	LastTry   time.Time // end of the last attempt
	Job       ident.JobID
	Seq       int64 // of its last transition
}

// Transition is one change of state: a row of the update's history.
type Transition struct {
	Seq     int64 // per device
	Release Release
	From    State // "" when it appears
	To      State
	Reason  reason.Reason
	At      time.Time
}
