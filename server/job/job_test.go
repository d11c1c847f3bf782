package job_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

var states = []job.State{"", job.Queued, job.NeedsAgreement, job.Leased, job.Running, job.Cancelling, job.Succeeded, job.Failed,
	job.Deferred, job.Expired, job.Cancelled, job.Unknown}

// The state machine of a job as the design has it, pair by pair.
func TestOnlyLegalMoves(t *testing.T) {
	legal := strings.Fields(`>queued >needs_agreement
		queued>needs_agreement needs_agreement>queued queued>leased leased>running
		running>succeeded running>failed running>deferred running>expired running>cancelled running>unknown running>queued
		leased>failed leased>expired leased>cancelled leased>unknown
		queued>expired queued>cancelled needs_agreement>expired needs_agreement>cancelled
		leased>cancelling cancelling>cancelled cancelling>running cancelling>unknown
		unknown>succeeded unknown>failed unknown>deferred unknown>expired unknown>cancelled unknown>queued`)
	why := reason.New(reason.JobStarted)
	for _, from := range states {
		for _, to := range states {
			want := slices.Contains(legal, string(from)+">"+string(to))
			j, err := job.Job{State: from, Seq: 4, Attempt: 1}.Move(to, why, noon)
			if want != job.MayMove(from, to) || want != (err == nil) {
				t.Errorf("%q → %q: %v, want legal %v", from, to, err, want)
			}
			if want && (j.State != to || j.Seq != 5 || !j.Since.Equal(noon) || j.Reason.Code != why.Code || to.Final() == j.FinishedAt.IsZero()) {
				t.Errorf("%q → %q leaves %+v", from, to, j)
			}
			if !want && (!fault.Is(err, fault.Conflict) || j.State != from || j.Seq != 4) {
				t.Errorf("%q → %q: %v, leaves %+v", from, to, err, j)
			}
			if from.Final() && want {
				t.Errorf("%s is final and has a way out", from)
			}
		}
	}
}

func TestSubmitRefuses(t *testing.T) {
	long := strings.Repeat("x", wire.MaxText+1)
	for name, c := range map[string]struct {
		change func(*job.Spec)
		field  string
	}{
		"no device":              {func(s *job.Spec) { s.Device = "" }, "device"},
		"the MSP":                {func(s *job.Spec) { s.Tenant = ident.MSP }, "device"},
		"an unknown kind":        {func(s *job.Spec) { s.Kind = "format" }, "kind"},
		"nothing to install":     {func(s *job.Spec) { s.Releases = nil }, "releases"},
		"a scan that installs":   {func(s *job.Spec) { s.Kind = job.Scan }, "releases"},
		"too many releases":      {func(s *job.Spec) { s.Releases = make([]job.Release, wire.MaxJobReleases+1) }, "releases"},
		"a package twice":        {func(s *job.Spec) { s.Releases[1].Package = "bash" }, "releases"},
		"no version":             {func(s *job.Spec) { s.Releases[1].Version = "" }, "releases"},
		"too many denied":        {func(s *job.Spec) { s.Denied = make([]wire.Denied, wire.MaxDeniedPackages+1) }, "denied"},
		"a long text":            {func(s *job.Spec) { s.Releases[0].From = long }, "text"},
		"a NUL":                  {func(s *job.Spec) { s.Denied = []wire.Denied{{Rule: "a\x00"}} }, "text"},
		"bytes that are no text": {func(s *job.Spec) { s.Releases[0].Package = "\xff" }, "text"},
		"an endless release":     {func(s *job.Spec) { s.Releases[0].Expected = 8 * 24 * time.Hour }, "releases"},
		"no policy":              {func(s *job.Spec) { s.Run.Policy = "" }, "run"},
		"a window that is over":  {func(s *job.Spec) { s.Run.Closes = noon }, "run"},
		"start after deadline":   {func(s *job.Spec) { s.Deadline = s.StartBy.Add(-time.Second) }, "times"},
		"no time at all":         {func(s *job.Spec) { s.NotBefore = time.Time{} }, "times"},
		"a start that is past":   {func(s *job.Spec) { s.NotBefore, s.StartBy = noon.Add(-2*time.Hour), noon.Add(-time.Hour) }, "start_by"},
		"too many attempts":      {func(s *job.Spec) { s.Attempts = 6 }, "attempts"},
		"more than a message": {func(s *job.Spec) {
			s.Denied = slices.Repeat([]wire.Denied{{Source: "apt", Package: "p", Rule: long[:1000]}}, 70)
		}, "job"},
	} {
		b, spec := newBench(), sample()
		c.change(&spec)
		_, err := b.Submit(t.Context(), noon, spec)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != c.field || len(b.m.jobs) > 0 {
			t.Errorf("%s: %v, %d jobs", name, err, len(b.m.jobs))
		}
	}
}

func TestSubmitIsOneJobPerRunAndDevice(t *testing.T) {
	b := newBench()
	first, err := b.Submit(t.Context(), noon, sample())
	if err != nil || first.State != job.Queued || first.Attempt != 1 || first.Seq != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := b.Submit(t.Context(), noon, sample()); err != nil || again.ID != first.ID {
		t.Errorf("a second job %s beside %s, %v", again.ID, first.ID, err)
	}
	other := sample()
	other.Device = "d2"
	if second, err := b.Submit(t.Context(), noon, other); err != nil || second.Run != first.Run || second.ID == first.ID {
		t.Errorf("run %s and %s, %v", second.Run, first.Run, err)
	}
	if err := b.Cancel(t.Context(), noon, ident.Steward("test"), "acme", first.ID, reason.New(reason.NothingLeft)); err != nil {
		t.Fatal(err)
	}
	if next, err := b.Submit(t.Context(), noon, sample()); err != nil || next.ID == first.ID || next.Run != first.Run {
		t.Errorf("after its end: %s, %v", next.ID, err)
	}
}

func TestTimesAreWholeSecondsInwards(t *testing.T) {
	b, spec := newBench(), sample()
	spec.NotBefore, spec.StartBy = spec.NotBefore.Add(time.Millisecond), spec.StartBy.Add(999*time.Millisecond)
	j := b.leased(t, spec)
	w, err := wire.DecodeJob(j.Encoded)
	if err != nil || !w.NotBefore.Equal(noon.Add(time.Hour+time.Second)) || !w.StartBy.Equal(noon.Add(2*time.Hour)) || !w.NotBefore.Equal(j.NotBefore) {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestALeaseIsSignedAndSaysAll(t *testing.T) {
	b, spec := newBench(), sample()
	spec.Alone, spec.MayReboot, spec.Denied = true, true, []wire.Denied{{Source: "apt", Package: "linux-*", Rule: "kernels"}}
	if _, err := b.Submit(t.Context(), noon, spec); err != nil {
		t.Fatal(err)
	}
	leases, cancels, err := b.Desired(t.Context(), noon, "acme", "d1")
	if err != nil || len(leases) != 1 || len(cancels) != 0 || leases[0].KeyVersion != 7 {
		t.Fatalf("%+v, %+v, %v", leases, cancels, err)
	}
	if !wire.VerifyJob(b.key, leases[0].Encoded, leases[0].Signature) {
		t.Error("the signature is not the tenant's")
	}
	w, err := wire.DecodeJob(leases[0].Encoded)
	if err != nil || w.ID != string(leases[0].Job) || w.Attempt != 1 || w.Tenant != "acme" || w.Device != "d1" || w.Kind != wire.JobInstall ||
		!w.Alone || !w.MayReboot || len(w.Releases) != 2 || w.Releases[1].Version != "8" || len(w.Denied) != 1 || !w.IssuedAt.Equal(noon) {
		t.Errorf("%+v, %v", w, err)
	}
	again, _, err := b.Desired(t.Context(), noon.Add(time.Minute), "acme", "d1")
	if err != nil || len(again) != 1 || string(again[0].Encoded) != string(leases[0].Encoded) {
		t.Errorf("the lease changed by being looked at: %v", err)
	}
}

func TestNoLeaseTooEarlyNorWithoutTheGatekeeper(t *testing.T) {
	b, spec := newBench(), sample()
	spec.NotBefore, spec.StartBy, spec.Deadline = noon.Add(25*time.Hour), noon.Add(26*time.Hour), noon.Add(27*time.Hour)
	j, err := b.Submit(t.Context(), noon, spec)
	if err != nil {
		t.Fatal(err)
	}
	desired := func(now time.Time) {
		t.Helper()
		if _, _, err := b.Desired(t.Context(), now, "acme", "d1"); err != nil {
			t.Fatal(err)
		}
	}
	desired(noon)
	b.is(t, j.ID, job.Queued)
	later := noon.Add(time.Hour)
	b.SetGatekeeper(nil)
	desired(later)
	b.is(t, j.ID, job.Queued)
	b.SetGatekeeper(b.gate)
	b.gate.lease = reason.New(reason.InFlightLimit, "running", "1", "limit", "1")
	before := len(b.m.history[job.Ref{Tenant: "acme", Job: j.ID}])
	for i := range 5 {
		b.gate.lease = reason.New(reason.InFlightLimit, "running", reason.Count(i), "limit", "1")
		desired(later)
	}
	got := b.is(t, j.ID, job.Queued)
	if got.Reason.Args["running"] != "4" {
		t.Errorf("the reason is not the last one: %v", got.Reason)
	}
	if n := len(b.m.history[job.Ref{Tenant: "acme", Job: j.ID}]); n != before+1 {
		t.Errorf("%d lines of history for one code", n-before)
	}
	b.gate.lease = reason.Reason{}
	desired(later)
	b.is(t, j.ID, job.Leased)
}

func TestMayStart(t *testing.T) {
	opens := noon.Add(time.Hour)
	wait := job.Answer{Verdict: job.Wait, Reason: reason.New(reason.Blackout, "until", reason.Time(noon)), RetryAfter: time.Hour}
	withdrawn := job.Answer{Verdict: job.Withdrawn, Reason: reason.New(reason.DeploymentHalted, "why", "bad")}
	for name, c := range map[string]struct {
		now     time.Time
		attempt int
		gate    job.Answer
		want    job.Verdict
		code    reason.Code
		state   job.State
	}{
		"at the first moment":  {opens, 1, job.Answer{Verdict: job.Start}, job.Start, "", job.Leased},
		"at the last moment":   {opens.Add(time.Hour), 1, job.Answer{Verdict: job.Start}, job.Start, "", job.Leased},
		"too early":            {opens.Add(-time.Second), 1, job.Answer{Verdict: job.Start}, job.Wait, reason.OutsideWindow, job.Leased},
		"too late":             {opens.Add(time.Hour + time.Second), 1, job.Answer{Verdict: job.Start}, job.Withdrawn, reason.JobExpired, job.Leased},
		"another attempt":      {opens, 2, job.Answer{Verdict: job.Start}, job.Withdrawn, reason.JobReplaced, job.Leased},
		"the gatekeeper waits": {opens, 1, wait, job.Wait, reason.Blackout, job.Leased},
		"it was withdrawn":     {opens, 1, withdrawn, job.Withdrawn, reason.DeploymentHalted, job.Cancelling},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			j := b.leased(t, sample())
			b.gate.start = c.gate
			a, err := b.MayStart(t.Context(), c.now, "acme", "d1", j.ID, c.attempt)
			if err != nil || a.Verdict != c.want || a.Reason.Code != c.code || (c.want == job.Wait) != (a.RetryAfter > 0) {
				t.Errorf("%+v, %v", a, err)
			}
			if got := b.is(t, j.ID, c.state); (c.want == job.Start) != got.GrantedAt.Equal(c.now) {
				t.Errorf("granted at %v", got.GrantedAt)
			}
		})
	}
}

func TestAGrantIsOfTheLastQuestion(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	ask := func(now time.Time) job.Verdict {
		t.Helper()
		a, err := b.MayStart(t.Context(), now, "acme", "d1", j.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		return a.Verdict
	}
	opens := noon.Add(time.Hour)
	if ask(opens) != job.Start || ask(opens.Add(time.Minute)) != job.Start {
		t.Fatal("not granted twice")
	}
	got := b.is(t, j.ID, job.Leased)
	if !got.MayHaveStarted() || !got.HoldsSlot(opens.Add(10*time.Minute), true) || got.HoldsSlot(opens.Add(12*time.Minute), true) || !got.HoldsSlot(opens.Add(12*time.Minute), false) {
		t.Errorf("slot of the grant at %v", got.GrantedAt)
	}
	b.gate.start = job.Answer{Verdict: job.Wait, Reason: reason.New(reason.Blackout)}
	if ask(opens.Add(2*time.Minute)) != job.Wait || b.is(t, j.ID, job.Leased).MayHaveStarted() {
		t.Error("a grant that was taken back still counts")
	}
	if _, err := b.MayStart(t.Context(), opens, "acme", "d2", j.ID, 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("another device: %v", err)
	}
	if _, err := b.MayStart(t.Context(), opens, "other", "d1", j.ID, 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("another customer: %v", err)
	}
	b.SetGatekeeper(nil)
	if ask(opens.Add(3*time.Minute)) != job.Wait {
		t.Error("granted without a gatekeeper")
	}
}

func TestCancel(t *testing.T) {
	why := reason.New(reason.JobWithdrawn, "why", "a newer plan")
	person := ident.Actor{Kind: ident.Person, ID: "p1", Name: "Ada"}
	b := newBench()
	queued, err := b.Submit(t.Context(), noon, sample())
	if err != nil {
		t.Fatal(err)
	}
	cancel := func(id ident.JobID) error { return b.Cancel(t.Context(), noon, person, "acme", id, why) }
	if err := b.Cancel(t.Context(), noon, person, "acme", queued.ID, reason.Reason{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	if err := cancel(queued.ID); err != nil {
		t.Fatal(err)
	}
	if j := b.is(t, queued.ID, job.Cancelled); j.Releases[0].Result != wire.ResultNotStarted || len(b.audit.entries) != 1 {
		t.Errorf("%+v, %d audit entries", j.Releases, len(b.audit.entries))
	}
	if err := cancel(queued.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("cancelled twice: %v", err)
	}
	leased := b.leased(t, sample())
	for range 2 {
		if err := cancel(leased.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.audit.entries) != 2 {
		t.Errorf("%d audit entries for one cancel more", len(b.audit.entries)-1)
	}
	leases, cancels, err := b.Desired(t.Context(), noon, "acme", "d1")
	if err != nil || len(leases) != 0 || len(cancels) != 1 || cancels[0].Job != leased.ID || cancels[0].Attempt != 1 {
		t.Errorf("desired %+v, %+v, %v", leases, cancels, err)
	}
	b.tell(t, noon, leased.ID, 1, job.Step{Kind: job.StepCancelJournaled})
	if j := b.is(t, leased.ID, job.Cancelled); j.Reason.Args["why"] != "Withdrawn: a newer plan" {
		t.Errorf("reason %v", j.Reason)
	}
	late := b.leased(t, sample())
	if err := cancel(late.ID); err != nil {
		t.Fatal(err)
	}
	b.tell(t, noon, late.ID, 1, job.Step{Kind: job.StepCancelJournaled, AlreadyStarted: true})
	b.is(t, late.ID, job.Running)
	if err := cancel(late.ID); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "cannot be stopped") {
		t.Errorf("running: %v", err)
	}
	if err := b.Cancel(t.Context(), noon, person, "other", late.ID, why); !fault.Is(err, fault.NotFound) {
		t.Errorf("another customer's: %v", err)
	}
}

// Every code that an agent may tell has words of its own.
func TestEveryCodeHasWords(t *testing.T) {
	files := map[string]*regexp.Regexp{
		"../../proto/wire/refusal.go": regexp.MustCompile(`Refusal = "([a-z_]+)"`),
		"../../agent/source/code.go":  regexp.MustCompile(`Code = "([a-z_]+)"`),
	}
	n := 0
	for file, pattern := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(src), -1) {
			b := newBench()
			j := b.leased(t, sample())
			b.tell(t, noon.Add(time.Hour), j.ID, 1, job.Step{Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultFailed, Code: m[1], ExitCode: 100})
			got := b.is(t, j.ID, job.Running).Releases[0].Reason
			if text := got.Args["error"]; !strings.Contains(text, " ") || strings.HasPrefix(text, m[1]+" ") || !strings.HasSuffix(text, "(exit code 100)") || got.Args["code"] != m[1] {
				t.Errorf("%s reads %q", m[1], text)
			}
			n++
		}
	}
	if n < 50 {
		t.Errorf("read only %d codes", n)
	}
}

func TestAnotherWriterOnlyMakesItDecideAgain(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	b.m.stale = 10
	b.tell(t, noon.Add(time.Hour), j.ID, 1, job.Step{Kind: job.StepStarted})
	if got := b.is(t, j.ID, job.Running); got.Seq != 3 || len(b.m.history[job.Ref{Tenant: "acme", Job: j.ID}]) != 3 {
		t.Errorf("seq %d", got.Seq)
	}
	b.m.stale = 1000
	if _, err := b.Step(t.Context(), noon.Add(time.Hour), "acme", "d1", job.Step{Job: j.ID, Attempt: 1, Kind: job.StepFinished}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("never gives up: %v", err)
	}
}

func TestTransitionsWakeAndCount(t *testing.T) {
	b := newBench()
	registry := prometheus.NewRegistry()
	hints, cancel := b.wake.Subscribe(job.TenantTopic("acme"))
	defer cancel()
	s := job.New(job.Options{Store: b.m, Runs: b.m, Logs: b.m, Reads: b.m, Tx: b.m.tx, After: func(_ context.Context, f func()) { f() },
		Wake: b.wake, Audit: b.audit, Keys: keys{}, Registerer: registry})
	if _, err := s.Submit(t.Context(), noon, sample()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-hints:
	default:
		t.Error("nobody was woken")
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Errorf("%v, %v", families, err)
	}
	s.SetGatekeeper(b.gate)
	if _, _, err := s.Desired(t.Context(), noon, "acme", "d1"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("leased without a key: %v", err)
	}
}
