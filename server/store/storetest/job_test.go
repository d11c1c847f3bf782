package storetest_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/wake"
)

// doorman lets at most so many jobs of a tenant start at once, by what the
// service itself says is under way.
type doorman struct {
	jobs  *job.Service
	limit int
}

func (d *doorman) MayLease(context.Context, time.Time, job.Job) (reason.Reason, error) {
	return reason.Reason{}, nil
}

func (d *doorman) MayStart(ctx context.Context, now time.Time, j job.Job) (job.Answer, error) {
	open, err := d.jobs.Open(ctx, now, j.Tenant)
	if err != nil {
		return job.Answer{}, err
	}
	busy := 0
	for _, other := range open {
		if other.ID != j.ID && other.HoldsSlot(now, false) {
			busy++
		}
	}
	if busy >= d.limit {
		return job.Answer{Verdict: job.Wait, Reason: reason.New(reason.InFlightLimit, "running", reason.Count(busy), "limit", reason.Count(d.limit))}, nil
	}
	return job.Answer{Verdict: job.Start}, nil
}

type jobKeys struct{}

func (jobKeys) JobKey(ident.TenantID) (ed25519.PrivateKey, int) {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), 3
}

type noAudit struct{}

func (noAudit) Record(context.Context, audit.Entry) error { return nil }

// jobService is the real service on a store; moved may be nil.
func jobService(s *store.Store, limit int, moved func(ctx context.Context, now time.Time, j job.Job, from job.State) error) *job.Service {
	b := s.Job()
	svc := job.New(job.Options{Store: b, Runs: b, Logs: b, Reads: b, Tx: s.Tx, After: s.After, Wake: &wake.Hub{}, Audit: noAudit{}, Keys: jobKeys{}, Moved: moved})
	svc.SetGatekeeper(&doorman{svc, limit})
	return svc
}

func spec(tenant ident.TenantID, device ident.DeviceID) job.Spec {
	return job.Spec{
		Tenant: tenant, Device: device, Kind: job.Install, NotBefore: at, StartBy: at.Add(time.Hour), Deadline: at.Add(2 * time.Hour),
		Run: job.Run{Policy: "p", Site: ident.MainSite, LocalDate: "2026-11-20", Opens: at, Closes: at.Add(2 * time.Hour)},
		Releases: []job.Release{
			{Deployment: "dep1", Source: "apt", Package: "bash", From: "1", Version: "2", Expected: 15 * time.Minute},
			{Deployment: "dep2", Source: "apt", Package: "curl", From: "7", Version: "8", Expected: time.Minute},
		},
		Denied: []wire.Denied{{Source: "apt", Package: "linux-*", Rule: "kernels"}},
	}
}

func submit(t testing.TB, svc *job.Service, now time.Time, s job.Spec) job.Job {
	t.Helper()
	j, err := svc.Submit(t.Context(), now, s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func tell(t testing.TB, svc *job.Service, now time.Time, j job.Job, steps ...job.Step) job.Job {
	t.Helper()
	for _, s := range steps {
		s.Job, s.Attempt, s.At = j.ID, j.Attempt, now
		next, err := svc.Step(t.Context(), now, j.Tenant, j.Device, s)
		if err != nil {
			t.Fatal(err)
		}
		j = next
	}
	return j
}

func TestAJobsWayThroughTheStore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		enroll(t, s, "acme", "d1")
		svc := jobService(s, 10, nil)
		j := submit(t, svc, at, spec("acme", "d1"))
		busy := func(tenant ident.TenantID, d ident.DeploymentID, want int) {
			t.Helper()
			if jobs, err := svc.Busy(ctx, tenant, d); err != nil || len(jobs) != want {
				t.Errorf("%d busy for %s of %s, %v; want %d", len(jobs), d, tenant, err, want)
			}
		}
		busy("acme", "dep1", 0)
		leases, _, err := svc.Desired(ctx, at, "acme", "d1")
		if err != nil || len(leases) != 1 {
			t.Fatalf("%+v, %v", leases, err)
		}
		busy("acme", "dep2", 1)
		busy("acme", "dep3", 0)
		busy("other", "dep2", 0)
		if a, err := svc.MayStart(ctx, at.Add(time.Minute), "acme", "d1", j.ID, 1); err != nil || a.Verdict != job.Start {
			t.Fatalf("%+v, %v", a, err)
		}
		done := at.Add(20 * time.Minute)
		ended := tell(t, svc, done, j, job.Step{Kind: job.StepStarted},
			job.Step{Kind: job.StepLog, Source: "apt", Package: "bash", Part: 2, Text: "b"}, job.Step{Kind: job.StepLog, Source: "apt", Package: "bash", Part: 1, Text: "a"},
			job.Step{Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultVerified, To: "2", Took: 90 * time.Second},
			job.Step{Kind: job.StepResult, Source: "apt", Package: "curl", Result: wire.ResultFailed, Code: "disk_full", ExitCode: 100},
			job.Step{Kind: job.StepFinished, Rescanned: true})
		got, err := svc.Job(ctx, "acme", j.ID)
		if err != nil || got.State != job.Failed || got.State != ended.State || got.Reason.Code != reason.JobFailed || got.Seq != 4 || got.Policy != "p" || got.Site != "main" {
			t.Fatalf("%+v, %v", got, err)
		}
		if string(got.Encoded) != string(leases[0].Encoded) || string(got.Signature) != string(leases[0].Signature) || got.KeyVersion != 3 || !slices.Equal(got.Denied, spec("", "").Denied) {
			t.Error("what was signed is not what is stored")
		}
		if !got.CreatedAt.Equal(at) || !got.LeasedAt.Equal(at) || !got.GrantedAt.Equal(at.Add(time.Minute)) || !got.StartedAt.Equal(done) ||
			!got.FinishedAt.Equal(done) || !got.HeardAt.Equal(done) || !got.ChangedAt.Equal(done) || !got.StartBy.Equal(at.Add(time.Hour)) {
			t.Errorf("times %+v", got)
		}
		if r := got.Releases[0]; r.Result != wire.ResultVerified || r.To != "2" || r.Took != 90*time.Second || r.Expected != 15*time.Minute || r.Deployment != "dep1" || r.Reason.Code != reason.VerifiedByScan {
			t.Errorf("%+v", r)
		}
		if r := got.Releases[1]; r.ExitCode != 100 || r.Reason.Args["code"] != "disk_full" || !r.EndedAt.Equal(done) {
			t.Errorf("%+v", r)
		}
		history, err := svc.History(ctx, "acme", j.ID)
		if err != nil || len(history) != 4 || history[0].From != "" || history[3].To != job.Failed || history[3].Seq != 4 || history[1].Device != "d1" {
			t.Errorf("%+v, %v", history, err)
		}
		parts, err := svc.Log(ctx, "acme", j.ID)
		if err != nil || len(parts) != 2 || parts[0].Text != "a" || parts[0].Attempt != 1 || !parts[0].At.Equal(done) {
			t.Errorf("%+v, %v", parts, err)
		}
		run, err := svc.Run(ctx, "acme", j.Run)
		if err != nil || run.Counts[job.Failed] != 1 || run.LocalDate != "2026-11-20" || !run.Closes.Equal(at.Add(2*time.Hour)) {
			t.Errorf("%+v, %v", run, err)
		}
		again := submit(t, svc, done, spec("acme", "d1"))
		if again.ID == j.ID || again.Run != j.Run {
			t.Errorf("after its end: %s in %s", again.ID, again.Run)
		}
	})
}

func TestJobsOfOthersAreNotFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		enroll(t, s, "acme", "d1")
		enroll(t, s, "other", "d2")
		svc := jobService(s, 10, nil)
		j := submit(t, svc, at, spec("acme", "d1"))
		why := reason.New(reason.NothingLeft)
		for name, try := range map[string]func() error{
			"Job":      func() error { _, err := svc.Job(ctx, "other", j.ID); return err },
			"History":  func() error { _, err := svc.History(ctx, "other", j.ID); return err },
			"Log":      func() error { _, err := svc.Log(ctx, "other", j.ID); return err },
			"Run":      func() error { _, err := svc.Run(ctx, "other", j.Run); return err },
			"Cancel":   func() error { return svc.Cancel(ctx, at, ident.Steward("test"), "other", j.ID, why) },
			"Retry":    func() error { _, err := svc.Retry(ctx, at, "other", j.ID, "x"); return err },
			"MayStart": func() error { _, err := svc.MayStart(ctx, at, "other", "d2", j.ID, 1); return err },
			"Step": func() error {
				_, err := svc.Step(ctx, at, "other", "d2", job.Step{Job: j.ID, Attempt: 1, Kind: job.StepStarted})
				return err
			},
		} {
			if err := try(); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if open, err := svc.Open(ctx, at, "other"); err != nil || len(open) != 0 {
			t.Errorf("open %+v, %v", open, err)
		}
		if leases, cancels, err := svc.Desired(ctx, at, "other", "d1"); err != nil || len(leases)+len(cancels) != 0 {
			t.Errorf("desired %+v, %+v, %v", leases, cancels, err)
		}
		if err := svc.JournalLost(ctx, at, "other", "d1"); err != nil {
			t.Fatal(err)
		}
		if got, err := svc.Job(ctx, "acme", j.ID); err != nil || got.State != job.Queued {
			t.Errorf("changed from outside: %s, %v", got.State, err)
		}
	})
}

func TestListsOfJobsComeInPagesAndInScope(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		svc := jobService(s, 10, nil)
		var all []ident.JobID
		for i := range 7 {
			device := ident.DeviceID(fmt.Sprint("d", i))
			tenant := ident.TenantID([]string{"acme", "other"}[i%2])
			enroll(t, s, tenant, device)
			all = append(all, submit(t, svc, at.Add(time.Duration(i)*time.Second), spec(tenant, device)).ID)
		}
		slices.Reverse(all)
		page := func(scope ident.Scope, f job.Filter) (ids []ident.JobID) {
			for cursor := ""; ; {
				jobs, next, err := svc.List(ctx, scope, f, cursor, 2)
				if err != nil || len(jobs) > 2 {
					t.Fatal(len(jobs), err)
				}
				for _, j := range jobs {
					if len(j.Releases) != 2 || j.Releases[1].Package != "curl" || j.Denied != nil {
						t.Errorf("%+v", j)
					}
					ids = append(ids, j.ID)
				}
				if cursor = next; next == "" {
					return ids
				}
			}
		}
		if got := page(ident.NewScopeAll(), job.Filter{}); !slices.Equal(got, all) {
			t.Errorf("all: %v, want %v", got, all)
		}
		acme := []ident.JobID{all[0], all[2], all[4], all[6]}
		only := ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil})
		for name, c := range map[string]struct {
			scope ident.Scope
			f     job.Filter
			want  []ident.JobID
		}{
			"one tenant":        {only, job.Filter{}, acme},
			"by filter":         {ident.NewScopeAll(), job.Filter{Tenant: "acme"}, acme},
			"outside of scope":  {only, job.Filter{Tenant: "other"}, nil},
			"nobody":            {ident.Scope{}, job.Filter{}, nil},
			"its site":          {ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"main", "x"}}), job.Filter{}, acme},
			"another site":      {ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"x"}}), job.Filter{}, nil},
			"sites and tenants": {ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"x"}, "other": nil}), job.Filter{}, []ident.JobID{all[1], all[3], all[5]}},
			"a device":          {only, job.Filter{Device: "d2"}, []ident.JobID{all[4]}},
			"a state":           {only, job.Filter{State: job.Running}, nil},
			"a deployment":      {only, job.Filter{Deployment: "dep2"}, acme},
			"no deployment":     {only, job.Filter{Deployment: "dep3"}, nil},
		} {
			if got := page(c.scope, c.f); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		if _, _, err := svc.List(ctx, only, job.Filter{}, "'; --", 2); !fault.Is(err, fault.Invalid) {
			t.Errorf("a cursor from nowhere: %v", err)
		}
		runs, next, err := svc.Runs(ctx, ident.NewScopeAll(), "", 1)
		if err != nil || len(runs) != 1 || next == "" || runs[0].Tenant != "other" || runs[0].Counts[job.Queued] != 3 {
			t.Fatalf("%+v, %q, %v", runs, next, err)
		}
		if runs, next, err = svc.Runs(ctx, only, "", 5); err != nil || len(runs) != 1 || next != "" || runs[0].Counts[job.Queued] != 4 {
			t.Errorf("%+v, %q, %v", runs, next, err)
		}
	})
}

func TestOpenShowsWhatEndedToday(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		svc := jobService(s, 10, nil)
		j := submit(t, svc, at, spec("acme", "d1"))
		for _, c := range []struct {
			now  time.Time
			want int
		}{{at, 1}, {at.Add(2 * time.Hour), 1}, {at.Add(2*time.Hour + 24*time.Hour), 1}, {at.Add(27 * time.Hour), 0}} {
			if err := svc.RunOnce(t.Context(), at.Add(2*time.Hour)); err != nil {
				t.Fatal(err)
			}
			open, err := svc.Open(t.Context(), c.now, "acme")
			if err != nil || len(open) != c.want || c.want == 1 && (open[0].ID != j.ID || len(open[0].Releases) != 2 || open[0].Encoded != nil) {
				t.Errorf("%s: %+v, %v", c.now, open, err)
			}
		}
	})
}

func TestChangedCountsDevicesLetStartAndAloneLeases(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		svc := jobService(s, 10, nil)
		for i, tenant := range []ident.TenantID{"acme", "acme", "acme", "other", "acme"} {
			device := ident.DeviceID(fmt.Sprint("d", i))
			enroll(t, s, tenant, device)
			sp := spec(tenant, device)
			if sp.Alone = i == 2; i == 4 {
				sp.Kind, sp.Releases, sp.Alone = job.Scan, nil, true
			}
			j := submit(t, svc, at, sp)
			if _, _, err := svc.Desired(ctx, at, tenant, device); err != nil {
				t.Fatal(err)
			}
			if i == 1 || i == 3 || i == 4 {
				if _, err := svc.MayStart(ctx, at.Add(time.Minute), tenant, device, j.ID, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range []struct {
			tenant ident.TenantID
			since  time.Time
			want   int
		}{
			{"acme", at, 2}, {"other", at, 1}, {"", at, 3}, {"acme", at.Add(2 * time.Minute), 1},
			{"", at.Add(2*time.Hour + wire.LeaseGrace), 1}, {"", at.Add(3 * time.Hour), 0}, {"nobody", at, 0},
		} {
			if got, err := svc.Changed(ctx, c.tenant, c.since); err != nil || got != c.want {
				t.Errorf("%q since %s: %d, %v; want %d", c.tenant, c.since.Sub(at), got, err, c.want)
			}
		}
	})
}

var errEffects = errors.New("effects failed")

func TestATransitionAndItsEffectsAreOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		fail := false
		svc := jobService(s, 10, func(context.Context, time.Time, job.Job, job.State) error {
			if fail {
				return errEffects
			}
			return nil
		})
		j := submit(t, svc, at, spec("acme", "d1"))
		fail = true
		if err := svc.Cancel(t.Context(), at, ident.Steward("test"), "acme", j.ID, reason.New(reason.NothingLeft)); !errors.Is(err, errEffects) {
			t.Fatal(err)
		}
		got, err := svc.Job(t.Context(), "acme", j.ID)
		history, _ := svc.History(t.Context(), "acme", j.ID)
		if err != nil || got.State != job.Queued || got.Releases[0].Result != "" || len(history) != 1 {
			t.Errorf("%+v, %d lines, %v", got, len(history), err)
		}
	})
}

const workers = 16

// together runs f in workers at once.
func together(f func(worker int)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f(w) })
	}
	wg.Wait()
}

func TestOneJobHoweverManySubmitIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		svc := jobService(s, 10, nil)
		var ids [workers]ident.JobID
		together(func(w int) {
			j, err := svc.Submit(t.Context(), at, spec("acme", "d1"))
			if err != nil {
				t.Error(err)
			}
			ids[w] = j.ID
		})
		jobs, _, err := svc.List(t.Context(), ident.NewScopeAll(), job.Filter{}, "", 10)
		if err != nil || len(jobs) != 1 || slices.ContainsFunc(ids[:], func(id ident.JobID) bool { return id != jobs[0].ID }) {
			t.Errorf("%d jobs, %v, %v", len(jobs), ids, err)
		}
	})
}

// Sixteen workers change one job at once: each decision is taken on what is
// there, none is lost, and the history has no hole.
func TestNoDecisionIsLostAmongWorkers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		var refused atomic.Int64
		svc := jobService(s, 10, nil)
		sp := spec("acme", "d1")
		sp.Releases = nil
		for i := range workers {
			sp.Releases = append(sp.Releases, job.Release{Source: "apt", Package: fmt.Sprint("p", i), Version: "1"})
		}
		j := submit(t, svc, at, sp)
		together(func(int) {
			if _, _, err := svc.Desired(t.Context(), at, "acme", "d1"); err != nil {
				t.Error(err)
			}
		})
		together(func(w int) {
			for _, step := range []job.Step{{Kind: job.StepStarted},
				{Kind: job.StepResult, Source: "apt", Package: fmt.Sprint("p", w), Result: wire.ResultVerified, To: "1"}} {
				step.Job, step.Attempt = j.ID, 1
				if _, err := svc.Step(t.Context(), at, "acme", "d1", step); err != nil {
					t.Error(err)
				}
			}
		})
		together(func(w int) {
			err := error(nil)
			if w%2 == 0 {
				_, err = svc.Step(t.Context(), at, "acme", "d1", job.Step{Job: j.ID, Attempt: 1, Kind: job.StepFinished, Rescanned: true})
			} else if err = svc.Cancel(t.Context(), at, ident.Steward("test"), "acme", j.ID, reason.New(reason.NothingLeft)); fault.Is(err, fault.Conflict) {
				refused.Add(1)
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		})
		got, err := svc.Job(t.Context(), "acme", j.ID)
		if err != nil || got.State != job.Succeeded || refused.Load() != workers/2 {
			t.Fatalf("%s (%s), %d refused, %v", got.State, got.Reason.Text(time.UTC), refused.Load(), err)
		}
		history, err := svc.History(t.Context(), "acme", j.ID)
		if err != nil || len(history) != 4 {
			t.Errorf("%+v, %v", history, err)
		}
	})
}

func TestNeverMoreStartsThanAllowedAmongWorkers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const limit = 3
		svc := jobService(s, limit, nil)
		var jobs [workers]job.Job
		for w := range workers {
			device := ident.DeviceID(fmt.Sprintf("d%c", 'a'+w))
			enroll(t, s, "acme", device)
			jobs[w] = submit(t, svc, at, spec("acme", device))
			if _, _, err := svc.Desired(t.Context(), at, "acme", device); err != nil {
				t.Fatal(err)
			}
		}
		var granted atomic.Int64
		together(func(w int) {
			a, err := svc.MayStart(t.Context(), at, "acme", jobs[w].Device, jobs[w].ID, 1)
			if err != nil {
				t.Error(err)
			}
			if a.Verdict == job.Start {
				granted.Add(1)
			}
		})
		if granted.Load() != limit {
			t.Errorf("%d granted, %d are allowed", granted.Load(), limit)
		}
	})
}
