package policy

import (
	"cmp"
	"path"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
)

func drawTime(t *rapid.T, name string) time.Time {
	return night.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, name)) * time.Minute)
}

// drawJob is well formed more often than not.
func drawJob(t *rapid.T) wire.Job {
	j := goodJob()
	j.NotBefore = drawTime(t, "not before")
	j.StartBy = j.NotBefore.Add(time.Duration(rapid.IntRange(-10, 300).Draw(t, "start by")) * time.Minute)
	j.Deadline = j.StartBy.Add(time.Duration(rapid.IntRange(-10, 300).Draw(t, "deadline")) * time.Minute)
	j.IssuedAt = j.NotBefore.Add(-time.Duration(rapid.IntRange(0, 30).Draw(t, "issued")) * time.Hour)
	j.Alone = rapid.Bool().Draw(t, "alone")
	j.Kind = wire.JobKind(rapid.IntRange(0, 4).Draw(t, "kind"))
	return j
}

func drawClock(t *rapid.T) Clock {
	return Clock{
		Server: drawTime(t, "server"), Wall: drawTime(t, "wall"), SameBoot: rapid.Bool().Draw(t, "same boot"),
		AnchorBoot: time.Duration(rapid.IntRange(0, 5000).Draw(t, "anchor")) * time.Minute,
		Boot:       time.Duration(rapid.IntRange(0, 5000).Draw(t, "boot")) * time.Minute,
	}
}

func TestNeverStartsOutsideItsWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j, f := drawJob(t), goodFacts()
		now, doubt := drawClock(t).Now()
		f.ClockDoubt = doubt
		if refusal, _ := Check(now, j, f); refusal == "" && (now.Before(j.NotBefore) || now.After(j.StartBy) || now.After(j.Deadline)) {
			t.Fatalf("starts at %s outside of %s to %s", now, j.NotBefore, j.StartBy)
		}
		if Alone(now, j, time.Hour) && (now.Before(j.NotBefore) || now.After(j.StartBy)) {
			t.Fatalf("starts alone at %s outside of %s to %s", now, j.NotBefore, j.StartBy)
		}
	})
}

func TestNothingChangesByAClockThatCannotBeBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, j, f := drawClock(t), drawJob(t), goodFacts()
		now, doubt := c.Now()
		f.ClockDoubt = doubt
		if refusal, _ := Check(now, j, f); refusal != "" || j.Kind == wire.JobScan {
			return
		}
		known := c.Server.Add(c.Boot - c.AnchorBoot)
		switch sameBoot := c.SameBoot && c.Boot >= c.AnchorBoot; {
		case sameBoot && (!now.Equal(known) || c.Wall.Sub(known).Abs() > 2*time.Minute):
			t.Fatalf("starts at %s with a wall clock of %s, the server's is %s", now, c.Wall, known)
		case !sameBoot && (c.Wall.Before(c.Server) || c.Wall.Sub(c.Server) > 72*time.Hour):
			t.Fatalf("starts after a restart at %s, the server's last time is %s", c.Wall, c.Server)
		}
	})
}

func TestAloneOnlyAfterTwoMinutesOfSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		now := j.NotBefore.Add(time.Duration(rapid.IntRange(-300, 20000).Draw(t, "after")) * time.Second)
		silence := time.Duration(rapid.IntRange(0, 600).Draw(t, "silence")) * time.Second
		got := Alone(now, j, silence)
		// The silence counts only as far as it lies within the window.
		within := min(silence, now.Sub(j.NotBefore))
		want := j.Alone && within >= 2*time.Minute && !now.After(j.StartBy)
		if got != want {
			t.Fatalf("alone %v at %s after the start with %s of silence, want %v", got, now.Sub(j.NotBefore), silence, want)
		}
	})
}

func TestInstallsOnlyWhatItsOwnScanOffers(t *testing.T) {
	version := rapid.SampledFrom([]string{"", "1", "2", "3", "4"})
	rapid.Check(t, func(t *rapid.T) {
		j, r, f := goodJob(), goodRelease(), goodReleaseFacts()
		now := drawTime(t, "now")
		r.From, r.Version = version.Draw(t, "from"), version.Draw(t, "version")
		f.Installed, f.Offered = version.Draw(t, "installed"), version.Draw(t, "offered")
		f.Recorded = rapid.SliceOfN(version, 0, 2).Draw(t, "recorded")
		f.ScannedAt = drawTime(t, "scanned")
		f.SourceHere, f.Held, f.Phased = rapid.Bool().Draw(t, "here"), rapid.Bool().Draw(t, "held"), rapid.Bool().Draw(t, "phased")
		if refusal, _ := CheckRelease(now, j, r, f); refusal != "" {
			return
		}
		recorded := false
		for _, v := range f.Recorded {
			recorded = recorded || v == r.Version
		}
		offered := f.Offered == r.Version && !f.Phased && cmp.Compare(r.Version, f.Installed) >= 0
		back := cmp.Compare(r.Version, r.From) < 0 && recorded
		if !f.SourceHere || f.Held || f.Installed == "" || now.Sub(f.ScannedAt) > 24*time.Hour || !offered && !back {
			t.Fatalf("would install %+v by %+v", r, f)
		}
		if now.Add(Needs(r.Expected)).After(j.Deadline) {
			t.Fatalf("would begin at %s what does not fit before %s", now, j.Deadline)
		}
	})
}

func TestNoPlanTouchesWhatIsDeniedHeldOrForbidden(t *testing.T) {
	name := rapid.SampledFrom([]string{"openssl", "a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		j, r := goodJob(), goodRelease()
		for _, pattern := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "?", "b*", "["}), 0, 2).Draw(t, "denied") {
			j.Denied = append(j.Denied, wire.Denied{Source: "apt", Package: pattern, Rule: "R"})
		}
		held := rapid.SliceOfN(name, 0, 2).Draw(t, "held")
		local := Local{ForbidPackages: rapid.SliceOfN(name, 0, 1).Draw(t, "forbidden")}
		var changes []Change
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			changes = append(changes, Change{Package: name.Draw(t, "package"), Effect: Effect(rapid.IntRange(0, 2).Draw(t, "effect")), To: "1.1"})
		}
		if refusal, _ := CheckPlan(j, r, changes, held, local); refusal != "" {
			return
		}
		for _, c := range changes {
			if c.Effect == EffectRemove {
				t.Fatalf("would remove %s", c.Package)
			}
			if c.Package == r.Package {
				continue
			}
			for _, h := range append(held, local.ForbidPackages...) {
				if h == c.Package {
					t.Fatalf("would change %s, which is held or forbidden", h)
				}
			}
			for _, d := range j.Denied {
				if m, err := path.Match(d.Package, c.Package); m || err != nil {
					t.Fatalf("would change %s, denied by %s", c.Package, d.Package)
				}
			}
		}
	})
}
