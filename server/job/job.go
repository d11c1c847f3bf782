// Package job holds the unit of work for one device in one run: submitted (the
// only way), signed, leased to its agent, granted its start, followed to its
// end, or rescued when nothing is heard of it.
package job

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// State is where a job stands.
type State string

// The states of a job. Unknown is open: a late report closes it once. Every
// other end is final.
const (
	Queued         State = "queued"
	NeedsAgreement State = "needs_agreement"
	Leased         State = "leased"
	Running        State = "running"
	Cancelling     State = "cancelling" // withdrawn, not yet confirmed by the device
	Succeeded      State = "succeeded"
	Failed         State = "failed"
	Deferred       State = "deferred"
	Expired        State = "expired"
	Cancelled      State = "cancelled"
	Unknown        State = "unknown"
)

// Final reports whether nothing can change the state any more.
func (s State) Final() bool {
	switch s {
	case Succeeded, Failed, Deferred, Expired, Cancelled:
		return true
	}
	return false
}

// Held reports whether the device may hold a lease of a job in this state.
func (s State) Held() bool { return s == Leased || s == Running || s == Cancelling || s == Unknown }

// Kind is what a job does, by the names of the API.
type Kind string

// The kinds of this version.
const (
	Install Kind = "install"
	Scan    Kind = "scan"
)

// Run is one opening of a policy's window at one site.
type Run struct {
	Tenant    ident.TenantID
	ID        ident.RunID
	Policy    string
	Site      ident.SiteID
	LocalDate string // 2006-01-02 in the window's zone
	Opens     time.Time
	Closes    time.Time
	CreatedAt time.Time
	Counts    map[State]int // of its jobs; filled by Service.Run and Runs alone
}

// Release is one release in a job, with its result once it is known.
type Release struct {
	Deployment ident.DeploymentID
	Source     string
	Package    string
	From       string
	Version    string
	Expected   time.Duration
	Result     wire.ResultState // "" while open
	To         string           // installed afterwards, by the device's re-scan
	Reason     reason.Reason
	ExitCode   int
	EndedAt    time.Time
	Took       time.Duration
}

// Job is the unit of work for one device in one run.
type Job struct {
	Tenant     ident.TenantID
	ID         ident.JobID
	Run        ident.RunID
	Policy     string
	Site       ident.SiteID
	Device     ident.DeviceID
	Kind       Kind
	State      State
	Reason     reason.Reason
	Since      time.Time
	Seq        int64 // of its last transition
	Version    int64 // rises with every change of the row
	Attempt    int   // from 1
	Attempts   int   // at most, in this window
	NotBefore  time.Time
	StartBy    time.Time
	Deadline   time.Time
	Alone      bool
	MayReboot  bool
	Releases   []Release
	Denied     []wire.Denied
	Encoded    []byte // wire.Job of the present attempt, once leased
	Signature  []byte
	KeyVersion int
	CreatedAt  time.Time
	LeasedAt   time.Time // of the present attempt, as the next three
	GrantedAt  time.Time // when the server last said start; zero when it asked again since and was not let
	StartedAt  time.Time // by the device's report
	FinishedAt time.Time // told by the device, or else when it ended
	HeardAt    time.Time // last step told
	ChangedAt  time.Time // last grant or start of any attempt, for limits by the hour
}

// Has reports whether the job carries the deployment's release.
func (j Job) Has(d ident.DeploymentID) bool {
	for _, r := range j.Releases {
		if r.Deployment == d {
			return true
		}
	}
	return false
}

// Spec is what Submit makes a job of.
type Spec struct {
	Tenant    ident.TenantID
	Run       Run // found by (policy, site, opens) or made
	Device    ident.DeviceID
	Kind      Kind
	NotBefore time.Time
	StartBy   time.Time
	Deadline  time.Time
	Alone     bool
	MayReboot bool
	Attempts  int // tries in this window when the first fails; 0 is 1
	Releases  []Release
	Denied    []wire.Denied
	Reason    reason.Reason // zero: waits for NotBefore
}

// Verdict is the answer to a device that asks whether it may start.
type Verdict string

// The verdicts.
const (
	Start     Verdict = "start"
	Wait      Verdict = "wait"
	Withdrawn Verdict = "cancelled"
)

// Answer is a verdict with its reason and, for Wait, when to ask again.
type Answer struct {
	Verdict    Verdict
	Reason     reason.Reason
	RetryAfter time.Duration
}

// Gatekeeper decides at the moment of a lease and of a start; the wiring fills
// it with deployment. Both are called inside the granting transaction and see
// its state. A zero reason means yes.
type Gatekeeper interface {
	// MayLease reports why the job may not be leased now, or a zero reason.
	MayLease(ctx context.Context, now time.Time, j Job) (reason.Reason, error)
	// MayStart answers a device that asks.
	MayStart(ctx context.Context, now time.Time, j Job) (Answer, error)
}

// Step is one thing a device told of a job, in the order in which it happened.
type Step struct {
	Job     ident.JobID
	Attempt int
	At      time.Time // the device's clock, corrected by the session's offset
	Kind    StepKind
	// Of Refused and Result:
	Code   string
	Detail string
	// Of Started:
	Alone bool
	// Of CancelJournaled:
	AlreadyStarted bool
	// Of Progress, Result, Log:
	Source, Package string
	Phase           string // downloading, installing, repairing
	From, To        string
	Result          wire.ResultState
	ExitCode        int
	RebootRequired  bool
	Took            time.Duration
	// Of Log:
	Part int
	Text string
	// Of Finished:
	Rescanned, Repaired bool
}

// StepKind is the sort of a step.
type StepKind string

// The steps, as in the protocol.
const (
	StepAccepted        StepKind = "accepted"
	StepRefused         StepKind = "refused"
	StepCancelJournaled StepKind = "cancel_journaled"
	StepStarted         StepKind = "started"
	StepProgress        StepKind = "progress"
	StepResult          StepKind = "result"
	StepLog             StepKind = "log"
	StepFinished        StepKind = "finished"
)

// Lease is what a device gets to hold.
type Lease struct {
	Job        ident.JobID
	Attempt    int
	Encoded    []byte
	Signature  []byte
	KeyVersion int
}

// Cancel asks a device to let go of a lease.
type Cancel struct {
	Job     ident.JobID
	Attempt int
	Reason  reason.Reason
}

// LogPart is a piece of what a source printed while it worked on a release.
type LogPart struct {
	Attempt         int
	Source, Package string
	Part            int
	Text            string
	At              time.Time
}

// Filter narrows a list; empty fields do not.
type Filter struct {
	Tenant     ident.TenantID
	Device     ident.DeviceID
	Run        ident.RunID
	State      State
	Deployment ident.DeploymentID
}

// Transition is one row of a job's history. From and To are the same where
// only the reason changed: why it still waits.
type Transition struct {
	Seq    int64
	Job    ident.JobID
	Device ident.DeviceID
	From   State
	To     State
	Reason reason.Reason
	At     time.Time
}
