package deployment

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// maxWhy bounds what a person writes as a reason, in bytes.
const maxWhy = 1000

// action is what a person does to a deployment.
type action struct {
	name  string // of the audit's verb
	from  []State
	to    State
	words reason.Code
}

func pause() action { return action{"paused", []State{Running}, Paused, reason.PausedBy} }
func resume() action {
	return action{"resumed", []State{Paused, Halted}, Running, reason.ResumedBy}
}
func halt() action { return action{"halted", []State{Running, Paused}, Halted, reason.HaltedBy} }
func cancel() action {
	return action{"cancelled", []State{Running, Paused, Halted}, Cancelled, reason.CancelledBy}
}

// act is a person's step as a pure decision: the change that it makes of the
// deployment, or fault.Conflict when its state does not allow it. Resuming
// after a halt forgives the failures so far: those devices wait again.
func act(now time.Time, d Deployment, a action, by ident.Actor, why string) (Update, error) {
	if !slices.Contains(a.from, d.State) {
		return Update{}, fault.Conflictf("the deployment is %s and cannot be %s", d.State, a.name).WithNext("possible while it is %v", a.from)
	}
	words := reason.New(a.words, "by", by.Name, "why", why)
	up := Update{Deployment: d.ID, Release: d.Release, From: d.State, RingsFrom: ringStates(d.Rings), To: a.to, Reason: words, Rings: slices.Clone(d.Rings)}
	for i := range up.Rings {
		r, to := &up.Rings[i], RingState("")
		text := words
		switch {
		case a.to == Halted && (r.State == RingActive || r.State == RingSoaking):
			to, text = RingHalted, reason.New(reason.HaltedRing)
		case a.to == Running && r.State == RingHalted:
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
	up.Moves = append(up.Moves, Move{Ring: -1, From: string(d.State), To: string(a.to), Reason: words})
	return up, nil
}

// Pause holds a deployment until a person resumes it: nothing more of it is
// leased or started. why is required (fault.Invalid).
func (s *Service) Pause(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, pause(), why)
}

// Resume lets a paused or halted deployment go on. why is required.
func (s *Service) Resume(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, resume(), why)
}

// Halt stops a deployment and holds its release for the whole tenant. why is
// required.
func (s *Service) Halt(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, halt(), why)
}

// Cancel ends a deployment for good; its release is not offered again under
// its policy. why is required.
func (s *Service) Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, cancel(), why)
}

func (s *Service) act(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, a action, why string) error {
	if why == "" || len(why) > maxWhy {
		return fault.Invalidf("reason", "say why, in 1 to %d bytes", maxWhy)
	}
	return s.o.Tx(ctx, func(ctx context.Context) error {
		d, err := s.Deployment(ctx, tenant, id)
		if err != nil {
			return err
		}
		up, err := act(now, d, a, by, why)
		if err != nil {
			return err
		}
		if err := s.write(ctx, now, d, up); err != nil {
			return err
		}
		return s.o.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: "deployment." + a.name, Reason: why,
			Object: audit.Object{Kind: "deployment", ID: string(id), Name: d.name()},
			Detail: map[string]string{"from": string(d.State), "to": string(a.to), "policy": d.Policy}})
	})
}

// name is what a person calls the deployment.
func (d *Deployment) name() string { return d.Release.Package + " " + d.Release.Version }
