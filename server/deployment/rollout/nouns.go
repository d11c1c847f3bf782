// Package rollout decides, purely, how releases move through rings: which
// deployments there have to be, when a ring opens, soaks, passes or halts,
// which jobs there should be, what stands in the way of each update, and what
// the next weeks hold. package deployment loads its World and makes its changes.
package rollout

import (
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// State is where a deployment stands.
type State string

// The states of a deployment. Paused and Halted can be resumed by a person
// with a reason; Completed, Cancelled and Superseded are final.
const (
	Running    State = "running"
	Paused     State = "paused"
	Halted     State = "halted"
	Completed  State = "completed"
	Cancelled  State = "cancelled"
	Superseded State = "superseded"
)

// Final reports whether the deployment has ended for good.
func (s State) Final() bool { return s == Completed || s == Cancelled || s == Superseded }

// RingState is where a ring of a deployment stands.
type RingState string

// The states of a ring.
const (
	RingWaiting RingState = "waiting"
	RingActive  RingState = "active"
	RingSoaking RingState = "soaking"
	RingPassed  RingState = "passed"
	RingHalted  RingState = "halted"
)

// Ring is one ring of a deployment, its settings frozen when it was made.
type Ring struct {
	Index       int
	Name        string
	Soak        time.Duration
	MinVerified policy.Percent
	State       RingState
	Reason      reason.Reason
	Since       time.Time
	Counts      Counts
}

// Counts are a ring's devices by what became of them.
type Counts struct {
	Devices  int
	Verified int // includes installed_unverified where that counts as done
	Failed   int
	Running  int
	Waiting  int
	Other    int // deferred, needs user, not applicable, superseded, unknown
}

// Member is one device in a deployment. Result is of its last attempt that
// ended, and stays until the next one ends.
type Member struct {
	Device   ident.DeviceID
	Ring     int
	Result   wire.ResultState // "" while nothing ended
	Job      ident.JobID      // last or present
	EndedAt  time.Time        // end of Job; zero while it is open or was withdrawn
	Late     bool             // joined when its ring had passed
	Verified time.Time        // when the release was done here; the soak counts from it
}

// Deployment is one release's way through the rings of one policy, for one tenant.
type Deployment struct {
	Tenant    ident.TenantID
	ID        ident.DeploymentID
	Policy    string
	Release   patch.Release
	State     State
	Reason    reason.Reason
	Since     time.Time
	Seq       int64 // of its last transition, over its rings and jobs too
	Failures  policy.Allowance
	InFlight  policy.Percent
	Rings     []Ring
	Members   []Member // in order of device; not filled in lists
	CreatedAt time.Time
	EndedAt   time.Time
}

// Subject is what a transition in a deployment's history is about.
type Subject string

// The subjects.
const (
	OfDeployment Subject = "deployment"
	OfRing       Subject = "ring"
	OfJob        Subject = "job"
)

// Transition is one row of a deployment's history, which live pages, the events
// endpoint and watch tail by Seq: 1, 2, 3 … for each deployment.
type Transition struct {
	Seq     int64
	At      time.Time
	Subject Subject
	ID      string // of the deployment, the ring's name, or the job
	Device  ident.DeviceID
	From    string
	To      string
	Reason  reason.Reason
}

// Blocker is one thing that stands between an update and its start now.
type Blocker struct {
	Reason reason.Reason
	Until  time.Time // when it ends by itself; zero: not by itself
	// Moment says that it only delays the start of a job that may be submitted
	// and leased all the same. All others keep the release out of every job.
	Moment bool
}

// Planned is one opening of a window to come, for the 30-day plan.
type Planned struct {
	Policy          string
	Site            ident.SiteID
	Opens           time.Time
	Closes          time.Time
	Devices         []ident.DeviceID
	ExpectedMinutes int
	Conflicts       []string
}
