package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// actor is one loop of the process, by its name.
type actor struct {
	name string
	run  func(ctx context.Context) error
}

// again is the wait before an actor that ended by itself runs again.
const again = 10 * time.Second

// actors run until they are told to stop. One that panics is logged and begins
// anew: an agent that died helps nobody, and its journal knows where it was.
type actors struct {
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when all have ended

	mu      sync.Mutex
	running map[string]bool
	final   error
}

// startActors starts each in its goroutine. An error for which final is true
// ends all of them.
func startActors(log *slog.Logger, final func(error) bool, list ...actor) *actors {
	ctx, cancel := context.WithCancel(context.Background())
	as := &actors{log: log, cancel: cancel, done: make(chan struct{}), running: map[string]bool{}}
	var all sync.WaitGroup
	for _, a := range list {
		as.running[a.name] = true
		all.Add(1)
		go func() {
			defer all.Done()
			as.keep(ctx, a, final)
			as.mu.Lock()
			defer as.mu.Unlock()
			delete(as.running, a.name)
		}()
	}
	go func() {
		all.Wait()
		close(as.done)
	}()
	return as
}

func (as *actors) keep(ctx context.Context, a actor, final func(error) bool) {
	for {
		err := guarded(ctx, a)
		switch {
		case ctx.Err() != nil:
			return
		case final(err):
			as.mu.Lock()
			as.final = err
			as.mu.Unlock()
			as.cancel()
			return
		}
		as.log.Error("an actor ended by itself and begins anew", "actor", a.name, "in", again, "why", err)
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func guarded(ctx context.Context, a actor) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if err := a.run(ctx); err != nil {
		return err
	}
	return errors.New("it returned")
}

// stop ends all and waits for them until ctx ends; the error names who blocks.
func (as *actors) stop(ctx context.Context) error {
	as.cancel()
	select {
	case <-as.done:
		return nil
	case <-ctx.Done():
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	var names []string
	for name := range as.running {
		names = append(names, name)
	}
	return fmt.Errorf("still running: %v", names)
}
