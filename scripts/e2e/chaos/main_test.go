//go:build e2e

// Package chaos_test kills the built server and agent at every point between
// two durable steps and at random moments, breaks their network, fills their
// disks, tampers with their record and feeds them nonsense. At the end the
// server's rows, the agent's journal and dpkg must agree.
//
// STEWARD_SOAK=1 runs every point and ten times as many random kills.
package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fleets that live at once: they mostly wait.
const parallel = "8"

// soak is the full count.
func soak() bool { return os.Getenv("STEWARD_SOAK") != "" }

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds both programs with the tag crash, which adds the hook that kills
// them and nothing else, and runs the tests with those.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "steward-chaos-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = build(dir)
	}
	if err == nil {
		err = os.Setenv("STEWARD_BIN", dir)
	}
	if err == nil {
		err = flag.Set("test.parallel", parallel)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	cmd := exec.Command("go", "build", "-p", "2", "-tags", "crash", "-o", dir+string(filepath.Separator),
		"./server/cmd/steward", "./agent/cmd/steward-agent")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs with the tag crash: %w\n%s", err, out)
	}
	return nil
}
