// Package consoletest serves the console over invented data: full, empty and
// hostile. Tests look at its pages; nothing in it is a real service.
package consoletest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
)

// Kind is which data is served.
type Kind string

// The kinds. Hostile is full with texts that try to break out of the page.
const (
	Full    Kind = "full"
	Empty   Kind = "empty"
	Hostile Kind = "hostile"
)

// Now is the time of all data.
var Now = time.Date(2026, 11, 12, 21, 47, 0, 0, time.UTC)

// Evil is what a hostile device calls itself: script, an attribute's end,
// direction overrides, and very long.
var Evil = `<script>alert(1)</script>"' onmouseover="x` + "\u202e\u2066evil" + strings.Repeat("w", 1000)

// World is the data.
type World struct {
	kind    Kind
	tenants []fleet.Tenant
	sites   map[ident.TenantID][]fleet.Site
	devices []fleet.Device
	deps    []deployment.Deployment
	members []fleet.Device
}

func id(n int) string { return fmt.Sprintf("0199a1b2-0000-7000-8000-%012d", n) }

func (w *World) name(s string) string {
	if w.kind == Hostile {
		return Evil
	}
	return s
}

// NewWorld makes the data of a kind.
func NewWorld(kind Kind) *World {
	w := &World{kind: kind, sites: map[ident.TenantID][]fleet.Site{}}
	if kind == Empty {
		return w
	}
	for i, t := range []struct{ slug, name, zone, site string }{
		{"ashgrove", "Ashgrove Primary Care", "Europe/London", "Bristol"}, {"blue-fen", "Blue Fen Housing", "Europe/London", "Leeds"},
		{"calder", "Calder Steelworks", "Europe/London", "Sheffield"}, {"kestrel", "Kestrel Legal", "Europe/London", "London"},
		{"mistral", "Mistral Yachts", "Europe/Paris", "Toulon"}, {"nordlicht", "Nordlicht Logistik", "Europe/Berlin", "Hamburg"},
		{"pinecrest", "Pinecrest Schools", "America/Chicago", "Northside"}, {"sierra", "Sierra Clinics", "America/Phoenix", "Tucson"},
		{"tamarind", "Tamarind Foods", "Asia/Singapore", "Singapore"}, {"verdant", "Verdant Farms", "Europe/Dublin", "Cork"},
		{"wattle", "Wattle Creek Wines", "Australia/Adelaide", "Clare"}, {"oak", "Oak & Ember", "Europe/London", "York"},
	} {
		mode := fleet.Live
		if i%5 == 4 {
			mode = fleet.Observe
		}
		w.tenants = append(w.tenants, fleet.Tenant{ID: ident.TenantID(t.slug), Name: w.name(t.name), TimeZone: t.zone, Mode: mode, CreatedAt: Now.AddDate(0, -3, i)})
		w.sites[ident.TenantID(t.slug)] = []fleet.Site{{Tenant: ident.TenantID(t.slug), ID: ident.MainSite, Name: w.name(t.site), TimeZone: t.zone}}
	}
	w.addDevices()
	w.addDeployments()
	w.members = w.memberDevices()
	return w
}

func (w *World) addDevices() {
	oses := []fleet.OS{{Family: "windows", Name: "Windows 11", Version: "25H2"}, {Family: "windows", Name: "Windows Server", Version: "2022"},
		{Family: "linux", Name: "Debian GNU/Linux", Version: "13"}, {Family: "macos", Name: "macOS", Version: "27.1"}, {Family: "windows", Name: "Windows 11", Version: "24H2"}}
	for i := range 60 {
		t := w.tenants[(i*5+i/7)%len(w.tenants)]
		d := fleet.Device{Tenant: t.ID, ID: ident.DeviceID(id(i)), Site: ident.MainSite, Class: []fleet.Class{fleet.Workstation, fleet.Laptop, fleet.Server}[i%3],
			Hostname: w.name(fmt.Sprintf("%.3s-%s-%03d", t.ID, []string{"pc", "lt", "srv"}[i%3], i*7+3)), State: fleet.Active, Reason: reason.New(reason.DeviceInventory), Since: Now.AddDate(0, 0, -i),
			OS: oses[i%len(oses)], Arch: "amd64", AgentVersion: "0.1.0", EnrolledAt: Now.AddDate(0, -2, 0), LastSeen: Now.Add(-time.Duration(i%4) * time.Minute), Online: true, Tags: []string{"sql", "no-weekend-reboot"}[:i%3], Serial: "5CG" + id(i)[30:]}
		switch {
		case i%17 == 16:
			d.State, d.Reason, d.Online, d.LastSeen = fleet.Stale, reason.New(reason.DeviceSilent, "since", reason.Time(Now.AddDate(0, 0, -15))), false, Now.AddDate(0, 0, -15)
		case i%11 == 10:
			d.Online, d.LastSeen = false, Now.Add(-time.Duration(i)*time.Hour)
		case i == 23:
			d.State, d.Reason = fleet.Conflict, reason.New(reason.DeviceConflict, "why", "the same secret from two addresses")
		case i == 31:
			d.State, d.OS, d.Hostname = fleet.Pending, fleet.OS{}, w.name("new-pc")
			d.Reason = reason.New(reason.DeviceEnrolled)
		}
		w.devices = append(w.devices, d)
	}
}

func (w *World) addDeployments() {
	states := []deployment.State{deployment.Running, deployment.Halted, deployment.Paused, deployment.Completed, deployment.Cancelled, deployment.Running}
	for i, s := range states {
		d := deployment.Deployment{Tenant: "nordlicht", ID: ident.DeploymentID(id(900 + i)), Policy: w.name("desktops-weekly"), State: s, Since: Now.Add(-time.Duration(8+i*50) * time.Minute), Seq: 120,
			Release:  patch.Release{Source: "chocolatey", Package: w.name([]string{"firefox", "googlechrome", "7zip", "vscode", "zoom", "putty"}[i]), Version: []string{"158.0.1", "154.0.8187.63", "26.02", "1.118", "7.1.0", "0.84"}[i]},
			Failures: policy.Allowance{Count: 2, Share: 10}, InFlight: 20, CreatedAt: Now.Add(-3 * time.Hour)}
		switch s {
		case deployment.Halted:
			d.Reason = reason.New(reason.HaltedFailures, "failed", "4", "allowed", "2", "ring", "pilots")
		case deployment.Paused, deployment.Cancelled:
			d.Reason = reason.New(reason.PausedBy, "by", "Priya", "why", "the auditors are here until Friday")
		default:
			d.Reason = reason.New(reason.Started)
		}
		w.ringsOf(&d, i)
		w.deps = append(w.deps, d)
	}
}

// ringsOf gives a deployment 512 members in four rings, as far as its state says.
func (w *World) ringsOf(d *deployment.Deployment, n int) {
	sizes := []int{12, 50, 150, 300}
	names := []string{"canary", "early", "broad", "everyone"}
	at := 2
	switch d.State {
	case deployment.Halted:
		at = 0
	case deployment.Completed:
		at = 4
	case deployment.Paused:
		at = 1
	}
	dev := 0
	for r, size := range sizes {
		ring := deployment.Ring{Index: r, Name: w.name(names[r]), Soak: 12 * time.Hour, MinVerified: 95, State: deployment.RingWaiting, Reason: reason.New(reason.RingBefore, "before", "broad"), Since: Now.Add(-time.Hour)}
		if r < at {
			ring.State, ring.Reason = deployment.RingPassed, reason.New(reason.RingPassed, "verified", reason.Count(size-r), "devices", reason.Count(size), "failed", reason.Count(r))
		}
		if r == at {
			ring.State, ring.Reason = deployment.RingActive, reason.New(reason.RingOpened)
			if d.State == deployment.Halted {
				ring.State = deployment.RingHalted
			}
		}
		for i := range size {
			m := deployment.Member{Device: ident.DeviceID(id(10000 + dev)), Ring: r}
			dev++
			switch {
			case r < at && i%37 == 36, r == at && i%23 == 11:
				m.Result, m.EndedAt, m.Job = wire.ResultFailed, Now, ident.JobID(id(5000))
				ring.Counts.Failed++
			case r < at, r == at && i < size*2/5:
				m.Result, m.EndedAt, m.Verified = wire.ResultVerified, Now, Now
				m.Job = ident.JobID(id(5000))
				ring.Counts.Verified++
			case r == at && i < size*3/5 && d.State != deployment.Halted:
				m.Job = ident.JobID(id(5000))
				ring.Counts.Running++
			case r == at && i%41 == 40:
				m.Result, m.EndedAt = wire.ResultUnknown, Now
				ring.Counts.Other++
			default:
				ring.Counts.Waiting++
			}
			d.Members = append(d.Members, m)
		}
		ring.Counts.Devices = size
		d.Rings = append(d.Rings, ring)
	}
}

func (w *World) memberDevices() []fleet.Device {
	if w.members != nil {
		return w.members
	}
	var out []fleet.Device
	for i := range 512 {
		out = append(out, fleet.Device{Tenant: "nordlicht", ID: ident.DeviceID(id(10000 + i)), Site: ident.MainSite, Hostname: w.name(fmt.Sprintf("nor-pc-%04d", i)), State: fleet.Active, Online: i%29 != 28, Class: fleet.Workstation})
	}
	return out
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func (w *World) documents(t ident.TenantID) []policy.Document {
	if w.kind == Empty {
		return nil
	}
	why := "the X-ray viewer needs Java 8"
	if w.kind == Hostile {
		why = "<script>alert(2)</script> & “quotes”"
	}
	quoted, err := json.Marshal(why)
	if err != nil {
		panic(err)
	}
	all := policy.Document{Tenant: ident.MSP, Name: "desktops-weekly", Version: 3, UpdatedAt: Now.AddDate(0, 0, -9), UpdatedBy: ident.Actor{Kind: ident.Person, Name: w.name("Priya Nair")},
		Lock: []string{"limits"}, Fields: map[string]json.RawMessage{
			"targets": raw(`{"class":["workstation","laptop"],"exclude_tags":["fragile"]}`), "sources": raw(`["chocolatey","homebrew","apt"]`),
			"approvals": raw(`[{"match":{"package":"jre8"},"action":"deny","reason":` + string(quoted) + `},{"match":{"kind":"security"},"action":"approve"},{"match":{"source":"chocolatey"},"action":"wait","for":"3d"}]`),
			"windows":   raw(`[{"cron":"0 22 * * 1-5","duration":"4h","time_zone":"device","blackout":["2026-12-24/2027-01-02"]}]`),
			"rings":     raw(`[{"name":"pilots","share":"5%","soak":"24h"},{"name":"everyone","share":"100%"}]`), "limits": raw(`{"in_flight":"20%","failures":"max(2, 10%)"}`)}}
	docs := []policy.Document{all}
	if t == "nordlicht" {
		docs = append(docs, policy.Document{Tenant: t, Name: "desktops-weekly", Version: 1, UpdatedAt: Now.AddDate(0, 0, -2), UpdatedBy: ident.Actor{Kind: ident.Person, Name: "Tomas"},
			Fields: map[string]json.RawMessage{"windows": raw(`[{"weekday":"second tuesday","offset_days":3,"at":"22:00","duration":"4h","time_zone":"Europe/Berlin"}]`)}})
	}
	return docs
}

func (w *World) updates(t ident.TenantID, d ident.DeviceID) []patch.Update {
	if w.kind == Empty {
		return nil
	}
	u := func(pkg, from, to string, k inventory.Kind, severity string, s patch.State, why reason.Reason) patch.Update {
		return patch.Update{Tenant: t, Device: d, Release: patch.Release{Source: "chocolatey", Package: w.name(pkg), Version: to}, Installed: from, Kind: k, Severity: severity, State: s, Reason: why, Since: Now.Add(-50 * time.Hour), FirstSeen: Now.AddDate(0, 0, -9), Offered: true}
	}
	failed := u("firefox", "157.0.2", "158.0.1", inventory.Security, "high", patch.Failed, reason.New(reason.InstallFailed, "error", "exit 1603"))
	failed.Tries, failed.LastError = 2, "exit 1603"
	return []patch.Update{
		u("kb5071204", "20348.4171", "20348.4405", inventory.SecurityExploited, "critical", patch.Approved, reason.New(reason.ApprovedByRule, "rule", "1", "policy", "servers")),
		failed, u("sql-server-cu", "CU25", "CU26", inventory.Security, "", patch.Denied, reason.New(reason.DeniedByHand, "by", "Priya", "why", "SQL needs a DBA")),
		u("7zip", "25.01", "26.02", inventory.AppMinor, "medium", patch.Available, reason.New(reason.NotApproved)),
		u("dotnet", "10.0.9", "10.0.10", inventory.AppPatch, "low", patch.RebootPending, reason.New(reason.RebootNeeded)),
		u("notepadplusplus", "8.9.1", "8.9.2", inventory.AppPatch, "low", patch.Verified, reason.New(reason.VerifiedByScan)),
	}
}

func (w *World) sections() []inventory.Section {
	if w.kind == Empty {
		return nil
	}
	one := func(name wire.Section, items ...wire.Item) inventory.Section {
		return inventory.Section{Name: name, Items: items, UpdatedAt: Now.AddDate(0, 0, -3), ScannedAt: Now.Add(-40 * time.Minute)}
	}
	var software []wire.Item
	for i := range 84 {
		software = append(software, wire.Item{Key: fmt.Sprintf("chocolatey:package-%02d", i), Facts: map[string]string{"name": w.name(fmt.Sprintf("package-%02d", i)), "version": "1." + fmt.Sprint(i), "source": "chocolatey", "arch": "amd64"}})
	}
	return []inventory.Section{
		one(wire.SectionSystem, wire.Item{Key: "system", Facts: map[string]string{"manufacturer": w.name("Dell Inc."), "model": "PowerEdge R650", "serial": "7XK2M13", "chassis": "rack mount chassis"}}),
		one(wire.SectionCPU, wire.Item{Key: "0", Facts: map[string]string{"model": "Xeon Silver 4314", "cores": "16", "threads": "32", "max_speed_mhz": "3400"}}),
		one(wire.SectionMemory, wire.Item{Key: "total", Facts: map[string]string{"size_bytes": "68719476736"}}),
		one(wire.SectionVolumes, wire.Item{Key: "C:", Facts: map[string]string{"size_bytes": "256000000000", "type": "ntfs", "read_only": "false"}}),
		one(wire.SectionNetwork, wire.Item{Key: "eth0", Facts: map[string]string{"mac": "b4:45:06:11:22:33", "addresses": "10.4.0.12/24, fe80::1/64", "up": "true"}}),
		one(wire.SectionOS, wire.Item{Key: "os", Facts: map[string]string{"family": "windows", "name": "Windows Server 2022", "kernel": "20348.4171", "boot_time": "2026-11-10T22:17:00Z"}}),
		one(wire.SectionSources, wire.Item{Key: "chocolatey", Facts: map[string]string{"state": "available", "last_refresh": "2026-11-12T20:00:00Z", "version": "2.5.1"}}),
		one(wire.SectionSoftware, software...),
	}
}

func wave(i, n int, base, swing float64) float64 {
	x := float64(i) / float64(n) * 14 * math.Pi
	return base + swing*math.Sin(x)*math.Cos(x/3.1) + swing*0.3*math.Sin(x*5.7)
}

func (w *World) series(signal string, from, to time.Time) []telemetry.Series {
	if w.kind == Empty {
		return nil
	}
	const n = 700
	make := func(attributes map[string]string, unit string, base, swing float64) telemetry.Series {
		s := telemetry.Series{Signal: signal, Attributes: attributes, Unit: unit}
		for i := range n {
			if i > 300 && i < 322 {
				continue // a gap: the device was off
			}
			s.Points = append(s.Points, telemetry.Point{At: from.Add(to.Sub(from) * time.Duration(i) / n), V: max(0, wave(i, n, base, swing))})
		}
		return s
	}
	switch signal {
	case wire.SignalCPUUtilization:
		return []telemetry.Series{make(nil, "1", 0.36, 0.24)}
	case wire.SignalMemoryUtilization:
		return []telemetry.Series{make(nil, "1", 0.65, 0.05)}
	case wire.SignalFilesystemUtilization:
		return []telemetry.Series{make(map[string]string{"mountpoint": w.name("C:")}, "1", 0.92, 0.01), make(map[string]string{"mountpoint": "D:"}, "1", 0.41, 0.01)}
	}
	return []telemetry.Series{make(map[string]string{"device": "eth0", "direction": "receive"}, "By/s", 4e6, 3e6), make(map[string]string{"device": "eth0", "direction": "transmit"}, "By/s", 1e6, 8e5)}
}

func (w *World) job(n ident.JobID) job.Job {
	return job.Job{Tenant: "nordlicht", ID: n, Run: ident.RunID(id(7000)), Policy: w.name("desktops-weekly"), Site: ident.MainSite, Device: ident.DeviceID(id(10073)), Kind: job.Install, State: job.Failed,
		Reason: reason.New(reason.JobFailed, "error", "exit 1618"), Since: Now.Add(-5 * time.Minute), Attempt: 2, Attempts: 3, NotBefore: Now.Add(-47 * time.Minute), StartBy: Now.Add(3 * time.Hour), Deadline: Now.Add(3 * time.Hour),
		Releases: []job.Release{{Source: "chocolatey", Package: w.name("firefox"), From: "157.0.2", Version: "158.0.1", Result: wire.ResultFailed, Reason: reason.New(reason.InstallFailed, "error", "exit 1618: another installation is running (Teams updater)"), ExitCode: 1618, Took: 88 * time.Second}}}
}

func releases(w *World) []view.ReleaseRow {
	if w.kind == Empty {
		return nil
	}
	var out []view.ReleaseRow
	for i, r := range []struct {
		pkg, version, source, severity string
		kind                           inventory.Kind
	}{
		{"2026-11 Cumulative Update (KB5071204)", "20348.4405", "windowsupdate", "critical", inventory.SecurityExploited}, {"googlechrome", "154.0.8187.63", "chocolatey", "critical", inventory.SecurityExploited},
		{"adobereader", "26.001.20311", "chocolatey", "critical", inventory.Security}, {"macOS 27.1", "27.1", "softwareupdate", "high", inventory.Feature}, {"firefox", "158.0.1", "chocolatey", "high", inventory.Security},
		{"7zip", "26.02", "chocolatey", "high", inventory.AppMinor}, {"openssl", "3.0.19", "apt", "high", inventory.Security}, {"Zoom.Zoom", "7.1.0", "winget", "medium", inventory.AppMinor},
		{"dotnet-runtime", "10.0.10", "windowsupdate", "medium", inventory.AppPatch}, {"slack", "4.52", "homebrew", "low", inventory.AppMinor}, {"notepadplusplus", "8.9.2", "chocolatey", "low", inventory.AppPatch}, {"intel-gpu", "31.0.101", "windowsupdate", "", inventory.Driver},
	} {
		row := view.ReleaseRow{Release: patch.Release{Source: r.source, Package: w.name(r.pkg), Version: r.version}, Kind: r.kind, Severity: r.severity, FirstSeen: Now.Add(-time.Duration(i*9+20) * time.Hour), Devices: 6418 / (i + 1), Tenants: 54 - i*4,
			States: view.States{patch.Available: 6418 / (i + 1), patch.Verified: 120 * i, patch.Failed: i % 4}, Choice: view.Undecided}
		out = append(out, row)
	}
	return out
}
