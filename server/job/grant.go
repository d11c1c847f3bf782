package job

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

const (
	askAgain = time.Minute     // when the Gatekeeper does not say
	minRetry = 5 * time.Second // between two questions
)

// MayStart answers a device that asks whether it may start the attempt of a
// job. One transaction checks the job, its times and the Gatekeeper, and
// records the grant, from which limits count it; the job is running when the
// device says that it started. A device that asks again did not start by an
// earlier word, so the newest answer is the one that counts. fault.NotFound
// for a job that is not the device's: the device lets go of it.
func (s *Service) MayStart(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID, attempt int) (out Answer, err error) {
	err = s.o.Tx(ctx, func(ctx context.Context) error {
		if err := s.o.Store.LockGrants(ctx); err != nil {
			return fmt.Errorf("lock grants: %w", err)
		}
		_, err := s.update(ctx, now, tenant, id, func(ctx context.Context, c *change) (err error) {
			if c.Device != device {
				return notFound(id)
			}
			out, err = s.answer(ctx, now, c, attempt)
			return err
		})
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("start of job %s: %w", id, err)
	}
	s.grants.WithLabelValues(string(out.Verdict)).Inc()
	return out, nil
}

func (s *Service) answer(ctx context.Context, now time.Time, c *change, attempt int) (Answer, error) {
	switch {
	case attempt != c.Attempt:
		return Answer{Verdict: Withdrawn, Reason: reason.New(reason.JobReplaced)}, nil
	case c.State != Leased:
		return Answer{Verdict: Withdrawn, Reason: c.Reason}, nil
	case now.Before(c.NotBefore):
		return Answer{Verdict: Wait, Reason: reason.New(reason.OutsideWindow, "until", reason.Time(c.NotBefore)),
			RetryAfter: max(minRetry, c.NotBefore.Sub(now))}, nil
	case now.After(c.StartBy):
		c.ungrant()
		return Answer{Verdict: Withdrawn, Reason: reason.New(reason.JobExpired, "until", reason.Time(c.StartBy))}, nil
	}
	answer := Answer{Verdict: Wait, Reason: reason.New(reason.DeploymentPending)}
	if gate, ok := s.gatekeeper(); ok {
		var err error
		if answer, err = gate.MayStart(ctx, now, c.Job); err != nil {
			return Answer{}, err
		}
	}
	switch answer.Verdict {
	case Start:
		c.GrantedAt, c.dirty = now, true
		if c.Kind == Install {
			c.ChangedAt = now
		}
		return Answer{Verdict: Start}, nil
	case Withdrawn:
		c.ungrant()
		if answer.Reason.IsZero() {
			answer.Reason = reason.New(reason.JobReplaced)
		}
		return answer, c.withdraw(answer.Reason, now)
	case Wait:
		c.ungrant()
		if !answer.Reason.IsZero() {
			c.wait(answer.Reason)
		}
		if answer.RetryAfter <= 0 {
			answer.RetryAfter = askAgain
		}
		answer.RetryAfter = max(minRetry, answer.RetryAfter)
		return answer, nil
	}
	return Answer{}, fmt.Errorf("the gatekeeper answers %q, which is no verdict", answer.Verdict)
}

// ungrant takes a grant back that the device cannot have used.
func (c *change) ungrant() {
	if !c.GrantedAt.IsZero() {
		c.GrantedAt, c.dirty = time.Time{}, true
	}
}

// withdraw asks the device to let go of its lease.
func (c *change) withdraw(why reason.Reason, now time.Time) error {
	return c.move(Cancelling, reason.New(reason.JobCancelSent, "why", sentence(why), "until", reason.Time(c.StartBy)), now)
}
