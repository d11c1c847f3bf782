package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StopWithin is how long Stop waits when its context has no deadline.
const StopWithin = 20 * time.Second

// Options are what the loops of a group share; the zero value works.
type Options struct {
	// Log receives a line for each failed tick; nil is slog.Default.
	Log *slog.Logger
	// Registerer takes the metrics steward_loop_*, labelled by loop; nil is
	// none. Several groups may share one.
	Registerer prometheus.Registerer
	// Stagger spreads first ticks over this stretch, each loop at the place
	// that its name hashes to. 0 starts them all at once.
	Stagger time.Duration
}

// Group runs loops, each in its own goroutine, until Stop. Make it with
// NewGroup. Its methods may be called from any goroutine.
type Group struct {
	options Options
	metrics *metrics
	ctx     context.Context
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu      sync.Mutex
	runners []*runner
	stopped bool
}

// NewGroup returns a group without loops. It fails only when the registerer has
// other metrics of the same names.
func NewGroup(options Options) (*Group, error) {
	if options.Log == nil {
		options.Log = slog.Default()
	}
	m, err := newMetrics(options.Registerer)
	if err != nil {
		return nil, err
	}
	g := &Group{options: options, metrics: m}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// Start begins all the given loops, or none: an error says which of them is
// wrong, or that the group has stopped. It may be called several times.
func (g *Group) Start(loops ...Loop) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return errors.New("start loops: the group has stopped; make a new one")
	}
	names := make(map[string]bool, len(g.runners)+len(loops))
	for _, r := range g.runners {
		names[r.Name] = true
	}
	for _, l := range loops {
		if err := l.check(); err != nil {
			return fmt.Errorf("start loop %q: %w", l.Name, err)
		}
		if names[l.Name] {
			return fmt.Errorf("start loop %q: another loop has this name", l.Name)
		}
		names[l.Name] = true
	}
	for _, l := range loops {
		r := &runner{Loop: l, log: g.options.Log, metrics: g.metrics}
		g.metrics.expect(l.Name)
		g.runners = append(g.runners, r)
		first := slot(l.Name, g.options.Stagger)
		g.all.Go(func() { r.turn(g.ctx, first) })
	}
	return nil
}

func (l Loop) check() error {
	switch {
	case l.Name == "":
		return errors.New("it has no name")
	case l.Run == nil:
		return errors.New("it has no Run")
	case l.Every <= 0:
		return fmt.Errorf("its period is %s, it must be more than zero", l.Every)
	case l.Jitter < 0:
		return fmt.Errorf("its jitter is %s, it must not be negative", l.Jitter)
	}
	return nil
}

// Stop cancels every tick, waits until all loops have ended and returns nil. It
// gives up when ctx ends, or after StopWithin if ctx has no deadline; the error
// then names the loops that still run and wraps the context's. Stop may be
// called again to wait longer.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.cancel()
	if _, bounded := ctx.Deadline(); !bounded {
		var release context.CancelFunc
		ctx, release = context.WithTimeout(ctx, StopWithin)
		defer release()
	}
	ended := make(chan struct{})
	go func() {
		g.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	var blocking []string
	now := time.Now()
	for _, s := range g.States() {
		if s.Running {
			blocking = append(blocking, fmt.Sprintf("%s (for %s)", s.Name, now.Sub(s.Began).Round(time.Millisecond)))
		}
	}
	if len(blocking) == 0 {
		return nil // the last one ended at this very moment
	}
	return fmt.Errorf("stop loops: still running: %s: %w", strings.Join(blocking, ", "), ctx.Err())
}

// States returns how each loop is doing, in the order in which they started.
func (g *Group) States() []State {
	g.mu.Lock()
	runners := g.runners[:len(g.runners):len(g.runners)]
	g.mu.Unlock()
	states := make([]State, len(runners))
	for i, r := range runners {
		states[i] = r.snapshot()
	}
	return states
}

// State is how a loop is doing.
type State struct {
	Name    string
	Running bool      // in a tick now
	Began   time.Time // when the present or latest tick began; zero before the first
	// Succeeded is when the latest tick that returned nil began; zero if none has.
	Succeeded time.Time
	Failures  int   // ticks that failed in a row until now
	Err       error // of the latest tick that ended
}

// runner is a loop in a group.
type runner struct {
	Loop
	log     *slog.Logger
	metrics *metrics

	mu    sync.Mutex
	state State
}

func (r *runner) snapshot() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := r.state
	state.Name = r.Name
	return state
}

func (r *runner) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Running, r.state.Began = true, now
}

// end closes a tick and returns the failures in a row: with this one when it
// failed, before it when it worked. A stopped tick counts as neither.
func (r *runner) end(now time.Time, err error, stopped bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Running = false
	if stopped {
		return r.state.Failures
	}
	r.state.Err = err
	if err != nil {
		r.state.Failures++
		return r.state.Failures
	}
	before := r.state.Failures
	r.state.Failures, r.state.Succeeded = 0, now
	return before
}
