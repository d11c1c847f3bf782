package spool

import (
	"errors"
	"strconv"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Errors that callers tell apart; others are failures of the disk.
var (
	// ErrFull: the disk has no room. Reports were dropped first; what was to
	// be written is not in the journal.
	ErrFull = errors.New("the disk is full")
	// ErrCorrupt: a stored value or the file is not what this package wrote.
	// The next Open sets the journal aside and makes a new one.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrNotHeld: the job is not held: never leased here, cancelled, dropped,
	// refused or started before.
	ErrNotHeld = errors.New("the job is not held")
	// ErrNotStarted: the job did not start or has ended.
	ErrNotStarted = errors.New("the job is not running")
	// ErrBehind: the server acknowledged events that this journal never had,
	// so the journal is an older copy of itself; see Journal.Renumber.
	ErrBehind = errors.New("the journal is older than what the server holds of it")
	// ErrLimit: a message passes a limit of the protocol and changed nothing.
	ErrLimit = errors.New("over the limit")
	// ErrInUse: another process holds the journal.
	ErrInUse = errors.New("another agent process uses the journal")
)

// Key names one attempt of one job; it is used once.
type Key struct {
	JobID   string `json:"job"`
	Attempt uint32 `json:"attempt"`
}

// String returns job:attempt, the id of the lease in the protocol.
func (k Key) String() string { return k.JobID + ":" + strconv.FormatUint(uint64(k.Attempt), 10) }

// Lease is a job as it came: opaque bytes (wire.Job) and their signature. Key
// is the envelope's word; whoever decodes the bytes compares.
type Lease struct {
	Key
	Bytes      []byte `json:"bytes"`
	Signature  []byte `json:"signature"`
	KeyVersion uint32 `json:"key_version"`
}

// Cancel withdraws a lease. Reason is a code of the server.
type Cancel struct {
	Key
	Reason string `json:"reason,omitempty"`
}

// Settings narrow what the agent does. Zero means the agent's own.
type Settings struct {
	ReportInterval time.Duration `json:"report_interval,omitempty"`
	ScanInterval   time.Duration `json:"scan_interval,omitempty"`
}

// Desired is the full set of what the server wants of this device.
type Desired struct {
	Version  uint64
	Leases   []Lease
	Cancels  []Cancel
	Settings Settings
}

// Anchor ties the server's time to the boot clock: at the moment when the boot
// clock (time since boot, sleep included) of the boot BootID showed Boot, the
// server's time was Server.
type Anchor struct {
	Server time.Time     `json:"server"`
	Boot   time.Duration `json:"boot"`
	BootID string        `json:"boot_id"`
}

// Server is what the journal knows of the server.
type Server struct {
	Epoch          string // last seen; "" before the first session
	Anchor         Anchor // zero before the first session
	DesiredVersion uint64 // journaled
	Settings       Settings
}

// State is how far a job is on this device.
type State string

// The states of a job. Refused and cancelled jobs are finished.
const (
	StateAccepted  State = "accepted"  // held, not started
	StateStarted   State = "started"   // journaled: past the point of no return
	StateRebooting State = "rebooting" // started, and the machine restarts for it
	StateFinished  State = "finished"
)

// JobState is the state of a job whose events are not all acknowledged.
type JobState struct {
	Key
	State State
}

// Step is the kind of a JobEvent.
type Step string

// The steps of a job, as in the protocol.
const (
	StepAccepted        Step = "accepted"
	StepRefused         Step = "refused" // Code, Detail; ends the job here
	StepCancelJournaled Step = "cancel_journaled"
	StepStarted         Step = "started"  // Alone
	StepProgress        Step = "progress" // Source, Package, Phase
	StepResult          Step = "result"   // Source to Took
	StepLog             Step = "log"      // Source, Package, Part, Text
	StepFinished        Step = "finished" // Rescanned, Repaired
)

// JobEvent is one step of a job. Which fields count depends on the step.
type JobEvent struct {
	Key
	Step           Step             `json:"step"`
	AlreadyStarted bool             `json:"already_started,omitempty"` // cancel_journaled
	Alone          bool             `json:"alone,omitempty"`           // started
	Source         string           `json:"source,omitempty"`
	Package        string           `json:"package,omitempty"`
	Phase          string           `json:"phase,omitempty"` // downloading, installing, repairing
	From           string           `json:"from,omitempty"`
	To             string           `json:"to,omitempty"` // installed afterwards, by re-scan
	State          wire.ResultState `json:"state,omitempty"`
	Code           string           `json:"code,omitempty"` // wire.Refusal, or the source's code
	Detail         string           `json:"detail,omitempty"`
	ExitCode       int32            `json:"exit_code,omitempty"`
	RebootRequired bool             `json:"reboot_required,omitempty"`
	Took           time.Duration    `json:"took,omitempty"`
	Part           uint32           `json:"part,omitempty"` // log, from 1 in each step
	Text           string           `json:"text,omitempty"`
	Rescanned      bool             `json:"rescanned,omitempty"`
	Repaired       bool             `json:"repaired,omitempty"`
}

// InventoryEvent is one part of a change of a section. A change that does not
// fit one message comes in several: Full is set on the first only, Final on the
// last, and Hash is of the section after all of them. A change without items
// says that a scan at ScannedAt found the section as it was.
type InventoryEvent struct {
	Section   wire.Section `json:"section"`
	Full      bool         `json:"full,omitempty"`
	Upsert    []wire.Item  `json:"upsert,omitempty"`
	Remove    []string     `json:"remove,omitempty"`
	Hash      [32]byte     `json:"hash"`
	Final     bool         `json:"final,omitempty"`
	ScannedAt time.Time    `json:"scanned_at,omitzero"`
	Cause     string       `json:"cause,omitempty"`
}

// Event is what must not be lost. Seq is counted from 1 in this journal; one of
// Job and Inventory is set.
type Event struct {
	Seq       uint64          `json:"seq"`
	At        time.Time       `json:"at"`
	Job       *JobEvent       `json:"job,omitempty"`
	Inventory *InventoryEvent `json:"inventory,omitempty"`
}

// SectionHash is the hash of a section that the server confirmed.
type SectionHash struct {
	Section wire.Section
	Hash    [32]byte
}

// Value is one measured value of a series, in the signal's unit.
type Value struct {
	Signal     string
	Attributes map[string]string
	Value      float64
}

// Report is the values of one moment, in whole seconds.
type Report struct {
	At     time.Time
	Values []Value
}

// Held is a lease that has not started.
type Held struct {
	Lease
	AcceptedAt time.Time
}

// Release names a package of a source in a job.
type Release struct {
	Source  string `json:"source"`
	Package string `json:"package"`
}

// Unfinished is a job that started and has not ended: after a start of the
// agent, one that a crash or a reboot interrupted.
type Unfinished struct {
	Lease
	State     State // started or rebooting
	Alone     bool
	StartedAt time.Time
	Begun     []Release  // in order: something of them was told
	Results   []JobEvent // results told, in order
}

// Installed is a version of a package that this agent saw installed.
type Installed struct {
	Source, Package, Version string
}
