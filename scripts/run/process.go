//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a started program whose lines go to the screen.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all its lines are shown
	err  error         // how it ended; read after done
}

// start runs a program in a process group of its own: ctrl-C reaches only us,
// and we stop the agent before the server.
func start(sc *screen, name, program string, args ...string) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 5 * time.Second // what it started may outlive it and keep the pipe open
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		sc.copy(name, r)
	}()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		_ = w.Close() // io.Pipe's Close never fails
		<-shown
	}()
	return p, nil
}

// ended says how the process ended; only to be asked when it has.
func (p *process) ended() error {
	if p.err == nil {
		return errors.New("exit code 0")
	}
	return p.err
}

// wait returns how the process ended, or ctx's error if that comes first.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop asks the process to end and waits; after 15 seconds it is killed. Its
// exit code is an error only when we did not ask: see run.
func (p *process) stop(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
	if p.wait(ctx); ctx.Err() == nil {
		return nil
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("the %s did not stop within 15 s and was killed", p.name)
}

// ready waits until the server answers 200 on its readiness page.
func (p *process) ready(ctx context.Context, url string, patient time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	last := "no answer"
	for {
		ok, said := ask(ctx, url)
		if ok {
			return nil
		}
		if said != "" {
			last = said
		}
		select {
		case <-p.done:
			return fmt.Errorf("the %s did not start: %w", p.name, p.ended())
		case <-ctx.Done():
			return fmt.Errorf("the %s is not ready after %s: %s says %s", p.name, patient, url, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ask gets the URL; what it said is "" when nobody listens.
func ask(ctx context.Context, url string) (ok bool, said string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, ""
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 300))
	return res.StatusCode == http.StatusOK, res.Status + ": " + strings.TrimSpace(string(body))
}

// copy shows everything that r brings, line by line.
func (sc *screen) copy(name string, r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			sc.add(name, strings.TrimRight(line, "\r\n"))
		}
		if err != nil {
			return
		}
	}
}
