// Package loop is the shell around every background loop of the server.
//
// A loop is a name, a period and a function of one tick. The shell owns what
// they have in common: the first tick, the period with its jitter, hints that
// look early pays, panics, the log line for an error, and a bounded stop that
// says who blocks. Below the doors it is the only place that asks for the time;
// a tick receives it as now and hands it on.
//
// A loop must not rely on hints: polling is truth. A tick must return soon
// after its context is cancelled, and must be safe to run again after an error
// or a panic at any point, since the next tick simply comes.
package loop

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Loop is one named background activity.
type Loop struct {
	// Name is what the log, the metrics and a stuck stop call it; unique within
	// its group, for example "job.rescue".
	Name string
	// Every is the pause between the end of a tick and the start of the next.
	Every time.Duration
	// Jitter is added to each pause, evenly from 0 up to it; 0 is none.
	Jitter time.Duration
	// Wake, when not nil, starts the next tick early; see package wake. A hint
	// that arrives during a tick starts another one right after it.
	Wake <-chan struct{}
	// Run is one tick. Its error is logged by the shell and must not be logged
	// by Run too. now is in UTC without a monotonic part, so it may be stored
	// and compared with ==.
	Run func(ctx context.Context, now time.Time) error
}

// Panic is the error of a tick that panicked; the loop goes on.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the value when it was an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// turn runs the loop until ctx is cancelled.
func (r *runner) turn(ctx context.Context, first time.Duration) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	wake := r.Wake
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case _, open := <-wake:
			if !open {
				wake = nil // a closed channel would never let the loop rest
				continue
			}
		}
		if ctx.Err() != nil { // when both are ready, select may have chosen the tick
			return
		}
		r.tick(ctx)
		timer.Reset(r.pause())
	}
}

func (r *runner) pause() time.Duration {
	if r.Jitter <= 0 {
		return r.Every
	}
	return r.Every + rand.N(r.Jitter)
}

// slot is the loop's own place in a stretch, the same at every start, so that
// loops of one period do not all begin together.
func slot(name string, stretch time.Duration) time.Duration {
	if stretch <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return time.Duration(h.Sum64() % uint64(stretch))
}

// tick runs the function once and accounts for it.
func (r *runner) tick(ctx context.Context) {
	began := time.Now()
	now := began.UTC().Round(0)
	r.begin(now)
	err := r.guarded(ctx, now)
	took := time.Since(began)
	stopping := ctx.Err() != nil && err != nil && !isPanic(err)
	failures := r.end(now, err, stopping)
	if stopping {
		return // what a cancelled tick returns is no news
	}
	r.metrics.ran(r.Name, now, took, err)
	r.report(ctx, err, failures, took)
}

func (r *runner) guarded(ctx context.Context, now time.Time) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Panic{Value: value, Stack: debug.Stack()}
		}
	}()
	return r.Run(ctx, now)
}

// report writes one line for a tick that failed, and one for the first that
// works again; failures counts the ticks that failed in a row until now, or
// before it when this one worked.
func (r *runner) report(ctx context.Context, err error, failures int, took time.Duration) {
	switch {
	case err != nil:
		attrs := []slog.Attr{slog.String("loop", r.Name), slog.Any("error", err), slog.Int("failures", failures), slog.Duration("took", took)}
		if p, ok := err.(*Panic); ok {
			attrs = append(attrs, slog.String("stack", string(p.Stack)))
		}
		r.log.LogAttrs(ctx, slog.LevelError, "loop failed, goes on at its next tick", attrs...)
	case failures > 0:
		r.log.LogAttrs(ctx, slog.LevelInfo, "loop works again", slog.String("loop", r.Name), slog.Int("failures", failures))
	}
}

func isPanic(err error) bool {
	_, ok := err.(*Panic)
	return ok
}
