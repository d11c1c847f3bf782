package deployment

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/wake"
)

// Fleet tells who is there; *fleet.Service is one.
type Fleet interface {
	Tenants(ctx context.Context) ([]fleet.Tenant, error)
	Tenant(ctx context.Context, id ident.TenantID) (fleet.Tenant, error)
	Sites(ctx context.Context, tenant ident.TenantID) ([]fleet.Site, error)
	Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error)
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Presence(ctx context.Context, tenant ident.TenantID, from time.Time) ([]fleet.Presence, error)
}

// Policies tells what is decided; *policy.Service is one.
type Policies interface {
	Documents(ctx context.Context, tenant ident.TenantID) ([]policy.Document, error)
	Decisions(ctx context.Context, tenant ident.TenantID) ([]policy.Manually, error)
	Revision(ctx context.Context, tenant ident.TenantID) (string, error)
}

// Inventory tells of releases and scans; *inventory.Service is one.
type Inventory interface {
	Release(ctx context.Context, source, pkg, version string) (inventory.Release, bool, error)
	Scan(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (inventory.Scan, error)
}

// Updates are the updates of devices; *patch.Service is one.
type Updates interface {
	// Open lists a tenant's open updates, in order of device.
	Open(ctx context.Context, tenant ident.TenantID) ([]patch.Update, error)
	Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]patch.Update, error)
	Halt(ctx context.Context, now time.Time, tenant ident.TenantID, r patch.Release, why reason.Reason) error
	Release(ctx context.Context, now time.Time, tenant ident.TenantID, r patch.Release, why reason.Reason) error
	Schedule(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, releases []patch.Release, until time.Time, id ident.JobID) error
	Unschedule(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID, why reason.Reason) error
	ReconcileTenant(ctx context.Context, now time.Time, tenant ident.TenantID) error
	Minutes(ctx context.Context, r patch.Release) (time.Duration, bool, error)
}

// Jobs are the units of work; *job.Service is one.
type Jobs interface {
	Submit(ctx context.Context, now time.Time, spec job.Spec) (job.Job, error)
	Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.JobID, why reason.Reason) error
	// Open lists a tenant's jobs that have not ended, and those that did in
	// the last 24 hours.
	Open(ctx context.Context, now time.Time, tenant ident.TenantID) ([]job.Job, error)
	// OfDevice lists a device's jobs that have not ended.
	OfDevice(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]job.Job, error)
	// Busy lists the jobs of a deployment that may hold a place in flight:
	// running, granted their start, or leased to start without contact.
	Busy(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) ([]job.Job, error)
	Changed(ctx context.Context, tenant ident.TenantID, since time.Time) (int, error)
}

// Auditor records what people did, and automatic halts.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
}

// Options are what a Service needs.
type Options struct {
	Store      Store
	Lists      Lists
	Fleet      Fleet
	Policies   Policies
	Inventory  Inventory
	Updates    Updates
	Jobs       Jobs
	Tx         func(ctx context.Context, f func(ctx context.Context) error) error
	After      func(ctx context.Context, f func())
	Audit      Auditor
	Wake       *wake.Hub
	Log        *slog.Logger          // nil: discards
	Registerer prometheus.Registerer // nil: no metrics
	// ServerLimit is how many devices of the whole server may change in an
	// hour; zero is max(500, 25 %).
	ServerLimit policy.Allowance
}

// Service moves deployments and answers for them. It is a job.Gatekeeper.
type Service struct {
	o     Options
	moves *prometheus.CounterVec

	mu      sync.Mutex
	tenants map[ident.TenantID]*standingOrder
	known   memory
	running sync.Map // tenant → *sync.Mutex: one tick at a time
}

// standingOrder is when a tenant is looked at next.
type standingOrder struct {
	dirty    bool
	next     time.Time // zero: nothing changes by itself
	looked   time.Time
	revision string // of its policies at the last look
	rest     time.Duration
}

// restPerUpdate is how long a tenant rests between two looks for each of its
// open updates, so that a night with many events in a large one is not spent
// reading it again and again: 800,000 updates rest 40 s, 1,000 rest 50 ms.
const restPerUpdate = 50 * time.Microsecond

// lookAgain is how long a tenant stays unlooked at: wake-ups are only hints.
const lookAgain = 5 * time.Minute

// New makes a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, tenants: map[ident.TenantID]*standingOrder{}, known: newMemory(),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steward_deployment_transitions_total",
			Help: "Transitions of deployments and rings, by subject and the state reached."}, []string{"subject", "to"}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(s.moves)
	}
	return s
}

// Topic is woken when a deployment's history has a new row.
func Topic(id ident.DeploymentID) string { return "deployment/" + string(id) }

// PlanTopic is woken when some tenant needs a tick.
func PlanTopic() string { return "plan" }

// Dirty asks for a tick of the tenant: something changed.
func (s *Service) Dirty(tenant ident.TenantID) {
	s.mu.Lock()
	s.order(tenant).dirty = true
	s.mu.Unlock()
	s.o.Wake.Wake(PlanTopic())
}

// AllDirty asks for a tick of every tenant: a document of the MSP changed.
func (s *Service) AllDirty() {
	s.mu.Lock()
	for _, o := range s.tenants {
		o.dirty = true
	}
	s.mu.Unlock()
	s.o.Wake.Wake(PlanTopic())
}

// order finds a tenant's standing order. The caller holds mu.
func (s *Service) order(tenant ident.TenantID) *standingOrder {
	o := s.tenants[tenant]
	if o == nil {
		o = &standingOrder{dirty: true}
		s.tenants[tenant] = o
	}
	return o
}

// RunOnce ticks each tenant that is dirty, due, or was not looked at for five
// minutes. An error of one tenant does not hold up the others.
func (s *Service) RunOnce(ctx context.Context, now time.Time) error {
	tenants, err := s.o.Fleet.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("plan: list tenants: %w", err)
	}
	var first error
	for _, t := range tenants {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !s.due(now, t.ID) {
			continue
		}
		if err := s.Tick(ctx, now, t.ID); err != nil {
			s.Dirty(t.ID) // the next round tries again
			if first == nil {
				first = fmt.Errorf("plan tenant %s: %w", t.ID, err)
			}
		}
	}
	return first
}

func (s *Service) due(now time.Time, tenant ident.TenantID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order(tenant)
	if now.Before(o.looked.Add(o.rest)) {
		return false
	}
	return o.dirty || !o.next.IsZero() && !now.Before(o.next) || !now.Before(o.looked.Add(lookAgain))
}

// maxPasses bounds how often a tick plans again on what it changed: a new
// deployment opens its first ring in the second pass, and its jobs are made.
const maxPasses = 4

// Tick looks at one tenant, decides, and makes each change in a transaction of
// its own that checks again what it rests on, until nothing is left to do.
func (s *Service) Tick(ctx context.Context, now time.Time, tenant ident.TenantID) error {
	lock, _ := s.running.LoadOrStore(tenant, &sync.Mutex{})
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()

	revision, err := s.reconcile(ctx, now, tenant)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.order(tenant).dirty = false // what changes from here on is looked at again
	s.mu.Unlock()
	var r Result
	size := 0
	for range maxPasses {
		w, err := s.load(ctx, now, tenant)
		if err != nil {
			return err
		}
		size = len(w.Updates)
		if r = rollout.Plan(now, w); r.Empty() {
			break
		}
		if err := s.apply(ctx, now, w, r); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order(tenant)
	o.next, o.looked, o.revision = r.Next, now, revision
	o.rest = min(time.Duration(size)*restPerUpdate, lookAgain/5)
	o.dirty = o.dirty || !r.Empty()
	return nil
}

// reconcile brings the tenant's updates in line when its policies changed.
func (s *Service) reconcile(ctx context.Context, now time.Time, tenant ident.TenantID) (string, error) {
	revision, err := s.o.Policies.Revision(ctx, tenant)
	if err != nil {
		return "", fmt.Errorf("revision of policies: %w", err)
	}
	s.mu.Lock()
	same := s.order(tenant).revision == revision
	s.mu.Unlock()
	if same {
		return revision, nil
	}
	if err := s.o.Updates.ReconcileTenant(ctx, now, tenant); err != nil {
		return "", fmt.Errorf("reconcile updates with new policies: %w", err)
	}
	return revision, nil
}

// Deployment finds a deployment with its rings and members; fault.NotFound.
func (s *Service) Deployment(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) (Deployment, error) {
	d, found, err := s.o.Store.Deployment(ctx, tenant, id)
	if err != nil {
		return Deployment{}, fmt.Errorf("load deployment %s: %w", id, err)
	}
	if !found {
		return Deployment{}, fault.NotFoundf("there is no deployment %q", id)
	}
	d.Members, err = s.o.Store.Members(ctx, tenant, id, nil)
	return d, err
}

// List lists deployments that the scope may see, newest first, without
// members; next is the cursor of the following page, "" at the end.
func (s *Service) List(ctx context.Context, scope ident.Scope, f Filter, cursor string, limit int) (list []Deployment, next string, err error) {
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	list, err = s.o.Lists.List(ctx, scope, f, ident.DeploymentID(cursor), limit+1)
	if len(list) > limit {
		list = list[:limit]
		next = string(list[limit-1].ID)
	}
	return list, next, err
}

// Events lists the deployment's history after a number, oldest first.
func (s *Service) Events(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]Transition, error) {
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	return s.o.Lists.Events(ctx, tenant, id, after, limit)
}

const maxPage = 500
