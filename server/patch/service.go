package patch

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/wake"
)

// Store keeps updates, their history and learned durations.
type Store interface {
	// Updates lists all rows of a device, also ended ones, in order of source,
	// package and version.
	Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]Update, error)
	// Open lists the open rows of a tenant, in order of device.
	Open(ctx context.Context, tenant ident.TenantID) ([]Update, error)
	// OfRelease lists the open rows of a release.
	OfRelease(ctx context.Context, tenant ident.TenantID, r Release) ([]Update, error)
	// Put writes a row and, when its state or reason changed, a line of
	// history with the device's next number.
	Put(ctx context.Context, u Update, moved *Transition) error
	// History lists a device's lines before a number (0: newest), newest first.
	History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]Transition, error)
	// AddDuration records how long a release took, without saying where.
	AddDuration(ctx context.Context, r Release, took time.Duration, at time.Time) error
	// Durations lists the latest durations of the release; with an empty
	// version of the package, with an empty package of the source. At most 100.
	Durations(ctx context.Context, r Release) ([]time.Duration, error)
}

// Scans answers what a device's sources last said; *inventory.Service is it.
type Scans interface {
	Scan(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (inventory.Scan, error)
	Release(ctx context.Context, source, pkg, version string) (inventory.Release, bool, error)
}

// Policies answers what was decided; *policy.Service is it.
type Policies interface {
	Documents(ctx context.Context, tenant ident.TenantID) ([]policy.Document, error)
	Decisions(ctx context.Context, tenant ident.TenantID) ([]policy.Manually, error)
}

// Devices answers for devices; *fleet.Service is it.
type Devices interface {
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error)
}

// Options are what a Service needs.
type Options struct {
	Store    Store
	Scans    Scans
	Policies Policies
	Devices  Devices
	Tx       func(ctx context.Context, f func(ctx context.Context) error) error
	After    func(ctx context.Context, f func())
	Wake     *wake.Hub
	// Changed is told of a tenant whose updates moved, after the commit; nil: nobody is.
	Changed func(tenant ident.TenantID)
}

// Service keeps what is true of each update on each device.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// DeviceTopic is woken when an update of the device changed.
func DeviceTopic(id ident.DeviceID) string { return "device/" + string(id) }

// Reconcile brings a device's rows in line with its last scan.
func (s *Service) Reconcile(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) error {
	return s.o.Tx(ctx, func(ctx context.Context) error {
		scan, err := s.o.Scans.Scan(ctx, tenant, device)
		if err != nil || scan.At.IsZero() {
			return err
		}
		d, err := s.o.Devices.Device(ctx, tenant, device)
		if err != nil {
			return err
		}
		decider, err := s.decider(ctx, now, tenant)
		if err != nil {
			return err
		}
		current, err := s.o.Store.Updates(ctx, tenant, device)
		if err != nil {
			return err
		}
		return s.put(ctx, now, current, Reconcile(now, scan, current, decider.of(ctx, d)))
	})
}

// ReconcileTenant brings a tenant's open rows in line with what policies and
// people hold of them now.
func (s *Service) ReconcileTenant(ctx context.Context, now time.Time, tenant ident.TenantID) error {
	devices, err := s.o.Devices.Devices(ctx, tenant)
	if err != nil {
		return err
	}
	byID := make(map[ident.DeviceID]fleet.Device, len(devices))
	for _, d := range devices {
		byID[d.ID] = d
	}
	open, err := s.o.Store.Open(ctx, tenant)
	if err != nil {
		return err
	}
	decider, err := s.decider(ctx, now, tenant)
	if err != nil {
		return err
	}
	var changed []Update
	for _, row := range open {
		if next, ok := Redecide(now, row, decider.of(ctx, byID[row.Device])); ok {
			changed = append(changed, next)
		}
	}
	if decider.err != nil {
		return decider.err
	}
	for batch := range slices.Chunk(changed, 200) {
		err := s.o.Tx(ctx, func(ctx context.Context) error {
			for _, next := range batch {
				// The row may have moved since it was read; decide again on it.
				if err := s.change(ctx, now, next.Tenant, next.Device, next.Release, func(row Update) (Update, bool) {
					return Redecide(now, row, decider.of(ctx, byID[row.Device]))
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Step takes in what a device tells of a job, inside the caller's transaction.
func (s *Service) Step(ctx context.Context, now time.Time, j job.Job, step job.Step) error {
	for _, r := range j.Releases {
		if r.Source != step.Source || r.Package != step.Package {
			continue
		}
		rel := Release{r.Source, r.Package, r.Version}
		if step.Kind == job.StepResult && step.Took > 0 && step.To == r.Version {
			if err := s.o.Store.AddDuration(ctx, rel, step.Took, now); err != nil {
				return err
			}
		}
		return s.change(ctx, now, j.Tenant, j.Device, rel, func(row Update) (Update, bool) { return Follow(now, row, step) })
	}
	return nil
}

// Schedule marks releases as waiting for their job on a device.
func (s *Service) Schedule(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, releases []Release, until time.Time, id ident.JobID) error {
	return s.each(ctx, now, tenant, device, releases, func(row Update) (Update, bool) {
		if row.State != Approved && row.State != Failed && row.State != Scheduled {
			return row, false
		}
		next := row.Move(Scheduled, reason.New(reason.ScheduledFor, "until", reason.Time(until)), now)
		next.Job = id
		return next, !same(next, row)
	})
}

// Unschedule takes the mark of a job away where it still stands: the job was
// withdrawn, expired, or ended without touching the release.
func (s *Service) Unschedule(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID, why reason.Reason) error {
	current, err := s.o.Store.Updates(ctx, tenant, device)
	if err != nil {
		return err
	}
	var changed []Update
	for _, row := range current {
		if row.Job == id && (row.State == Scheduled || row.State == Downloading) {
			next := row.Move(Approved, why, now)
			if row.Tries > 0 {
				next = row.Move(Failed, reason.New(reason.InstallFailed, "error", row.LastError), now)
			}
			next.Job = ""
			changed = append(changed, next)
		}
	}
	return s.put(ctx, now, current, changed)
}

// Lost marks what a job had under way as unknown: nothing was heard of it.
func (s *Service) Lost(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID) error {
	current, err := s.o.Store.Updates(ctx, tenant, device)
	if err != nil {
		return err
	}
	var changed []Update
	for _, row := range current {
		if row.Job == id && (row.State.UnderWay() || row.State == Scheduled) {
			changed = append(changed, row.Move(Unknown, reason.New(reason.NoReport, "since", reason.Time(row.Since)), now))
		}
	}
	return s.put(ctx, now, current, changed)
}

// Halt holds a release on all of a tenant's devices that have not taken it and
// do not have it under way.
func (s *Service) Halt(ctx context.Context, now time.Time, tenant ident.TenantID, r Release, why reason.Reason) error {
	return s.ofRelease(ctx, now, tenant, r, func(row Update) (Update, bool) {
		if row.State != Approved && row.State != Scheduled && row.State != Waiting {
			return row, false
		}
		return row.Move(Halted, why, now), true
	})
}

// Release lets a halted release go on.
func (s *Service) Release(ctx context.Context, now time.Time, tenant ident.TenantID, r Release, why reason.Reason) error {
	return s.ofRelease(ctx, now, tenant, r, func(row Update) (Update, bool) {
		if row.State != Halted {
			return row, false
		}
		return row.Move(Approved, why, now), true
	})
}

// Updates lists all rows of a device.
func (s *Service) Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]Update, error) {
	return s.o.Store.Updates(ctx, tenant, device)
}

// Open lists the open rows of a tenant, in order of device.
func (s *Service) Open(ctx context.Context, tenant ident.TenantID) ([]Update, error) {
	return s.o.Store.Open(ctx, tenant)
}

// History lists a device's transitions before a number, newest first.
func (s *Service) History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]Transition, error) {
	return s.o.Store.History(ctx, tenant, device, before, limit)
}

// Minutes is the 90th percentile of how long a release took so far: of the
// release, else of its package, else of its source. ok is false when nothing
// is known.
func (s *Service) Minutes(ctx context.Context, r Release) (took time.Duration, ok bool, err error) {
	for _, of := range []Release{r, {r.Source, r.Package, ""}, {r.Source, "", ""}} {
		list, err := s.o.Store.Durations(ctx, of)
		if err != nil {
			return 0, false, err
		}
		if len(list) > 0 {
			slices.Sort(list)
			return list[(len(list)*9+9)/10-1], true, nil
		}
	}
	return 0, false, nil
}
