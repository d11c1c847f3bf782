//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// leg is one part of the run, with its own line in the summary.
type leg struct {
	name string
	what string
	run  func(ctx context.Context, s *suite) (count, error)
}

// Cases of a property test in each kind of run, unless RAPID_CHECKS says more.
const (
	checksFast = "50"
	checksRace = "25"
	checksAll  = "1000"
	checksSoak = "100000"
)

// modes are the named sets of legs; "e2e" stands for all that are there.
var modes = map[string][]string{
	// The suites chaos and browser are timed by real processes and not yet steady
	// on a busy machine: make soak runs them, as does go run ./scripts/test e2e.
	"all":  {"setup", "build", "unit", "databases", "race", "cross", "e2e/apt"},
	"fast": {"fast"},
	"soak": {"setup", "build", "properties", "e2e/chaos", "e2e/browser"},
}

// targets are the machines that the agent is built for.
var targets = []string{
	"linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64", "darwin/amd64", "darwin/arm64",
}

// choose turns the arguments, modes or legs, into legs. e2e are the end-to-end
// suites found in the tree.
func choose(args, e2e []string) ([]leg, error) {
	soak := slices.Contains(args, "soak")
	known := slices.Concat(fixedLegs(), e2eLegs(e2e, soak))
	if len(args) == 0 {
		args = []string{"all"}
	}
	var names []string
	for _, a := range args {
		if set, ok := modes[a]; ok {
			names = append(names, set...)
		} else {
			names = append(names, a)
		}
	}
	var out []leg
	for _, name := range names {
		found := false
		for _, l := range known {
			if l.name == name || strings.HasPrefix(l.name, name+"/") {
				out = append(out, l)
				found = true
			}
		}
		if !found && name != "e2e" && !strings.HasPrefix(name, "e2e/") {
			return nil, fmt.Errorf("no leg %q; there are all, fast, soak, %s", name, strings.Join(legNames(known), ", "))
		}
	}
	return out, nil
}

func fixedLegs() []leg {
	return []leg{
		{"setup", "install what the tests need", func(ctx context.Context, s *suite) (count, error) {
			return count{}, s.setup(ctx)
		}},
		{"build", "the three binaries", func(ctx context.Context, s *suite) (count, error) {
			return count{}, s.command(ctx, nil, "make", "--no-print-directory", "build")
		}},
		{"fast", "unit and property tests, few cases", func(ctx context.Context, s *suite) (count, error) {
			return s.goTest(ctx, []string{checks(checksFast)}, "-short", "./...")
		}},
		{"unit", "unit and property tests", func(ctx context.Context, s *suite) (count, error) {
			return s.goTest(ctx, []string{checks(checksAll)}, "./...")
		}},
		{"properties", "unit and property tests at full count", func(ctx context.Context, s *suite) (count, error) {
			return s.goTest(ctx, []string{checks(checksSoak), "STEWARD_SOAK=1"}, "-timeout", "6h", "./...")
		}},
		// What does not read STEWARD_TEST_POSTGRES comes out of the cache.
		{"databases", "the server's tests, on PostgreSQL too", func(ctx context.Context, s *suite) (count, error) {
			env, err := s.postgres(ctx)
			if err != nil {
				return count{}, err
			}
			return s.goTest(ctx, []string{checks(checksAll), env}, "./server/...")
		}},
		// SQLite's transpiled C is 25 times slower under the race detector and
		// none of ours; races in our own code are still seen.
		{"race", "everything under the race detector", func(ctx context.Context, s *suite) (count, error) {
			return s.goTest(ctx, []string{checks(checksRace), "CGO_ENABLED=1"},
				"-race", "-gcflags=modernc.org/...=-race=false", "-shuffle=on", "-timeout", "15m", "./...")
		}},
		{"cross", "the agent for " + strings.Join(targets, ", "), func(ctx context.Context, s *suite) (count, error) {
			return s.cross(ctx)
		}},
	}
}

// e2eLegs is one leg for each suite that drives the built binaries.
func e2eLegs(names []string, soak bool) []leg {
	var out []leg
	for _, name := range names {
		out = append(out, leg{"e2e/" + name, "the built binaries, " + name, func(ctx context.Context, s *suite) (count, error) {
			env := []string{"STEWARD_BIN=" + filepath.Join(s.root, "bin")}
			timeout := "10m"
			if soak {
				env, timeout = append(env, "STEWARD_SOAK=1"), "6h"
			}
			return s.goTest(ctx, env, "-tags", "e2e", "-count=1", "-timeout", timeout, "./scripts/e2e/"+name+"/...")
		}})
	}
	return out
}

// cross builds the agent's commands for every target; each is one test.
func (s *suite) cross(ctx context.Context) (count, error) {
	dir, err := os.MkdirTemp("", "steward-cross-")
	if err != nil {
		return count{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var c count
	for _, target := range targets {
		system, machine, _ := strings.Cut(target, "/")
		env := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + machine}
		if err := s.command(ctx, env, "go", "build", "-p", "2", "-trimpath", "-o", dir+string(filepath.Separator), "./agent/cmd/..."); err != nil {
			fmt.Fprintf(s.out, "%s: %v\n", target, err)
			c.failed++
			continue
		}
		c.passed++
	}
	return c, nil
}

// checks is the environment's RAPID_CHECKS, or the number given.
func checks(n string) string {
	return "RAPID_CHECKS=" + cmp.Or(os.Getenv("RAPID_CHECKS"), n)
}

// folders lists the folders in dir; none when dir is not there.
func folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "testdata" {
			out = append(out, e.Name())
		}
	}
	return out
}

func legNames(legs []leg) []string {
	var out []string
	for _, l := range legs {
		out = append(out, l.name)
	}
	return out
}
