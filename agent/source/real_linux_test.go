package source

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/agent/osexec"
)

// The tests in this file drive the real apt and dpkg of the machine with
// packages named steward-sample-* from a repository of their own, which is the
// only source apt is told of, and purge them at the end.

// One machine's evening, in one test because dpkg is one: what is offered is
// seen, planned, installed and found installed; a hold is respected; a new
// dependency comes along, a removal does not happen; a failing script is told.
func TestRealAptFromOfferToInstalled(t *testing.T) {
	first := []string{"steward-sample-a", "steward-sample-held", "steward-sample-bad", "steward-sample-dep", "steward-sample-brk", "steward-sample-victim"}
	repo := newArchive(t, append(first, "steward-sample-new")...)
	for _, n := range first {
		repo.put(n, "1.0.0", "", "")
	}
	repo.index()
	ctx := context.Background()
	apt := repo.apt(AptOptions{})
	if ok, why := apt.Available(ctx); !ok {
		t.Fatal(why)
	}
	refresh(t, apt)
	repo.install(first...)
	repo.put("steward-sample-a", "1.1.0", "", "")
	repo.put("steward-sample-held", "1.1.0", "", "")
	repo.put("steward-sample-bad", "1.1.0", "", "echo about to fail >&2\nexit 3\n")
	repo.put("steward-sample-new", "1.0.0", "", "")
	repo.put("steward-sample-dep", "1.1.0", "Depends: steward-sample-new\n", "")
	repo.put("steward-sample-brk", "1.1.0", "Conflicts: steward-sample-victim\n", "")
	repo.index()
	refresh(t, apt)
	command(t, "apt-mark", "hold", "steward-sample-held")

	scan, err := apt.Scan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range scan.Updates {
		got = append(got, fmt.Sprintf("%s %s>%s held=%v kept=%v", u.Package, u.Installed, u.Available, u.Held, u.KeptBack))
		if u.SizeBytes < 100 || u.Kind != KindAppMinor || u.Origin == "" || u.Arch != "all" {
			t.Errorf("%+v", u)
		}
	}
	want := []string{"steward-sample-a 1.0.0>1.1.0 held=false kept=false", "steward-sample-bad 1.0.0>1.1.0 held=false kept=false", "steward-sample-brk 1.0.0>1.1.0 held=false kept=true",
		"steward-sample-dep 1.0.0>1.1.0 held=false kept=false", "steward-sample-held 1.0.0>1.1.0 held=true kept=true"}
	if !slices.Equal(got, want) || scan.LastRefresh.IsZero() {
		t.Fatalf("scan, refreshed %v:\n %s\nwant\n %s", scan.LastRefresh, strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
	inventory(t, apt)
	plans(t, apt)
	installs(t, apt)
	failingScript(t, apt)
}

func refresh(t *testing.T, apt *Apt) {
	t.Helper()
	if err := apt.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func inventory(t *testing.T, apt *Apt) {
	all, err := apt.Installed(context.Background())
	if err != nil || len(all) < 50 {
		t.Fatalf("%d packages, %v", len(all), err)
	}
	if !slices.Contains(all, Installed{Source: "apt", Name: "steward-sample-a", Version: "1.0.0", Arch: "all", SizeBytes: 4096}) {
		t.Error("the inventory lacks steward-sample-a 1.0.0")
	}
}

func plans(t *testing.T, apt *Apt) {
	ctx := context.Background()
	one := func(name, version string) []Request {
		return []Request{{Package: "steward-sample-" + name, Version: version}}
	}
	p, err := apt.Plan(ctx, one("dep", "1.1.0"))
	if err != nil || len(p.Changes) != 2 || p.Changes[0].Package != "steward-sample-new" || p.Changes[0].Action != ActionInstall {
		t.Errorf("plan with a new dependency: %+v, %v", p, err)
	}
	p, err = apt.Plan(ctx, one("brk", "1.1.0"))
	if err != nil || !slices.Contains(p.Changes, Change{Package: "steward-sample-victim", From: "1.0.0", Action: ActionRemove}) {
		t.Errorf("plan with a removal: %+v, %v", p, err)
	}
	p, err = apt.Plan(ctx, append(one("a", "1.1.0"), one("dep", "1.1.0")...))
	if err != nil || len(p.Changes) != 3 {
		t.Errorf("plan of two: %+v, %v", p, err)
	}
	for name, want := range map[string]Code{"held=1.1.0": CodeHeld, "a=9.9": CodeVersionNotFound, "nosuch=1.0": CodePackageNotFound, "new=1.0.0": CodeNotInstalled} {
		n, v, _ := strings.Cut(name, "=")
		if _, err := apt.Plan(ctx, one(n, v)); CodeOf(err) != want {
			t.Errorf("plan of %s: %v, want %s", name, err, want)
		}
	}
}

func installs(t *testing.T, apt *Apt) {
	ctx := context.Background()
	for _, c := range []struct {
		name, version string
		state         State
		code          Code
		status        string
	}{
		{"held", "1.1.0", StateNotApplicable, CodeHeld, "hi  1.0.0"},
		{"brk", "1.1.0", StateFailed, CodeWouldRemove, "ii  1.0.0"},
		{"dep", "1.1.0", StateInstalled, CodeNone, "ii  1.1.0"},
		{"a", "9.9", StateSuperseded, CodeVersionNotFound, "ii  1.0.0"},
		{"a", "1.1.0", StateInstalled, CodeNone, "ii  1.1.0"},
		{"a", "1.1.0", StateInstalled, CodeAlreadyInstalled, "ii  1.1.0"},
		{"a", "1.0.0", StateSuperseded, CodeNewerInstalled, "ii  1.1.0"},
	} {
		steps := 0
		o := apt.Install(ctx, Request{Package: "steward-sample-" + c.name, Version: c.version}, UI{Progress: func(Progress) { steps++ }})
		if st := status(t, "steward-sample-"+c.name); o.State != c.state || o.Code != c.code || st != c.status {
			t.Errorf("install %s %s: %+v, dpkg says %q; want %s %q and %q", c.name, c.version, o, st, c.state, c.code, c.status)
		}
		if c.code == CodeNone && steps < 5 {
			t.Errorf("install %s: %d steps of progress", c.name, steps)
		}
	}
	back := Request{Package: "steward-sample-a", Version: "1.0.0", AllowDowngrade: true}
	if o := apt.Install(ctx, back, UI{}); o.State != StateInstalled || o.From != "1.1.0" || o.To != "1.0.0" || status(t, back.Package) != "ii  1.0.0" {
		t.Errorf("allowed downgrade: %+v", o)
	}
	if st := status(t, "steward-sample-victim"); st != "ii  1.0.0" {
		t.Errorf("the package in the way is %q", st)
	}
}

// failingScript leaves a package half configured, which is told by its own
// installation, by the next one, and by a repair, until the cause is gone.
func failingScript(t *testing.T, apt *Apt) {
	ctx := context.Background()
	var log []string
	o := apt.Install(ctx, Request{Package: "steward-sample-bad", Version: "1.1.0"}, UI{Log: func(l string) { log = append(log, l) }})
	if o.State != StateFailed || o.Code != CodeScriptFailed || o.ExitCode != 100 || !strings.Contains(o.Message, "exit status 3") || !strings.Contains(o.Message, "half configured at 1.1.0") {
		t.Errorf("failing script: %+v", o)
	}
	if !slices.Contains(log, "about to fail") {
		t.Errorf("the script's words are not in the log: %q", log)
	}
	o = apt.Install(ctx, Request{Package: "steward-sample-a", Version: "1.1.0"}, UI{})
	if o.State != StateInstalled || o.Code != CodeOtherPackageFailed || !strings.Contains(o.Message, "steward-sample-bad") || status(t, "steward-sample-a") != "ii  1.1.0" {
		t.Errorf("beside a half configured package: %+v", o)
	}
	if err := apt.Repair(ctx); CodeOf(err) != CodeScriptFailed {
		t.Errorf("repair: %v", err)
	}
	if _, err := apt.Scan(ctx); err != nil {
		t.Errorf("scan beside a half configured package: %v", err)
	}
	script := "/var/lib/dpkg/info/steward-sample-bad.postinst"
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := apt.Repair(ctx); err != nil || status(t, "steward-sample-bad") != "ii  1.1.0" {
		t.Errorf("repair after the cause is gone: %v, %s", err, status(t, "steward-sample-bad"))
	}
}

// While another process has dpkg's lock, the scan works and says who has it,
// an installation waits and ends busy, and nothing is changed.
func TestRealLockOfAnotherProcess(t *testing.T) {
	if os.Getenv("STEWARD_HOLD_LOCK") != "" {
		holdLock(t)
		return
	}
	repo := newArchive(t, "steward-sample-lock")
	repo.put("steward-sample-lock", "1.0.0", "", "")
	repo.index()
	apt := repo.apt(AptOptions{Options: []string{"DPkg::Lock::Timeout=1"}})
	refresh(t, apt)
	repo.install("steward-sample-lock")
	repo.put("steward-sample-lock", "1.1.0", "", "")
	repo.index()
	refresh(t, apt)

	c := exec.Command(os.Args[0], "-test.run=^TestRealLockOfAnotherProcess$", "-test.v")
	c.Env = append(os.Environ(), "STEWARD_HOLD_LOCK=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { in.Close(); _ = c.Wait() })
	defer release()
	heard := ""
	for buf := make([]byte, 256); !strings.Contains(heard, "LOCKED"); {
		n, err := out.Read(buf)
		if heard += string(buf[:n]); err != nil {
			t.Fatalf("the process that takes the lock said %q: %v", heard, err)
		}
	}
	ctx := context.Background()
	scan, err := apt.Scan(ctx)
	if err != nil || len(scan.Updates) != 1 || scan.Busy == nil || scan.Busy.PID != c.Process.Pid || scan.Busy.Process == "" {
		t.Errorf("scan: %+v busy %+v, %v; want busy with process %d", scan.Updates, scan.Busy, err, c.Process.Pid)
	}
	req := Request{Package: "steward-sample-lock", Version: "1.1.0"}
	if o := apt.Install(ctx, req, UI{}); o.State != StateBusy || o.Code != CodeBusy || !strings.Contains(o.Message, fmt.Sprint(c.Process.Pid)) {
		t.Errorf("install: %+v", o)
	}
	if err := apt.Repair(ctx); CodeOf(err) != CodeBusy {
		t.Errorf("repair: %v", err)
	}
	release()
	if o := apt.Install(ctx, req, UI{}); o.State != StateInstalled {
		t.Errorf("install after the lock is free: %+v", o)
	}
}

// holdLock is the other process.
func holdLock(t *testing.T) {
	f, err := os.OpenFile("/var/lib/dpkg/lock-frontend", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLKW, &lock); err != nil {
		t.Fatal(err)
	}
	fmt.Println("LOCKED")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it, or is gone
	f.Close()
}

// A stand-in for apt-get that starts a child and never answers ends, with the
// child, in one clear error; so does one that answers without end.
func TestRealProcessThatNeverAnswers(t *testing.T) {
	for script, want := range map[string]Code{
		"sleep 3600 & sleep 3600\n":                     CodeTimeout,
		"head -c 2000000 /dev/zero | tr '\\0' 'x'\n":    CodeGarbage,
		"head -c 20000000 /dev/zero | tr '\\0' '\\n'\n": CodeGarbage,
		"kill -9 $$\n": CodeGarbage,
	} {
		exe := filepath.Join(t.TempDir(), "apt-get")
		if err := os.WriteFile(exe, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		a, err := NewApt(AptOptions{AptGet: exe, Runner: osexec.System{}, Now: time.Now, Root: t.TempDir(), ReadTimeout: 500 * time.Millisecond})
		if want != CodeTimeout {
			a.o.ReadTimeout = time.Minute
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Scan(context.Background()); CodeOf(err) != want || len(err.Error()) > 1000 {
			t.Errorf("%q: %v", script, err)
		}
	}
}

// dpkg itself is the oracle of the version order.
func TestVersionOrderIsThatOfDpkg(t *testing.T) {
	need(t)
	ask := func(a, op, b string) bool {
		return exec.Command("dpkg", "--force-bad-version", "--compare-versions", a, op, b).Run() == nil
	}
	word := map[int]string{-1: "lt", 0: "eq", 1: "gt"}
	for _, p := range versionPairs() {
		if !ask(p[0], word[CompareDebian(p[0], p[2])], p[2]) {
			t.Errorf("dpkg does not say %s %s %s", p[0], word[CompareDebian(p[0], p[2])], p[2])
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawVersion(rt, "a"), drawVersion(rt, "b")
		if op := word[CompareDebian(a, b)]; !ask(a, op, b) {
			rt.Fatalf("dpkg does not say %s %s %s", a, op, b)
		}
	})
}
