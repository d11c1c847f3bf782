package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// errMoved says that a change's precondition no longer holds; it is dropped,
// and the next look decides again.
var errMoved = errors.New("changed meanwhile")

// apply makes the changes of a plan, each in its own transaction.
func (s *Service) apply(ctx context.Context, now time.Time, w *World, r Result) error {
	var steps []func(ctx context.Context) error
	for i := range r.Create {
		steps = append(steps, func(ctx context.Context) error { return s.create(ctx, now, r.Create[i]) })
	}
	for i := range r.Updates {
		steps = append(steps, func(ctx context.Context) error { return s.update(ctx, now, w.Tenant.ID, r.Updates[i]) })
	}
	for i := range r.Cancel {
		steps = append(steps, func(ctx context.Context) error { return s.withdraw(ctx, now, w.Tenant.ID, r.Cancel[i]) })
	}
	for i := range r.Submit {
		steps = append(steps, func(ctx context.Context) error { return s.submit(ctx, now, r.Submit[i]) })
	}
	for _, step := range steps {
		if err := s.o.Tx(ctx, step); err != nil && !errors.Is(err, errMoved) {
			return err
		}
	}
	return nil
}

// create inserts a new deployment, unless one of its release has come to be.
func (s *Service) create(ctx context.Context, now time.Time, d Deployment) error {
	running, err := s.o.Store.Running(ctx, d.Tenant)
	if err != nil {
		return fmt.Errorf("list deployments: %w", err)
	}
	for _, old := range running {
		if old.Policy == d.Policy && old.Release == d.Release {
			return errMoved
		}
	}
	d.ID = ident.DeploymentID(ident.New(now))
	members := slices.Clone(d.Members)
	rollout.SortMembers(members)
	if err := s.o.Store.Put(ctx, d); err != nil {
		return fmt.Errorf("insert deployment of %s: %w", d.Title(), err)
	}
	if err := s.o.Store.PutMembers(ctx, d.Tenant, d.ID, members); err != nil {
		return fmt.Errorf("insert members of deployment %s: %w", d.ID, err)
	}
	return s.append(ctx, d.Tenant, d.ID, Transition{At: now, Subject: OfDeployment, ID: string(d.ID), To: string(Running), Reason: d.Reason})
}

// update makes a change of one deployment if it is still as the plan saw it.
func (s *Service) update(ctx context.Context, now time.Time, tenant ident.TenantID, up Update) error {
	d, found, err := s.o.Store.Deployment(ctx, tenant, up.Deployment)
	if err != nil {
		return fmt.Errorf("load deployment %s: %w", up.Deployment, err)
	}
	if !found || d.State != up.From || !slices.Equal(rollout.RingStates(d.Rings), up.RingsFrom) {
		return errMoved
	}
	if err := s.write(ctx, now, d, up); err != nil {
		return err
	}
	if up.To == Halted && up.From != Halted {
		return s.o.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: ident.Steward("deployment"), Action: "deployment.halted",
			Object: audit.Object{Kind: "deployment", ID: string(d.ID), Name: d.Title()}, Reason: up.Reason.Text(time.UTC), Detail: map[string]string{"policy": d.Policy}})
	}
	return nil
}

// write stores a change of a deployment with its history, and holds or lets go
// its release in the same transaction. It is the one door of states.
func (s *Service) write(ctx context.Context, now time.Time, d Deployment, up Update) error {
	if len(up.Members) > 0 {
		if err := s.o.Store.PutMembers(ctx, d.Tenant, d.ID, up.Members); err != nil {
			return fmt.Errorf("members of deployment %s: %w", d.ID, err)
		}
	}
	if d.State != up.To {
		d.Since = now
		if up.To.Final() {
			d.EndedAt = now
		}
	}
	d.State, d.Reason, d.Rings = up.To, up.Reason, up.Rings
	if err := s.o.Store.Put(ctx, d); err != nil {
		return fmt.Errorf("write deployment %s: %w", d.ID, err)
	}
	rows := make([]Transition, len(up.Moves))
	for i, m := range up.Moves {
		rows[i] = Transition{At: now, Subject: OfDeployment, ID: string(d.ID), From: m.From, To: m.To, Reason: m.Reason}
		if m.Ring >= 0 {
			rows[i].Subject, rows[i].ID = OfRing, up.Rings[m.Ring].Name
		}
	}
	if err := s.append(ctx, d.Tenant, d.ID, rows...); err != nil {
		return err
	}
	switch {
	case up.To == Halted && up.From != Halted:
		return s.o.Updates.Halt(ctx, now, d.Tenant, d.Release, reason.New(reason.DeploymentHalted, "why", up.Reason.Text(time.UTC)))
	case up.From == Halted && up.To != Halted:
		return s.o.Updates.Release(ctx, now, d.Tenant, d.Release, up.Reason)
	}
	return nil
}

// append adds rows to a deployment's history and wakes who tails it.
func (s *Service) append(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, rows ...Transition) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.o.Store.Append(ctx, tenant, id, rows); err != nil {
		return fmt.Errorf("history of deployment %s: %w", id, err)
	}
	s.o.After(ctx, func() {
		for _, r := range rows {
			s.moves.WithLabelValues(string(r.Subject), r.To).Inc()
		}
		s.o.Wake.Wake(Topic(id))
		s.Dirty(tenant)
	})
	return nil
}

// withdraw cancels a job that has not started; one that moved on stays.
func (s *Service) withdraw(ctx context.Context, now time.Time, tenant ident.TenantID, c CancelJob) error {
	err := s.o.Jobs.Cancel(ctx, now, ident.Steward("deployment"), tenant, c.Job, c.Reason)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return errMoved
	}
	return err
}

// submit makes a job, if its deployments still let it, and marks its updates.
func (s *Service) submit(ctx context.Context, now time.Time, spec job.Spec) error {
	for _, r := range spec.Releases {
		d, found, err := s.o.Store.Deployment(ctx, spec.Tenant, r.Deployment)
		if err != nil {
			return fmt.Errorf("load deployment %s: %w", r.Deployment, err)
		}
		if !found || d.State != Running && d.State != Completed {
			return errMoved
		}
	}
	j, err := s.o.Jobs.Submit(ctx, now, spec)
	if err != nil {
		return fmt.Errorf("submit job for device %s: %w", spec.Device, err)
	}
	var releases []patch.Release
	for _, r := range spec.Releases {
		if !j.Has(r.Deployment) {
			return errMoved // an older job of this run is not over yet
		}
		releases = append(releases, patch.Release{Source: r.Source, Package: r.Package, Version: r.Version})
	}
	return s.o.Updates.Schedule(ctx, now, spec.Tenant, spec.Device, releases, j.NotBefore, j.ID)
}

// JobMoved notes a job's transition in the history of each of its
// deployments. It is called inside the transaction that moves the job, so that
// whoever watches sees each step as it happens. A job that ended lets go of
// the updates that it did not touch.
func (s *Service) JobMoved(ctx context.Context, now time.Time, j job.Job, from job.State) error {
	if from == j.State {
		return nil
	}
	var told []ident.DeploymentID
	for _, r := range j.Releases {
		if r.Deployment == "" || slices.Contains(told, r.Deployment) {
			continue
		}
		told = append(told, r.Deployment)
		row := Transition{At: now, Subject: OfJob, ID: string(j.ID), Device: j.Device, From: string(from), To: string(j.State), Reason: j.Reason}
		if err := s.append(ctx, j.Tenant, r.Deployment, row); err != nil {
			return err
		}
	}
	if len(told) > 0 && j.State.Final() {
		return s.o.Updates.Unschedule(ctx, now, j.Tenant, j.Device, j.ID, j.Reason)
	}
	return nil
}
