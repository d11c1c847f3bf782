package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

const (
	rescueBatch  = 200 // jobs in one look
	rescueRounds = 500 // looks in one run; what is left waits for the next
)

// RunOnce ends what did not start in time and calls unknown what should have
// been heard of. Only a job that cannot have started ends by the clock alone;
// one that may have is asked of its device, however late.
func (s *Service) RunOnce(ctx context.Context, now time.Time) error {
	for range rescueRounds {
		due, err := s.o.Store.Due(ctx, now, rescueBatch)
		if err != nil {
			return fmt.Errorf("jobs that are due: %w", err)
		}
		var errs []error
		for _, ref := range due {
			_, err := s.update(ctx, now, ref.Tenant, ref.Job, func(_ context.Context, c *change) error { return c.rescue(now) })
			if err != nil && !fault.Is(err, fault.NotFound) {
				errs = append(errs, fmt.Errorf("rescue job %s: %w", ref.Job, err))
			}
		}
		// A job that stays due would be found again for ever.
		if err := errors.Join(errs...); err != nil || len(due) < rescueBatch || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}

func (c *change) rescue(now time.Time) error {
	due := c.DueAt()
	if due.IsZero() || !now.After(due) {
		return nil
	}
	switch {
	case c.State == Running || c.State.Held() && c.MayHaveStarted():
		since := c.HeardAt
		if since.IsZero() {
			since = c.LeasedAt
		}
		return c.move(Unknown, reason.New(reason.NoReport, "since", reason.Time(since)), now)
	case c.State == Cancelling:
		return c.end(Cancelled, reason.New(reason.JobCancelled, "why", because(c.Reason, "it could no longer start")), wire.ResultNotStarted, now)
	}
	return c.end(Expired, reason.New(reason.JobExpired, "until", reason.Time(c.StartBy)), wire.ResultNotStarted, now)
}

// JournalLost is called when a device came with a new journal: what it was
// thought to hold is unknown, and its lease is never issued again.
func (s *Service) JournalLost(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) error {
	return s.o.Tx(ctx, func(ctx context.Context) error {
		jobs, err := s.o.Store.OfDevice(ctx, tenant, device, false)
		if err != nil {
			return fmt.Errorf("jobs of device %s: %w", device, err)
		}
		for _, j := range jobs {
			_, err := s.update(ctx, now, tenant, j.ID, func(_ context.Context, c *change) error {
				if c.State.Held() && c.State != Unknown {
					return c.move(Unknown, reason.New(reason.JournalLost), now)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("lost journal, job %s: %w", j.ID, err)
			}
		}
		return nil
	})
}

// DropLeases returns those of the leases a device holds ("job:attempt") that
// it should let go of without a word: ended, replaced, or never this server's.
// A cancel that is not confirmed is not among them: it goes out with Desired,
// and the device answers it.
func (s *Service) DropLeases(ctx context.Context, _ time.Time, tenant ident.TenantID, device ident.DeviceID, held []string) (drop []string, err error) {
	if len(held) == 0 {
		return nil, nil
	}
	jobs, err := s.o.Store.OfDevice(ctx, tenant, device, false)
	if err != nil {
		return nil, fmt.Errorf("jobs of device %s: %w", device, err)
	}
	for _, lease := range held {
		id, number, _ := strings.Cut(lease, ":")
		attempt, _ := strconv.Atoi(number)
		wanted := slices.ContainsFunc(jobs, func(j Job) bool {
			return string(j.ID) == id && j.Attempt == attempt && j.State.Held()
		})
		if !wanted {
			drop = append(drop, lease)
		}
	}
	return drop, nil
}
