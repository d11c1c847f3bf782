package runner

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

func TestScansAtStartOnDemandAndEveryEightHours(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		began := time.Now()
		g.run()
		if scans, refreshes := g.apt.seen(); scans != 2 || refreshes != 1 {
			t.Fatalf("at the start: %d scans, %d refreshes", scans, refreshes)
		}
		if got := g.section(wire.SectionUpdates)["apt:openssl"][wire.FactAvailable]; got != "1.1" {
			t.Fatalf("available %q", got)
		}
		g.pass(time.Hour)
		g.r.ScanSoon("asked for")
		synctest.Wait()
		if n, _ := g.apt.seen(); n != 3 {
			t.Fatalf("on demand: %d scans", n)
		}
		g.pass(80 * time.Hour)
		if n, _ := g.apt.seen(); n != 13 {
			t.Fatalf("%d scans in %s", n, time.Since(began))
		}
	})
}

func TestTheServerPacesScansWithinBounds(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		if _, err := g.j.ApplyDesired(time.Now(), spool.Desired{Version: 1, Settings: spool.Settings{ScanInterval: time.Second}}); err != nil {
			t.Fatal(err)
		}
		g.run()
		g.pass(10*time.Hour + time.Minute)
		if n, _ := g.apt.seen(); n != 12 {
			t.Fatalf("%d scans in 10 hours, want one an hour", n)
		}
	})
}

func TestARefusedScanTouchesNoNetworkAndComesAgain(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		refusals := 1
		g.word.mayScan = func() (bool, time.Duration, error) {
			if refusals--; refusals >= 0 {
				return false, 20 * time.Minute, nil
			}
			return true, 0, nil
		}
		g.run()
		if scans, refreshes := g.apt.seen(); scans != 2 || refreshes != 0 {
			t.Fatalf("%d scans, %d refreshes", scans, refreshes)
		}
		g.pass(30 * time.Minute)
		if _, n := g.apt.seen(); n != 1 {
			t.Fatalf("%d refreshes later", n)
		}
		g.word.mu.Lock()
		g.word.mayScan = func() (bool, time.Duration, error) { return false, 0, errOffline }
		g.word.mu.Unlock()
		g.r.ScanSoon("offline")
		synctest.Wait()
		if _, n := g.apt.seen(); n != 2 {
			t.Fatal("without contact an agent keeps its own pace")
		}
	})
}

func TestAScanJobScansAndEnds(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.run()
		j := g.job()
		j.Kind = wire.JobScan
		g.apt.change(func() { g.apt.offer("curl", "1.0", "1.1") })
		g.give(g.lease(j))
		g.pass(time.Minute)
		g.want("started", "finished")
		if got := g.section(wire.SectionUpdates); len(got) != 2 {
			t.Fatalf("updates %v", got)
		}
		events, err := g.j.Events(0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if inv := events[len(events)-2].Inventory; inv == nil || inv.Cause != "j" {
			t.Fatalf("before the end: %+v", events[len(events)-2])
		}
	})
}

func TestAFailingSourceTakesNothingAway(t *testing.T) {
	inRig(t, func(t *testing.T, g *rig) {
		g.run()
		before := g.section(wire.SectionUpdates)
		g.apt.change(func() { g.apt.scanErr = &source.Error{Code: source.CodeGarbage, Message: "unreadable"} })
		g.pass(9 * time.Hour)
		check := func() {
			t.Helper()
			if got := g.section(wire.SectionUpdates); !reflect.DeepEqual(got, before) {
				t.Fatalf("updates %v, before %v", got, before)
			}
			f := g.section(wire.SectionSources)["apt"]
			if f[FactState] != SourceFailing || f[FactCode] != string(source.CodeGarbage) || f[FactDetail] != "unreadable" {
				t.Fatalf("source %v", f)
			}
		}
		check()
		g.halt()
		g.run() // an agent that starts with a failing source
		check()
		g.apt.change(func() { g.apt.scanErr = nil })
		g.pass(9 * time.Hour)
		if f := g.section(wire.SectionSources)["apt"]; f[FactState] != SourceReady || f[FactLastScan] == "" {
			t.Fatalf("source %v", f)
		}
	})
}

func TestItemsTellWhatIsKnownAndNothingElse(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	full := source.Update{
		Source: "apt", Package: "openssl", Arch: "amd64", Installed: "1.0", Available: "1.1", Kind: source.KindSecurity, Severity: "high",
		Origin: "Debian-Security", Held: true, Phased: true, KeptBack: true, SizeBytes: 42, RebootLikely: true,
	}
	for name, c := range map[string]struct{ got, want []wire.Item }{
		"a whole update": {UpdateItems([]source.Update{full}), []wire.Item{{Key: "apt:openssl", Facts: map[string]string{
			"source": "apt", "package": "openssl", "arch": "amd64", "installed_version": "1.0", "available_version": "1.1", "kind": "security",
			"severity": "high", "origin": "Debian-Security", "held": "true", "phased": "true", "kept_back": "true", "size_bytes": "42", "reboot_likely": "true",
		}}}},
		"a bare update": {UpdateItems([]source.Update{{Source: "brew", Package: "jq", Available: "2", Kind: source.KindUnknown}}), []wire.Item{
			{Key: "brew:jq", Facts: map[string]string{"source": "brew", "package": "jq", "available_version": "2"}},
		}},
		"software": {SoftwareItems([]source.Installed{{Source: "apt", Name: "a", Version: "1", Arch: "amd64", SizeBytes: 7}, {Source: "apt", Name: "a:i386", Version: "1", Arch: "i386"}, {Source: "brew", Name: "jq", Version: "2"}}), []wire.Item{
			{Key: "apt:a:amd64", Facts: map[string]string{"source": "apt", "name": "a", "version": "1", "arch": "amd64", "size_bytes": "7"}},
			{Key: "apt:a:i386", Facts: map[string]string{"source": "apt", "name": "a:i386", "version": "1", "arch": "i386"}},
			{Key: "brew:jq", Facts: map[string]string{"source": "brew", "name": "jq", "version": "2"}},
		}},
		"sources": {[]wire.Item{
			SourceItem("apt", true, "", "", at, source.Scan{LastRefresh: at, RebootRequired: true, Busy: &source.Busy{Process: "unattended-upgr"}}),
			SourceItem("brew", false, "brew is not here", "", time.Time{}, source.Scan{}),
			SourceItem("dnf", true, "", "", at, source.Scan{Busy: &source.Busy{}}),
		}, []wire.Item{
			{Key: "apt", Facts: map[string]string{"state": "ready", "last_scan": "2026-03-01T10:00:00Z", "last_refresh": "2026-03-01T10:00:00Z", "reboot": "true", "busy": "unattended-upgr"}},
			{Key: "brew", Facts: map[string]string{"state": "absent", "detail": "brew is not here"}},
			{Key: "dnf", Facts: map[string]string{"state": "ready", "last_scan": "2026-03-01T10:00:00Z", "busy": "true"}},
		}},
	} {
		if len(c.got) != len(c.want) {
			t.Fatalf("%s: %v", name, c.got)
		}
		for i := range c.got {
			if !c.got[i].Equal(c.want[i]) {
				t.Errorf("%s: %v, want %v", name, c.got[i], c.want[i])
			}
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	j, err := spool.NewMemory(spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, j)
	if _, err := New(Options{}); err == nil {
		t.Error("made of nothing")
	}
	g.o.Sources = append(g.o.Sources, newScripted("apt"))
	if _, err := New(g.o); err == nil {
		t.Error("the same source twice")
	}
}
