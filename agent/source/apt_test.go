package source

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/steward-rmm/steward/agent/osexec"
)

func TestScanJoinsWhatAptSays(t *testing.T) {
	a, r := replayed(t, play(t, "-s --with-new-pkgs upgrade", "simulate-upgrade"), play(t, "apt-mark", "showhold"), play(t, "policy", "policy"), play(t, "show", "show"))
	run := a.file("var/run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"reboot-required": "*** System restart required ***\n", "reboot-required.pkgs": "linux-base\nlibc6\nlinux-base\n--evil\n"} {
		if err := os.WriteFile(filepath.Join(run, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := a.Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range s.Updates {
		got = append(got, fmt.Sprintf("%s %s>%s %s held=%v phased=%v kept=%v sized=%v", u.Package, u.Installed, u.Available, u.Kind, u.Held, u.Phased, u.KeptBack, u.SizeBytes > 0))
	}
	want := []string{
		"steward-sample-a 1.0.0>1.1.0 app-minor held=false phased=false kept=false sized=true",
		"steward-sample-arch 1:1.0.0-1>1:1.1.0-1 app-minor held=false phased=false kept=false sized=true",
		"steward-sample-bad 1.0.0>1.1.0 app-minor held=false phased=false kept=false sized=false",
		"steward-sample-brk 1.0.0>1.1.0 app-minor held=false phased=false kept=true sized=false",
		"steward-sample-dep 1.0.0>1.1.0 app-minor held=false phased=false kept=false sized=false",
		"steward-sample-held 1.0.0>1.1.0 app-minor held=true phased=false kept=true sized=false",
		"steward-sample-ph 1.0.0>1.1.0 app-minor held=false phased=true kept=true sized=false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("updates\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
	if !s.RebootRequired || !slices.Equal(s.RebootPackages, []string{"linux-base", "libc6"}) {
		t.Errorf("reboot %v for %q", s.RebootRequired, s.RebootPackages)
	}
	for _, c := range r.cmds {
		if !strings.HasPrefix(c.Path, "/usr/bin/") || !slices.Contains(c.Env, "LC_ALL=C") || !slices.Contains(c.Env, "DEBIAN_FRONTEND=noninteractive") || c.Timeout <= 0 || c.Interruptible != nil {
			t.Errorf("%s %q was started with %q for %v", c.Path, c.Args, c.Env, c.Timeout)
		}
	}
}

// Each end that is no answer becomes one clear error.
func TestScanEndsInOneClearError(t *testing.T) {
	sim := "-s --with-new-pkgs upgrade"
	flood := osexec.Result{Stdout: []byte(strings.Repeat("x\n", 1<<20)), Truncated: true}
	for name, tc := range map[string]struct {
		answers []answer
		want    Code
		text    string
	}{
		"garbage":             {[]answer{play(t, sim, "garbage")}, CodeGarbage, "no summary line"},
		"more than the limit": {[]answer{{want: sim, res: &flood}}, CodeGarbage, "8 MB"},
		"hangs with children": {[]answer{{want: sim, err: fmt.Errorf("apt-get: %w", osexec.ErrTimeout)}}, CodeTimeout, "5m0s"},
		"agent stops":         {[]answer{{want: sim, err: osexec.ErrCancelled}}, CodeCancelled, "stopped with the agent"},
		"no apt-get":          {[]answer{{want: sim, err: fmt.Errorf("start: %w", fs.ErrNotExist)}}, CodeSourceMissing, "apt-get upgrade is not on this machine"},
		"not executable":      {[]answer{{want: sim, err: fs.ErrPermission}}, CodeNotPermitted, "may not be started"},
		"unmet dependencies":  {[]answer{play(t, sim, "unmet")}, CodeDependenciesBroken, "Unmet dependencies"},
		"broken holds":        {[]answer{play(t, sim, "simulate-upgrade"), play(t, "showhold", "garbage")}, CodeGarbage, "apt-mark"},
		"broken policy":       {[]answer{play(t, sim, "simulate-upgrade"), play(t, "showhold", "showhold"), play(t, "policy", "garbage")}, CodeGarbage, "apt-cache"},
	} {
		a, _ := replayed(t, tc.answers...)
		s, err := a.Scan(context.Background())
		if CodeOf(err) != tc.want || !strings.Contains(err.Error(), tc.text) || len(s.Updates) > 0 {
			t.Errorf("%s: %s: %v, with %d updates", name, CodeOf(err), err, len(s.Updates))
		}
	}
}

func TestRefreshTellsWhichSourceDoesNotAnswer(t *testing.T) {
	a, _ := replayed(t, play(t, "update", "offline"), play(t, "update", "offline-any"), play(t, "update", "update"))
	for range 2 { // an old apt warns and ends well, a new one is told not to
		if err := a.Refresh(context.Background()); CodeOf(err) != CodeNetwork || !strings.Contains(err.Error(), "nosuch.invalid") {
			t.Errorf("offline: %v", err)
		}
		if !a.lastRefresh().IsZero() {
			t.Errorf("a failed refresh counts as one, at %v", a.lastRefresh())
		}
	}
	if err := a.Refresh(context.Background()); err != nil || !a.lastRefresh().Equal(testNow) {
		t.Errorf("refresh: %v, last %v", err, a.lastRefresh())
	}
}

func row(pkg, version, status string) fixture {
	return fixture{stdout: []byte(pkg + "\t" + version + "\tall\t12\t" + status + "\n")}
}

func TestInstallWeighsAptAgainstDpkg(t *testing.T) {
	req := Request{Package: "steward-sample-a", Version: "1.1.0"}
	before := answer{want: "dpkg-query", fixture: row(req.Package, "1.0.0", "ii ")}
	after := answer{want: "dpkg-query", fixture: row(req.Package, "1.1.0", "ii ")}
	download := answer{want: "--download-only", fixture: fixture{status: []byte("dlstatus:1:50.0000:x\n")}}
	install := func(name string) answer { return play(t, "APT::Get::AutomaticRemove=false", name) }
	lost := answer{want: "AutomaticRemove", err: fmt.Errorf("apt-get: %w", osexec.ErrAbandoned)}
	for name, tc := range map[string]struct {
		answers []answer
		state   State
		code    Code
		text    string
		to      string
	}{
		"as planned":           {[]answer{before, download, install("install"), after}, StateInstalled, CodeNone, "installed 1.1.0, was 1.0.0", "1.1.0"},
		"another one failed":   {[]answer{before, download, install("install-other-failed"), after}, StateInstalled, CodeOtherPackageFailed, "steward-sample-bad", "1.1.0"},
		"script failed":        {[]answer{before, download, install("script-failed"), {want: "dpkg-query", fixture: row(req.Package, "1.1.0", "iF ")}}, StateFailed, CodeScriptFailed, "left half configured at 1.1.0", "1.1.0"},
		"only unpacked":        {[]answer{before, download, install("disk-full-dpkg"), {want: "dpkg-query", fixture: row(req.Package, "1.1.0", "iU ")}}, StateFailed, CodeDiskFull, "unpacked but not configured", "1.1.0"},
		"success without deed": {[]answer{before, download, install("already"), before}, StateFailed, CodeNotVerified, "instead of 1.1.0", "1.0.0"},
		"not installed":        {[]answer{play(t, "dpkg-query", "table-none")}, StateNotApplicable, CodeNotInstalled, "is not installed", ""},
		"removed before":       {[]answer{{want: "dpkg-query", fixture: row(req.Package, "1.0.0", "rc ")}}, StateNotApplicable, CodeNotInstalled, "is not installed", ""},
		"there already":        {[]answer{after}, StateInstalled, CodeAlreadyInstalled, "already", "1.1.0"},
		"newer there":          {[]answer{{want: "dpkg-query", fixture: row(req.Package, "1.2.0", "ii ")}}, StateSuperseded, CodeNewerInstalled, "newer than 1.1.0", "1.2.0"},
		"held":                 {[]answer{{want: "dpkg-query", fixture: row(req.Package, "1.0.0", "hi ")}}, StateNotApplicable, CodeHeld, "apt-mark unhold", "1.0.0"},
		"no longer offered":    {[]answer{before, play(t, "--download-only", "no-version")}, StateSuperseded, CodeVersionNotFound, "no longer offer", "1.0.0"},
		"archive gone":         {[]answer{before, play(t, "--download-only", "archive-missing")}, StateFailed, CodeNetwork, "Failed to fetch", "1.0.0"},
		"would remove":         {[]answer{before, play(t, "--download-only", "no-remove")}, StateFailed, CodeWouldRemove, "remove other packages", "1.0.0"},
		"lock held":            {[]answer{before, download, install("lock-waited"), before}, StateBusy, CodeBusy, "python3", "1.0.0"},
		"question":             {[]answer{before, download, install("conffile-prompt"), {want: "dpkg-query", fixture: row(req.Package, "1.1.0", "iF ")}}, StateNeedsUser, CodeNeedsAnswer, "person's decision", "1.1.0"},
		"never ends":           {[]answer{before, download, lost, {want: "dpkg-query", fixture: row(req.Package, "1.1.0", "iF ")}}, StateFailed, CodeOverran, "still runs as process 4711", "1.1.0"},
		"dpkg does not answer": {[]answer{before, download, install("install"), play(t, "dpkg-query", "garbage")}, StateFailed, CodeGarbage, "dpkg-query", ""},
	} {
		a, r := replayed(t, tc.answers...)
		var log []string
		var steps []Progress
		o := a.Install(context.Background(), req, UI{Log: func(l string) { log = append(log, l) }, Progress: func(p Progress) { steps = append(steps, p) }})
		if o.State != tc.state || o.Code != tc.code || !strings.Contains(o.Message, tc.text) || o.To != tc.to || len(r.answers) > 0 {
			t.Errorf("%s: %+v, %d answers unused\nwant %s %s %q to %q", name, o, len(r.answers), tc.state, tc.code, tc.text, tc.to)
		}
		if name == "as planned" {
			if len(log) == 0 || len(steps) < 5 || steps[0] != (Progress{req.Package, PhaseDownloading, 50}) || steps[len(steps)-1].Phase != PhaseInstalling {
				t.Errorf("%d lines of log, progress %v", len(log), steps)
			}
			c := r.cmds[2]
			line := strings.Join(c.Args, " ")
			for _, flag := range []string{"--force-confdef", "--force-confold", "--no-remove", "--only-upgrade", "DPkg::Lock::Timeout=300", "-- steward-sample-a=1.1.0"} {
				if !strings.Contains(line, flag) {
					t.Errorf("apt-get was not given %s: %s", flag, line)
				}
			}
			if strings.Contains(line, "--allow-downgrades") || !slices.Contains(c.Env, "NEEDRESTART_MODE=a") {
				t.Errorf("apt-get %s, %q", line, c.Env)
			}
			if c.Interruptible() || c.Abandon <= 0 {
				t.Error("a running dpkg may be killed")
			}
		}
	}
}

func TestInstallMayBeStoppedUntilDpkgStarts(t *testing.T) {
	waiting := play(t, "AutomaticRemove", "lock-waited")
	waiting.status = []byte("dlstatus:1:100.0000:Retrieving file 1 of 1\n")
	here := answer{want: "dpkg-query", fixture: row("steward-sample-a", "1.0.0", "ii ")}
	a, r := replayed(t, here, answer{want: "--download-only"}, waiting, here)
	a.Install(context.Background(), Request{Package: "steward-sample-a", Version: "1.1.0"}, UI{})
	if r.cmds[1].Interruptible != nil || !r.cmds[2].Interruptible() {
		t.Error("a download, or a wait for the lock, cannot be stopped")
	}
}

func TestDowngradeOnlyWhenAllowed(t *testing.T) {
	here := answer{want: "dpkg-query", fixture: row("steward-sample-a", "1.1.0", "ii ")}
	back := answer{want: "dpkg-query", fixture: row("steward-sample-a", "1.0.0", "ii ")}
	a, r := replayed(t, here, answer{want: "--download-only"}, answer{want: "--allow-downgrades"}, back)
	req := Request{Package: "steward-sample-a", Version: "1.0.0", AllowDowngrade: true}
	if o := a.Install(context.Background(), req, UI{}); o.State != StateInstalled || o.From != "1.1.0" || o.To != "1.0.0" {
		t.Errorf("%+v after %q", o, r.ran)
	}
	a, _ = replayed(t, here)
	req.AllowDowngrade = false
	if o := a.Install(context.Background(), req, UI{}); o.State != StateSuperseded || o.Code != CodeNewerInstalled {
		t.Errorf("%+v", o)
	}
}

func TestNothingStartsForARequestThatIsNone(t *testing.T) {
	a, _ := replayed(t) // any command fails the test
	bad := Request{Package: "-o", Version: "1.0"}
	if o := a.Install(context.Background(), bad, UI{}); o.State != StateFailed || o.Code != CodeInvalidRequest {
		t.Errorf("%+v", o)
	}
	if _, err := a.Plan(context.Background(), []Request{{Package: "bash", Version: "5.2"}, bad}); CodeOf(err) != CodeInvalidRequest {
		t.Errorf("%v", err)
	}
	if p, err := a.Plan(context.Background(), nil); err != nil || len(p.Changes) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPlanShowsWhatWouldGo(t *testing.T) {
	for name, want := range map[string]Code{"simulate-removal": CodeNone, "held": CodeHeld, "no-version": CodeVersionNotFound, "no-package": CodePackageNotFound, "not-installed": CodeNotInstalled, "downgrade": CodeDowngradeRefused, "garbage": CodeGarbage} {
		a, r := replayed(t, play(t, " -s ", name))
		p, err := a.Plan(context.Background(), []Request{{Package: "steward-sample-brk", Version: "1.1.0"}})
		if CodeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if want == CodeNone && (len(p.Changes) != 2 || p.Changes[1].Action != ActionRemove || strings.Contains(r.ran[0], "--no-remove")) {
			t.Errorf("%s: %+v by %s", name, p, r.ran[0])
		}
	}
}

func TestRepairGoesNoFurtherThanDocumented(t *testing.T) {
	ok := fixture{}
	for name, tc := range map[string]struct {
		answers []answer
		want    Code
		ran     int
	}{
		"nothing to do":        {[]answer{{want: "--configure -a", fixture: ok}, {want: "check", fixture: ok}}, CodeNone, 2},
		"script fails again":   {[]answer{play(t, "--configure -a", "configure-failed")}, CodeScriptFailed, 1},
		"locked":               {[]answer{play(t, "--configure -a", "lock-dpkg")}, CodeBusy, 1},
		"dependency is added":  {[]answer{play(t, "--configure -a", "dependency-problem"), play(t, "check", "unmet"), {want: "-f --no-remove install", fixture: ok}}, CodeNone, 3},
		"only removal helps":   {[]answer{play(t, "--configure -a", "dependency-problem"), play(t, "check", "unmet"), play(t, "-f --no-remove install", "no-remove")}, CodeWouldRemove, 3},
		"cannot look any more": {[]answer{{want: "--configure -a", fixture: ok}, play(t, "check", "malformed")}, CodeBadConfiguration, 2},
	} {
		a, r := replayed(t, tc.answers...)
		if err := a.Repair(context.Background()); CodeOf(err) != tc.want || len(r.ran) != tc.ran {
			t.Errorf("%s: %v after %q", name, err, r.ran)
		}
		if r.cmds[0].Interruptible == nil || r.cmds[0].Interruptible() {
			t.Errorf("%s: a repair may be killed", name)
		}
	}
}

func TestInstalledLeavesOutWhatWasRemoved(t *testing.T) {
	f := load(t, "table")
	f.stdout = append(f.stdout, "gone\t1.0\tall\t5\trc \n"...)
	a, _ := replayed(t, answer{want: "dpkg-query", fixture: f})
	got, err := a.Installed(context.Background())
	if err != nil || len(got) != 10 || got[0] != (Installed{Source: "apt", Name: "dpkg", Version: "1.21.22", Arch: "amd64", SizeBytes: 6409 * 1024}) {
		t.Errorf("%d packages, %v: %+v", len(got), err, got)
	}
	a, _ = replayed(t, answer{want: "dpkg-query"})
	if _, err := a.Installed(context.Background()); CodeOf(err) != CodeGarbage {
		t.Errorf("an empty list passed: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	r := &replay{t: t}
	for name, o := range map[string]AptOptions{
		"no runner":     {},
		"relative path": {Runner: r, Now: testNowFunc, AptGet: "apt-get"},
		"no pair":       {Runner: r, Now: testNowFunc, Options: []string{"--force"}},
	} {
		if a, err := NewApt(o); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	a, _ := replayed(t)
	if ok, why := a.Available(context.Background()); ok || why == "" || a.Name() != "apt" || a.Compare("1.0", "1.1") != -1 {
		t.Errorf("available %v, %q", ok, why)
	}
}
