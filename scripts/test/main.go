//go:build unix

// Command test runs Steward's tests as legs and adds them up: `make test`
// (all), `make test-fast` (fast) and `make soak` (soak). Legs can be named
// one by one: `go run ./scripts/test unit race e2e/apt`.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

func run(args []string, out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := os.Getwd()
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "go.mod"))
	}
	if err != nil {
		fmt.Fprintln(out, "test: run it at the top of the repository:", err)
		return 2
	}
	legs, err := choose(args, folders(filepath.Join(root, "scripts", "e2e")))
	if err != nil {
		fmt.Fprintln(out, "test:", err)
		return 2
	}
	s := &suite{root: root, out: out}
	defer s.close()
	return s.run(ctx, legs)
}

// suite is one run: where, and what its legs share.
type suite struct {
	root    string
	out     io.Writer
	cluster *cluster // started by the first leg that asks for it
}

// run goes through the legs. It stops early only when the machine lacks what
// the tests need, or when it is interrupted.
func (s *suite) run(ctx context.Context, legs []leg) int {
	var total count
	var lines []string
	began := time.Now()
	for _, l := range legs {
		fmt.Fprintf(s.out, "== %s: %s\n", l.name, l.what)
		start := time.Now()
		c, err := l.run(ctx, s)
		if err != nil {
			fmt.Fprintf(s.out, "%s: %v\n", l.name, err)
			c.failed = max(c.failed, 1)
		}
		lines = append(lines, fmt.Sprintf("%-14s %5.0f s  %v", l.name, time.Since(start).Seconds(), c))
		fmt.Fprintln(s.out, lines[len(lines)-1])
		total = total.plus(c)
		if ctx.Err() != nil {
			fmt.Fprintln(s.out, "interrupted")
			total.failed = max(total.failed, 1)
			break
		}
		if err != nil && l.name == "setup" {
			break
		}
	}
	fmt.Fprintf(s.out, "\n== summary, %.0f s\n", time.Since(began).Seconds())
	for _, line := range lines {
		fmt.Fprintln(s.out, line)
	}
	fmt.Fprintln(s.out, total)
	if total.failed > 0 {
		return 1
	}
	return 0
}

func (s *suite) close() {
	if s.cluster != nil {
		if err := s.cluster.stop(); err != nil {
			fmt.Fprintln(s.out, "stop PostgreSQL:", err)
		}
	}
}
