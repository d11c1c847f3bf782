package job_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// agent is an honest device: it starts only what it was let start, or what it
// may start alone, and tells what it did. Its messages may be lost, repeated
// and mixed up on their way.
type agent struct {
	id    ident.DeviceID
	held  map[string]wire.Job // "job:attempt", not started
	begun map[string]wire.Job // started, not finished
	queue []job.Step
}

// world is the service, its devices, and what is true.
type world struct {
	*bench
	now    time.Time
	even   *rand.Rand
	agents []*agent
	ids    []ident.JobID
	// what really happened, by "job:attempt"
	began    map[string]bool
	touched  map[string]bool // a release was really begun
	finals   map[ident.JobID]job.State
	attempts map[ident.JobID]int
	retried  map[string]bool // the attempt may be followed by another
}

func key(id ident.JobID, attempt int) string { return fmt.Sprintf("%s:%d", id, attempt) }

func newWorld() *world {
	w := &world{bench: newBench(), now: noon, began: map[string]bool{}, touched: map[string]bool{}, finals: map[ident.JobID]job.State{},
		attempts: map[ident.JobID]int{}, retried: map[string]bool{}}
	for _, id := range []ident.DeviceID{"d1", "d2"} {
		w.agents = append(w.agents, &agent{id: id, held: map[string]wire.Job{}, begun: map[string]wire.Job{}})
	}
	return w
}

func (w *world) agent() *agent { return pick(w, w.agents...) }

func pick[T any](w *world, of ...T) T { return of[w.even.IntN(len(of))] }

func (a *agent) say(j wire.Job, s job.Step, now time.Time) {
	s.Job, s.Attempt, s.At = ident.JobID(j.ID), int(j.Attempt), now
	a.queue = append(a.queue, s)
}

// one draws one of a device's leases, in an order that does not depend on the
// map; "" when it has none.
func one(w *world, of map[string]wire.Job) (string, wire.Job) {
	keys := slices.Sorted(maps.Keys(of))
	if len(keys) == 0 {
		return "", wire.Job{}
	}
	k := pick(w, keys...)
	return k, of[k]
}

func (w *world) submit(t *rapid.T) {
	if len(w.ids)-len(w.finals) >= 4 {
		return
	}
	minutes := func(most int) time.Duration {
		return time.Duration(w.even.IntN(most+1)) * time.Minute
	}
	spec := sample()
	spec.Device = w.agent().id
	spec.Alone = pick(w, true, false)
	spec.Attempts = pick(w, 1, 2, 3)
	spec.NotBefore = w.now.Add(minutes(120))
	spec.StartBy = spec.NotBefore.Add(minutes(120))
	spec.Deadline = spec.StartBy.Add(minutes(60))
	spec.Run.Opens, spec.Run.Closes = spec.NotBefore, spec.Deadline
	j, err := w.Submit(context.Background(), w.now, spec)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(w.ids, j.ID) {
		w.ids = append(w.ids, j.ID)
	}
}

// sync brings what a device should hold to it, or loses it on the way.
func (w *world) sync(t *rapid.T) {
	a := w.agent()
	leases, cancels, err := w.Desired(context.Background(), w.now, "acme", a.id)
	if err != nil {
		t.Fatal(err)
	}
	if w.even.IntN(6) == 0 {
		return
	}
	wanted := map[string]bool{}
	for _, l := range leases {
		k := key(l.Job, l.Attempt)
		wanted[k] = true
		if !wire.VerifyJob(w.key, l.Encoded, l.Signature) {
			t.Fatalf("lease %s is not signed", k)
		}
		j, err := wire.DecodeJob(l.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !w.began[k] {
			a.held[k] = j
		}
	}
	for _, c := range cancels {
		k := key(c.Job, c.Attempt)
		a.say(wire.Job{ID: string(c.Job), Attempt: uint32(c.Attempt)}, job.Step{Kind: job.StepCancelJournaled, AlreadyStarted: w.began[k]}, w.now)
		delete(a.held, k)
	}
	for k := range a.held {
		if !wanted[k] {
			delete(a.held, k)
		}
	}
}

// ask is a device that asks for the word to start.
func (w *world) ask(t *rapid.T) {
	a := w.agent()
	k, j := one(w, a.held)
	if k == "" {
		return
	}
	id := ident.JobID(j.ID)
	before, _ := w.Job(context.Background(), "acme", id)
	w.gate.start = job.Answer{Verdict: pick(w, job.Start, job.Start, job.Start, job.Start, job.Wait, job.Withdrawn), Reason: reason.New(reason.Blackout)}
	answer, err := w.MayStart(context.Background(), w.now, "acme", a.id, id, int(j.Attempt))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Verdict == job.Start && (before.State != job.Leased || w.now.Before(before.NotBefore) || w.now.After(before.StartBy) ||
		w.gate.start.Verdict != job.Start || before.Attempt != int(j.Attempt)) {
		t.Fatalf("granted a start of a %s job at %s, may start from %s to %s", before.State, w.now, before.NotBefore, before.StartBy)
	}
	if w.even.IntN(6) == 0 {
		return
	}
	switch answer.Verdict {
	case job.Start:
		w.begin(a, k, j, false)
	case job.Withdrawn:
		delete(a.held, k)
		a.say(j, job.Step{Kind: job.StepRefused, Code: string(wire.RefusedCancelled)}, w.now)
	}
}

func (w *world) begin(a *agent, k string, j wire.Job, alone bool) {
	delete(a.held, k)
	a.begun[k], w.began[k] = j, true
	a.say(j, job.Step{Kind: job.StepStarted, Alone: alone}, w.now)
}

// alone is a device without contact.
func (w *world) alone(t *rapid.T) {
	a := w.agent()
	k, j := one(w, a.held)
	if k == "" || !j.Alone || w.now.Before(j.NotBefore) || w.now.After(j.StartBy) {
		return
	}
	w.begin(a, k, j, true)
}

// miss is a device that finds a lease whose start has passed.
func (w *world) miss(t *rapid.T) {
	a := w.agent()
	k, j := one(w, a.held)
	if k == "" || !w.now.After(j.StartBy) {
		return
	}
	delete(a.held, k)
	a.say(j, job.Step{Kind: job.StepRefused, Code: string(wire.RefusedExpired)}, w.now)
}

// finish is a device that has done all of a job.
func (w *world) finish(t *rapid.T) {
	a := w.agent()
	k, j := one(w, a.begun)
	if k == "" {
		return
	}
	delete(a.begun, k)
	for _, r := range j.Releases {
		state := pick(w, wire.ResultVerified, wire.ResultNotStarted, wire.ResultFailed,
			wire.ResultDeferred, wire.ResultUnknown)
		w.touched[k] = w.touched[k] || state != wire.ResultNotStarted
		a.say(j, job.Step{Kind: job.StepResult, Source: r.Source, Package: r.Package, Result: state}, w.now)
	}
	a.say(j, job.Step{Kind: job.StepFinished, Rescanned: true}, w.now)
}

// deliver takes some messages of a device in: each time the first, or any,
// once, twice or not at all.
func (w *world) deliver(t *rapid.T) {
	a := w.agent()
	for range min(len(a.queue), pick(w, 1, 1, 4)) {
		w.message(t, a)
	}
}

func (w *world) message(t *rapid.T, a *agent) {
	i := 0
	if w.even.IntN(6) == 0 {
		i = w.even.IntN(len(a.queue))
	}
	s := a.queue[i]
	a.queue = slices.Delete(a.queue, i, i+1)
	if w.even.IntN(6) == 0 {
		a.queue = append(a.queue, s) // told again, later
	}
	for range pick(w, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0) {
		if s.Kind == job.StepFinished {
			w.retried[key(s.Job, s.Attempt)] = true
		}
		if _, err := w.Step(context.Background(), w.now, "acme", a.id, s); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) cancel(t *rapid.T) {
	id, ok := w.job(t)
	if !ok {
		return
	}
	err := w.Cancel(context.Background(), w.now, ident.Steward("test"), "acme", id, reason.New(reason.NothingLeft))
	if err != nil && !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
}

func (w *world) job(t *rapid.T) (ident.JobID, bool) {
	if len(w.ids) == 0 {
		return "", false
	}
	return w.ids[w.even.IntN(len(w.ids))], true
}

func (w *world) wait(t *rapid.T) {
	w.now = w.now.Add(time.Duration(pick(w, 1, 1, 10, 10, 30, 60, 180)) * time.Minute)
	if err := w.RunOnce(context.Background(), w.now); err != nil {
		t.Fatal(err)
	}
}

func (w *world) loseJournal(t *rapid.T) {
	a := w.agent()
	a.queue, a.held, a.begun = nil, map[string]wire.Job{}, map[string]wire.Job{}
	if err := w.JournalLost(context.Background(), w.now, "acme", a.id); err != nil {
		t.Fatal(err)
	}
}

func (w *world) retry(t *rapid.T) {
	id, ok := w.job(t)
	if !ok {
		return
	}
	before, _ := w.Job(context.Background(), "acme", id)
	if before.State != job.Unknown && w.even.IntN(2) == 0 {
		w.loseJournal(t)
		before, _ = w.Job(context.Background(), "acme", id)
	}
	w.scans.at = w.now.Add(time.Duration(w.even.IntN(21)-10) * time.Minute)
	_, err := w.Retry(context.Background(), w.now, "acme", id, "scanned")
	if err != nil && !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
	if before.State == job.Unknown && w.scans.at.After(before.Since) {
		w.retried[key(id, before.Attempt)] = true
	}
}

func (w *world) flip(t *rapid.T) {
	w.gate.lease = reason.Reason{}
	if w.even.IntN(3) == 0 {
		w.gate.lease = reason.New(reason.InFlightLimit, "running", fmt.Sprint(w.even.IntN(9)))
	}
}

// check holds every job to the promises.
func (w *world) check(t *rapid.T) {
	for _, id := range w.ids {
		j, err := w.Job(context.Background(), "acme", id)
		if err != nil {
			t.Fatal(err)
		}
		if final, ended := w.finals[id]; ended && final != j.State {
			t.Fatalf("job %s ended %s and is now %s", id, final, j.State)
		}
		if j.State.Final() {
			w.finals[id] = j.State
		}
		w.checkHistory(t, j)
		k := key(id, j.Attempt)
		if !j.StartedAt.IsZero() && !w.began[k] {
			t.Fatalf("job %s is called started, and its device did not start it", k)
		}
		if (j.State == job.Cancelled || j.State == job.Expired) && w.began[k] && w.touched[k] {
			t.Fatalf("job %s is %s, and its device ran it", k, j.State)
		}
		if (j.State == job.Cancelled || j.State == job.Expired) && w.unfinished(k) {
			t.Fatalf("job %s is %s, and its device is running it", k, j.State)
		}
		for n := max(1, w.attempts[id]); n < j.Attempt; n++ {
			if !w.retried[key(id, n)] {
				t.Fatalf("attempt %d of job %s, and nothing is known of the one before", n+1, id)
			}
		}
		w.attempts[id] = j.Attempt
	}
}

func (w *world) unfinished(k string) bool {
	return slices.ContainsFunc(w.agents, func(a *agent) bool { _, ok := a.begun[k]; return ok })
}

func (w *world) checkHistory(t *rapid.T, j job.Job) {
	lines := w.m.history[job.Ref{Tenant: "acme", Job: j.ID}]
	last := job.State("")
	for i, l := range lines {
		if l.Seq != int64(i+1) || l.From != last || l.Reason.IsZero() || l.From != l.To && !job.MayMove(l.From, l.To) {
			t.Fatalf("line %d of job %s: %+v after %q", i, j.ID, l, last)
		}
		last = l.To
	}
	if last != j.State || j.Seq != int64(len(lines)) {
		t.Fatalf("job %s is %s (%d), its history says %s (%d)", j.ID, j.State, j.Seq, last, len(lines))
	}
}

// Whatever comes in whatever order: a job ends once and its end stands; what
// is called cancelled or expired did not run; starts are granted inside their
// time alone; a further attempt follows only what is known of the one before.
func TestJobsEndOnceWhateverHappens(t *testing.T) {
	reached := map[string]int{}
	missing := func() (steps []string) {
		for _, step := range []string{"running→failed", "running→unknown", "running→queued", "leased→unknown", "leased→expired",
			"leased→cancelled", "cancelling→cancelled", "cancelling→running", "unknown→failed", "unknown→queued"} {
			if reached[step] == 0 {
				steps = append(steps, step)
			}
		}
		return steps
	}
	// Rounds in which few jobs came far say little: go on until all was seen.
	for round := 0; round == 0 || len(missing()) > 0 && round < 30; round++ {
		rapid.Check(t, func(t *rapid.T) { interleave(t, reached) })
	}
	if steps := missing(); len(steps) > 0 {
		t.Errorf("never reached %v", steps)
	}
}

// interleave lets one world run for a while.
func interleave(t *rapid.T, reached map[string]int) {
	w := newWorld()
	acts := []func(*rapid.T){w.submit, w.finish, w.sync, w.sync, w.sync, w.ask, w.ask, w.ask, w.alone, w.alone, w.miss, w.finish, w.finish,
		w.deliver, w.deliver, w.deliver, w.deliver, w.wait, w.wait, w.rare}
	// rapid prefers small numbers, which would seldom let a job come far.
	w.even = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	for range 200 {
		acts[w.even.IntN(len(acts))](t)
		w.check(t)
	}
	for _, step := range w.moved {
		reached[step]++
	}
}

// rare is what seldom happens.
func (w *world) rare(t *rapid.T) {
	acts := []func(*rapid.T){w.cancel, w.cancel, w.cancel, w.retry, w.retry, w.flip, w.loseJournal}
	pick(w, acts...)(t)
}

func FuzzStepsFromADevice(f *testing.F) {
	f.Add("started", "apt", "bash", "verified", "", "a line\n", 1, 0)
	f.Add("result", "apt", "bash", "failed", "disk_full", "\xff\x00", 1, 100)
	f.Add("log", "", "", "", "", "\x00", 1, -1)
	f.Fuzz(func(t *testing.T, kind, source, pkg, state, code, text string, attempt, number int) {
		b := newBench()
		j := b.leased(t, sample())
		for range 2 {
			_, err := b.Step(t.Context(), opens, "acme", "d1", job.Step{Job: j.ID, Attempt: attempt, Kind: job.StepKind(kind), Source: source, Package: pkg,
				Result: wire.ResultState(state), Code: code, Detail: text, Text: text, To: text, ExitCode: number, Part: number})
			if err != nil && !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
		}
		got, err := b.Job(t.Context(), "acme", j.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range append(got.Releases, job.Release{Reason: got.Reason}) {
			if text := r.Reason.Encode(); len(text) > 4096 {
				t.Errorf("%d bytes of reason", len(text))
			}
		}
	})
}
