package runner

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

const (
	busyRetries = 3
	busyWait    = time.Minute
)

// tried is a release that was attempted and waits for the scan to say what is
// true.
type tried struct {
	wire.JobRelease
	outcome source.Outcome
	present bool // it was there before; nothing was done
	reboot  bool // its own restart is still to come
	took    time.Duration
}

// do runs a job that was journaled as started. An error leaves it to recover.
func (r *Runner) do(ctx context.Context, d due, alone bool) error {
	r.o.Log.Info("job starts", "job", d.Key.String(), "alone", alone)
	if d.job.Kind == wire.JobScan {
		if err := r.scan(ctx, d.JobID, nil, true); err != nil {
			return err
		}
		r.o.Hook("scan.told")
		return r.o.Journal.Finish(r.o.Now(), d.Key, true, false)
	}
	if err := r.freshen(ctx, d.job); err != nil {
		return err
	}
	budget := wire.MaxJobLog
	var attempts []tried
	for _, rel := range d.job.Releases {
		t, ended, err := r.release(ctx, d, rel, &budget)
		if err != nil {
			return err
		}
		if !ended {
			attempts = append(attempts, t)
		}
		r.o.Hook("release.done")
	}
	return r.conclude(ctx, d, attempts)
}

// freshen asks those sources of the job again whose last scan is too old to
// rely on.
func (r *Runner) freshen(ctx context.Context, j wire.Job) error {
	var old []string
	for _, rel := range j.Releases {
		v := r.scans[rel.Source]
		if r.sources[rel.Source] != nil && (v == nil || v.at.IsZero() || r.o.Now().Sub(v.at) > wire.MaxScanAge-time.Hour) {
			old = append(old, rel.Source)
		}
	}
	if old == nil {
		return nil
	}
	return r.scan(ctx, j.ID, old, false)
}

// release takes one release at its turn. ended means that its result is told:
// nothing was touched. Otherwise the scan afterwards decides.
func (r *Runner) release(ctx context.Context, d due, rel wire.JobRelease, budget *int) (t tried, ended bool, err error) {
	began := r.o.Now()
	src, v := r.sources[rel.Source], r.scans[rel.Source]
	if src != nil && v != nil && v.here {
		installed := v.installedVersion(rel.Package, src.Compare)
		if policy.Present(rel, installed, src.Compare) && r.allowed(d.job, rel) {
			out := source.Outcome{State: source.StateInstalled, Code: source.CodeAlreadyInstalled, From: installed, To: installed}
			return tried{JobRelease: rel, outcome: out, present: true}, false, nil
		}
	}
	for attempt := 0; ; attempt++ {
		refusal, detail := r.mayInstall(d.job, rel)
		var out source.Outcome
		switch {
		case refusal != "" && attempt == 0:
			return t, true, r.refused(d.Key, rel, refusal, detail)
		case refusal != "":
			return t, true, r.result(d.Key, rel, wire.ResultDeferred, string(source.CodeBusy), detail)
		}
		out, refusal, detail = r.install(ctx, d, rel, src, budget)
		switch {
		case ctx.Err() != nil:
			return t, false, ctx.Err() // the agent stops: recover tells the truth
		case refusal != "":
			return t, true, r.refused(d.Key, rel, refusal, detail)
		case out.State != source.StateBusy:
			t = tried{JobRelease: rel, outcome: out, took: r.o.Now().Sub(began)}
			t.reboot = out.RebootRequired && !v.scan.RebootRequired
			return t, false, nil
		case attempt == busyRetries:
			return t, true, r.result(d.Key, rel, wire.ResultDeferred, string(source.CodeBusy), out.Message)
		}
		if err := pause(ctx, busyWait); err != nil {
			return t, false, err
		}
	}
}

// allowed reports whether nothing forbids the package itself: one that is
// present is told only then.
func (r *Runner) allowed(j wire.Job, rel wire.JobRelease) bool {
	refusal, _ := r.mayInstall(j, rel)
	return refusal != wire.RefusedSource && refusal != wire.RefusedPackage && refusal != wire.RefusedDenied
}

// mayInstall gathers the facts and asks policy.
func (r *Runner) mayInstall(j wire.Job, rel wire.JobRelease) (wire.Refusal, string) {
	now, doubt := r.clock()
	if doubt != "" {
		return wire.RefusedClock, doubt
	}
	f := policy.ReleaseFacts{Local: r.o.Local, FreeBytes: r.o.Machine.FreeBytes()}
	if src, v := r.sources[rel.Source], r.scans[rel.Source]; src != nil && v != nil && v.here {
		f.SourceHere, f.Compare = true, src.Compare
		if !v.at.IsZero() {
			// Age is measured on one clock and told on the trusted one.
			f.ScannedAt = now.Add(-r.o.Now().Sub(v.at))
		}
		f.Installed = v.installedVersion(rel.Package, src.Compare)
		if u, ok := v.update(rel.Package); ok {
			f.Offered, f.Phased, f.Held, f.SizeBytes = u.Available, u.Phased, u.Held, u.SizeBytes
		}
		var err error
		if f.Recorded, err = r.o.Journal.InstalledBefore(rel.Source, rel.Package); err != nil {
			return wire.RefusedVersionUnknown, err.Error()
		}
	}
	return policy.CheckRelease(now, j, rel, f)
}

// install simulates, asks policy about the plan, and installs.
func (r *Runner) install(ctx context.Context, d due, rel wire.JobRelease, src Source, budget *int) (out source.Outcome, refusal wire.Refusal, detail string) {
	request := source.Request{Package: rel.Package, Version: rel.Version, AllowDowngrade: policy.Downgrade(rel, src.Compare)}
	plan, err := src.Plan(ctx, []source.Request{request})
	if err != nil {
		code := source.CodeOf(err)
		return source.Outcome{State: code.State(), Code: code, ExitCode: -1, Message: err.Error()}, "", ""
	}
	refusal, detail = policy.CheckPlan(d.job, rel, planned(plan), r.scans[rel.Source].held(), r.o.Local)
	if refusal != "" {
		return out, refusal, detail
	}
	told := source.PhaseDownloading
	step := func(p source.Phase) spool.JobEvent {
		return spool.JobEvent{Key: d.Key, Step: spool.StepProgress, Source: rel.Source, Package: rel.Package, Phase: string(p)}
	}
	// Journaled before anything is touched, so that a crash knows where it was:
	// what cannot be journaled is not begun.
	if err := r.o.Journal.Tell(r.o.Now(), step(told)); err != nil {
		return source.Outcome{State: source.StateFailed, Code: source.CodeDiskFull, ExitCode: -1, Message: "not begun: " + err.Error()}, "", ""
	}
	r.o.Hook("install.before")
	log := stepLog{budget: budget, emit: func(part uint32, text string) {
		r.say(spool.JobEvent{Key: d.Key, Step: spool.StepLog, Source: rel.Source, Package: rel.Package, Part: part, Text: text})
	}}
	limited, stop := context.WithTimeout(ctx, wire.StepTimeout)
	defer stop()
	out = src.Install(limited, request, source.UI{
		Progress: func(p source.Progress) {
			if p.Phase != told {
				told = p.Phase
				r.say(step(told))
			}
		},
		Log: log.line,
	})
	log.end()
	r.o.Hook("install.after")
	return out, "", ""
}

// say tells what is good to know and no harm to lose, such as progress.
func (r *Runner) say(e spool.JobEvent) {
	if err := r.o.Journal.Tell(r.o.Now(), e); err != nil {
		r.o.Log.Warn("a step is not told", "job", e.Key.String(), "step", e.Step, "error", err)
	}
}

// planned translates a plan.
func planned(plan source.Plan) []policy.Change {
	effects := map[source.Action]policy.Effect{
		source.ActionRemove: policy.EffectRemove, source.ActionDowngrade: policy.EffectDowngrade,
	}
	changes := make([]policy.Change, 0, len(plan.Changes))
	for _, c := range plan.Changes {
		changes = append(changes, policy.Change{Package: c.Package, Effect: effects[c.Action], To: c.To})
	}
	return changes
}

// refused tells the result of a release that policy refused.
func (r *Runner) refused(k spool.Key, rel wire.JobRelease, refusal wire.Refusal, detail string) error {
	return r.result(k, rel, policy.ResultOf(refusal), string(refusal), detail)
}

// result tells the result of a release that was not touched.
func (r *Runner) result(k spool.Key, rel wire.JobRelease, state wire.ResultState, code, detail string) error {
	installed := ""
	if src, v := r.sources[rel.Source], r.scans[rel.Source]; src != nil && v != nil {
		installed = v.installedVersion(rel.Package, src.Compare)
	}
	return r.o.Journal.Tell(r.o.Now(), spool.JobEvent{
		Key: k, Step: spool.StepResult, Source: rel.Source, Package: rel.Package,
		From: installed, To: installed, State: state, Code: code, Detail: detail,
	})
}

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
