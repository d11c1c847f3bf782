package consoletest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
)

// Fleet is customers and devices.
type Fleet struct{ *World }

func missing() error { return fault.NotFoundf("there is nothing by this id") }

// Tenant finds a customer.
func (s Fleet) Tenant(_ context.Context, id ident.TenantID) (fleet.Tenant, error) {
	for _, t := range s.tenants {
		if t.ID == id {
			return t, nil
		}
	}
	return fleet.Tenant{}, auth.MissingTenant(id)
}

// Sites lists a customer's sites.
func (s Fleet) Sites(_ context.Context, t ident.TenantID) ([]fleet.Site, error) {
	return s.sites[t], nil
}

// CreateTenant checks as the real one does.
func (s Fleet) CreateTenant(_ context.Context, _ time.Time, _ ident.Actor, t fleet.Tenant) error {
	return fleet.CheckTenant(t)
}

// PutTenant does nothing.
func (s Fleet) PutTenant(context.Context, time.Time, ident.Actor, fleet.Tenant) error { return nil }

// SetMode does nothing.
func (s Fleet) SetMode(context.Context, time.Time, ident.Actor, ident.TenantID, fleet.Mode, string) error {
	return nil
}

// PutSite does nothing.
func (s Fleet) PutSite(context.Context, time.Time, ident.Actor, fleet.Site) error { return nil }

// Devices lists.
func (s Fleet) Devices(_ context.Context, t ident.TenantID) ([]fleet.Device, error) {
	var out []fleet.Device
	for _, d := range s.devices {
		if d.Tenant == t {
			out = append(out, d)
		}
	}
	if t == "nordlicht" {
		out = append(out, s.memberDevices()...)
	}
	return out, nil
}

// Device finds one.
func (s Fleet) Device(ctx context.Context, t ident.TenantID, id ident.DeviceID) (fleet.Device, error) {
	all, _ := s.Devices(ctx, t)
	for _, d := range all {
		if d.ID == id {
			return d, nil
		}
	}
	return fleet.Device{}, missing()
}

// Revoke answers as the real one does.
func (s Fleet) Revoke(ctx context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeviceID, _ string) (fleet.Device, error) {
	return s.Device(ctx, t, id)
}

// Readmit refuses, as for a device that is active.
func (s Fleet) Readmit(context.Context, time.Time, ident.Actor, ident.TenantID, ident.DeviceID, string) (fleet.Device, error) {
	return fleet.Device{}, fault.Conflictf("the device is active already")
}

// Retire answers as the real one does.
func (s Fleet) Retire(ctx context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeviceID, _ string) (fleet.Device, error) {
	return s.Device(ctx, t, id)
}

// Reads is the view.
type Reads struct{ *World }

// Tenants lists customers with counts.
func (s Reads) Tenants(_ context.Context, scope ident.Scope, _ time.Time) ([]view.TenantRow, error) {
	var out []view.TenantRow
	for i, t := range s.tenants {
		if !scope.Has(t.ID) {
			continue
		}
		c := view.Counts{Devices: 341 - i*23, Online: 330 - i*23, Checked: 320 - i*23, Lacking: 40, FailedOn: i % 3, Undecided: i * 2 % 7, Stale: 2,
			States: view.States{patch.Verified: 900, patch.Approved: i * i % 11 * 9, patch.Failed: i % 3, patch.Installing: i % 2}, NeedSince: map[patch.State]time.Time{patch.Failed: Now.Add(-time.Hour)}}
		if i == 7 {
			c.States = view.States{}
		}
		out = append(out, view.TenantRow{Tenant: t, Counts: c})
	}
	return out, nil
}

// Overview is made of needs of each kind.
func (s Reads) Overview(ctx context.Context, scope ident.Scope, now time.Time) (view.Overview, error) {
	o := view.Overview{At: now}
	o.Customers, _ = s.Tenants(ctx, scope, now)
	for _, c := range o.Customers {
		o.Total = o.Total.Add(c.Counts)
	}
	if s.kind == Empty || len(o.Customers) == 0 {
		return o, nil
	}
	o.Needs = []view.Need{
		{Kind: view.NeedHalted, Tenant: "nordlicht", ID: id(901), Name: s.name("googlechrome 154.0.8187.63"), Count: 512, Reason: s.deps[1].Reason, Since: now.Add(-8 * time.Minute)},
		{Kind: view.NeedConflict, Tenant: s.devices[23].Tenant, ID: id(23), Name: s.devices[23].Hostname, Count: 1, Reason: s.devices[23].Reason, Since: now.Add(-35 * time.Minute)},
		{Kind: view.NeedFailed, Tenant: "blue-fen", Name: s.name("Blue Fen Housing"), Count: 3, Since: now.Add(-2 * time.Hour)},
		{Kind: view.NeedSilent, Tenant: s.devices[16].Tenant, ID: id(16), Name: s.devices[16].Hostname, Count: 1, Reason: s.devices[16].Reason, Since: now.AddDate(0, 0, -1)},
		{Kind: view.NeedUndecided, Name: s.name("adobereader 26.001.20311"), Count: 2266, Since: now.AddDate(0, 0, -4), Release: patch.Release{Source: "chocolatey", Package: "adobereader", Version: "26.001.20311"}},
		{Kind: view.NeedUndecided, Name: s.name("7zip 26.02"), Count: 1911, Since: now.AddDate(0, 0, -5), Release: patch.Release{Source: "chocolatey", Package: "7zip", Version: "26.02"}},
	}
	for i, t := range o.Customers {
		opens := now.Truncate(time.Hour).Add(time.Duration(i*2-1) * time.Hour)
		o.Tonight = append(o.Tonight, view.Tonight{Tenant: t.ID, Planned: deployment.Planned{Policy: "desktops-weekly", Site: ident.MainSite, Opens: opens, Closes: opens.Add(4 * time.Hour), Devices: make([]ident.DeviceID, 331-i*20), ExpectedMinutes: 40}})
	}
	return o, nil
}

// Device is one with everything.
func (s Reads) Device(ctx context.Context, scope ident.Scope, t ident.TenantID, id ident.DeviceID) (view.Device, error) {
	d, err := Fleet(s).Device(ctx, t, id)
	if err != nil || !scope.HasSite(t, d.Site) {
		return view.Device{}, missing()
	}
	tenant, _ := Fleet(s).Tenant(ctx, t)
	out := view.Device{Device: d, TenantName: tenant.Name, SiteName: s.sites[t][0].Name, Location: fleet.Location(tenant, s.sites[t][0], d), States: view.States{}}
	if d.State == fleet.Pending {
		return out, nil
	}
	out.Sections = s.sections()
	for _, u := range s.updates(t, id) {
		out.Updates = append(out.Updates, view.DeviceUpdate{Update: u, Policy: "desktops-weekly"})
		out.States[u.State]++
	}
	effective, err := policy.Resolve(t, ident.MainSite, s.documents(t))
	if err != nil {
		return out, err
	}
	for _, e := range effective {
		out.Policies = append(out.Policies, view.DevicePolicy{Effective: e, Rules: []string{"chocolatey"}})
	}
	for _, signal := range []string{wire.SignalCPUUtilization, wire.SignalMemoryUtilization, wire.SignalFilesystemUtilization, wire.SignalNetworkIO} {
		for _, one := range s.series(signal, Now.Add(-24*time.Hour), Now) {
			out.Latest = append(out.Latest, telemetry.Reading{Signal: signal, Attributes: one.Attributes, Unit: one.Unit, Point: one.Points[len(one.Points)-1]})
		}
	}
	return out, nil
}

// Policies reads documents and what follows.
func (s Reads) Policies(_ context.Context, _ ident.Scope, t ident.TenantID) (view.PolicyPage, error) {
	docs := s.documents(t)
	effective, err := policy.Resolve(t, "", docs)
	return view.PolicyPage{Documents: docs, Effective: effective, Targets: map[string]int{"desktops-weekly": 412}, Decisions: s.decisions(t)}, err
}

func (w *World) decisions(t ident.TenantID) []policy.Manually {
	if w.kind == Empty {
		return nil
	}
	return []policy.Manually{{Tenant: t, ID: id(1), Action: policy.Deny, Source: "chocolatey", Package: "sql-server*", Reason: w.name("SQL needs a DBA"), By: ident.Actor{Kind: ident.Person, Name: "Priya"}, At: Now.AddDate(0, 0, -4)}}
}

// Timeline is a few lines of each kind.
func (s Reads) Timeline(context.Context, ident.Scope, ident.TenantID, ident.DeviceID, string, int) ([]view.Event, string, error) {
	if s.kind == Empty {
		return nil, "", nil
	}
	return []view.Event{
		{At: Now.Add(-72 * time.Minute), Kind: view.EventUpdate, To: string(patch.Failed), Reason: reason.New(reason.InstallFailed, "error", s.name("exit 1603")), Release: patch.Release{Source: "chocolatey", Package: s.name("firefox"), Version: "158.0.1"}},
		{At: Now.Add(-80 * time.Minute), Kind: view.EventJob, To: string(job.Running), Reason: reason.New(reason.JobStarted), Job: ident.JobID(id(5000))},
		{At: Now.Add(-9 * time.Hour), Kind: view.EventInventory, Section: "software", Key: s.name("chocolatey:7zip"), Before: map[string]string{"version": "24.09"}, After: map[string]string{"version": "25.01"}},
		{At: Now.Add(-47 * time.Hour), Kind: view.EventPresence, From: "offline", To: "online"},
		{At: Now.Add(-48 * time.Hour), Kind: view.EventDevice, Action: "device.readmitted", By: ident.Actor{Kind: ident.Person, Name: s.name("Priya Nair")}, Why: s.name("the clone was found")},
	}, "next-page", nil
}

// Documents lists.
func (s Reads) Documents(_ context.Context, scope ident.Scope, t ident.TenantID) ([]policy.Document, error) {
	if t == "" && scope.Has("nordlicht") {
		t = "nordlicht"
	}
	return s.documents(t), nil
}

// Lookup knows every id as a device of nordlicht.
func (s Reads) Lookup(_ context.Context, scope ident.Scope, text string) (view.Kind, ident.TenantID, error) {
	if s.kind == Empty || !ident.ValidID(text) || !scope.Has("nordlicht") {
		return "", "", missing()
	}
	return view.KindDevice, "nordlicht", nil
}

// Lists is the view's lists.
type Lists struct{ *World }

func (s Lists) rows(scope ident.Scope, q view.Query) []view.DeviceRow {
	var out []view.DeviceRow
	for _, d := range s.devices {
		if !scope.Has(d.Tenant) || q.Tenant != "" && q.Tenant != d.Tenant || len(q.Filter.Terms) > 0 && d.Class != fleet.Server {
			continue
		}
		r := view.DeviceRow{Tenant: d.Tenant, ID: d.ID, Site: d.Site, SiteName: s.sites[d.Tenant][0].Name, Hostname: d.Hostname, Class: d.Class, OS: d.OS, State: d.State, Reason: d.Reason, Online: d.Online, LastSeen: d.LastSeen, AgentVersion: d.AgentVersion}
		for _, t := range s.tenants {
			if t.ID == d.Tenant {
				r.TenantName = t.Name
			}
		}
		states := []patch.State{patch.Failed, patch.RebootPending, patch.Available, "", patch.Scheduled, patch.Waiting, patch.Installing, "", patch.Unknown}
		if r.Worst = states[len(out)%len(states)]; r.Worst != "" && d.State != fleet.Pending {
			r.Available, r.WorstReason = len(out)%9+1, reason.New(reason.NotApproved)
		} else {
			r.Worst = ""
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b view.DeviceRow) int { return strings.Compare(a.Hostname, b.Hostname) })
	return out
}

// Devices lists.
func (s Lists) Devices(_ context.Context, scope ident.Scope, q view.Query) ([]view.DeviceRow, string, error) {
	rows := s.rows(scope, q)
	return rows[:min(50, len(rows))], map[bool]string{true: "more", false: ""}[len(rows) > 50], nil
}

// CountDevices counts.
func (s Lists) CountDevices(_ context.Context, scope ident.Scope, q view.Query) (int, error) {
	return len(s.rows(scope, q)), nil
}

// Releases lists.
func (s Lists) Releases(_ context.Context, scope ident.Scope, q view.ReleaseQuery) ([]view.ReleaseRow, string, error) {
	rows := releases(s.World)
	if q.Package != "" {
		rows = slices.DeleteFunc(rows, func(r view.ReleaseRow) bool { return !strings.Contains(r.Package, q.Package) })
	}
	return rows, "", nil
}

// Updates lists those of one release.
func (s Lists) Updates(_ context.Context, _ ident.Scope, q view.UpdateQuery) ([]view.UpdateRow, string, error) {
	var out []view.UpdateRow
	states := []patch.State{patch.Installing, patch.Downloading, patch.RebootPending, patch.Installing}
	for i := range 60 {
		if s.kind == Empty {
			break
		}
		d := s.memberDevices()[122+i]
		out = append(out, view.UpdateRow{Hostname: d.Hostname, Site: d.Site, Update: patch.Update{Tenant: "nordlicht", Device: d.ID, Release: patch.Release{Source: q.Source, Package: q.Package, Version: q.Version}, Installed: "157.0.2", State: states[i%4]}})
	}
	return out[:min(len(out), max(q.Limit, 1))], "", nil
}

// Policies is decisions.
type Policies struct{ *World }

// Decide does nothing.
func (s Policies) Decide(context.Context, time.Time, ident.Actor, policy.Manually) error { return nil }

// Jobs is jobs.
type Jobs struct{ *World }

// Job finds any.
func (s Jobs) Job(_ context.Context, t ident.TenantID, id ident.JobID) (job.Job, error) {
	if s.kind == Empty || t != "nordlicht" {
		return job.Job{}, missing()
	}
	return s.job(id), nil
}

// List lists two.
func (s Jobs) List(context.Context, ident.Scope, job.Filter, string, int) ([]job.Job, string, error) {
	if s.kind == Empty {
		return nil, "", nil
	}
	done := s.job(ident.JobID(id(5001)))
	done.State, done.Reason = job.Succeeded, reason.New(reason.JobFinished, "verified", "1", "failed", "0", "other", "0")
	return []job.Job{s.job(ident.JobID(id(5000))), done}, "", nil
}

// History is a job's way.
func (s Jobs) History(context.Context, ident.TenantID, ident.JobID) ([]job.Transition, error) {
	return []job.Transition{
		{Seq: 1, To: job.Queued, Reason: reason.New(reason.JobSubmitted, "until", reason.Time(Now.Add(-18*time.Minute))), At: Now.Add(-20 * time.Minute)}, {Seq: 2, To: job.Leased, Reason: reason.New(reason.JobLeased, "until", reason.Time(Now.Add(-15*time.Minute))), At: Now.Add(-16 * time.Minute)},
		{Seq: 3, To: job.Running, Reason: reason.New(reason.JobStarted), At: Now.Add(-15 * time.Minute)}, {Seq: 4, To: job.Failed, Reason: reason.New(reason.JobFailed, "error", s.name("exit 1618: another installation is running")), At: Now.Add(-13 * time.Minute)},
	}, nil
}

// Log is what a source printed.
func (s Jobs) Log(context.Context, ident.TenantID, ident.JobID) ([]job.LogPart, error) {
	return []job.LogPart{{Attempt: 1, Source: "chocolatey", Package: "firefox", Text: "choco upgrade firefox --version=158.0.1\nDownloading 71 MB\n" + s.name("ERROR: exit 1618\n"), At: Now}}, nil
}

// Cancel does nothing.
func (s Jobs) Cancel(context.Context, time.Time, ident.Actor, ident.TenantID, ident.JobID, reason.Reason) error {
	return nil
}

// Record is an audit log.
type Record struct{ *World }

// List lists.
func (s Record) List(_ context.Context, scope ident.Scope, _ audit.Filter, _ ident.EntryID, _ int) ([]audit.Listed, ident.EntryID, error) {
	var out []audit.Listed
	for i := range 40 {
		if s.kind == Empty {
			break
		}
		e := audit.Listed{Seq: uint64(4000 - i), Entry: audit.Entry{Tenant: s.tenants[i%3].ID, ID: ident.EntryID(id(i)), At: Now.Add(-time.Duration(i*37) * time.Minute), Actor: ident.Actor{Kind: ident.Person, ID: id(1), Name: s.name("Priya Nair")},
			Action: []string{"deployment.halted", "device.revoked", "policy.changed", "update.approved", "person.invited", "session.opened"}[i%6], Object: audit.Object{Kind: "device", ID: id(i), Name: s.name("ash-sql-01")}, Reason: s.name("GPU driver 31.0.101")}}
		if i == 0 {
			e.Seq = 0
		}
		if i == 7 {
			e.Erased = true
		}
		if scope.Has(e.Tenant) {
			out = append(out, e)
		}
	}
	return out, "next", nil
}

// Enrollments lets devices in.
type Enrollments struct{ *World }

// Create gives a string.
func (s Enrollments) Create(_ context.Context, t ident.TenantID, by ident.Actor, d pki.Draft, now time.Time) (pki.Enrollment, string, error) {
	return pki.Enrollment{ID: ident.EnrollmentID(id(8000)), Tenant: t, Site: d.Site, Uses: max(d.Uses, 1), ExpiresAt: now.Add(24 * time.Hour), CreatedBy: by, CreatedAt: now}, "stw1-04w6gq7zt2mkdv8r5c3xj6n0b9hty4p1s2f3g4h5j6k7m8n9p0q1r2s3t4v5w6x7y8z9a0b1c2d3e4f5g6h7", nil
}

// List lists one.
func (s Enrollments) List(_ context.Context, scope ident.Scope) ([]pki.Enrollment, error) {
	if s.kind == Empty || !scope.Has("nordlicht") {
		return nil, nil
	}
	return []pki.Enrollment{{ID: ident.EnrollmentID(id(8000)), Tenant: "nordlicht", Site: ident.MainSite, Uses: 25, Used: 3, ExpiresAt: Now.Add(20 * time.Hour), CreatedBy: ident.Actor{Name: s.name("Priya Nair")}, CreatedAt: Now.Add(-4 * time.Hour)}}, nil
}

// Revoke does nothing.
func (s Enrollments) Revoke(context.Context, ident.TenantID, ident.Actor, ident.EnrollmentID, time.Time) error {
	return nil
}

// Samples are curves.
type Samples struct{ *World }

// Read draws one.
func (s Samples) Read(_ context.Context, _ ident.TenantID, _ ident.DeviceID, from, to time.Time, signals ...string) ([]telemetry.Series, error) {
	return s.series(signals[0], from, to), nil
}

// Applier plans one change whatever is asked.
type Applier struct{ *World }

// Run says what would change.
func (s Applier) Run(context.Context, time.Time, apply.Request) ([]apply.Change, error) {
	return []apply.Change{{Kind: apply.PatchPolicy, Tenant: "nordlicht", Name: s.name("desktops-weekly"), Action: apply.Update, Effects: []string{"windows: every Tuesday 22:00 for 4 h, was every Wednesday", s.name("41 devices move to Tuesday")}}}, nil
}
