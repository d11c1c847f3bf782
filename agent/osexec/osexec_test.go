package osexec

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRefusedBeforeAnythingStarts(t *testing.T) {
	abs := filepath.Join(t.TempDir(), "nothing-here")
	for name, tc := range map[string]struct {
		c    Command
		want error
	}{
		"empty path":         {Command{}, ErrPath},
		"relative path":      {Command{Path: "apt-get"}, ErrPath},
		"relative with dots": {Command{Path: "./apt-get"}, ErrPath},
		"batch file":         {Command{Path: abs + ".BAT"}, ErrPath},
		"relative directory": {Command{Path: abs, Dir: "here"}, ErrArgument},
		"NUL in argument":    {Command{Path: abs, Args: []string{"a\x00b"}}, ErrArgument},
		"env without =":      {Command{Path: abs, Env: []string{"LANG"}}, ErrArgument},
		"env without key":    {Command{Path: abs, Env: []string{"=C"}}, ErrArgument},
		"missing program":    {Command{Path: abs}, fs.ErrNotExist},
	} {
		res, err := Run(context.Background(), tc.c)
		if !errors.Is(err, tc.want) || res.PID != 0 || res.ExitCode != -1 {
			t.Errorf("%s: process %d, exit %d, error %v, want %v and nothing started", name, res.PID, res.ExitCode, err, tc.want)
		}
	}
}

func TestNothingIsInheritedUnlessListed(t *testing.T) {
	t.Setenv("OSEXEC_SECRET", "hidden")
	t.Setenv("OSEXEC_LISTED", "shown")
	c := helper(t, "args", "a b", "$HOME", `"q"`, "-x;y")
	c.Env = append(c.Env, Inherited("OSEXEC_LISTED", "OSEXEC_UNSET")...)
	c.Dir = t.TempDir()
	res, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := string(res.Stdout)
	if first, _, _ := strings.Cut(out, "\n"); strings.TrimSpace(first) != `a b|$HOME|"q"|-x;y` {
		t.Errorf("arguments arrived as %q", first)
	}
	if strings.Contains(out, "hidden") || !strings.Contains(out, "OSEXEC_LISTED=shown") || strings.Contains(out, "OSEXEC_UNSET") {
		t.Errorf("environment: %q", out)
	}
	if got := strings.TrimSpace(string(res.Stderr)); filepath.Base(got) != filepath.Base(c.Dir) {
		t.Errorf("ran in %q, want %q", got, c.Dir)
	}
}

func TestExitCodeIsAResultNotAnError(t *testing.T) {
	for _, code := range []string{"0", "1", "100"} {
		res, err := Run(context.Background(), helper(t, "exit", code))
		if err != nil || res.ExitCode != map[string]int{"0": 0, "1": 1, "100": 100}[code] {
			t.Errorf("exit %s: got %d, %v", code, res.ExitCode, err)
		}
	}
}

func TestLinesArriveWithoutTheirEnds(t *testing.T) {
	c := helper(t, "lines")
	var out, warn []string
	c.OnStdout = func(l string) { out = append(out, l) }
	c.OnStderr = func(l string) { warn = append(warn, l) }
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "two", "50%", "100%", "last"}; !slices.Equal(out, want) || !slices.Equal(warn, []string{"warning"}) {
		t.Fatalf("lines %q and %q", out, warn)
	}
}

func TestTwoMegabytesDoNotBlockAndKeepHeadAndTail(t *testing.T) {
	c := helper(t, "flood")
	c.OutputLimit = 10_000
	lines := 0
	c.OnStdout = func(string) { lines++ }
	res, err := Run(context.Background(), c)
	if err != nil || !res.Truncated || lines != 2050 {
		t.Fatalf("truncated %v, %d lines, %v", res.Truncated, lines, err)
	}
	s := string(res.Stdout)
	if len(s) > 10_100 || !strings.HasPrefix(s, "first line") || !strings.HasSuffix(strings.TrimSpace(s), "last line") || !strings.Contains(s, "bytes cut") {
		t.Fatalf("kept %d bytes, %.40q … %.40q", len(s), s, s[len(s)-40:])
	}
}

func TestTimeoutIsToldAndTimed(t *testing.T) {
	c := helper(t, "hang")
	c.Timeout, c.Grace = 50*time.Millisecond, time.Second
	res, err := System{Now: time.Now}.Run(context.Background(), c)
	if !errors.Is(err, ErrTimeout) || !res.Killed || res.KillReason != KilledByTimeout || res.Overran {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Duration < 50*time.Millisecond || res.Duration > 10*time.Second {
		t.Fatalf("took %v", res.Duration)
	}
}

func TestAnEndedContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	res, err := Run(ctx, helper(t, "exit", "0"))
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) || res.PID != 0 {
		t.Fatalf("process %d, %v", res.PID, err)
	}
}

func TestOverrunWaitsUntilThePhaseIsSafe(t *testing.T) {
	c := helper(t, "hang")
	c.Timeout, c.Ask = 20*time.Millisecond, 10*time.Millisecond
	var asked atomic.Int32
	c.Interruptible = func() bool { return asked.Add(1) > 3 }
	res, err := Run(context.Background(), c)
	if !errors.Is(err, ErrTimeout) || !res.Overran || !res.Killed || asked.Load() != 4 {
		t.Fatalf("asked %d times: %+v, %v", asked.Load(), res, err)
	}
}

func TestWhatMustNotBeKilledIsLeftRunningAndSaid(t *testing.T) {
	c := helper(t, "hang")
	c.Timeout, c.Ask, c.Abandon = 20*time.Millisecond, 10*time.Millisecond, 60*time.Millisecond
	c.Interruptible = func() bool { return false }
	res, err := Run(context.Background(), c)
	if !errors.Is(err, ErrAbandoned) || !res.Overran || res.Killed || res.ExitCode != -1 {
		t.Fatalf("%+v, %v", res, err)
	}
	p, err := os.FindProcess(res.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatalf("process %d should still have been running: %v", res.PID, err)
	}
}

// The capture keeps exactly the first and last bytes, for any sizes and writes.
func TestCaptureKeepsHeadAndTail(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 64).Draw(rt, "limit")
		var turn sync.Mutex
		c := newCapture(limit, &turn, nil)
		var all []byte
		for _, chunk := range rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 50)).Draw(rt, "writes") {
			all = append(all, chunk...)
			if n, err := c.Write(chunk); n != len(chunk) || err != nil {
				rt.Fatalf("wrote %d, %v", n, err)
			}
		}
		got, cut := c.finish()
		if cut != (len(all) > limit) {
			rt.Fatalf("cut %v for %d bytes over a limit of %d", cut, len(all), limit)
		}
		half := (limit + 1) / 2
		if !cut && !bytes.Equal(got, all) {
			rt.Fatalf("kept %q of %q", got, all)
		}
		if cut && (!bytes.HasPrefix(got, all[:half]) || !bytes.HasSuffix(got, all[len(all)-(limit-half):])) {
			rt.Fatalf("kept %q of %q", got, all)
		}
	})
}
