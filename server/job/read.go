package job

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

const (
	maxList   = 500
	endedSeen = 24 * time.Hour // how long Open shows what has ended
)

// Job finds a job.
func (s *Service) Job(ctx context.Context, tenant ident.TenantID, id ident.JobID) (Job, error) {
	return s.load(ctx, tenant, id, true)
}

// List lists jobs, newest first, without bytes and deny lists. next is the
// cursor of the following page, "" at the end.
func (s *Service) List(ctx context.Context, scope ident.Scope, f Filter, cursor string, limit int) (jobs []Job, next string, err error) {
	if f.Tenant != "" {
		scope = scope.Only(f.Tenant)
	}
	jobs, err = page(cursor, limit, func(limit int) ([]Job, error) {
		return s.o.Reads.List(ctx, scope, f, ident.JobID(cursor), limit)
	})
	if limit = bound(limit); len(jobs) > limit {
		jobs, next = jobs[:limit], string(jobs[limit-1].ID)
	}
	return jobs, next, err
}

// Runs lists runs with the number of their jobs by state, newest first.
func (s *Service) Runs(ctx context.Context, scope ident.Scope, cursor string, limit int) (runs []Run, next string, err error) {
	runs, err = page(cursor, limit, func(limit int) ([]Run, error) {
		return s.o.Runs.Runs(ctx, scope, ident.RunID(cursor), limit)
	})
	if limit = bound(limit); len(runs) > limit {
		runs, next = runs[:limit], string(runs[limit-1].ID)
	}
	return runs, next, err
}

// OfDevice lists a device's jobs that have not ended.
func (s *Service) OfDevice(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]Job, error) {
	return s.o.Store.OfDevice(ctx, tenant, device, true)
}

// Busy lists the jobs of a deployment that may hold a place in flight: leased
// and not ended. HoldsSlot says of each whether it does.
func (s *Service) Busy(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) ([]Job, error) {
	return s.o.Reads.Busy(ctx, tenant, id)
}

// page reads one row more than asked for, which tells whether there is a next page.
func page[T any](cursor string, limit int, read func(limit int) ([]T, error)) ([]T, error) {
	if cursor != "" && !ident.ValidID(cursor) {
		return nil, fault.Invalidf("cursor", "is not one that a list gave")
	}
	return read(bound(limit) + 1)
}

func bound(limit int) int {
	if limit <= 0 || limit > maxList {
		return maxList
	}
	return limit
}

// Run finds a run with the number of its jobs by state.
func (s *Service) Run(ctx context.Context, tenant ident.TenantID, id ident.RunID) (Run, error) {
	r, found, err := s.o.Runs.Run(ctx, tenant, id)
	if err == nil && !found {
		err = fault.NotFoundf("there is no run %q", id)
	}
	return r, err
}

// Open lists a tenant's jobs that have not ended, or did in the last 24 hours,
// in order of id, without bytes and deny lists.
func (s *Service) Open(ctx context.Context, now time.Time, tenant ident.TenantID) ([]Job, error) {
	return s.o.Reads.Open(ctx, tenant, now.Add(-endedSeen))
}

// History lists a job's transitions, oldest first.
func (s *Service) History(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]Transition, error) {
	if _, err := s.load(ctx, tenant, id, false); err != nil {
		return nil, err
	}
	return s.o.Reads.History(ctx, tenant, id)
}

// Log returns what the device's sources printed, in the order of time.
func (s *Service) Log(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]LogPart, error) {
	if _, err := s.load(ctx, tenant, id, false); err != nil {
		return nil, err
	}
	return s.o.Logs.Log(ctx, tenant, id)
}

// Changed counts the tenant's devices ("": of the whole server) that were let
// start an installation or started one since, or may at any time by an alone
// lease. An alone lease counts until wire.LeaseGrace after its deadline.
func (s *Service) Changed(ctx context.Context, tenant ident.TenantID, since time.Time) (int, error) {
	return s.o.Reads.Changed(ctx, tenant, since)
}

// AloneUntil is how long an alone lease counts against limits.
func (j Job) AloneUntil() time.Time { return j.Deadline.Add(wire.LeaseGrace) }
