// Package session takes in what a device tells, each message once and in
// order: the effect and the highest number in one transaction; and composes
// what the server wants of the device. The gateway translates and calls it.
package session

import (
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// Machine is what tells one computer from another.
type Machine struct {
	Hostname  string
	Serial    string
	BoardUUID string
	OS        fleet.OS
	Arch      string
	TimeZone  string
}

// Hello opens a session.
type Hello struct {
	ProtocolMin, ProtocolMax int
	Device                   ident.DeviceID // a hint, checked against the certificate's key
	Tenant                   ident.TenantID // a hint
	Journal                  string
	Number                   uint64 // session_no
	Epoch                    string // of the server, last seen
	Confirmed                map[wire.Section][32]byte
	Unconfirmed              []JobState
	Leases                   []string // job:attempt
	DesiredVersion           uint64
	Clock                    time.Time
	CloneSecret              []byte
	AgentVersion             string
	Machine                  Machine
	NextEvent                uint64 // the first that is not acknowledged
	MayInstall               bool
	BundleVersion            uint64 // of the bundle that the device holds; 0: none
}

// Peer is what the certificate of a connection says.
type Peer struct {
	KeyHash [32]byte       // SHA-256 of its SPKI
	Tenant  ident.TenantID // a hint
	Device  ident.DeviceID // a hint
	Trusted bool           // a chain to the root, not expired
}

// JobState is what a device holds of a job whose events are not all acknowledged.
type JobState struct {
	Job     ident.JobID
	Attempt int
	State   string
}

// Welcome answers a Hello.
type Welcome struct {
	Protocol       int
	Now            time.Time
	Epoch          string
	EventsThrough  uint64
	DropLeases     []string
	WantFull       []wire.Section
	NextClone      []byte
	ReportsThrough time.Time
	ReportInterval time.Duration
	Bundle         []byte
}

// Event is what must not be lost; Number is counted from 1 per journal. One of
// Job and Inventory is set. With neither it is of a kind that this version does
// not know, or what it holds cannot be taken in (Malformed says why): it counts
// and has no effect, since the device would send it again for ever.
type Event struct {
	Number    uint64
	At        time.Time
	Job       *job.Step
	Inventory *InventoryChange
	Malformed error
}

// InventoryChange is one part of a change of a section; Final marks the last.
type InventoryChange struct {
	Change  wire.Change
	Final   bool
	Scanned time.Time
	Cause   string
}

// Outcome of taking in an event.
type Outcome struct {
	Through uint64         // highest contiguous number stored
	Resend  uint64         // when not 0: a gap, send again from here
	Want    []wire.Section // sections that did not add up: send them in full
}

// Series names a series for the rest of a session.
type Series struct {
	ID         uint32
	Signal     string
	Attributes map[string]string
}

// Report is the values of one moment, side by side with the ids of their series.
type Report struct {
	At     time.Time
	IDs    []uint32
	Values []float64
}

// Desired is the full set of what the server wants of a device.
type Desired struct {
	Version  uint64
	Leases   []job.Lease
	Cancels  []job.Cancel
	Settings Settings
}

// Settings narrow what an agent does.
type Settings struct {
	ReportInterval time.Duration
	ScanInterval   time.Duration
}

// Goodbye ends a session: why, and when to come again.
type Goodbye struct {
	Code       string // one of the constants below
	Reason     reason.Reason
	Message    string
	RetryAfter time.Duration
}

// The codes of a Goodbye, as the protocol has them.
const (
	ByeSuperseded = "superseded"
	ByeRevoked    = "revoked"
	ByeConflict   = "conflict"
	ByeRetired    = "retired"
	ByeLimit      = "limit"
	ByeShutdown   = "shutdown"
	ByeProtocol   = "protocol"
	ByeUnknown    = "unknown_device"
)
