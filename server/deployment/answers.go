package deployment

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

var _ job.Gatekeeper = (*Service)(nil)

// MayLease reports why a job may not be leased now, or a zero reason. What only
// counts at the start is not asked, except for a lease that may start without
// contact: it takes its place in flight and under the hourly limits from now.
// It is called inside the granting transaction.
func (s *Service) MayLease(ctx context.Context, now time.Time, j job.Job) (reason.Reason, error) {
	if j.Kind == job.Scan {
		return reason.Reason{}, nil
	}
	w, err := s.look(ctx, now, j.Tenant, j.Device, j.Releases)
	if err != nil {
		return notThere(err)
	}
	return rollout.MayLease(now, w, &j), nil
}

// notThere turns a device or tenant that is gone into a reason.
func notThere(err error) (reason.Reason, error) {
	if fault.Is(err, fault.NotFound) {
		return reason.New(reason.DeviceState, "state", string(fleet.Retired)), nil
	}
	return reason.Reason{}, err
}

// MayStart answers a device that asks for the start of a job: yes exactly when
// Blockers is empty for one of its releases and names at most DoesNotFit for
// the others; never, when nothing of it will start in this window; else wait.
// It is called inside the granting transaction.
func (s *Service) MayStart(ctx context.Context, now time.Time, j job.Job) (job.Answer, error) {
	if j.Kind == job.Scan {
		return job.Answer{Verdict: job.Start}, nil
	}
	w, err := s.look(ctx, now, j.Tenant, j.Device, j.Releases)
	if err != nil {
		why, err := notThere(err)
		return job.Answer{Verdict: job.Withdrawn, Reason: why}, err
	}
	return rollout.MayStart(now, w, &j), nil
}

// Halted lists the halted deployments of the scope, the longest halted first.
func (s *Service) Halted(ctx context.Context, scope ident.Scope, limit int) ([]Deployment, error) {
	halted, err := s.o.Lists.List(ctx, scope, Filter{State: Halted}, "", limit)
	slices.SortFunc(halted, func(a, b Deployment) int { return a.Since.Compare(b.Since) })
	return halted, err
}

// Why explains each open update of a device: "why is it not installed?" has
// one ordered answer, from the code that decides.
func (s *Service) Why(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]Explained, error) {
	w, err := s.look(ctx, now, tenant, device, nil)
	if err != nil {
		return nil, err
	}
	return rollout.Explain(now, w), nil
}

// maxDays is how far ahead windows are listed.
const maxDays = 90

// Plan lists a tenant's windows of the next days, 1 to 90, in order of their
// opening, with the devices that they are for and how long the busiest of them
// is expected to work. Approvals that are only waited for count once they are
// due, and what an earlier window of the same policy can do is not expected again.
func (s *Service) Plan(ctx context.Context, now time.Time, tenant ident.TenantID, days int) ([]Planned, error) {
	if days < 1 || days > maxDays {
		return nil, fault.Invalidf("days", "%d is out of range: 1 to %d", days, maxDays)
	}
	w, err := s.load(ctx, now, tenant)
	if err != nil {
		return nil, err
	}
	return Forecast(now, w, days), nil
}
