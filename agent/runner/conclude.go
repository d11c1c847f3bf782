package runner

import (
	"context"
	"fmt"
	"slices"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// conclude scans again and tells what is true of every release that was tried.
func (r *Runner) conclude(ctx context.Context, d due, attempts []tried) error {
	before := r.o.Now()
	if err := r.rescan(ctx, d.JobID, sourcesOf(attempts)); err != nil {
		return err
	}
	r.o.Hook("rescan.told")
	for _, t := range attempts {
		v := r.scans[t.Source]
		proven := !v.at.Before(before) // the scan after the installation worked
		if err := r.o.Journal.Tell(r.o.Now(), r.verdict(d.Key, t, v, proven)); err != nil {
			return err
		}
		r.o.Hook("result.told")
	}
	return r.o.Journal.Finish(r.o.Now(), d.Key, true, false)
}

// rescan asks the sources of a job again; none when nothing was tried.
func (r *Runner) rescan(ctx context.Context, cause string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return r.scan(ctx, cause, names, false)
}

func sourcesOf(attempts []tried) (names []string) {
	for _, t := range attempts {
		if !slices.Contains(names, t.Source) {
			names = append(names, t.Source)
		}
	}
	return names
}

// verdict says how a release ended, by what the scan afterwards shows.
func (r *Runner) verdict(k spool.Key, t tried, v *view, proven bool) spool.JobEvent {
	src, out := r.sources[t.Source], t.outcome
	e := spool.JobEvent{
		Key: k, Step: spool.StepResult, Source: t.Source, Package: t.Package, From: out.From, To: out.To,
		Code: string(out.Code), Detail: out.Message, ExitCode: int32(out.ExitCode), RebootRequired: out.RebootRequired, Took: t.took,
	}
	installed := ""
	if proven {
		installed = v.installedVersion(t.Package, src.Compare)
		e.To = installed
	}
	there := policy.Present(t.JobRelease, installed, src.Compare)
	switch {
	case out.State == source.StateInstalled && !proven:
		e.State = wire.ResultInstalledUnverified
		e.Detail = "the scan afterwards did not work: " + v.why
	case out.State == source.StateInstalled && there && t.reboot && restartIsFor(v, t.Package):
		e.State = wire.ResultInstalledUnverified
		e.Detail = "it takes effect with the next restart"
	case out.State == source.StateInstalled && there:
		e.State = wire.ResultVerified
	case out.State == source.StateInstalled && t.reboot:
		e.State = wire.ResultInstalledUnverified
		e.Detail = "its new version shows after the next restart"
	case out.State == source.StateInstalled:
		e.State, e.Code = wire.ResultFailed, string(source.CodeNotVerified)
		e.Detail = fmt.Sprintf("reported as installed, but the scan shows %s", orNone(installed))
	default:
		e.State = stateOf(out.State)
	}
	return e
}

// restartIsFor reports whether the machine's restart is this package's: it is
// among those that asked for it, or nobody says who did.
func restartIsFor(v *view, pkg string) bool {
	return len(v.scan.RebootPackages) == 0 || slices.Contains(v.scan.RebootPackages, pkg)
}

func stateOf(s source.State) wire.ResultState {
	switch s {
	case source.StateNeedsUser:
		return wire.ResultNeedsUser
	case source.StateNotApplicable:
		return wire.ResultNotApplicable
	case source.StateSuperseded:
		return wire.ResultSuperseded
	case source.StateBusy:
		return wire.ResultDeferred
	default:
		return wire.ResultFailed
	}
}

func orNone(version string) string {
	if version == "" {
		return "no version"
	}
	return version
}
