package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// command runs a program at the top of the repository with some variables
// added to the environment; what it prints goes to the run's output.
func (s *suite) command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := s.prepare(ctx, env, name, args...)
	cmd.Stdout = s.out
	if err := cmd.Run(); err != nil {
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
	err = cmd.Wait()
	if err == nil {
		err = readErr
	}
	if err != nil && t.count.failed > 0 {
		return t.count, nil // the failures themselves have been printed
	}
	return t.count, err
}

func (s *suite) prepare(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = s.out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}
