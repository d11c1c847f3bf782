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
	NextEvent                uint64
	MayInstall               bool
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
// Job and Inventory is set.
type Event struct {
	Number    uint64
	At        time.Time
	Job       *job.Step
	Inventory *InventoryChange
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
	Code       string // superseded, revoked, conflict, retired, limit, shutdown, protocol, unknown_device
	Reason     reason.Reason
	Message    string
	RetryAfter time.Duration
}
