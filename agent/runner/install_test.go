package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

func fail(code source.Code) func(context.Context, *scripted, source.Request, source.UI) source.Outcome {
	return func(context.Context, *scripted, source.Request, source.UI) source.Outcome {
		return source.Outcome{State: code.State(), Code: code, ExitCode: 100, Message: "it did not work"}
	}
}

func TestOneFailingPackageHarmsNoOther(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.apt.offer("curl", "1.0", "1.1")
		g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
			if r.Package == "openssl" {
				return fail(source.CodeScriptFailed)(ctx, s, r, ui)
			}
			return succeed(ctx, s, r, ui)
		}
		g.run()
		g.give(g.lease(g.job("openssl", "absent", "curl")))
		g.pass(10 * time.Minute)
		g.wantResults("absent not_applicable not_installed", "openssl failed script_failed", "curl verified")
	})
}

func TestOutcomesBecomeResults(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(g *rig, j *wire.Job)
		want string
	}{
		"needs a person":            {func(g *rig, _ *wire.Job) { g.apt.install = fail(source.CodeNeedsAnswer) }, "openssl needs_user needs_answer"},
		"gone meanwhile":            {func(g *rig, _ *wire.Job) { g.apt.install = fail(source.CodeVersionNotFound) }, "openssl superseded version_not_found"},
		"says so, but is not there": {func(g *rig, _ *wire.Job) { g.apt.install = fail(source.CodeNone) }, "openssl failed not_verified"},
		"is there already":          {func(g *rig, _ *wire.Job) { g.apt.packages["openssl"] = "1.1"; delete(g.apt.offers, "openssl") }, "openssl verified already_installed"},
		"a newer is there":          {func(g *rig, _ *wire.Job) { g.apt.packages["openssl"] = "1.2"; delete(g.apt.offers, "openssl") }, "openssl verified already_installed"},
		"a newer is offered":        {func(g *rig, _ *wire.Job) { g.apt.offer("openssl", "1.0", "1.2") }, "openssl superseded superseded"},
		"plan fails": {func(g *rig, _ *wire.Job) {
			g.apt.plan = func(source.Request) (source.Plan, error) {
				return source.Plan{}, &source.Error{Code: source.CodeDependenciesBroken, Message: "broken"}
			}
		}, "openssl failed dependencies_broken"},
		"plan removes": {func(g *rig, _ *wire.Job) {
			g.apt.plan = func(source.Request) (source.Plan, error) {
				return source.Plan{Changes: []source.Change{{Package: "nginx", Action: source.ActionRemove}}}, nil
			}
		}, "openssl failed plan_refused"},
		"plan sets another back": {func(g *rig, _ *wire.Job) {
			g.apt.plan = func(source.Request) (source.Plan, error) {
				return source.Plan{Changes: []source.Change{{Package: "nginx", To: "0", Action: source.ActionDowngrade}}}, nil
			}
		}, "openssl failed plan_refused"},
		"plan touches a pinned one": {func(g *rig, _ *wire.Job) {
			g.apt.offer("nginx", "1", "2")
			u := g.apt.offers["nginx"]
			u.Held = true
			g.apt.offers["nginx"] = u
			g.apt.plan = func(source.Request) (source.Plan, error) {
				return source.Plan{Changes: []source.Change{{Package: "nginx", To: "2", Action: source.ActionUpgrade}}}, nil
			}
		}, "openssl failed plan_refused"},
		"denied by the job": {func(_ *rig, j *wire.Job) { j.Denied = []wire.Denied{{Source: "apt", Package: "open*", Rule: "R"}} }, "openssl not_applicable denied"},
		"forbidden here":    {func(g *rig, _ *wire.Job) { g.o.Local = policy.Local{ForbidPackages: []string{"openssl"}} }, "openssl not_applicable package_refused"},
		"no such source":    {func(_ *rig, j *wire.Job) { j.Releases[0].Source = "brew" }, "openssl not_applicable source_refused"},
		"does not fit":      {func(_ *rig, j *wire.Job) { j.Releases[0].Expected = 3 * time.Hour }, "openssl not_started does_not_fit"},
		"restart to come": {func(g *rig, _ *wire.Job) {
			g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
				out := succeed(ctx, s, r, ui)
				s.reboot, out.RebootRequired = []string{"openssl"}, true
				return out
			}
		}, "openssl installed_unverified"},
		"restart of another": {func(g *rig, _ *wire.Job) {
			g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
				out := succeed(ctx, s, r, ui)
				s.reboot, out.RebootRequired = []string{"linux"}, true
				return out
			}
		}, "openssl verified"},
		"no scan afterwards": {func(g *rig, _ *wire.Job) {
			g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
				out := succeed(ctx, s, r, ui)
				s.scanErr = errors.New("the lists are locked")
				return out
			}
		}, "openssl installed_unverified"},
		"back to a recorded version": {func(g *rig, j *wire.Job) {
			if err := g.j.RecordInstalled([]spool.Installed{{Source: "apt", Package: "openssl", Version: "0.9"}}); err != nil {
				g.t.Fatal(err)
			}
			j.Releases[0].Version = "0.9"
		}, "openssl verified"},
		"back to an unknown version": {func(_ *rig, j *wire.Job) { j.Releases[0].Version = "0.9" }, "openssl failed downgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, func(t *testing.T, g *rig) {
				j := g.job("openssl")
				c.set(g, &j)
				g.run()
				g.give(g.lease(j))
				g.pass(10 * time.Minute)
				g.wantResults(c.want)
				if got := steps(t, g.j); got[len(got)-1] != "finished" {
					t.Fatalf("not finished: %q", got)
				}
				for _, r := range g.apt.installs {
					if r.AllowDowngrade != strings.HasPrefix(name, "back to a recorded") {
						t.Fatalf("request %+v", r)
					}
				}
			})
		})
	}
}

func TestABusySourceIsTriedAgainAndThenDeferred(t *testing.T) {
	for busy, want := range map[int]string{2: "openssl verified", 9: "openssl deferred busy"} {
		inRig(t, func(t *testing.T, g *rig) {
			left := busy
			g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
				if left--; left >= 0 {
					return fail(source.CodeBusy)(ctx, s, r, ui)
				}
				return succeed(ctx, s, r, ui)
			}
			g.run()
			g.give(g.lease(g.job("openssl")))
			g.pass(20 * time.Minute)
			g.wantResults(want)
		})
	}
}

func TestNothingNewStartsThatDoesNotFit(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		slow := func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
			lasts(50 * time.Minute)
			return succeed(ctx, s, r, ui)
		}
		g.apt.install = slow
		packages := []string{"a", "b", "c", "d", "e"}
		for _, p := range packages {
			g.apt.offer(p, "1.0", "1.1")
		}
		j := g.job(packages...)
		for i := range j.Releases {
			j.Releases[i].Expected = 40 * time.Minute
		}
		g.run()
		g.give(g.lease(j))
		g.pass(6 * time.Hour)
		g.wantResults("d not_started does_not_fit", "e not_started does_not_fit", "a verified", "b verified", "c verified")
	})
}

func TestLogsAreBoundedAndKeepTheirEnd(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		packages := make([]string, 20)
		for i := range packages {
			packages[i] = fmt.Sprintf("p%02d", i)
			g.apt.offer(packages[i], "1.0", "1.1")
		}
		g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
			for i := range 4000 {
				ui.Log(fmt.Sprintf("line %d é \xff %s", i, strings.Repeat("x", 30)))
			}
			ui.Log("the end of " + r.Package)
			return fail(source.CodeFailed)(ctx, s, r, ui)
		}
		g.run()
		g.give(g.lease(g.job(packages...)))
		g.pass(time.Hour)
		events, err := g.j.Events(0, 100000)
		if err != nil {
			t.Fatal(err)
		}
		sizes, last, total := map[string]int{}, map[string]string{}, 0
		for _, e := range events {
			if e.Job == nil || e.Job.Step != spool.StepLog {
				continue
			}
			if len(e.Job.Text) > logPart {
				t.Fatalf("a part of %d bytes", len(e.Job.Text))
			}
			sizes[e.Job.Package] += len(e.Job.Text)
			last[e.Job.Package] = e.Job.Text
			total += len(e.Job.Text)
		}
		if total > wire.MaxJobLog || total < wire.MaxJobLog/2 {
			t.Fatalf("%d bytes of log", total)
		}
		for p, size := range sizes {
			if size > wire.MaxStepLog {
				t.Fatalf("%s: %d bytes", p, size)
			}
		}
		if !strings.HasSuffix(last["p00"], "the end of p00\n") {
			t.Fatalf("the end is missing: %q", last["p00"][len(last["p00"])-40:])
		}
	})
}

func TestAJournaledStartIsNeverRunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		installed bool
		want      []string
	}{
		"it was installed":     {true, []string{"openssl verified interrupted", "curl not_started interrupted"}},
		"it was not installed": {false, []string{"openssl failed interrupted", "curl not_started interrupted"}},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, func(t *testing.T, g *rig) {
				g.apt.offer("curl", "1.0", "1.1")
				g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
					if c.installed {
						succeed(ctx, s, r, ui)
					}
					<-ctx.Done() // the agent is told to stop in the middle
					return source.Outcome{State: source.StateFailed, Code: source.CodeCancelled}
				}
				g.run()
				g.give(g.lease(g.job("openssl", "curl")))
				g.pass(5 * time.Minute)
				g.halt()
				g.run()
				g.pass(time.Minute)
				g.wantResults(c.want...)
				if got := steps(t, g.j); got[len(got)-1] != "finished repaired" {
					t.Fatalf("told %q", got)
				}
				if len(g.apt.installs) != 1 || g.apt.repairs != 1 {
					t.Fatalf("%d installs, %d repairs", len(g.apt.installs), g.apt.repairs)
				}
			})
		})
	}
}

// interrupt stops the agent in the middle of installing openssl.
func interrupt(g *rig) {
	g.t.Helper()
	g.apt.install = func(ctx context.Context, _ *scripted, _ source.Request, _ source.UI) source.Outcome {
		<-ctx.Done()
		return source.Outcome{State: source.StateFailed, Code: source.CodeCancelled}
	}
	g.run()
	g.give(g.lease(g.job("openssl", "curl")))
	g.pass(5 * time.Minute)
	g.halt()
}

func TestARecoveryTakesNothingOfOtherSourcesAway(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		brew := newScripted("homebrew")
		g.o.Sources = append(g.o.Sources, brew)
		interrupt(g)
		before := g.section(wire.SectionSources)["homebrew"]
		_, first, err := g.j.EventRange()
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		events, err := g.j.Events(first, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Inventory == nil {
				continue
			}
			for _, key := range e.Inventory.Remove {
				t.Errorf("%s: %s is gone", e.Inventory.Section, key)
			}
			for _, it := range e.Inventory.Upsert {
				if it.Key == "homebrew" && it.Facts[FactState] != before[FactState] {
					t.Errorf("homebrew is %v, was %v", it.Facts, before)
				}
			}
		}
	})
}

func TestAnInterruptedJobWhoseKeyIsGoneEndsAsUnknown(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		interrupt(g)
		g.o.Keys = ring{wire.BundleKey{Version: 7}}
		g.run()
		g.wantResults("openssl unknown interrupted")
		if got := steps(t, g.j); got[len(got)-1] != "finished repaired" {
			t.Fatalf("told %q", got)
		}
	})
}

func TestWhatTheJournalCannotNoteIsNotBegun(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.o.Hook = func(point string) {
			if point == "start.journaled" {
				if err := g.j.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		g.run()
		g.give(g.lease(g.job("openssl")))
		g.pass(10 * time.Minute)
		if len(g.apt.installs) != 0 {
			t.Fatalf("installed %v without a journal", g.apt.installs)
		}
	})
}

func TestAStepEndsAtItsTimeout(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		var took time.Duration
		g.apt.install = func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
			began := time.Now()
			<-ctx.Done()
			took = time.Since(began)
			return fail(source.CodeTimeout)(ctx, s, r, ui)
		}
		g.run()
		g.give(g.lease(g.job("openssl")))
		g.pass(2 * time.Hour)
		g.wantResults("openssl failed timeout")
		if took != wire.StepTimeout {
			t.Fatalf("took %s", took)
		}
	})
}
