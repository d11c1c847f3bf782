package rollout

import (
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Action is what a person does to a deployment.
type Action struct {
	Name  string // of the audit's verb
	from  []State
	To    State
	words reason.Code
}

// Pause holds a deployment.
func Pause() Action { return Action{"paused", []State{Running}, Paused, reason.PausedBy} }

// Resume lets a paused or halted one go on.
func Resume() Action { return Action{"resumed", []State{Paused, Halted}, Running, reason.ResumedBy} }

// Halt stops a deployment.
func Halt() Action { return Action{"halted", []State{Running, Paused}, Halted, reason.HaltedBy} }

// Cancel ends it for good.
func Cancel() Action {
	return Action{"cancelled", []State{Running, Paused, Halted}, Cancelled, reason.CancelledBy}
}

// Act is a person's step as a pure decision: the change that it makes of the
// deployment, or fault.Conflict when its state does not allow it. Resuming
// after a halt forgives the failures so far: those devices wait again.
func Act(now time.Time, d Deployment, a Action, by ident.Actor, why string) (Update, error) {
	if !slices.Contains(a.from, d.State) {
		return Update{}, fault.Conflictf("the deployment is %s and cannot be %s", d.State, a.Name).WithNext("possible while it is %v", a.from)
	}
	words := reason.New(a.words, "by", by.Name, "why", why)
	up := Update{Deployment: d.ID, Release: d.Release, From: d.State, RingsFrom: RingStates(d.Rings), To: a.To, Reason: words, Rings: slices.Clone(d.Rings)}
	for i := range up.Rings {
		r, to, text := &up.Rings[i], RingState(""), words
		switch {
		case a.To == Halted && (r.State == RingActive || r.State == RingSoaking):
			to, text = RingHalted, reason.New(reason.HaltedRing)
		case a.To == Running && r.State == RingHalted:
			to = RingActive
			for _, m := range d.Members {
				if m.Ring == i && (m.Result == "failed" || m.Result == "unknown") {
					m.Result = ""
					up.Members = append(up.Members, m)
				}
			}
		default:
			continue
		}
		up.Moves = append(up.Moves, Move{Ring: i, From: string(r.State), To: string(to), Reason: text})
		r.State, r.Reason, r.Since = to, text, now
	}
	up.Moves = append(up.Moves, Move{Ring: -1, From: string(d.State), To: string(a.To), Reason: words})
	return up, nil
}

// Title is what a person calls the deployment.
func (d *Deployment) Title() string { return d.Release.Package + " " + d.Release.Version }
