package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/spool/spooltest"
	"github.com/steward-rmm/steward/proto/wire"
)

// The environment of a child: its directory, and the crash point, counted from
// 1, at which it kills itself.
const (
	childDir   = "SPOOL_TEST_DIR"
	childCrash = "SPOOL_TEST_CRASH"
)

// script is what the child does, in order; each step is idempotent in what it
// leaves when it is known to have been done.
func script(j *spool.Journal) []struct {
	name string
	do   func() error
} {
	now := spooltest.T0()
	a, b, c := spooltest.Lease("a", 1), spooltest.Lease("b", 1), spooltest.Lease("c", 1)
	items := []wire.Item{{Key: "x", Facts: map[string]string{"version": "1"}}}
	return []struct {
		name string
		do   func() error
	}{
		{"session", func() error { _, err := j.NextSession(); return err }},
		{"welcome", func() error { return j.Welcome("e", spool.Anchor{Server: now, BootID: "b"}) }},
		{"desired", func() error {
			_, err := j.ApplyDesired(now, spool.Desired{Version: 1, Leases: []spool.Lease{a, b, c}})
			return err
		}},
		{"report", func() error {
			return j.AppendReport(spool.Report{At: now, Values: []spool.Value{{Signal: wire.SignalUptime, Value: 1}}})
		}},
		{"start", func() error { return j.Start(now, a.Key, false) }},
		{"cancel", func() error {
			_, err := j.ApplyDesired(now, spool.Desired{Version: 2, Leases: []spool.Lease{b, c}, Cancels: []spool.Cancel{{Key: b.Key}}})
			return err
		}},
		{"refuse", func() error { return j.Refuse(now, c.Key, wire.RefusedExpired, "") }},
		{"result", func() error {
			return j.Tell(now, spool.JobEvent{Key: a.Key, Step: spool.StepResult, Source: "apt", Package: "p", State: wire.ResultVerified})
		}},
		{"inventory", func() error { _, err := j.RecordInventory(now, wire.SectionUpdates, items, now, "a"); return err }},
		{"acknowledge", func() error { return j.Acknowledge(2) }},
		{"finish", func() error { return j.Finish(now, a.Key, true, false) }},
		{"installed", func() error {
			return j.RecordInstalled([]spool.Installed{{Source: "apt", Package: "p", Version: "1"}})
		}},
		{"stored", func() error { return j.StoredThrough(now) }},
		{"forget", func() error { return j.ForgetSection(wire.SectionUpdates) }},
	}
}

// child runs the script, prints each step that came back, and dies at its
// crash point.
func child(dir string) {
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
	if err == nil {
		for _, step := range script(j) {
			if err = step.do(); err != nil {
				break
			}
			fmt.Println("did " + step.name)
		}
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestNothingIsLostOrToldTwiceWhenKilledAtAnyPoint(t *testing.T) {
	points := map[string]bool{}
	for crash := 1; ; crash++ {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, childCrash+"="+strconv.Itoa(crash), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if bytes.Contains(out, []byte("error")) {
			t.Fatalf("crash %d: %s", crash, out)
		}
		checkAfterCrash(t, dir, string(out))
		if err == nil {
			break // ran to its end: all points are behind
		}
		_, point, _ := strings.Cut(string(out), "crash at ")
		points[strings.TrimSpace(point)] = true
	}
	for _, want := range []string{"open.opened", "open.buckets", "reserve.made", "create.begin", "create.done", "start.begin", "start.done", "finish.done", "acknowledge.begin"} {
		if !points[want] {
			t.Errorf("never crashed at %s; points were %v", want, points)
		}
	}
}

// checkAfterCrash opens what the child left, runs the whole script again as an
// agent would go on, and compares with what a run without a crash leaves.
func checkAfterCrash(t *testing.T, dir, out string) {
	t.Helper()
	j := open(t, dir, spool.Options{ReserveBytes: 4096})
	if j.SetAside() != "" {
		t.Fatalf("a kill damaged the journal\n%s", out)
	}
	steps := script(j)
	did := strings.Count(out, "did ")
	// What was acknowledged to the caller is there: told is exactly the events
	// of the steps that came back, and perhaps those of the one under way.
	told := keys(t, j)
	if !slices.Equal(told, trace(t, did)) && !slices.Equal(told, trace(t, min(did+1, len(steps)))) {
		t.Fatalf("after %d steps the journal tells %v, want %v or %v\n%s", did, told, trace(t, did), trace(t, min(did+1, len(steps))), out)
	}
	for _, step := range steps[did:] {
		_ = step.do() // one that was done just before the kill says so by an error
	}
	if got, want := keys(t, j), trace(t, len(steps)); !slices.Equal(got, want) {
		t.Fatalf("going on after %d steps the journal tells\n%v\nwant\n%v\n%s", did, got, want, out)
	}
}

// trace is what a journal tells after the first n steps without a crash.
func trace(t *testing.T, n int) []string {
	t.Helper()
	j, err := spool.NewMemory(spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range script(j)[:n] {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
	}
	return keys(t, j)
}

// keys tells events, leases and reports in short.
func keys(t *testing.T, j *spool.Journal) (out []string) {
	t.Helper()
	events, err := j.Events(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Job != nil {
			out = append(out, fmt.Sprint(e.Seq, " ", e.Job.Key, " ", e.Job.Step))
		} else {
			out = append(out, fmt.Sprint(e.Seq, " ", e.Inventory.Section))
		}
	}
	ids, err := j.LeaseIDs()
	if err != nil {
		t.Fatal(err)
	}
	return append(out, ids...)
}

func TestADamagedJournalIsSetAsideAndAnotherTakesItsPlace(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty pages":  func(b []byte) []byte { return make([]byte, len(b)) },
		"cut":          func(b []byte) []byte { return b[:len(b)/3] },
		"cut to one":   func(b []byte) []byte { return b[:1] },
		"other file":   func([]byte) []byte { return bytes.Repeat([]byte("not a journal\n"), 5000) },
		"both headers": func(b []byte) []byte { clear(b[:8192]); return b },
		"a value":      func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`{"seq":`), []byte(`["seq":`)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, err := spool.Open(dir, spool.Options{ReserveBytes: 4096})
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range script(j)[:5] {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
			}
			id, err := j.ID()
			if err != nil || j.Close() != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, spool.FileName)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			j = open(t, dir, spool.Options{ReserveBytes: 4096})
			fresh, err := j.ID()
			if err != nil || fresh == id || j.SetAside() == "" {
				t.Fatalf("id %s, was %s, set aside %q, %v", fresh, id, j.SetAside(), err)
			}
			if _, err := os.Stat(j.SetAside()); err != nil {
				t.Fatal(err)
			}
			for _, step := range script(j) {
				if err := step.do(); err != nil {
					t.Fatalf("the new one does not work: %s: %v", step.name, err)
				}
			}
		})
	}
}

func TestAJournalInUseOrOfANewerAgentIsNotSetAside(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, spool.Options{ReserveBytes: 4096})
	if _, err := spool.Open(dir, spool.Options{}); err == nil || !strings.Contains(err.Error(), spool.ErrInUse.Error()) {
		t.Fatalf("opened twice: %v", err)
	}
}
