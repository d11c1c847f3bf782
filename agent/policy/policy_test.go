package policy

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

var night = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// goodJob opens at night and shuts three hours later.
func goodJob() wire.Job {
	return wire.Job{
		ID: "j", Attempt: 1, Tenant: "acme", Device: "d1", Kind: wire.JobInstall, IssuedAt: night.Add(-time.Hour),
		NotBefore: night, StartBy: night.Add(2 * time.Hour), Deadline: night.Add(3 * time.Hour),
		Releases: []wire.JobRelease{goodRelease()},
	}
}

func goodRelease() wire.JobRelease {
	return wire.JobRelease{Source: "apt", Package: "openssl", From: "1.0", Version: "1.1", Expected: 10 * time.Minute}
}

func goodFacts() Facts {
	return Facts{Device: "d1", Tenant: "acme", JobID: "j", Attempt: 1, Supported: []wire.JobKind{wire.JobInstall, wire.JobScan, wire.JobReboot}}
}

func goodReleaseFacts() ReleaseFacts {
	return ReleaseFacts{
		SourceHere: true, ScannedAt: night.Add(-time.Hour), Installed: "1.0", Offered: "1.1",
		Compare: cmp.Compare[string], SizeBytes: 1 << 20, FreeBytes: 10 << 30,
	}
}

func check(t *testing.T, want wire.Refusal, change func(now *time.Time, j *wire.Job, f *Facts)) {
	t.Helper()
	now, j, f := night.Add(time.Minute), goodJob(), goodFacts()
	if got, detail := Check(now, j, f); got != "" {
		t.Fatalf("a good job: %s %s", got, detail)
	}
	change(&now, &j, &f)
	got, detail := Check(now, j, f)
	if got != want || (detail == "") != (want == "") {
		t.Fatalf("got %q %q, want %q", got, detail, want)
	}
}

func TestRefusesOtherDevice(t *testing.T) {
	check(t, wire.RefusedOtherDevice, func(_ *time.Time, j *wire.Job, _ *Facts) { j.Device = "d2" })
}

func TestRefusesOtherTenant(t *testing.T) {
	check(t, wire.RefusedOtherTenant, func(_ *time.Time, j *wire.Job, _ *Facts) { j.Tenant = "globex" })
}

func TestRefusesReplayed(t *testing.T) {
	check(t, wire.RefusedReplayed, func(_ *time.Time, _ *wire.Job, f *Facts) { f.Spent = true })
}

func TestRefusesMalformed(t *testing.T) {
	for name, change := range map[string]func(*time.Time, *wire.Job, *Facts){
		"in another job's envelope": func(_ *time.Time, _ *wire.Job, f *Facts) { f.JobID = "k" },
		"as another attempt":        func(_ *time.Time, _ *wire.Job, f *Facts) { f.Attempt = 2 },
		"start after the window":    func(_ *time.Time, j *wire.Job, _ *Facts) { j.StartBy = j.Deadline.Add(time.Second) },
		"opens after it shuts":      func(_ *time.Time, j *wire.Job, _ *Facts) { j.NotBefore = j.Deadline.Add(time.Second) },
		"issued far ahead":          func(_ *time.Time, j *wire.Job, _ *Facts) { j.IssuedAt = j.NotBefore.Add(-25 * time.Hour) },
		"installs nothing":          func(_ *time.Time, j *wire.Job, _ *Facts) { j.Releases = nil },
	} {
		t.Run(name, func(t *testing.T) { check(t, wire.RefusedMalformed, change) })
	}
}

func TestRefusesExpired(t *testing.T) {
	check(t, wire.RefusedExpired, func(now *time.Time, j *wire.Job, _ *Facts) { *now = j.Deadline.Add(time.Second) })
}

func TestRefusesTooEarly(t *testing.T) {
	check(t, wire.RefusedTooEarly, func(now *time.Time, j *wire.Job, _ *Facts) { *now = j.NotBefore.Add(-time.Second) })
}

func TestRefusesOutsideWindow(t *testing.T) {
	check(t, wire.RefusedOutsideWindow, func(now *time.Time, j *wire.Job, _ *Facts) { *now = j.StartBy.Add(time.Second) })
	check(t, "", func(now *time.Time, j *wire.Job, _ *Facts) { *now = j.StartBy })
}

func TestRefusesUnsupported(t *testing.T) {
	check(t, wire.RefusedUnsupported, func(_ *time.Time, j *wire.Job, _ *Facts) { j.Kind = 77 })
}

func TestRefusesConflict(t *testing.T) {
	check(t, wire.RefusedConflict, func(_ *time.Time, _ *wire.Job, f *Facts) { f.Changing = true })
	check(t, "", func(_ *time.Time, j *wire.Job, f *Facts) { j.Kind, f.Changing = wire.JobScan, true })
}

func TestRefusesRebootLimit(t *testing.T) {
	check(t, wire.RefusedRebootLimit, func(_ *time.Time, j *wire.Job, f *Facts) { j.Kind, f.Reboots = wire.JobReboot, wire.MaxRebootsPerDay })
	check(t, "", func(_ *time.Time, j *wire.Job, f *Facts) { j.Kind, f.Reboots = wire.JobReboot, wire.MaxRebootsPerDay-1 })
}

func TestRefusesClockUntrusted(t *testing.T) {
	check(t, wire.RefusedClock, func(_ *time.Time, _ *wire.Job, f *Facts) { f.ClockDoubt = "unset" })
	// A wrong clock ends no job: it is said before the window.
	check(t, wire.RefusedClock, func(now *time.Time, j *wire.Job, f *Facts) { *now, f.ClockDoubt = j.Deadline.Add(time.Hour), "unset" })
	check(t, "", func(_ *time.Time, j *wire.Job, f *Facts) { j.Kind, f.ClockDoubt = wire.JobScan, "unset" })
}

func TestClock(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		name    string
		clock   Clock
		now     time.Time
		doubted bool
	}{
		{"never told", Clock{Wall: night}, night, true},
		{"same boot", Clock{Server: night, AnchorBoot: h, SameBoot: true, Boot: 3 * h, Wall: night.Add(2 * h)}, night.Add(2 * h), false},
		{"same boot, two minutes off", Clock{Server: night, SameBoot: true, Boot: h, Wall: night.Add(h + 2*time.Minute)}, night.Add(h), false},
		{"same boot, more off", Clock{Server: night, SameBoot: true, Boot: h, Wall: night.Add(h + 121*time.Second)}, night.Add(h), true},
		{"same boot, behind", Clock{Server: night, SameBoot: true, Boot: h, Wall: night.Add(h - 121*time.Second)}, night.Add(h), true},
		{"same boot for a month", Clock{Server: night, SameBoot: true, Boot: 720 * h, Wall: night.Add(720 * h)}, night.Add(720 * h), false},
		{"restarted", Clock{Server: night, AnchorBoot: 9 * h, Boot: time.Minute, Wall: night.Add(h)}, night.Add(h), false},
		{"restarted, before the server's time", Clock{Server: night, Wall: night.Add(-time.Second)}, night.Add(-time.Second), true},
		{"restarted, at 72 hours", Clock{Server: night, Wall: night.Add(72 * h)}, night.Add(72 * h), false},
		{"restarted, beyond", Clock{Server: night, Wall: night.Add(72*h + time.Second)}, night.Add(72*h + time.Second), true},
		{"boot clock went back", Clock{Server: night, AnchorBoot: h, SameBoot: true, Wall: night.Add(h)}, night.Add(h), false},
	} {
		now, doubt := c.clock.Now()
		if !now.Equal(c.now) || (doubt != "") != c.doubted {
			t.Errorf("%s: %s %q, want %s, doubted %v", c.name, now, doubt, c.now, c.doubted)
		}
	}
}

func checkRelease(t *testing.T, want wire.Refusal, change func(now *time.Time, j *wire.Job, r *wire.JobRelease, f *ReleaseFacts)) {
	t.Helper()
	now, j, r, f := night.Add(time.Minute), goodJob(), goodRelease(), goodReleaseFacts()
	if got, detail := CheckRelease(now, j, r, f); got != "" {
		t.Fatalf("a good release: %s %s", got, detail)
	}
	change(&now, &j, &r, &f)
	got, detail := CheckRelease(now, j, r, f)
	if got != want || (detail == "") != (want == "") {
		t.Fatalf("got %q %q, want %q", got, detail, want)
	}
}

func TestRefusesSource(t *testing.T) {
	checkRelease(t, wire.RefusedSource, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.SourceHere = false })
	checkRelease(t, wire.RefusedSource, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.Local.ForbidSources = []string{"apt"}
	})
	checkRelease(t, wire.RefusedSource, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.Local.AllowSources = []string{"dnf"}
	})
}

func TestRefusesPackage(t *testing.T) {
	for local, want := range map[string]wire.Refusal{
		"-openssl": wire.RefusedPackage, "-open*": wire.RefusedPackage, "-apt:openssl": wire.RefusedPackage, "-*:openssl": wire.RefusedPackage,
		"-dnf:openssl": "", "-curl": "", "+openssl": "", "+apt:open*": "", "+curl": wire.RefusedPackage,
		"-[": wire.RefusedPackage, "+[": wire.RefusedPackage, // what cannot be read forbids, and allows nothing
	} {
		t.Run(local, func(t *testing.T) {
			checkRelease(t, want, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
				if pattern, forbids := strings.CutPrefix(local, "-"); forbids {
					f.Local.ForbidPackages = []string{pattern}
				} else {
					f.Local.AllowPackages = []string{local[1:]}
				}
			})
		})
	}
	if err := (Local{AllowPackages: []string{"good*"}, ForbidPackages: []string{"a["}}).Check(); err == nil || !strings.Contains(err.Error(), "a[") {
		t.Errorf("a pattern that is none: %v", err)
	}
	if err := (Local{AllowPackages: []string{"good*"}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestRefusesDenied(t *testing.T) {
	for _, c := range []struct {
		denied wire.Denied
		want   wire.Refusal
	}{
		{wire.Denied{Source: "apt", Package: "openssl", Rule: "R"}, wire.RefusedDenied},
		{wire.Denied{Source: "apt", Package: "open*", Rule: "R"}, wire.RefusedDenied},
		{wire.Denied{Source: "apt", Package: "[", Rule: "R"}, wire.RefusedDenied},
		{wire.Denied{Source: "dnf", Package: "openssl", Rule: "R"}, ""},
		{wire.Denied{Source: "apt", Package: "curl", Rule: "R"}, ""},
	} {
		checkRelease(t, c.want, func(_ *time.Time, j *wire.Job, _ *wire.JobRelease, _ *ReleaseFacts) {
			j.Denied = []wire.Denied{c.denied}
		})
	}
}

func TestRefusesScanOld(t *testing.T) {
	checkRelease(t, wire.RefusedScanOld, func(now *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.ScannedAt = now.Add(-24*time.Hour - time.Second)
	})
	checkRelease(t, wire.RefusedScanOld, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.ScannedAt = time.Time{} })
	checkRelease(t, "", func(now *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.ScannedAt = now.Add(-24 * time.Hour)
	})
}

func TestRefusesNotInstalled(t *testing.T) {
	checkRelease(t, wire.RefusedNotInstalled, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Installed = "" })
}

func TestRefusesPinnedOnDevice(t *testing.T) {
	checkRelease(t, wire.RefusedPinned, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Held = true })
}

func TestRefusesNotOffered(t *testing.T) {
	checkRelease(t, wire.RefusedNotOffered, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Offered = "" })
	checkRelease(t, wire.RefusedNotOffered, func(_ *time.Time, _ *wire.Job, r *wire.JobRelease, _ *ReleaseFacts) { r.Version = "1.2" })
	checkRelease(t, wire.RefusedNotOffered, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Phased = true })
}

func TestRefusesSuperseded(t *testing.T) {
	checkRelease(t, wire.RefusedSuperseded, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Offered = "1.2" })
	checkRelease(t, wire.RefusedSuperseded, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.Installed = "1.2" })
}

func TestRefusesDowngradeToAVersionNeverRecorded(t *testing.T) {
	back := func(f *ReleaseFacts, r *wire.JobRelease) {
		r.From, r.Version, f.Installed, f.Offered = "1.1", "1.0", "1.1", ""
	}
	checkRelease(t, wire.RefusedVersionUnknown, func(_ *time.Time, _ *wire.Job, r *wire.JobRelease, f *ReleaseFacts) { back(f, r) })
	checkRelease(t, "", func(_ *time.Time, _ *wire.Job, r *wire.JobRelease, f *ReleaseFacts) {
		back(f, r)
		f.Recorded = []string{"0.9", "1.0"}
	})
}

func TestRefusesDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		expected, left time.Duration
		want           wire.Refusal
	}{
		{10 * time.Minute, 11 * time.Minute, ""},
		{10 * time.Minute, 11*time.Minute - time.Second, wire.RefusedDoesNotFit},
		{0, 16*time.Minute + 30*time.Second, ""},
		{0, 16*time.Minute + 29*time.Second, wire.RefusedDoesNotFit},
	} {
		checkRelease(t, c.want, func(now *time.Time, j *wire.Job, r *wire.JobRelease, _ *ReleaseFacts) {
			r.Expected, *now = c.expected, j.Deadline.Add(-c.left)
		})
	}
}

func TestRefusesDiskFull(t *testing.T) {
	checkRelease(t, wire.RefusedDiskFull, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.SizeBytes, f.FreeBytes = 1<<30, 3<<30
	})
	checkRelease(t, wire.RefusedDiskFull, func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) {
		f.SizeBytes, f.FreeBytes = 0, 100<<20
	})
	checkRelease(t, "", func(_ *time.Time, _ *wire.Job, _ *wire.JobRelease, f *ReleaseFacts) { f.FreeBytes = -1 })
}

func TestRefusesPlan(t *testing.T) {
	j, r := goodJob(), goodRelease()
	j.Denied = []wire.Denied{{Source: "apt", Package: "postgres*", Rule: "no databases"}}
	own := Change{Package: "openssl", To: "1.1"}
	for _, c := range []struct {
		name   string
		others []Change
		local  Local
		want   wire.Refusal
		says   string
	}{
		{"only itself", nil, Local{}, "", ""},
		{"a library with it", []Change{{Package: "libssl", To: "1.1"}}, Local{}, "", ""},
		{"a denied one", []Change{{Package: "postgresql", To: "15"}}, Local{}, wire.RefusedPlan, "would change postgresql, denied by rule no databases"},
		{"a pinned one", []Change{{Package: "nginx", To: "2"}}, Local{}, wire.RefusedPlan, "would change nginx, which is pinned"},
		{"a forbidden one", []Change{{Package: "curl", To: "2"}}, Local{ForbidPackages: []string{"curl"}}, wire.RefusedPlan, "would change curl, denied by this machine"},
		{"removes another", []Change{{Package: "curl", Effect: EffectRemove}}, Local{}, wire.RefusedPlan, "would remove curl"},
		{"removes itself", []Change{{Package: "openssl", Effect: EffectRemove}}, Local{}, wire.RefusedPlan, "would remove openssl"},
		{"sets another back", []Change{{Package: "curl", Effect: EffectDowngrade, To: "0"}}, Local{}, wire.RefusedPlan, "would set curl back"},
		{"another version", []Change{{Package: "openssl", To: "1.2"}}, Local{}, wire.RefusedSuperseded, "would install openssl 1.2"},
	} {
		got, detail := CheckPlan(j, r, append([]Change{own}, c.others...), []string{"nginx"}, c.local)
		if got != c.want || !strings.Contains(detail, c.says) {
			t.Errorf("%s: %q %q, want %q %q", c.name, got, detail, c.want, c.says)
		}
	}
	if got, _ := CheckPlan(j, r, nil, nil, Local{}); got != "" {
		t.Errorf("a source that cannot simulate: %s", got)
	}
}

func TestEveryRefusalAtAReleaseHasAnEnd(t *testing.T) {
	for refusal, want := range map[wire.Refusal]wire.ResultState{
		wire.RefusedSuperseded: wire.ResultSuperseded, wire.RefusedNotInstalled: wire.ResultNotApplicable,
		wire.RefusedNotOffered: wire.ResultNotApplicable, wire.RefusedSource: wire.ResultNotApplicable,
		wire.RefusedPackage: wire.ResultNotApplicable, wire.RefusedDenied: wire.ResultNotApplicable,
		wire.RefusedPinned: wire.ResultNotApplicable, wire.RefusedDoesNotFit: wire.ResultNotStarted,
		wire.RefusedClock: wire.ResultNotStarted, wire.RefusedPlan: wire.ResultFailed,
		wire.RefusedDiskFull: wire.ResultFailed, wire.RefusedVersionUnknown: wire.ResultFailed, wire.RefusedScanOld: wire.ResultFailed,
	} {
		if got := ResultOf(refusal); got != want {
			t.Errorf("%s ends as %s, want %s", refusal, got, want)
		}
	}
}

func TestPresent(t *testing.T) {
	up, back := goodRelease(), wire.JobRelease{From: "1.1", Version: "1.0"}
	for _, c := range []struct {
		r         wire.JobRelease
		installed string
		want      bool
	}{{up, "", false}, {up, "1.0", false}, {up, "1.1", true}, {up, "1.2", true}, {back, "1.1", false}, {back, "1.0", true}, {back, "0.9", false}} {
		if got := Present(c.r, c.installed, cmp.Compare[string]); got != c.want {
			t.Errorf("%s wanted, %s installed: %v", c.r.Version, c.installed, got)
		}
	}
}

// A rule for a package holds for its other architectures: apt names those with
// a colon behind the name.
func TestARuleHoldsForOtherArchitectures(t *testing.T) {
	local := Local{ForbidPackages: []string{"openssl", "apt:linux-*"}}
	for _, pkg := range []string{"openssl", "openssl:i386", "linux-image:arm64"} {
		if allowed, _ := local.Package("apt", pkg); allowed {
			t.Errorf("%s is allowed", pkg)
		}
		if _, denied := deniedBy([]wire.Denied{{Source: "apt", Package: "openssl"}, {Source: "apt", Package: "linux-*"}}, "apt", pkg); !denied {
			t.Errorf("%s is not denied", pkg)
		}
	}
	if allowed, _ := local.Package("apt", "openssl-doc"); !allowed {
		t.Error("openssl-doc is forbidden")
	}
}
