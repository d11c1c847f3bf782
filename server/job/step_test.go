package job_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

var opens = noon.Add(time.Hour)

func result(pkg string, state wire.ResultState, code string) job.Step {
	return job.Step{Kind: job.StepResult, Source: "apt", Package: pkg, Result: state, Code: code, To: "2", Took: time.Minute}
}

// How a job ends by the results of its two releases.
func TestAJobEndsByItsResults(t *testing.T) {
	const none = wire.ResultState("")
	for _, c := range []struct {
		bash, curl wire.ResultState
		want       job.State
		code       reason.Code
	}{
		{wire.ResultVerified, wire.ResultVerified, job.Succeeded, reason.JobFinished},
		{wire.ResultVerified, wire.ResultInstalledUnverified, job.Succeeded, reason.JobFinished},
		{wire.ResultNotApplicable, wire.ResultSuperseded, job.Succeeded, reason.JobFinished},
		{wire.ResultVerified, wire.ResultFailed, job.Failed, reason.JobFailed},
		{wire.ResultUnknown, wire.ResultFailed, job.Failed, reason.JobFailed},
		{wire.ResultDeferred, wire.ResultFailed, job.Failed, reason.JobFailed},
		{none, wire.ResultFailed, job.Failed, reason.JobFailed},
		{wire.ResultVerified, wire.ResultDeferred, job.Deferred, reason.JobFinished},
		{wire.ResultNeedsUser, wire.ResultVerified, job.Deferred, reason.JobFinished},
		{wire.ResultVerified, wire.ResultNotStarted, job.Deferred, reason.JobFinished},
		{wire.ResultNotStarted, wire.ResultNotStarted, job.Expired, reason.NotStarted},
		{wire.ResultVerified, wire.ResultUnknown, job.Unknown, reason.NoReport},
		{wire.ResultDeferred, none, job.Unknown, reason.NoReport},
		{wire.ResultVerified, "of_tomorrow", job.Unknown, reason.NoReport},
	} {
		t.Run(fmt.Sprintf("%s and %s", c.bash, c.curl), func(t *testing.T) {
			b := newBench()
			j := b.leased(t, sample())
			steps := []job.Step{{Kind: job.StepAccepted}, {Kind: job.StepStarted}, {Kind: job.StepProgress, Source: "apt", Package: "bash", Phase: "installing"}}
			for pkg, state := range map[string]wire.ResultState{"bash": c.bash, "curl": c.curl} {
				if state != none {
					steps = append(steps, result(pkg, state, ""), result(pkg, state, ""))
				}
			}
			b.tell(t, opens, j.ID, 1, append(steps, job.Step{Kind: job.StepFinished, Rescanned: true})...)
			got := b.is(t, j.ID, c.want)
			if got.Reason.Code != c.code || !got.StartedAt.Equal(opens.Add(time.Minute)) || got.FinishedAt.IsZero() {
				t.Errorf("%s: %s", got.Reason.Code, got.Reason.Text(time.UTC))
			}
			if c.want.Final() {
				for _, r := range got.Releases {
					if r.Result == "" || r.Reason.IsZero() {
						t.Errorf("%s ended without a result", r.Package)
					}
				}
				seq := got.Seq
				b.tell(t, opens.Add(time.Hour), j.ID, 1, result("bash", wire.ResultFailed, ""), job.Step{Kind: job.StepFinished}, job.Step{Kind: job.StepStarted},
					job.Step{Kind: job.StepRefused}, job.Step{Kind: job.StepCancelJournaled})
				if after := b.is(t, j.ID, c.want); after.Seq != seq {
					t.Error("its history went on after its end")
				}
			}
		})
	}
}

func TestALateResultClosesAnUnknownJobOnce(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepFinished, Rescanned: true}, result("bash", wire.ResultVerified, ""))
	b.is(t, j.ID, job.Unknown)
	b.tell(t, opens.Add(5*time.Hour), j.ID, 1, result("curl", wire.ResultFailed, "disk_full"))
	got := b.is(t, j.ID, job.Failed)
	if text := got.Reason.Text(time.UTC); text != "Failed: apt curl: too little free space." {
		t.Errorf("reason %q", text)
	}
}

func TestHowARefusedJobEnds(t *testing.T) {
	for code, want := range map[wire.Refusal]job.State{
		wire.RefusedCancelled: job.Cancelled, wire.RefusedExpired: job.Expired, wire.RefusedOutsideWindow: job.Expired, wire.RefusedNoStart: job.Expired,
		wire.RefusedDoesNotFit: job.Expired, wire.RefusedSignature: job.Failed, wire.RefusedClock: job.Failed, "of_tomorrow": job.Failed,
	} {
		b := newBench()
		j := b.leased(t, sample())
		b.tell(t, noon, j.ID, 1, job.Step{Kind: job.StepRefused, Code: string(code), Detail: "so it is."})
		got := b.is(t, j.ID, want)
		if got.Releases[0].Result != wire.ResultNotStarted || !got.StartedAt.IsZero() || want == job.Failed && got.Reason.Code != reason.JobRefused {
			t.Errorf("%s: %+v", code, got)
		}
		if strings.Contains(got.Reason.Text(time.UTC), "?") || strings.Contains(got.Releases[0].Reason.Text(time.UTC), "?") {
			t.Errorf("%s reads %q, %q", code, got.Reason.Text(time.UTC), got.Releases[0].Reason.Text(time.UTC))
		}
	}
	b := newBench()
	j := b.leased(t, sample())
	b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepStarted}, job.Step{Kind: job.StepRefused, Code: string(wire.RefusedClock)})
	if got := b.is(t, j.ID, job.Failed); got.Releases[0].Result != wire.ResultUnknown {
		t.Errorf("refused after its start: %+v", got.Releases)
	}
}

func TestAnAloneStartIsTold(t *testing.T) {
	b, spec := newBench(), sample()
	spec.Alone = true
	j := b.leased(t, spec)
	b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepStarted, Alone: true})
	if got := b.is(t, j.ID, job.Running); got.Reason.Code != reason.StartedAlone || !got.ChangedAt.Equal(opens) {
		t.Errorf("%+v", got.Reason)
	}
	want := []string{"→queued", "queued→leased", "leased→running"}
	if !slices.Equal(b.moved, want) {
		t.Errorf("moved %q, want %q", b.moved, want)
	}
}

func TestStepsOfOthersAreNotFound(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	s := job.Step{Job: j.ID, Attempt: 1, Kind: job.StepStarted}
	if _, err := b.Step(t.Context(), opens, "acme", "d2", s); !fault.Is(err, fault.NotFound) {
		t.Errorf("another device: %v", err)
	}
	if _, err := b.Step(t.Context(), opens, "other", "d1", s); !fault.Is(err, fault.NotFound) {
		t.Errorf("another customer: %v", err)
	}
	s.Attempt = 2
	b.tell(t, opens, j.ID, 2, s)
	b.is(t, j.ID, job.Leased)
	s.Attempt, s.Kind = 1, "nonsense"
	if _, err := b.Step(t.Context(), opens, "acme", "d1", s); !fault.Is(err, fault.Invalid) {
		t.Errorf("nonsense: %v", err)
	}
}

func TestAFailedAttemptIsTriedAgainInItsWindow(t *testing.T) {
	b, spec := newBench(), sample()
	spec.Attempts = 2
	j := b.leased(t, spec)
	b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepStarted}, result("bash", wire.ResultVerified, ""), result("curl", wire.ResultFailed, "network"), job.Step{Kind: job.StepFinished, Rescanned: true})
	got := b.is(t, j.ID, job.Queued)
	if got.Attempt != 2 || got.Releases[0].Result != wire.ResultVerified || got.Releases[1].Result != "" || got.Reason.Code != reason.JobRetry || got.MayHaveStarted() {
		t.Fatalf("%+v", got)
	}
	leases, _, err := b.Desired(t.Context(), opens.Add(10*time.Minute), "acme", "d1")
	if err != nil || len(leases) != 1 || leases[0].Attempt != 2 {
		t.Fatalf("%+v, %v", leases, err)
	}
	if w, err := wire.DecodeJob(leases[0].Encoded); err != nil || len(w.Releases) != 1 || w.Releases[0].Package != "curl" || w.Attempt != 2 {
		t.Errorf("%+v, %v", w, err)
	}
	b.tell(t, opens.Add(20*time.Minute), j.ID, 1, job.Step{Kind: job.StepStarted})
	b.is(t, j.ID, job.Leased)
	b.tell(t, opens.Add(20*time.Minute), j.ID, 2, job.Step{Kind: job.StepStarted}, result("curl", wire.ResultFailed, "network"), job.Step{Kind: job.StepFinished, Rescanned: true})
	b.is(t, j.ID, job.Failed)
}

func TestRetryOnlyOfUnknownAfterAScan(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	retry := func(now time.Time) error {
		_, err := b.Retry(t.Context(), now, "acme", j.ID, "scanned again")
		return err
	}
	if err := retry(opens); !fault.Is(err, fault.Conflict) {
		t.Errorf("leased: %v", err)
	}
	if err := b.JournalLost(t.Context(), opens, "acme", "d1"); err != nil {
		t.Fatal(err)
	}
	b.is(t, j.ID, job.Unknown)
	if err := retry(opens); !fault.Is(err, fault.Conflict) {
		t.Errorf("not scanned: %v", err)
	}
	b.scans.at = opens.Add(time.Minute)
	if err := retry(noon.Add(2*time.Hour + time.Second)); !fault.Is(err, fault.Conflict) {
		t.Errorf("too late: %v", err)
	}
	for range 2 {
		if err := retry(opens.Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.is(t, j.ID, job.Queued); got.Attempt != 2 {
		t.Errorf("attempt %d", got.Attempt)
	}
}

func TestRunOnceEndsWhatCannotHaveStarted(t *testing.T) {
	startBy, deadline := noon.Add(2*time.Hour), noon.Add(3*time.Hour)
	grace, unknown := startBy.Add(wire.LeaseGrace), deadline.Add(wire.UnknownAfter)
	for name, c := range map[string]struct {
		prepare func(t *testing.T, b *bench) ident.JobID
		at      time.Time // nothing moves until then, and it is done a second later
		want    job.State
	}{
		"queued": {func(t *testing.T, b *bench) ident.JobID {
			j, err := b.Submit(t.Context(), noon, sample())
			if err != nil {
				t.Fatal(err)
			}
			return j.ID
		}, startBy, job.Expired},
		"leased": {func(t *testing.T, b *bench) ident.JobID { return b.leased(t, sample()).ID }, grace, job.Expired},
		"cancelling": {func(t *testing.T, b *bench) ident.JobID {
			j := b.leased(t, sample())
			if err := b.Cancel(t.Context(), noon, ident.Steward("test"), "acme", j.ID, reason.New(reason.NothingLeft)); err != nil {
				t.Fatal(err)
			}
			return j.ID
		}, grace, job.Cancelled},
		"alone": {func(t *testing.T, b *bench) ident.JobID {
			spec := sample()
			spec.Alone = true
			return b.leased(t, spec).ID
		}, unknown, job.Unknown},
		"granted": {func(t *testing.T, b *bench) ident.JobID {
			j := b.leased(t, sample())
			if _, err := b.MayStart(t.Context(), opens, "acme", "d1", j.ID, 1); err != nil {
				t.Fatal(err)
			}
			return j.ID
		}, unknown, job.Unknown},
		"running": {func(t *testing.T, b *bench) ident.JobID {
			j := b.leased(t, sample())
			b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepStarted})
			return j.ID
		}, unknown, job.Unknown},
		"running and heard of": {func(t *testing.T, b *bench) ident.JobID {
			j := b.leased(t, sample())
			b.tell(t, deadline.Add(30*time.Minute), j.ID, 1, job.Step{Kind: job.StepProgress})
			return j.ID
		}, unknown.Add(30 * time.Minute), job.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			id := c.prepare(t, b)
			before, _ := b.Job(t.Context(), "acme", id)
			if err := b.RunOnce(t.Context(), c.at); err != nil {
				t.Fatal(err)
			}
			b.is(t, id, before.State)
			if err := b.RunOnce(t.Context(), c.at.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if got := b.is(t, id, c.want); c.want.Final() && got.Releases[0].Result != wire.ResultNotStarted {
				t.Errorf("%+v", got.Releases)
			}
		})
	}
}

func TestDropLeasesThatNobodyWants(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	good := string(j.ID) + ":1"
	bad := []string{string(j.ID) + ":2", "none:1", "garbage", ""}
	drop, err := b.DropLeases(t.Context(), noon, "acme", "d1", append([]string{good}, bad...))
	if err != nil || !slices.Equal(drop, bad) {
		t.Errorf("drop %q, %v", drop, err)
	}
	b.tell(t, noon, j.ID, 1, job.Step{Kind: job.StepRefused, Code: string(wire.RefusedCancelled)})
	if drop, err = b.DropLeases(t.Context(), noon, "acme", "d1", []string{good}); err != nil || len(drop) != 1 {
		t.Errorf("drop %q of an ended one, %v", drop, err)
	}
}

func TestALogStaysWithinItsLimits(t *testing.T) {
	b := newBench()
	j := b.leased(t, sample())
	text := strings.Repeat("line\n", 2000) // 10,000 bytes
	for i := range 10 {
		for range 2 { // each told twice
			b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepLog, Source: "apt", Package: "bash", Part: i, Text: text})
		}
	}
	parts, err := b.Log(t.Context(), "acme", j.ID)
	if err != nil || len(parts) != 7 || !strings.Contains(parts[6].Text, "left out") {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	for i := range 300 {
		b.tell(t, opens, j.ID, 1, job.Step{Kind: job.StepLog, Source: "apt", Package: fmt.Sprint(i / 6), Part: i % 6, Text: text})
	}
	parts, err = b.Log(t.Context(), "acme", j.ID)
	total, marks := 0, 0
	for _, p := range parts {
		total += len(p.Text)
		marks += strings.Count(p.Text, "left out")
	}
	if err != nil || total > wire.MaxJobLog+200 || total < wire.MaxJobLog || marks != 2 {
		t.Errorf("%d bytes, %d marks, %v", total, marks, err)
	}
	for _, s := range []job.Step{{Part: -1, Text: "x"}, {Part: 1 << 30, Text: "x"}, {Part: 1, Text: "\x00"}} {
		s.Kind, s.Source = job.StepLog, "other"
		b.tell(t, opens, j.ID, 1, s)
	}
	if again, _ := b.Log(t.Context(), "acme", j.ID); len(again) != len(parts) {
		t.Error("a part was taken that is none")
	}
}
