package osexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// System runs commands on this machine. It exists so that rooms can state the
// one method they need as an interface and replay recorded output in tests.
type System struct {
	// Now is the clock used for commands that bring none.
	Now func() time.Time
}

// Run is the function Run with the system's clock.
func (s System) Run(ctx context.Context, c Command) (Result, error) {
	if c.Now == nil {
		c.Now = s.Now
	}
	return Run(ctx, c)
}

// Run starts the command and waits for its end. The error is nil when the
// command ran to its own end, whatever its exit code; else it wraps one of
// this package's errors or what the system said (a missing program is
// fs.ErrNotExist). A context that has already ended starts nothing.
func Run(ctx context.Context, c Command) (Result, error) {
	none := Result{ExitCode: -1}
	if err := c.check(); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("start %s: %w: %w", c.Path, ErrCancelled, err)
	}
	c = c.withDefaults()
	r, err := start(c)
	if err != nil {
		return none, fmt.Errorf("start %s: %w", c.Path, err)
	}
	err = r.await(ctx)
	return r.result(), err
}

// running is a started command.
type running struct {
	c       Command
	cmd     *exec.Cmd
	tree    *tree
	started time.Time
	done    chan error // receives cmd.Wait's error once
	out     *capture
	err     *capture
	status  *statusReader
	res     Result
}

// start wires the outputs and starts the process in a tree of its own.
func start(c Command) (*running, error) {
	var turn sync.Mutex // one callback at a time
	r := &running{
		c:    c,
		done: make(chan error, 1),
		out:  newCapture(c.OutputLimit, &turn, c.OnStdout),
		err:  newCapture(c.OutputLimit, &turn, c.OnStderr),
	}
	r.res.ExitCode = -1
	r.cmd = &exec.Cmd{
		Path:      c.Path,
		Args:      append([]string{c.Path}, c.Args...),
		Env:       append([]string{}, c.Env...), // nil would inherit everything
		Dir:       c.Dir,
		Stdout:    r.out,
		Stderr:    r.err,
		WaitDelay: c.PipeDelay,
	}
	prepareTree(r.cmd)
	if c.StatusFD != nil {
		s, err := openStatus(r.cmd, newCapture(0, &turn, c.StatusFD))
		if err != nil {
			return nil, err
		}
		r.status = s
	}
	if c.Now != nil {
		r.started = c.Now()
	}
	if err := r.cmd.Start(); err != nil {
		r.status.abort()
		return nil, err
	}
	r.res.PID = r.cmd.Process.Pid
	r.tree = adoptTree(r.cmd, c.Interruptible == nil)
	r.status.begin()
	go func() { r.done <- r.cmd.Wait() }()
	return r, nil
}

// await waits for the end of the command, of its time, or of the context.
func (r *running) await(ctx context.Context) error {
	defer r.tree.close()
	timeout, stop := after(r.c.Timeout)
	defer stop()
	select {
	case werr := <-r.done:
		return r.ended(werr)
	case <-timeout:
		r.res.KillReason = KilledByTimeout
	case <-ctx.Done():
		r.res.KillReason = KilledByContext
	}
	if r.mayKill() {
		return r.kill()
	}
	return r.overrun()
}

// overrun waits on for a command that must not be killed now.
func (r *running) overrun() error {
	r.res.Overran = true
	abandon, stop := after(r.c.Abandon)
	defer stop()
	ask := time.NewTicker(r.c.Ask)
	defer ask.Stop()
	for {
		select {
		case werr := <-r.done:
			return r.ended(werr)
		case <-ask.C:
			if r.mayKill() {
				return r.kill()
			}
		case <-abandon:
			return fmt.Errorf("%s (process %d): %w: stopping it now could damage the machine", r.c.Path, r.res.PID, ErrAbandoned)
		}
	}
}

func (r *running) mayKill() bool { return r.c.Interruptible == nil || r.c.Interruptible() }

// kill ends the whole tree: politely, then hard. It returns when the process
// is gone, or, for one stuck in the kernel, after another grace.
func (r *running) kill() error {
	r.res.Killed = true
	why := ErrTimeout
	if r.res.KillReason == KilledByContext {
		why = ErrCancelled
	}
	family := r.tree.terminate()
	grace := time.NewTimer(r.c.Grace)
	defer grace.Stop()
	var werr error
	gone := false
	select {
	case werr = <-r.done:
		gone = true
	case <-grace.C:
	}
	r.tree.kill(family)
	if !gone {
		last := time.NewTimer(r.c.Grace + r.c.PipeDelay)
		defer last.Stop()
		select {
		case werr = <-r.done:
		case <-last.C:
			return fmt.Errorf("%s (process %d): %w: it does not react to being killed", r.c.Path, r.res.PID, ErrAbandoned)
		}
	}
	// What Wait says about a killed process tells nothing new; a failure of
	// ours to read its output does.
	if err := r.ended(werr); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", r.c.Path, why), err)
	}
	return fmt.Errorf("%s: %w", r.c.Path, why)
}

// ended takes in what Wait said.
func (r *running) ended(werr error) error {
	r.status.finish(r.c.PipeDelay)
	if st := r.cmd.ProcessState; st != nil {
		r.res.ExitCode = st.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case werr == nil, errors.As(werr, &exit):
		return nil
	case errors.Is(werr, exec.ErrWaitDelay):
		r.res.PipesHeld = true
		return nil
	default:
		return fmt.Errorf("wait for %s: %w", r.c.Path, werr)
	}
}

// result closes the callbacks and copies what was captured.
func (r *running) result() Result {
	res := r.res
	var cutOut, cutErr bool
	r.status.mute()
	res.Stdout, cutOut = r.out.finish()
	res.Stderr, cutErr = r.err.finish()
	res.Truncated = cutOut || cutErr
	if r.c.Now != nil {
		res.Duration = r.c.Now().Sub(r.started)
	}
	return res
}

// statusReader reads file descriptor 3 of the child, line by line.
type statusReader struct {
	r, w *os.File
	sink *capture
	done chan struct{}
}

func (s *statusReader) abort() {
	if s != nil {
		s.r.Close()
		s.w.Close()
	}
}

// begin closes our copy of the child's end, so that its end is ours too.
func (s *statusReader) begin() {
	if s == nil {
		return
	}
	s.w.Close()
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		defer s.r.Close()
		buf := make([]byte, 4096)
		for {
			n, err := s.r.Read(buf)
			_, _ = s.sink.Write(buf[:n]) // a capture never fails
			if err != nil {
				return
			}
		}
	}()
}

// finish waits for the last lines, but not for a child that keeps the
// descriptor.
func (s *statusReader) finish(delay time.Duration) {
	if s == nil {
		return
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
		s.r.Close()
		<-s.done
	}
}

func (s *statusReader) mute() {
	if s != nil {
		s.sink.finish()
	}
}

// after is a timer channel that never fires for a duration of zero.
func after(d time.Duration) (<-chan time.Time, func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
