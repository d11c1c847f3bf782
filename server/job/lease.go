package job

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Desired returns what the device should hold and what it should let go of.
// Queued jobs that may start within wire.MaxLeaseAhead are leased on the way,
// those that the Gatekeeper lets through; the others keep its reason.
func (s *Service) Desired(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]Lease, []Cancel, error) {
	jobs, err := s.o.Store.OfDevice(ctx, tenant, device, false)
	if err != nil {
		return nil, nil, fmt.Errorf("jobs of device %s: %w", device, err)
	}
	// Most looks find nothing to lease and write nothing.
	if len(leasable(now, jobs)) > 0 {
		err = s.o.Tx(ctx, func(ctx context.Context) error {
			jobs, err = s.leaseAll(ctx, now, tenant, device)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	leases, cancels := held(jobs)
	return leases, cancels, nil
}

// leaseAll asks for each leasable job of the device and returns all that have
// not ended.
func (s *Service) leaseAll(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]Job, error) {
	if err := s.o.Store.LockGrants(ctx); err != nil {
		return nil, fmt.Errorf("lock grants: %w", err)
	}
	jobs, err := s.o.Store.OfDevice(ctx, tenant, device, true)
	if err != nil {
		return nil, fmt.Errorf("jobs of device %s: %w", device, err)
	}
	for _, i := range leasable(now, jobs) {
		jobs[i], err = s.change(ctx, now, jobs[i], true, func(ctx context.Context, c *change) error { return s.lease(ctx, now, c) })
		if err != nil {
			return nil, fmt.Errorf("lease a job of device %s: %w", device, err)
		}
	}
	return jobs, nil
}

// leasable lists the places of jobs that may be leased now, as far as the
// device may hold that many.
func leasable(now time.Time, jobs []Job) (places []int) {
	room := wire.MaxLeases
	for _, j := range jobs {
		if j.State.Held() {
			room--
		}
	}
	for i, j := range jobs {
		if len(places) < room && j.leasable(now) {
			places = append(places, i)
		}
	}
	return places
}

func (j Job) leasable(now time.Time) bool {
	return j.State == Queued && !now.After(j.StartBy) && j.NotBefore.Sub(now) <= wire.MaxLeaseAhead
}

// lease leases a queued job, or notes why not.
func (s *Service) lease(ctx context.Context, now time.Time, c *change) error {
	if !c.leasable(now) {
		return nil
	}
	gate, ok := s.gatekeeper()
	if !ok {
		c.wait(reason.New(reason.DeploymentPending))
		return nil
	}
	why, err := gate.MayLease(ctx, now, c.Job)
	if err != nil {
		return err
	}
	if !why.IsZero() {
		c.wait(why)
		return nil
	}
	key, version := s.o.Keys.JobKey(c.Tenant)
	if key == nil {
		return fault.New(fault.Unavailable, "no key that signs jobs of %s is valid now", c.Tenant).WithNext("check the server's clock")
	}
	c.Encoded = c.wire(now).Encode()
	c.Signature, c.KeyVersion, c.LeasedAt = wire.SignJob(key, c.Encoded), version, now
	return c.move(Leased, reason.New(reason.JobLeased, "until", reason.Time(c.NotBefore)), now)
}

// held is what a device should hold of the jobs, and let go of.
func held(jobs []Job) (leases []Lease, cancels []Cancel) {
	for _, j := range jobs {
		switch j.State {
		case Leased, Running:
			leases = append(leases, Lease{Job: j.ID, Attempt: j.Attempt, Encoded: j.Encoded, Signature: j.Signature, KeyVersion: j.KeyVersion})
		case Cancelling:
			cancels = append(cancels, Cancel{Job: j.ID, Attempt: j.Attempt, Reason: j.Reason})
		}
	}
	return leases, cancels
}
