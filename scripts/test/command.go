//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// command runs a program at the top of the repository with some variables
// added to the environment; what it prints goes to the run's output.
func (s *suite) command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := s.prepare(ctx, env, name, args...)
	cmd.Stdout = s.out
	err := cmd.Start()
	if err == nil {
		err = finish(cmd)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// goTest runs go test and counts. A run that fails without a failed test
// counts as one.
func (s *suite) goTest(ctx context.Context, env []string, args ...string) (count, error) {
	cmd := s.prepare(ctx, env, "go", append([]string{"test", "-json", "-p", "2"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return count{}, err
	}
	if err := cmd.Start(); err != nil {
		return count{}, err
	}
	t := newTally(s.out)
	readErr := t.read(stdout)
	err = finish(cmd)
	if err == nil {
		err = readErr
	}
	if err != nil && t.count.failed > 0 {
		return t.count, nil // the failures themselves have been printed
	}
	return t.count, err
}

// prepare makes a command in a process group of its own: an interrupt has to
// reach the tests that go test started, and what those started.
func (s *suite) prepare(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// finish waits for the command, then ends whatever it left behind.
func finish(cmd *exec.Cmd) error {
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nobody is left
	return err
}
