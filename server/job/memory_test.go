package job_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/wake"
)

// memory is the stores in memory, so that properties run by the thousand; the
// conformance suite holds the real ones to the same.
type memory struct {
	jobs    map[job.Ref]job.Job
	runs    []job.Run
	history map[job.Ref][]job.Transition
	logs    map[job.Ref][]job.LogPart
	stale   int // so many saves come too late
}

func newMemory() *memory {
	return &memory{jobs: map[job.Ref]job.Job{}, history: map[job.Ref][]job.Transition{}, logs: map[job.Ref][]job.LogPart{}}
}

func (m *memory) tx(ctx context.Context, f func(context.Context) error) error { return f(ctx) }

func copied(j job.Job) job.Job {
	j.Releases = slices.Clone(j.Releases)
	return j
}

func (m *memory) Job(_ context.Context, tenant ident.TenantID, id ident.JobID, _ bool) (job.Job, bool, error) {
	j, ok := m.jobs[job.Ref{Tenant: tenant, Job: id}]
	return copied(j), ok, nil
}

func (m *memory) some(keep func(job.Job) bool, order func(a, b job.Job) int) (out []job.Job) {
	for _, j := range m.jobs {
		if keep(j) {
			out = append(out, copied(j))
		}
	}
	slices.SortFunc(out, order)
	return out
}

func (m *memory) OfDevice(_ context.Context, tenant ident.TenantID, device ident.DeviceID, _ bool) ([]job.Job, error) {
	return m.some(func(j job.Job) bool { return j.Tenant == tenant && j.Device == device && !j.State.Final() },
		func(a, b job.Job) int { return cmp.Or(a.NotBefore.Compare(b.NotBefore), cmp.Compare(a.ID, b.ID)) }), nil
}

func (m *memory) OfRun(_ context.Context, tenant ident.TenantID, run ident.RunID, device ident.DeviceID) (job.Job, bool, error) {
	for _, j := range m.jobs {
		if j.Tenant == tenant && j.Run == run && j.Device == device && !j.State.Final() {
			return copied(j), true, nil
		}
	}
	return job.Job{}, false, nil
}

func (m *memory) Insert(_ context.Context, j job.Job) (bool, error) {
	for _, other := range m.jobs {
		if other.Tenant == j.Tenant && other.Run == j.Run && other.Device == j.Device && !other.State.Final() {
			return false, nil
		}
	}
	m.jobs[job.Ref{Tenant: j.Tenant, Job: j.ID}] = copied(j)
	return true, nil
}

func (m *memory) Save(_ context.Context, _, j job.Job, _ []int) (bool, error) {
	ref := job.Ref{Tenant: j.Tenant, Job: j.ID}
	if m.stale > 0 {
		m.stale--
		return false, nil
	}
	if m.jobs[ref].Version != j.Version {
		return false, nil
	}
	j.Version++
	j.Denied = m.jobs[ref].Denied
	if len(j.Encoded) == 0 && !j.LeasedAt.IsZero() {
		j.Encoded, j.Signature = m.jobs[ref].Encoded, m.jobs[ref].Signature
	}
	m.jobs[ref] = copied(j)
	return true, nil
}

func (m *memory) AddHistory(_ context.Context, tenant ident.TenantID, t job.Transition, _ int) error {
	ref := job.Ref{Tenant: tenant, Job: t.Job}
	m.history[ref] = append(m.history[ref], t)
	return nil
}

func (m *memory) Due(_ context.Context, now time.Time, limit int) (refs []job.Ref, err error) {
	for _, j := range m.some(func(j job.Job) bool { return !j.DueAt().IsZero() && j.DueAt().Before(now) }, func(a, b job.Job) int { return a.DueAt().Compare(b.DueAt()) }) {
		if len(refs) < limit {
			refs = append(refs, job.Ref{Tenant: j.Tenant, Job: j.ID})
		}
	}
	return refs, nil
}

func (m *memory) LockGrants(context.Context) error { return nil }

func (m *memory) EnsureRun(_ context.Context, r job.Run) (job.Run, error) {
	for _, old := range m.runs {
		if old.Tenant == r.Tenant && old.Policy == r.Policy && old.Site == r.Site && old.Opens.Equal(r.Opens) {
			return old, nil
		}
	}
	m.runs = append(m.runs, r)
	return r, nil
}

func (m *memory) Run(context.Context, ident.TenantID, ident.RunID) (job.Run, bool, error) {
	return job.Run{}, false, nil
}

func (m *memory) Runs(context.Context, ident.Scope, ident.RunID, int) ([]job.Run, error) {
	return m.runs, nil
}

func (m *memory) LogSize(_ context.Context, tenant ident.TenantID, id ident.JobID, p job.LogPart) (size job.LogSize, err error) {
	for _, old := range m.logs[job.Ref{Tenant: tenant, Job: id}] {
		size.Parts++
		size.Job += len(old.Text)
		if old.Attempt == p.Attempt && old.Source == p.Source && old.Package == p.Package {
			size.Step += len(old.Text)
			size.Known = size.Known || old.Part == p.Part
		}
	}
	return size, nil
}

func (m *memory) AddLog(_ context.Context, tenant ident.TenantID, id ident.JobID, p job.LogPart) error {
	ref := job.Ref{Tenant: tenant, Job: id}
	m.logs[ref] = append(m.logs[ref], p)
	return nil
}

func (m *memory) Log(_ context.Context, tenant ident.TenantID, id ident.JobID) ([]job.LogPart, error) {
	return m.logs[job.Ref{Tenant: tenant, Job: id}], nil
}

func (m *memory) List(_ context.Context, _ ident.Scope, _ job.Filter, below ident.JobID, limit int) ([]job.Job, error) {
	jobs := m.some(func(j job.Job) bool { return below == "" || j.ID < below }, func(a, b job.Job) int { return cmp.Compare(b.ID, a.ID) })
	return jobs[:min(limit, len(jobs))], nil
}

func (m *memory) Open(_ context.Context, tenant ident.TenantID, since time.Time) ([]job.Job, error) {
	return m.some(func(j job.Job) bool { return j.Tenant == tenant && (!j.State.Final() || !j.Since.Before(since)) },
		func(a, b job.Job) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (m *memory) Busy(_ context.Context, tenant ident.TenantID, id ident.DeploymentID) ([]job.Job, error) {
	return m.some(func(j job.Job) bool {
		return j.Tenant == tenant && !j.State.Final() && j.State != job.Queued && j.Has(id)
	}, func(a, b job.Job) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (m *memory) History(_ context.Context, tenant ident.TenantID, id ident.JobID) ([]job.Transition, error) {
	return m.history[job.Ref{Tenant: tenant, Job: id}], nil
}

func (m *memory) Changed(context.Context, ident.TenantID, time.Time) (int, error) { return 0, nil }

// gate answers what a test wants.
type gate struct {
	lease reason.Reason
	start job.Answer
}

func (g *gate) MayLease(context.Context, time.Time, job.Job) (reason.Reason, error) {
	return g.lease, nil
}
func (g *gate) MayStart(context.Context, time.Time, job.Job) (job.Answer, error) { return g.start, nil }

// keys is one key for all.
type keys struct{ private ed25519.PrivateKey }

func (k keys) JobKey(ident.TenantID) (ed25519.PrivateKey, int) { return k.private, 7 }

// auditor keeps what was recorded.
type auditor struct{ entries []audit.Entry }

func (a *auditor) Record(_ context.Context, e audit.Entry) error {
	a.entries = append(a.entries, e)
	return nil
}

// scans says when the one device scanned last.
type scans struct{ at time.Time }

func (s *scans) Scan(context.Context, ident.TenantID, ident.DeviceID) (inventory.Scan, error) {
	return inventory.Scan{At: s.at}, nil
}

// bench is a service with all that it needs, on stores in memory.
type bench struct {
	*job.Service
	m     *memory
	gate  *gate
	audit *auditor
	scans *scans
	wake  *wake.Hub
	key   ed25519.PublicKey
	moved []string // "from→to" as Moved was told
}

var signing = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func newBench() *bench {
	b := &bench{m: newMemory(), gate: &gate{start: job.Answer{Verdict: job.Start}}, audit: &auditor{}, scans: &scans{}, wake: &wake.Hub{},
		key: signing.Public().(ed25519.PublicKey)}
	b.Service = job.New(job.Options{Store: b.m, Runs: b.m, Logs: b.m, Reads: b.m, Scans: b.scans, Tx: b.m.tx,
		After: func(_ context.Context, f func()) { f() }, Wake: b.wake, Audit: b.audit, Keys: keys{signing},
		Moved: func(_ context.Context, _ time.Time, j job.Job, from job.State) error {
			b.moved = append(b.moved, string(from)+"→"+string(j.State))
			return nil
		}})
	b.SetGatekeeper(b.gate)
	return b
}

// noon is a fixed point of time; the window of sample opens an hour later.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func sample() job.Spec {
	return job.Spec{
		Tenant: "acme", Device: "d1", Kind: job.Install, Run: job.Run{Policy: "p", Site: "main", LocalDate: "2026-11-20", Opens: noon.Add(time.Hour), Closes: noon.Add(3 * time.Hour)},
		NotBefore: noon.Add(time.Hour), StartBy: noon.Add(2 * time.Hour), Deadline: noon.Add(3 * time.Hour),
		Releases: []job.Release{
			{Deployment: "dep1", Source: "apt", Package: "bash", From: "1", Version: "2", Expected: 15 * time.Minute},
			{Deployment: "dep2", Source: "apt", Package: "curl", From: "7", Version: "8", Expected: 15 * time.Minute},
		},
	}
}

// leased submits and leases a job.
func (b *bench) leased(t testing.TB, spec job.Spec) job.Job {
	t.Helper()
	made, err := b.Submit(t.Context(), noon, spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Desired(t.Context(), noon, spec.Tenant, spec.Device); err != nil {
		t.Fatal(err)
	}
	return b.is(t, made.ID, job.Leased)
}

// is loads a job and holds it to a state.
func (b *bench) is(t testing.TB, id ident.JobID, want job.State) job.Job {
	t.Helper()
	j, err := b.Job(t.Context(), "acme", id)
	if err != nil || j.State != want {
		t.Fatalf("job is %s (%s), %v; want %s", j.State, j.Reason.Text(time.UTC), err, want)
	}
	return j
}

// tell takes steps in, one minute after the other from the given time on.
func (b *bench) tell(t testing.TB, now time.Time, id ident.JobID, attempt int, steps ...job.Step) {
	t.Helper()
	for i, s := range steps {
		s.Job, s.Attempt, s.At = id, attempt, now.Add(time.Duration(i)*time.Minute)
		if _, err := b.Step(t.Context(), s.At, "acme", "d1", s); err != nil {
			t.Fatalf("step %s: %v", s.Kind, err)
		}
	}
}
