package runner

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// recover ends the jobs that started and were interrupted: it repairs, scans
// and tells what is true. Nothing of them is run again.
func (r *Runner) recover(ctx context.Context) error {
	jobs, err := r.o.Journal.Unfinished()
	if err != nil {
		return err
	}
	for _, u := range jobs {
		if err := r.recoverJob(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) recoverJob(ctx context.Context, u spool.Unfinished) error {
	r.o.Log.Warn("job was interrupted", "job", u.Key.String(), "begun", len(u.Begun), "told", len(u.Results))
	j, refusal, _ := r.open(u.Lease)
	if refusal != "" {
		// Its key is gone meanwhile: the releases cannot be read, but those
		// that were begun are in the journal.
		j = wire.Job{Releases: begunReleases(u)}
	}
	open := openReleases(j, u)
	broken := r.repair(ctx, u, open)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	before := r.o.Now()
	names := sourcesOf(open)
	if j.Kind == wire.JobScan {
		names = nil // all of them
	}
	rescanned := false
	if len(open) > 0 || j.Kind == wire.JobScan {
		if err := r.scan(ctx, u.JobID, names, false); err != nil {
			return err
		}
		rescanned = true
	}
	r.o.Hook("recover.scanned")
	for _, t := range open {
		v := r.scans[t.Source]
		proven := v != nil && !v.at.Before(before)
		if err := r.o.Journal.Tell(r.o.Now(), r.truth(u, t, v, proven, broken[t.Source])); err != nil {
			return err
		}
		r.o.Hook("recover.told")
	}
	return r.o.Journal.Finish(r.o.Now(), u.Key, rescanned, true)
}

func begunReleases(u spool.Unfinished) (releases []wire.JobRelease) {
	for _, b := range u.Begun {
		releases = append(releases, wire.JobRelease{Source: b.Source, Package: b.Package})
	}
	return releases
}

// openReleases are those of a job whose result was not told.
func openReleases(j wire.Job, u spool.Unfinished) (open []tried) {
	for _, rel := range j.Releases {
		told := slices.ContainsFunc(u.Results, func(e spool.JobEvent) bool {
			return e.Source == rel.Source && e.Package == rel.Package
		})
		if !told {
			open = append(open, tried{JobRelease: rel})
		}
	}
	return open
}

// repairWait is when a repair is tried again that found its source busy: the
// package manager of the interrupted job goes on without the agent, and what is
// true is known when it has ended.
const repairWait = 5 * time.Second

// repair completes what begun installations may have left behind, in each
// source once, and returns what that ended with.
func (r *Runner) repair(ctx context.Context, u spool.Unfinished, open []tried) map[string]error {
	ended := map[string]error{}
	for _, t := range open {
		src := r.sources[t.Source]
		if _, done := ended[t.Source]; done || src == nil || !begun(u, t.JobRelease) {
			continue
		}
		r.say(spool.JobEvent{Key: u.Key, Step: spool.StepProgress, Source: t.Source, Package: t.Package, Phase: "repairing"})
		r.o.Hook("recover.repair")
		step, stop := context.WithTimeout(ctx, wire.StepTimeout)
		err := src.Repair(step)
		for source.CodeOf(err) == source.CodeBusy && pause(step, repairWait) == nil {
			err = src.Repair(step)
		}
		ended[t.Source] = err
		stop()
	}
	return ended
}

func begun(u spool.Unfinished, rel wire.JobRelease) bool {
	return slices.Contains(u.Begun, spool.Release{Source: rel.Source, Package: rel.Package})
}

// truth is the result of a release of an interrupted job.
func (r *Runner) truth(u spool.Unfinished, t tried, v *view, proven bool, broken error) spool.JobEvent {
	e := spool.JobEvent{Key: u.Key, Step: spool.StepResult, Source: t.Source, Package: t.Package, From: t.From, Code: string(source.CodeInterrupted)}
	src := r.sources[t.Source]
	there := false
	if proven && src != nil {
		e.To = v.installedVersion(t.Package, src.Compare)
		e.RebootRequired = v.scan.RebootRequired && slices.Contains(v.scan.RebootPackages, t.Package)
		there = t.Version != "" && policy.Present(t.JobRelease, e.To, src.Compare)
	}
	switch {
	case !begun(u, t.JobRelease):
		e.State, e.Detail = wire.ResultNotStarted, "the agent stopped before its turn"
	case !proven || t.Version == "":
		e.State, e.Detail = wire.ResultUnknown, "the agent stopped in the middle, and the scan afterwards did not tell"
	case broken != nil:
		e.State, e.Code, e.Detail = wire.ResultFailed, string(source.CodeOf(broken)), "the agent stopped in the middle, and the repair failed: "+broken.Error()
	case there && e.RebootRequired:
		e.State, e.Detail = wire.ResultInstalledUnverified, "it takes effect with the next restart"
	case there:
		e.State, e.Detail = wire.ResultVerified, "the agent stopped in the middle; the scan afterwards shows it installed"
	default:
		e.State, e.Detail = wire.ResultFailed, "the agent stopped in the middle; the scan afterwards shows "+orNone(e.To)
	}
	return e
}
