package job

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Cancel withdraws a job: a queued one at once, a leased one once the device
// has journaled that it lets go. One that runs cannot be stopped and one that
// has ended cannot be changed: fault.Conflict. Cancelling again changes nothing.
func (s *Service) Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.JobID, why reason.Reason) error {
	if why.IsZero() {
		return fault.Invalidf("reason", "say why the job is cancelled")
	}
	return s.o.Tx(ctx, func(ctx context.Context) error {
		from := State("")
		j, err := s.update(ctx, now, tenant, id, func(_ context.Context, c *change) error {
			from = c.State
			return c.cancel(now, why)
		})
		if err != nil || by.Kind == ident.System || from == j.State {
			return err
		}
		return s.o.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: "job.cancelled", Reason: sentence(why),
			Object: audit.Object{Kind: "job", ID: string(id), Name: string(id)},
			Detail: map[string]string{"device": string(j.Device), "from": string(from), "to": string(j.State)}})
	})
}

func (c *change) cancel(now time.Time, why reason.Reason) error {
	switch c.State {
	case Queued, NeedsAgreement:
		return c.end(Cancelled, why, wire.ResultNotStarted, now)
	case Leased:
		return c.withdraw(why, now)
	case Cancelling:
		return nil
	case Running:
		return fault.Conflictf("job %s is running on its device and cannot be stopped: killing an installer damages the machine", c.ID).
			WithNext("wait until it has finished")
	case Unknown:
		return fault.Conflictf("nothing was heard of job %s since %s, so there is nothing to stop", c.ID, reason.Time(c.Since)).
			WithNext("bring the device online: its own scan tells what is true")
	}
	return fault.Conflictf("job %s has ended: %s", c.ID, c.State)
}

// Retry queues an unknown job for its next attempt in the same window, once
// the device has scanned after it became unknown: only then is it known what
// an attempt would start from. An attempt that the device itself reported as
// failed is queued again by Step while Spec.Attempts allows it; what has ended
// stays so.
func (s *Service) Retry(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.JobID, why string) (Job, error) {
	return s.update(ctx, now, tenant, id, func(ctx context.Context, c *change) error {
		if c.State == Queued && c.Attempt > 1 {
			return nil // asked again
		}
		if c.State != Unknown {
			return fault.Conflictf("job %s is %s: only an attempt of which nothing is known can be followed by another", c.ID, c.State).
				WithNext("the next window makes a new job")
		}
		if now.After(c.StartBy) {
			return fault.Conflictf("job %s could start until %s", c.ID, reason.Time(c.StartBy)).WithNext("the next window makes a new job")
		}
		scanned, err := s.scannedAt(ctx, c.Job)
		if err != nil {
			return err
		}
		if !scanned.After(c.Since) {
			return fault.Conflictf("the device has not scanned since job %s became unknown", c.ID).WithNext("bring the device online")
		}
		return c.move(Queued, reason.New(reason.JobRetry, "why", plain(why, maxWhy)), now)
	})
}

func (s *Service) scannedAt(ctx context.Context, j Job) (time.Time, error) {
	if s.o.Scans == nil {
		return time.Time{}, nil
	}
	scan, err := s.o.Scans.Scan(ctx, j.Tenant, j.Device)
	if err != nil {
		return time.Time{}, fmt.Errorf("last scan of device %s: %w", j.Device, err)
	}
	return scan.At, nil
}
