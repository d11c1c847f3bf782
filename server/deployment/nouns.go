// Package deployment moves each release through the rings of a policy: what
// starts where and when, what waits and why, when a ring has passed, and when
// everything stops. package rollout below it decides purely; the Service loads
// what it decides on, makes its changes one by one, and answers for them.
package deployment

import (
	"github.com/steward-rmm/steward/server/deployment/ring"
	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// The nouns of the room; rollout has their words.
type (
	State      = rollout.State
	RingState  = rollout.RingState
	Ring       = rollout.Ring
	Counts     = rollout.Counts
	Member     = rollout.Member
	Deployment = rollout.Deployment
	Subject    = rollout.Subject
	Transition = rollout.Transition
	Blocker    = rollout.Blocker
	Planned    = rollout.Planned
	Explained  = rollout.Explained
	Check      = rollout.Check
	World      = rollout.World
	Device     = rollout.Device
	Blast      = rollout.Blast
	Result     = rollout.Result
	Update     = rollout.Update
	CancelJob  = rollout.CancelJob
)

// The states of a deployment.
const (
	Running    = rollout.Running
	Paused     = rollout.Paused
	Halted     = rollout.Halted
	Completed  = rollout.Completed
	Cancelled  = rollout.Cancelled
	Superseded = rollout.Superseded
)

// The states of a ring.
const (
	RingWaiting = rollout.RingWaiting
	RingActive  = rollout.RingActive
	RingSoaking = rollout.RingSoaking
	RingPassed  = rollout.RingPassed
	RingHalted  = rollout.RingHalted
)

// The subjects of a transition.
const (
	OfDeployment = rollout.OfDeployment
	OfRing       = rollout.OfRing
	OfJob        = rollout.OfJob
)

// RingOf assigns each device of a policy to a ring, by index into its rings:
// what a deployment that began now would freeze. irregular (may be nil) says
// which devices are seldom in contact.
func RingOf(eff *policy.Effective, devices []fleet.Device, irregular func(ident.DeviceID) bool) map[ident.DeviceID]int {
	return ring.Of(eff, devices, irregular)
}
