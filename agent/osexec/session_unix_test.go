//go:build linux || darwin

package osexec

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// setSession lets a child leave its parent's process group, as a program on a
// pseudo terminal does.
func setSession(c *exec.Cmd, own bool) {
	if own {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
}

func TestStatusLinesArriveFromDescriptorThree(t *testing.T) {
	c := helper(t, "status")
	var got []string
	c.StatusFD = func(l string) { got = append(got, l) }
	res, err := Run(context.Background(), c)
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("exit %d, %v", res.ExitCode, err)
	}
	if want := []string{"status 0", "status 1", "status 2"}; !slices.Equal(got, want) {
		t.Fatalf("status lines %q, want %q", got, want)
	}
}

func TestTimeoutKillsChildrenThatIgnoreThePoliteKill(t *testing.T) {
	c := helper(t, "family")
	c.Timeout, c.Grace, c.PipeDelay = time.Hour, 300*time.Millisecond, 300*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var pids []int
	ready := 0
	c.OnStdout = func(l string) {
		if s, ok := strings.CutPrefix(l, "child "); ok {
			pid, _ := strconv.Atoi(s)
			pids = append(pids, pid)
		}
		if l == "ready" {
			if ready++; ready == 3 { // itself and both children
				cancel()
			}
		}
	}
	res, err := Run(ctx, c)
	if !errors.Is(err, ErrCancelled) || !res.Killed || res.KillReason != KilledByContext {
		t.Fatalf("killed %v for %q: %v", res.Killed, res.KillReason, err)
	}
	if len(pids) != 2 {
		t.Fatalf("children %v, want two; stdout %q", pids, res.Stdout)
	}
	for _, pid := range pids {
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // for when the next line fails
		waitGone(t, pid)
	}
}

func TestChildThatHoldsThePipesDoesNotHangWait(t *testing.T) {
	c := helper(t, "orphan")
	c.PipeDelay = 100 * time.Millisecond
	pid := 0
	c.OnStdout = func(l string) {
		if s, ok := strings.CutPrefix(l, "child "); ok {
			pid, _ = strconv.Atoi(s)
		}
	}
	res, err := Run(context.Background(), c)
	if pid > 0 {
		defer syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil || res.ExitCode != 0 || !res.PipesHeld {
		t.Fatalf("exit %d, held %v, %v; want 0, held, no error", res.ExitCode, res.PipesHeld, err)
	}
}

// waitGone polls until a process does not exist, or is a zombie of a parent
// that is not ours.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d is still alive", pid)
		}
	}
}

// An empty environment is empty; os/exec would take it for "all of mine".
func TestNoEnvironmentIsNotTheAgentsOwn(t *testing.T) {
	t.Setenv("OSEXEC_SECRET", "hidden")
	res, err := Run(context.Background(), Command{Path: "/usr/bin/env"})
	if err != nil || len(res.Stdout) > 0 {
		t.Fatalf("%q, %v", res.Stdout, err)
	}
}
