package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// Options of a Runner. Journal, Keys, Starter, Machine and Now are needed.
type Options struct {
	Journal *spool.Journal
	Sources []Source // in the order in which they are scanned
	Keys    KeyRing
	Starter Starter
	Machine Machine
	// Device and Tenant are this device's own.
	Device, Tenant string
	// Local are the machine's own settings.
	Local policy.Local
	// Now is the wall clock, for the loop and for stamping what happens.
	Now func() time.Time
	// ScanInterval is the time between scans, 8 hours when zero; the server's
	// settings may say another one between 1 and 24 hours.
	ScanInterval time.Duration
	// Jitter returns a duration from 0 up to its argument; nil: always half.
	Jitter func(time.Duration) time.Duration
	// Hook is called between any two durable steps with the point's name; tests
	// kill the process there.
	Hook func(point string)
	Log  *slog.Logger
}

// Runner does jobs and scans, one at a time.
type Runner struct {
	o       Options
	sources map[string]Source
	scans   map[string]*view        // the last scan of each source
	waits   map[spool.Key]time.Time // when to ask again for a start
	want    chan string             // causes of scans asked for
	scanAt  time.Time               // when the next scan is due
	fetchAt time.Time               // when to ask again for a scan with network
}

const (
	pollEvery       = time.Minute // polling is truth
	askAgain        = 15 * time.Second
	recoverAgain    = time.Minute
	defaultInterval = 8 * time.Hour
	minInterval     = time.Hour
	maxInterval     = 24 * time.Hour
	scanJitter      = 10 // the interval varies by 1/scanJitter
)

// New checks the options.
func New(o Options) (*Runner, error) {
	if o.Journal == nil || o.Keys == nil || o.Starter == nil || o.Machine == nil || o.Now == nil {
		return nil, errors.New("runner: journal, keys, starter, machine and clock are needed")
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = func(d time.Duration) time.Duration { return d / 2 }
	}
	if o.ScanInterval == 0 {
		o.ScanInterval = defaultInterval
	}
	r := &Runner{
		o: o, sources: map[string]Source{}, scans: map[string]*view{},
		waits: map[spool.Key]time.Time{}, want: make(chan string, 1),
	}
	for _, s := range o.Sources {
		if r.sources[s.Name()] != nil {
			return nil, fmt.Errorf("runner: the source %s is there twice", s.Name())
		}
		r.sources[s.Name()] = s
	}
	return r, nil
}

// causeStart is the cause of the scan with which the agent begins.
const causeStart = "start"

// fetchAfterStart is when the sources' lists are fetched after it.
const fetchAfterStart = 2 * time.Second

// ScanSoon asks for a scan; cause is told with what it finds. It never blocks:
// one that is already asked for is enough.
func (r *Runner) ScanSoon(cause string) {
	select {
	case r.want <- cause:
	default:
	}
}

// Run recovers what a crash interrupted, scans, and then does jobs and scans
// until the context ends. It returns only the context's error.
func (r *Runner) Run(ctx context.Context) error {
	cause := causeStart
	for ctx.Err() == nil {
		next := r.runOnce(ctx, cause)
		timer := time.NewTimer(next)
		cause = ""
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.o.Journal.LeasesWake():
		case cause = <-r.want:
		}
		timer.Stop()
	}
	return ctx.Err()
}

// runOnce does what is due and returns after what time to look again. cause is
// that of a scan that is wanted now, "" when none is.
func (r *Runner) runOnce(ctx context.Context, cause string) time.Duration {
	if err := r.recover(ctx); err != nil {
		r.o.Log.Error("an interrupted job is not told yet", "error", err)
		return recoverAgain // nothing new starts before
	}
	now := r.o.Now()
	if cause == "" && !now.Before(r.scanAt) {
		cause = "schedule"
	}
	if cause != "" {
		// At the start what the sources know already is told at once; fetching
		// their lists takes longer and follows.
		network := cause != causeStart
		if err := r.scan(ctx, cause, nil, network); err != nil && ctx.Err() == nil {
			r.o.Log.Error("a scan is not told", "cause", cause, "error", err)
		}
		r.scanAt = r.o.Now().Add(r.interval())
		if !network {
			r.scanAt = r.o.Now().Add(fetchAfterStart)
		}
	}
	next, err := r.work(ctx)
	if err != nil {
		r.o.Log.Error("jobs cannot go on", "error", err)
		return recoverAgain
	}
	return max(time.Second, min(next, r.scanAt.Sub(r.o.Now()), pollEvery))
}

// interval until the next scan: the agent's own or the server's, jittered so
// that a fleet does not scan at once.
func (r *Runner) interval() time.Duration {
	every := r.o.ScanInterval
	if s, err := r.o.Journal.Server(); err == nil && s.Settings.ScanInterval > 0 {
		every = min(max(s.Settings.ScanInterval, minInterval), maxInterval)
	}
	if !r.fetchAt.IsZero() {
		every = min(every, max(time.Minute, r.fetchAt.Sub(r.o.Now())))
		r.fetchAt = time.Time{}
	}
	return every - every/(2*scanJitter) + r.o.Jitter(every/scanJitter)
}

// clock returns the time to decide by, and why it cannot be believed.
func (r *Runner) clock() (now time.Time, doubt string) {
	s, err := r.o.Journal.Server()
	if err != nil {
		return r.o.Now(), err.Error()
	}
	boot, id := r.o.Machine.BootClock()
	return policy.Clock{
		Server: s.Anchor.Server, AnchorBoot: s.Anchor.Boot, SameBoot: s.Anchor.BootID == id,
		Boot: boot, Wall: r.o.Now(),
	}.Now()
}

// silence is how long no session could be opened; zero while one is open.
func (r *Runner) silence() time.Duration {
	connected, since := r.o.Starter.Contact()
	if connected {
		return 0
	}
	return max(0, r.o.Now().Sub(since))
}

// supported are the kinds of jobs that this agent does. Reboots are not among
// them yet.
func supported() []wire.JobKind { return []wire.JobKind{wire.JobInstall, wire.JobScan} }

// due is a lease whose job may be asked for.
type due struct {
	spool.Held
	job wire.Job
}

// work refuses what must be refused, and runs the first job that may start. It
// returns after what time to look again.
func (r *Runner) work(ctx context.Context) (time.Duration, error) {
	held, err := r.o.Journal.Held()
	if err != nil {
		return 0, err
	}
	now, doubt := r.clock()
	next := pollEvery
	var ready []due
	for _, h := range held {
		j, refusal, detail := r.judge(now, doubt, h)
		switch {
		case refusal == wire.RefusedTooEarly:
			next = min(next, j.NotBefore.Sub(now))
		case policy.Passes(refusal):
		case refusal != "":
			if err := r.refuse(h.Key, refusal, detail); err != nil {
				return 0, err
			}
		default:
			ready = append(ready, due{h, j})
		}
	}
	r.forgetWaits(held)
	slices.SortStableFunc(ready, func(a, b due) int { return a.job.NotBefore.Compare(b.job.NotBefore) })
	for _, d := range ready {
		if wait := r.waits[d.Key].Sub(r.o.Now()); wait > 0 {
			next = min(next, wait)
			continue
		}
		started, alone, err := r.start(ctx, d)
		if err != nil {
			return 0, err
		}
		if started {
			return 0, r.do(ctx, d, alone)
		}
		next = min(next, askAgain)
	}
	return next, nil
}

// judge checks the signature over the bytes, decodes only then, and asks policy.
func (r *Runner) judge(now time.Time, doubt string, h spool.Held) (wire.Job, wire.Refusal, string) {
	j, refusal, detail := r.open(h.Lease)
	if refusal != "" {
		return j, refusal, detail
	}
	spent, err := r.o.Journal.Spent(h.Key)
	if err != nil {
		return j, wire.RefusedTooEarly, err.Error()
	}
	refusal, detail = policy.Check(now, j, policy.Facts{
		Device: r.o.Device, Tenant: r.o.Tenant, JobID: h.JobID, Attempt: h.Attempt, Spent: spent,
		Supported: supported(), ClockDoubt: doubt,
	})
	return j, refusal, detail
}

// open checks a lease's signature and decodes its job.
func (r *Runner) open(l spool.Lease) (wire.Job, wire.Refusal, string) {
	key, known := r.o.Keys.JobKey(l.KeyVersion)
	if !known {
		return wire.Job{}, wire.RefusedSignature, fmt.Sprintf("signed with key %d, which this device does not have", l.KeyVersion)
	}
	if !wire.VerifyJob(key.Public[:], l.Bytes, l.Signature) {
		return wire.Job{}, wire.RefusedSignature, fmt.Sprintf("its signature is not of the tenant's key %d", l.KeyVersion)
	}
	j, err := wire.DecodeJob(l.Bytes)
	if err != nil {
		return wire.Job{}, wire.RefusedMalformed, err.Error()
	}
	if j.IssuedAt.Before(key.NotBefore) || j.IssuedAt.After(key.NotAfter) {
		return j, wire.RefusedSignature, fmt.Sprintf("issued outside of the time of the tenant's key %d", l.KeyVersion)
	}
	return j, "", ""
}

// refuse ends a held job. One that is no longer held needs no end.
func (r *Runner) refuse(k spool.Key, refusal wire.Refusal, detail string) error {
	err := r.o.Journal.Refuse(r.o.Now(), k, refusal, detail)
	if errors.Is(err, spool.ErrNotHeld) {
		return nil
	}
	return err
}

// forgetWaits drops the waits of jobs that are not held any more.
func (r *Runner) forgetWaits(held []spool.Held) {
	for k := range r.waits {
		if !slices.ContainsFunc(held, func(h spool.Held) bool { return h.Key == k }) {
			delete(r.waits, k)
		}
	}
}
