package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Plan asks `apt-get -s` what installing the requests together would change,
// with the same flags as Install but for removals, which it shows rather than
// refuses, so that the runner can say what would go. A held package, a version
// that is no longer offered, a downgrade that was not allowed, or a package
// that is not installed is an *Error. A request that is already fulfilled adds
// nothing to the plan.
func (a *Apt) Plan(ctx context.Context, requests []Request) (Plan, error) {
	if len(requests) == 0 {
		return Plan{}, nil
	}
	args := append(a.options("Debug::NoLocking=1"), "-q", "-s")
	args = append(args, installFlags(requests...)...)
	for _, r := range requests {
		if err := CheckDebian(r); err != nil {
			return Plan{}, err
		}
		args = append(args, r.Package+"="+r.Version)
	}
	res, err := a.run(ctx, call{path: a.o.AptGet, args: args, timeout: a.o.ReadTimeout})
	if err != nil {
		return Plan{}, err
	}
	for _, l := range lines(res.Stdout) {
		if strings.HasPrefix(l, "Skipping ") && strings.Contains(l, "not installed and only upgrades are requested") {
			return Plan{}, fail(CodeNotInstalled, "apt-get -s: %s", clip(l))
		}
	}
	sim, err := parseSimulation(res.Stdout)
	if err != nil {
		return Plan{}, err
	}
	return sim.plan(), nil
}

// installFlags are what Plan and Install have in common. `install` of a named
// version brings along the new packages it depends on, as `upgrade` does with
// --with-new-pkgs (fixture simulate-new-dependency), while --only-upgrade
// keeps it from installing a package named here that is not there.
func installFlags(requests ...Request) []string {
	flags := []string{"-y", "--only-upgrade"}
	if slices.ContainsFunc(requests, func(r Request) bool { return r.AllowDowngrade }) {
		flags = append(flags, "--allow-downgrades")
	}
	return append(flags, "install", "--")
}

// Install installs exactly one release and says how that ended; it does not
// return an error because every end is an outcome. Configuration files that
// were changed on the machine stay as they are, no question is asked, nothing
// is removed, and a package on hold is left alone.
//
// The download comes first, by itself, and may be stopped at any moment. From
// the moment apt starts dpkg nothing is killed any more: see osexec. What is
// true afterwards is asked of dpkg, not taken from apt's exit code, which is
// also 100 when some other, older package failed again.
//
// When ctx ends while dpkg runs, Install returns only after dpkg has ended, or
// after AptOptions.Abandon; a service that stops must let it (systemd kills
// what is left of a service unless its KillMode says otherwise). Asking for a
// version that is phased or kept back installs it: whether to ask is policy.
//
// A downgrade is refused unless the request allows it; whether it may go to
// that version is the runner's rule.
func (a *Apt) Install(ctx context.Context, req Request, ui UI) Outcome {
	if err := CheckDebian(req); err != nil {
		return a.outcome(asError(err), dpkgRow{}, dpkgRow{})
	}
	before, ok, err := a.row(ctx, req.Package)
	if err != nil {
		return a.outcome(asError(err), before, before)
	}
	if e := beforehand(req, before, ok); e != nil {
		return a.outcome(e, before, before)
	}
	if err := a.download(ctx, req, ui); err != nil {
		return a.outcome(asError(err), before, before)
	}
	err = a.install(ctx, req, ui)
	// The truth is worth asking for even when the agent is being stopped.
	after, ok, rowErr := a.row(context.WithoutCancel(ctx), req.Package)
	if rowErr != nil {
		e := asError(rowErr)
		if err != nil {
			e = asError(err)
		}
		return a.outcome(e, before, dpkgRow{})
	}
	return a.outcome(afterwards(req, after, ok, err), before, after)
}

// beforehand is what can be said before anything is done.
func beforehand(req Request, row dpkgRow, ok bool) *Error {
	if !ok {
		return fail(CodeNotInstalled, "%s is not installed on this machine", req.Package)
	}
	order := CompareDebian(row.version, req.Version)
	switch {
	case order == 0 && row.whole():
		return fail(CodeAlreadyInstalled, "%s %s was already installed", req.Package, row.version)
	case order > 0 && !req.AllowDowngrade:
		return fail(CodeNewerInstalled, "%s %s is installed, which is newer than %s", req.Package, row.version, req.Version)
	case row.held() && order != 0:
		return fail(CodeHeld, "%s is on hold on this machine (apt-mark unhold releases it)", req.Package)
	}
	return nil
}

// afterwards weighs what apt said against what dpkg has. nil is success.
func afterwards(req Request, row dpkgRow, ok bool, err error) *Error {
	there := ok && CompareDebian(row.version, req.Version) == 0
	switch {
	case there && row.whole() && err == nil:
		return nil
	case there && row.whole():
		e := asError(err)
		if e.Code == CodeOverran {
			return e
		}
		return &Error{Code: CodeOtherPackageFailed, ExitCode: e.ExitCode, Package: e.Package,
			Message: fmt.Sprintf("%s %s is installed; besides, %s", req.Package, req.Version, e.Message)}
	case err == nil:
		return &Error{Code: CodeNotVerified, Message: fmt.Sprintf("apt-get install ended well, but dpkg has %s %s (%s) instead of %s",
			req.Package, orNone(row.version), row.state(), req.Version)}
	}
	e := *asError(err)
	if ok && !row.whole() {
		e.Message += fmt.Sprintf("; %s is left %s at %s", req.Package, row.state(), row.version)
	}
	return &e
}

func orNone(version string) string {
	if version == "" {
		return "no version"
	}
	return version
}

// outcome puts everything together. e is nil for a plain success.
func (a *Apt) outcome(e *Error, before, after dpkgRow) Outcome {
	o := Outcome{State: StateInstalled, From: before.version, To: after.version}
	if e != nil {
		o.State, o.Code, o.ExitCode, o.Message = e.Code.State(), e.Code, e.ExitCode, e.Message
	} else {
		o.Message = fmt.Sprintf("installed %s, was %s", after.version, before.version)
	}
	o.RebootRequired, _ = a.RebootRequired()
	return o
}

// download fetches the archives. apt takes dpkg's lock for that too, but starts
// no dpkg and changes nothing that is installed, so it may be killed.
func (a *Apt) download(ctx context.Context, req Request, ui UI) error {
	args := append(a.options("APT::Status-Fd=3"), "-q", "--download-only", "--no-remove")
	args = append(args, installFlags(req)...)
	_, err := a.run(ctx, call{
		path: a.o.AptGet, args: append(args, req.Package+"="+req.Version), timeout: a.o.FetchTimeout,
		log: ui.log, status: func(line string) {
			if s, ok := parseStatus(line); ok && s.word == "dlstatus" {
				ui.progress(Progress{Package: req.Package, Phase: PhaseDownloading, Percent: s.percent})
			}
		},
	})
	return err
}

// install runs dpkg through apt. Until dpkg is started, while it waits for a
// lock, it may be killed.
func (a *Apt) install(ctx context.Context, req Request, ui UI) error {
	args := append(a.options(
		"Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold",
		"APT::Get::AutomaticRemove=false", "APT::Status-Fd=3",
	), "-q", "--no-remove")
	args = append(args, installFlags(req)...)
	var started atomic.Bool
	_, err := a.run(ctx, call{
		path: a.o.AptGet, args: append(args, req.Package+"="+req.Version), timeout: a.o.InstallTimeout,
		change: true, interruptible: func() bool { return !started.Load() }, log: ui.log,
		status: func(line string) {
			s, ok := parseStatus(line)
			if !ok || !s.installing() {
				return
			}
			started.Store(true)
			if s.word == "pmstatus" {
				ui.progress(Progress{Package: req.Package, Phase: PhaseInstalling, Percent: s.percent})
			}
		},
	})
	return err
}

// Repair finishes what an interrupted run left: `dpkg --configure -a`, which is
// what apt itself tells people to run ("dpkg was interrupted, you must manually
// run 'dpkg --configure -a' to correct the problem."). If dependencies are then
// still unmet, `apt-get -f install` with --no-remove: apt-get(8) offers it for
// exactly that, and without removals the worst it can do is add a package that
// an installed one needs. It never runs dpkg with a --force option other than
// those for configuration files. Nothing in it is killed. A package whose
// script fails again is reported as before.
func (a *Apt) Repair(ctx context.Context) error {
	never := func() bool { return false }
	_, err := a.run(ctx, call{
		path: a.o.Dpkg, args: []string{"--force-confdef", "--force-confold", "--configure", "-a"},
		timeout: a.o.InstallTimeout, change: true, interruptible: never,
	})
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code != CodeDependenciesBroken) {
		return err
	}
	_, check := a.run(ctx, call{path: a.o.AptGet, args: append(a.options("Debug::NoLocking=1"), "-q", "check"), timeout: a.o.ReadTimeout})
	if check == nil {
		return err
	}
	if CodeOf(check) != CodeDependenciesBroken {
		return check
	}
	args := append(a.options("Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold"), "-q", "-y", "-f", "--no-remove", "install")
	_, err = a.run(ctx, call{path: a.o.AptGet, args: args, timeout: a.o.InstallTimeout, change: true, interruptible: never})
	return err
}
