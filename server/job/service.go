package job

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/wake"
)

// Keys gives the key that signs a tenant's jobs now, with its version; nil
// when none is valid.
type Keys interface {
	JobKey(tenant ident.TenantID) (key ed25519.PrivateKey, version int)
}

// Auditor records what people did.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
}

// Options are what a Service needs.
type Options struct {
	Store Store
	Runs  RunStore
	Logs  LogStore
	Reads Reads
	Scans Scans // nil: no further attempt after an unknown one
	Tx    func(ctx context.Context, f func(ctx context.Context) error) error
	After func(ctx context.Context, f func())
	Wake  *wake.Hub
	Audit Auditor
	Keys  Keys
	// Moved is told of each transition inside its transaction, and of a new
	// job with the empty state as from. It is not told when only the reason of
	// waiting changed. The job comes without bytes and deny list. nil: nobody is.
	Moved      func(ctx context.Context, now time.Time, j Job, from State) error
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Service keeps jobs.
type Service struct {
	o      Options
	gate   atomic.Pointer[Gatekeeper]
	recent recent
	moves  *prometheus.CounterVec
	grants *prometheus.CounterVec
}

// New makes a Service. Until SetGatekeeper it leases and grants nothing.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o,
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steward_job_transitions_total",
			Help: "Transitions of jobs, by the state reached."}, []string{"to"}),
		grants: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steward_job_start_answers_total",
			Help: "Answers to devices that asked for the start of a job, by verdict."}, []string{"verdict"}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(s.moves, s.grants)
	}
	return s
}

// SetGatekeeper says who decides on leases and starts; it is made after the
// service. Without one everything is refused.
func (s *Service) SetGatekeeper(g Gatekeeper) { s.gate.Store(&g) }

func (s *Service) gatekeeper() (Gatekeeper, bool) {
	g := s.gate.Load()
	if g == nil || *g == nil {
		return nil, false
	}
	return *g, true
}

// Topic is woken when a job has a new line of history.
func Topic(id ident.JobID) string { return "job/" + string(id) }

// TenantTopic is woken when any job of the tenant has a new line of history.
func TenantTopic(tenant ident.TenantID) string { return "jobs/" + string(tenant) }

// DesiredTopic is woken when what a device should hold may have changed.
func DesiredTopic(device ident.DeviceID) string { return "desired/" + string(device) }

func notFound(id ident.JobID) error { return fault.NotFoundf("there is no job %q", id) }

// staleTries bounds how often a decision is taken again because another was
// quicker. Each of them means that another one succeeded.
const staleTries = 64

// update lets decide change a job and writes what it left, in one transaction.
// It decides on the job as it is remembered, if it is: that stands when the
// write shows, or else a read, that the job is still so. If not, decide runs
// again on a fresh load. The job has neither its bytes nor its deny list.
func (s *Service) update(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.JobID, decide func(ctx context.Context, c *change) error) (out Job, err error) {
	err = s.o.Tx(ctx, func(ctx context.Context) (err error) {
		var c *change
		if j, ok := s.recent.get(Ref{tenant, id}); ok {
			if c = begin(j); decide(ctx, c) != nil {
				c = nil // a fresh load shows whether it is true
			}
		}
		if c != nil && c.dirty {
			written, err := s.write(ctx, now, c)
			if written || err != nil {
				out = c.Job
				return err
			}
		}
		j, err := s.load(ctx, tenant, id, false)
		if err != nil {
			return err
		}
		if c != nil && !c.dirty && c.Version == j.Version {
			out = c.Job
			return nil
		}
		out, err = s.change(ctx, now, j, false, decide)
		return err
	})
	return out, err
}

func (s *Service) load(ctx context.Context, tenant ident.TenantID, id ident.JobID, whole bool) (Job, error) {
	j, found, err := s.o.Store.Job(ctx, tenant, id, whole)
	if err != nil {
		return Job{}, fmt.Errorf("load job %s: %w", id, err)
	}
	if !found {
		return Job{}, notFound(id)
	}
	return j, nil
}

// change is the rest of update for a job that was loaded in the transaction;
// whole says how it is loaded again when another was quicker.
func (s *Service) change(ctx context.Context, now time.Time, j Job, whole bool, decide func(ctx context.Context, c *change) error) (Job, error) {
	for range staleTries {
		c := begin(j)
		if err := decide(ctx, c); err != nil {
			return Job{}, err
		}
		if !c.dirty {
			return c.Job, nil
		}
		written, err := s.write(ctx, now, c)
		if written || err != nil {
			return c.Job, err
		}
		if j, err = s.load(ctx, j.Tenant, j.ID, whole); err != nil {
			return Job{}, err
		}
	}
	return Job{}, fault.New(fault.Unavailable, "job %s changes too often to be changed", j.ID).WithNext("try again")
}

// write saves a change with its history; false when another was quicker, and
// then nothing was written.
func (s *Service) write(ctx context.Context, now time.Time, c *change) (bool, error) {
	ok, err := s.o.Store.Save(ctx, c.was, c.Job, slices.Sorted(maps.Keys(c.releases)))
	if err != nil {
		return false, fmt.Errorf("save job %s: %w", c.ID, err)
	}
	if !ok {
		return false, nil
	}
	c.Version++
	for i := range c.moved {
		c.moved[i].job.Version = c.Version
	}
	if err := s.record(ctx, now, c.moved); err != nil {
		return false, err
	}
	s.o.After(ctx, func() { s.recent.put(c.Job) })
	return true, nil
}

// record writes lines of history, tells who wants to know inside the
// transaction, and wakes the others after it.
func (s *Service) record(ctx context.Context, now time.Time, lines []moved) error {
	for _, m := range lines {
		j := m.job
		t := Transition{Seq: j.Seq, Job: j.ID, Device: j.Device, From: m.from, To: j.State, Reason: j.Reason, At: now}
		if err := s.o.Store.AddHistory(ctx, j.Tenant, t, j.Attempt); err != nil {
			return fmt.Errorf("history of job %s: %w", j.ID, err)
		}
		if m.from != j.State && s.o.Moved != nil {
			if err := s.o.Moved(ctx, now, j, m.from); err != nil {
				return fmt.Errorf("effects of job %s, %s to %s: %w", j.ID, m.from, j.State, err)
			}
		}
	}
	if len(lines) > 0 {
		s.o.After(ctx, func() { s.announce(lines) })
	}
	return nil
}

func (s *Service) announce(lines []moved) {
	for _, m := range lines {
		if m.from != m.job.State {
			s.moves.WithLabelValues(string(m.job.State)).Inc()
		}
	}
	j := lines[len(lines)-1].job
	s.o.Wake.Wake(Topic(j.ID))
	s.o.Wake.Wake(TenantTopic(j.Tenant))
	if j.State != Leased { // leasing is the answer to a look at what is desired
		s.o.Wake.Wake(DesiredTopic(j.Device))
	}
}
