package storetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

// TestWhatAnotherServiceChangedIsSeen drives one job by two services, each of
// which remembers it as it left it.
func TestWhatAnotherServiceChangedIsSeen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		one, two := jobService(s, 10, nil), jobService(s, 10, nil)
		enroll(t, s, "acme", "d1")
		sp := spec("acme", "d1")
		sp.Attempts = 2
		j := submit(t, one, at, sp)
		if _, _, err := one.Desired(t.Context(), at, "acme", "d1"); err != nil {
			t.Fatal(err)
		}
		step := func(svc *job.Service, attempt int, want job.State, st job.Step) {
			t.Helper()
			st.Job, st.Attempt, st.At = j.ID, attempt, at
			after, err := svc.Step(t.Context(), at, "acme", "d1", st)
			if err != nil || after.State != want || after.Attempt < attempt {
				t.Fatalf("%s: %s of attempt %d, %v; want %s", st.Kind, after.State, after.Attempt, err, want)
			}
		}
		if a, err := one.MayStart(t.Context(), at, "acme", "d1", j.ID, 1); err != nil || a.Verdict != job.Start {
			t.Fatalf("%+v, %v", a, err)
		}
		failed := job.Step{Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultFailed}
		step(two, 1, job.Running, job.Step{Kind: job.StepStarted})
		step(one, 1, job.Running, job.Step{Kind: job.StepStarted}) // told twice, to one that does not know
		step(one, 1, job.Running, failed)
		step(two, 1, job.Running, job.Step{Kind: job.StepResult, Source: "apt", Package: "curl", Result: wire.ResultVerified})
		step(one, 1, job.Queued, job.Step{Kind: job.StepFinished, Rescanned: true})
		if _, _, err := two.Desired(t.Context(), at, "acme", "d1"); err != nil {
			t.Fatal(err)
		}
		// The first service remembers it as queued: its refusal would be wrong.
		if a, err := one.MayStart(t.Context(), at, "acme", "d1", j.ID, 2); err != nil || a.Verdict != job.Start {
			t.Fatalf("%+v, %v", a, err)
		}
		step(two, 2, job.Running, job.Step{Kind: job.StepStarted})
		if err := one.Cancel(t.Context(), at, ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya"}, "acme", j.ID, reason.New(reason.JobReplaced)); !fault.Is(err, fault.Conflict) {
			t.Fatalf("a running job was cancelled: %v", err)
		}
		step(one, 2, job.Running, job.Step{Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultVerified})
		step(two, 2, job.Succeeded, job.Step{Kind: job.StepFinished, Rescanned: true})
		step(one, 2, job.Succeeded, job.Step{Kind: job.StepFinished, Rescanned: true})

		line, err := one.History(t.Context(), "acme", j.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range line {
			if l.Seq != int64(i)+1 || i > 0 && l.From != line[i-1].To {
				t.Errorf("line %d of the history: %+v", i, l)
			}
		}
		if len(line) != 7 { // queued, leased, running, queued, leased, running, succeeded
			t.Errorf("%d lines of history", len(line))
		}
	})
}

// TestAnUndoneStepIsNotRemembered takes a step in a transaction that is undone.
func TestAnUndoneStepIsNotRemembered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		svc := jobService(s, 10, nil)
		enroll(t, s, "acme", "d1")
		j := submit(t, svc, at, spec("acme", "d1"))
		if _, _, err := svc.Desired(t.Context(), at, "acme", "d1"); err != nil {
			t.Fatal(err)
		}
		started := job.Step{Job: j.ID, Attempt: 1, At: at, Kind: job.StepStarted}
		undone := fault.Conflictf("undone")
		err := s.Tx(t.Context(), func(ctx context.Context) error {
			if _, err := svc.Step(ctx, at, "acme", "d1", started); err != nil {
				return err
			}
			return undone
		})
		if !fault.Is(err, fault.Conflict) {
			t.Fatal(err)
		}
		later := at.Add(time.Minute)
		if after, err := svc.Step(t.Context(), later, "acme", "d1", started); err != nil || after.State != job.Running || !after.HeardAt.Equal(later) {
			t.Errorf("%s, heard of at %v, %v", after.State, after.HeardAt, err)
		}
		stored, err := svc.Job(t.Context(), "acme", j.ID)
		if err != nil || stored.State != job.Running || stored.Version != 3 {
			t.Errorf("stored: %s, version %d, %v", stored.State, stored.Version, err)
		}
	})
}
