package runner

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
)

// The environment of a child: its directory, and the point, counted from 1, at
// which it kills itself; 0 is never.
const (
	childDir   = "RUNNER_TEST_DIR"
	childCrash = "RUNNER_TEST_CRASH"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is an agent with a job of two releases. What is installed is a file
// that outlives it; each installation adds a line to another.
func child(dir string) error {
	crash, _ := strconv.Atoi(os.Getenv(childCrash))
	passed := 0
	hook := func(point string) {
		if passed++; passed == crash {
			fmt.Println("crash at " + point)
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}
	j, err := spool.Open(dir, spool.Options{Hook: hook, ReserveBytes: 4096})
	if err != nil {
		return err
	}
	g := newRig(nil, j)
	g.apt = diskSource(dir, hook)
	g.o.Sources, g.o.Hook = []Source{g.apt}, hook
	boot, id := g.o.Machine.BootClock()
	if err := j.Welcome("e", spool.Anchor{Server: time.Now(), Boot: boot, BootID: id}); err != nil {
		return err
	}
	if _, err := j.ApplyDesired(time.Now(), spool.Desired{Version: 1, Leases: []spool.Lease{g.lease(g.job("openssl", "curl"))}}); err != nil {
		return err
	}
	r, err := New(g.o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for ctx.Err() == nil {
		r.runOnce(ctx, "start")
		if ids, err := j.LeaseIDs(); err != nil || len(ids) == 0 {
			return err
		}
	}
	return ctx.Err()
}

// diskSource keeps its packages in files.
func diskSource(dir string, hook func(string)) *scripted {
	s := newScripted("apt")
	s.offer("curl", "1.0", "1.1")
	for pkg := range s.packages {
		if _, err := os.Stat(filepath.Join(dir, "installed-"+pkg)); err == nil {
			s.packages[pkg] = "1.1"
			delete(s.offers, pkg)
		}
	}
	s.install = func(_ context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
		log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(log, r.Package)
		}
		ui.Progress(source.Progress{Phase: source.PhaseInstalling})
		ui.Log("unpacking")
		hook("source.before")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "installed-"+r.Package), nil, 0o600)
		}
		if err != nil {
			return source.Outcome{State: source.StateFailed, Message: err.Error()}
		}
		hook("source.after")
		s.packages[r.Package] = "1.1"
		delete(s.offers, r.Package)
		return source.Outcome{State: source.StateInstalled, From: "1.0", To: "1.1"}
	}
	return s
}

func runChild(t *testing.T, dir string, crash int) (out string, ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childCrash+"="+strconv.Itoa(crash), "GORACE=atexit_sleep_ms=0")
	raw, err := cmd.CombinedOutput()
	if bytes.Contains(raw, []byte("error")) || bytes.Contains(raw, []byte("panic")) {
		t.Fatalf("crash %d: %s", crash, raw)
	}
	return string(raw), err == nil
}

func TestAJobIsToldOnceAndTrulyWhereverItsAgentWasKilled(t *testing.T) {
	points := map[string]bool{}
	for crash := 1; ; crash++ {
		dir := t.TempDir()
		out, ended := runChild(t, dir, crash)
		if !ended {
			_, point, _ := strings.Cut(out, "crash at ")
			points[strings.TrimSpace(point)] = true
			if _, ended := runChild(t, dir, 0); !ended {
				t.Fatalf("crash %d: the second agent did not end", crash)
			}
		}
		checkTold(t, dir, out)
		if ended {
			break
		}
	}
	for _, want := range []string{
		"start.before", "start.begin", "start.done", "start.journaled", "install.before", "source.before", "source.after", "install.after",
		"release.done", "rescan.told", "result.told", "finish.begin", "finish.done",
	} {
		if !points[want] {
			t.Errorf("never killed at %s; points were %v", want, points)
		}
	}
}

// checkTold compares what the journal tells with what is on the disk.
func checkTold(t *testing.T, dir, out string) {
	t.Helper()
	j, err := spool.Open(dir, spool.Options{ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	events, err := j.Events(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i, e := range events {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("event %d has number %d\n%s", i+1, e.Seq, out)
		}
		if e.Job == nil {
			continue
		}
		counts[string(e.Job.Step)]++
		if e.Job.Step != spool.StepResult {
			continue
		}
		counts["result of "+e.Job.Package]++
		_, err := os.Stat(filepath.Join(dir, "installed-"+e.Job.Package))
		if there := err == nil; (e.Job.State == "verified") != there {
			t.Fatalf("%s is told as %s, on the disk %v\n%s", e.Job.Package, e.Job.State, there, out)
		}
	}
	for _, once := range []string{"accepted", "started", "finished", "result of openssl", "result of curl"} {
		if counts[once] != 1 {
			t.Fatalf("%s is told %d times of %v\n%s", once, counts[once], counts, out)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	ran := strings.Fields(string(raw))
	if slices.Sort(ran); len(slices.Compact(slices.Clone(ran))) != len(ran) {
		t.Fatalf("run again: %v\n%s", ran, out)
	}
}
