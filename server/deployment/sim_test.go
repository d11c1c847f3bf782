package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/wake"
)

const acme ident.TenantID = "acme"

// sim is a small world around a Service: a fleet, its updates and jobs as the
// other rooms keep them, and devices that follow the agent's rules.
type sim struct {
	s       *Service
	store   *memoryStore
	now     time.Time
	tenant  fleet.Tenant
	sites   []fleet.Site
	devices map[ident.DeviceID]*fleet.Device
	docs    []policy.Document
	hand    []policy.Manually
	rev     int
	updates map[ident.DeviceID]map[patch.Release]*patch.Update
	jobs    map[ident.JobID]*job.Job
	running map[ident.JobID]time.Time // on the device: when it will be done
	told    map[ident.JobID]bool      // the device said that it started
	runs    map[string]ident.RunID
	opened  map[string]bool // deployment and ring: had its first start
	audits  []audit.Entry

	consent reason.Code // a gatekeeper that consents where it should refuse for this
	endsTwo bool        // jobs tell their end twice
	broken  []string    // promises that were not kept
	starts  int
}

func newSim(now time.Time) *sim {
	m := &sim{store: newMemoryStore(), now: now, tenant: fleet.Tenant{ID: acme, TimeZone: "Europe/Paris", Mode: fleet.Live},
		sites:   []fleet.Site{{Tenant: acme, ID: ident.MainSite}, {Tenant: acme, ID: "branch", TimeZone: "America/New_York"}},
		devices: map[ident.DeviceID]*fleet.Device{}, updates: map[ident.DeviceID]map[patch.Release]*patch.Update{},
		jobs: map[ident.JobID]*job.Job{}, running: map[ident.JobID]time.Time{}, told: map[ident.JobID]bool{}, runs: map[string]ident.RunID{}, opened: map[string]bool{}}
	m.s = New(Options{Store: m.store, Lists: m.store, Fleet: simFleet{m}, Policies: simPolicies{m}, Inventory: simInventory{m}, Updates: simUpdates{m}, Jobs: simJobs{m},
		Tx:    func(ctx context.Context, f func(context.Context) error) error { return f(ctx) },
		After: func(_ context.Context, f func()) { f() }, Audit: m, Wake: &wake.Hub{}})
	return m
}

func (m *sim) Record(_ context.Context, e audit.Entry) error {
	m.audits = append(m.audits, e)
	return nil
}

func (m *sim) fail(format string, args ...any) {
	m.broken = append(m.broken, m.now.Format("02T15:04:05 ")+fmt.Sprintf(format, args...))
}

func (m *sim) put(name string, fields string) {
	m.rev++
	var f map[string]json.RawMessage
	if err := json.Unmarshal([]byte(fields), &f); err != nil {
		panic(err)
	}
	m.docs = slices.DeleteFunc(m.docs, func(d policy.Document) bool { return d.Name == name })
	m.docs = append(m.docs, policy.Document{Tenant: acme, Name: name, Fields: f})
	if err := policy.Check(m.docs[len(m.docs)-1]); err != nil {
		panic(err)
	}
}

func (m *sim) add(id string, class fleet.Class, site ident.SiteID, tags ...string) {
	m.devices[ident.DeviceID(id)] = &fleet.Device{Tenant: acme, ID: ident.DeviceID(id), Site: site, Class: class, Tags: tags, State: fleet.Active,
		Online: true, LastSeen: m.now, OnlineSince: m.now, EnrolledAt: m.now.Add(-time.Hour)}
	m.updates[ident.DeviceID(id)] = map[patch.Release]*patch.Update{}
}

// offer lets a device's scan find a release; an older version of it goes away.
func (m *sim) offer(id ident.DeviceID, r patch.Release) {
	for old, u := range m.updates[id] {
		if old.Source == r.Source && old.Package == r.Package && old.Version != r.Version && u.State.Open() {
			u.Offered = false
			if !u.State.UnderWay() {
				*u = u.Move(patch.Superseded, reason.New(reason.SupersededBy, "version", r.Version), m.now)
			}
		}
	}
	if m.updates[id][r] == nil {
		m.updates[id][r] = &patch.Update{Tenant: acme, Device: id, Release: r, Installed: "0", Kind: inventory.Quality, Offered: true,
			State: patch.Approved, Since: m.now, FirstSeen: m.now, Reason: reason.New(reason.FirstSeen)}
	}
}

func (m *sim) tick() {
	if err := m.s.Tick(context.Background(), m.now, acme); err != nil {
		m.fail("tick: %v", err)
	}
}

// ---- the other rooms

type simFleet struct{ *sim }

func (f simFleet) Tenants(context.Context) ([]fleet.Tenant, error) {
	return []fleet.Tenant{f.tenant}, nil
}
func (f simFleet) Tenant(context.Context, ident.TenantID) (fleet.Tenant, error) {
	return f.tenant, nil
}
func (f simFleet) Sites(context.Context, ident.TenantID) ([]fleet.Site, error) { return f.sites, nil }
func (f simFleet) Devices(context.Context, ident.TenantID) (out []fleet.Device, _ error) {
	for _, id := range slices.Sorted(maps.Keys(f.devices)) {
		out = append(out, *f.devices[id])
	}
	return out, nil
}
func (f simFleet) Device(_ context.Context, _ ident.TenantID, id ident.DeviceID) (fleet.Device, error) {
	if d := f.devices[id]; d != nil {
		return *d, nil
	}
	return fleet.Device{}, fault.NotFoundf("no device")
}
func (f simFleet) Presence(context.Context, ident.TenantID, time.Time) ([]fleet.Presence, error) {
	return nil, nil
}

type simPolicies struct{ *sim }

func (p simPolicies) Documents(context.Context, ident.TenantID) ([]policy.Document, error) {
	return p.docs, nil
}
func (p simPolicies) Decisions(context.Context, ident.TenantID) ([]policy.Manually, error) {
	return p.hand, nil
}
func (p simPolicies) Revision(context.Context, ident.TenantID) (string, error) {
	return fmt.Sprint(p.rev), nil
}

type simInventory struct{ *sim }

func (i simInventory) Release(_ context.Context, source, pkg, version string) (inventory.Release, bool, error) {
	return inventory.Release{Source: source, Package: pkg, Version: version, Kind: inventory.Quality, FirstSeen: time.Unix(0, 0)}, true, nil
}
func (i simInventory) Scan(_ context.Context, _ ident.TenantID, id ident.DeviceID) (inventory.Scan, error) {
	return inventory.Scan{At: i.devices[id].LastSeen, Sources: []inventory.Source{{Name: "apt", Available: true}}}, nil
}

type simUpdates struct{ *sim }

func (u simUpdates) Open(ctx context.Context, tenant ident.TenantID) (out []patch.Update, _ error) {
	for _, id := range slices.Sorted(maps.Keys(u.updates)) {
		list, _ := u.Updates(ctx, tenant, id)
		for _, up := range list {
			if up.State.Open() {
				out = append(out, up)
			}
		}
	}
	return out, nil
}
func (u simUpdates) Updates(_ context.Context, _ ident.TenantID, id ident.DeviceID) (out []patch.Update, _ error) {
	for _, up := range u.updates[id] {
		out = append(out, *up)
	}
	slices.SortFunc(out, func(a, b patch.Update) int { return strings.Compare(a.Package+a.Version, b.Package+b.Version) })
	return out, nil
}
func (u simUpdates) each(r patch.Release, f func(*patch.Update)) error {
	for _, list := range u.updates {
		if up := list[r]; up != nil {
			f(up)
		}
	}
	return nil
}
func (u simUpdates) Halt(_ context.Context, now time.Time, _ ident.TenantID, r patch.Release, why reason.Reason) error {
	return u.each(r, func(up *patch.Update) {
		if up.State == patch.Approved || up.State == patch.Scheduled {
			*up = up.Move(patch.Halted, why, now)
		}
	})
}
func (u simUpdates) Release(_ context.Context, now time.Time, _ ident.TenantID, r patch.Release, why reason.Reason) error {
	return u.each(r, func(up *patch.Update) {
		if up.State == patch.Halted {
			*up = up.Move(patch.Approved, why, now)
		}
	})
}
func (u simUpdates) Schedule(_ context.Context, now time.Time, _ ident.TenantID, id ident.DeviceID, rs []patch.Release, until time.Time, j ident.JobID) error {
	for _, r := range rs {
		if up := u.updates[id][r]; up != nil && (up.State == patch.Approved || up.State == patch.Failed || up.State == patch.Scheduled) {
			*up = up.Move(patch.Scheduled, reason.New(reason.ScheduledFor, "until", reason.Time(until)), now)
			up.Job = j
		}
	}
	return nil
}
func (u simUpdates) Unschedule(_ context.Context, now time.Time, _ ident.TenantID, id ident.DeviceID, j ident.JobID, why reason.Reason) error {
	for _, up := range u.updates[id] {
		if up.Job == j && up.State == patch.Scheduled {
			*up = up.Move(patch.Approved, why, now)
		}
	}
	return nil
}
func (u simUpdates) ReconcileTenant(context.Context, time.Time, ident.TenantID) error { return nil }
func (u simUpdates) Minutes(context.Context, patch.Release) (time.Duration, bool, error) {
	return 0, false, nil
}

type simJobs struct{ *sim }

func (j simJobs) Submit(ctx context.Context, now time.Time, spec job.Spec) (job.Job, error) {
	run := spec.Run.Policy + string(spec.Run.Site) + spec.Run.Opens.String()
	if j.runs[run] == "" {
		j.runs[run] = ident.RunID(ident.New(now))
	}
	for _, old := range j.jobs {
		if old.Run == j.runs[run] && old.Device == spec.Device && !old.State.Final() {
			return *old, nil
		}
	}
	if spec.StartBy.Before(spec.NotBefore) || now.After(spec.StartBy) || spec.Deadline.Before(spec.StartBy) {
		j.fail("a job without a time to start: %+v", spec)
	}
	made := job.Job{Tenant: acme, ID: ident.JobID(fmt.Sprintf("job-%06d", len(j.jobs)+1)), Run: j.runs[run], Policy: spec.Run.Policy, Site: spec.Run.Site,
		Device: spec.Device, Kind: spec.Kind, Attempt: 1, Attempts: 1, NotBefore: spec.NotBefore, StartBy: spec.StartBy, Deadline: spec.Deadline,
		Alone: spec.Alone, Releases: slices.Clone(spec.Releases), CreatedAt: now}
	j.jobs[made.ID] = &made
	return made, j.move(ctx, &made, job.Queued, spec.Reason)
}
func (j simJobs) Cancel(ctx context.Context, _ time.Time, _ ident.Actor, _ ident.TenantID, id ident.JobID, why reason.Reason) error {
	old := j.jobs[id]
	switch old.State {
	case job.Queued:
		return j.move(ctx, old, job.Cancelled, why)
	case job.Leased:
		return j.move(ctx, old, job.Cancelling, why)
	case job.Cancelling:
		return nil
	}
	return fault.Conflictf("is %s", old.State)
}
func (j simJobs) list(want func(*job.Job) bool) (out []job.Job) {
	for _, id := range slices.Sorted(maps.Keys(j.jobs)) {
		if want(j.jobs[id]) {
			c := *j.jobs[id]
			c.Releases = slices.Clone(c.Releases)
			out = append(out, c)
		}
	}
	return out
}
func (j simJobs) Open(_ context.Context, now time.Time, _ ident.TenantID) ([]job.Job, error) {
	return j.list(func(x *job.Job) bool { return !x.State.Final() || now.Sub(x.FinishedAt) < 24*time.Hour }), nil
}
func (j simJobs) OfDevice(_ context.Context, _ ident.TenantID, id ident.DeviceID) ([]job.Job, error) {
	return j.list(func(x *job.Job) bool { return x.Device == id && !x.State.Final() }), nil
}
func (j simJobs) Busy(_ context.Context, _ ident.TenantID, id ident.DeploymentID) ([]job.Job, error) {
	return j.list(func(x *job.Job) bool {
		return x.Has(id) && (x.State == job.Running || x.State.Held() && x.MayHaveStarted())
	}), nil
}
func (j simJobs) Changed(_ context.Context, _ ident.TenantID, since time.Time) (int, error) {
	seen := map[ident.DeviceID]bool{}
	for _, x := range j.jobs {
		if x.ChangedAt.After(since) || x.Alone && x.State.Held() && !x.LeasedAt.IsZero() {
			seen[x.Device] = true
		}
	}
	return len(seen), nil
}

func (m *sim) move(ctx context.Context, j *job.Job, to job.State, why reason.Reason) error {
	from := j.State
	next, err := j.Move(to, why, m.now)
	if err != nil {
		m.fail("job %s: %v", j.ID, err)
		return nil
	}
	*j = next
	if to == job.Cancelled || to == job.Expired {
		for i := range j.Releases {
			if j.Releases[i].Result == "" {
				j.Releases[i].Result = wire.ResultNotStarted
			}
		}
	}
	for range 1 + rank(m.endsTwo && to.Final()) {
		if err := m.s.JobMoved(ctx, m.now, *j, from); err != nil {
			m.fail("job moved: %v", err)
		}
	}
	return nil
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ---- devices

// lease is a device in contact asking what it should hold.
func (m *sim) lease(id ident.DeviceID) {
	ctx := context.Background()
	for _, j := range (simJobs{m}).list(func(x *job.Job) bool { return x.Device == id && !x.State.Final() }) {
		x := m.jobs[j.ID]
		switch {
		case x.State == job.Queued && !m.now.After(x.StartBy) && x.NotBefore.Sub(m.now) <= 24*time.Hour:
			why, err := m.s.MayLease(ctx, m.now, j)
			if err != nil {
				m.fail("lease: %v", err)
			}
			if why.IsZero() || why.Code == m.consent {
				x.LeasedAt = m.now
				_ = m.move(ctx, x, job.Leased, reason.New(reason.JobLeased, "until", reason.Time(x.NotBefore)))
				m.checkGrant(x, "lease")
			}
		case x.State == job.Cancelling && m.running[x.ID].IsZero():
			_ = m.move(ctx, x, job.Cancelled, x.Reason)
		case x.State == job.Cancelling:
			m.tellStart(x)
		}
	}
}

func (m *sim) tellStart(x *job.Job) {
	if m.told[x.ID] {
		return
	}
	m.told[x.ID] = true
	x.StartedAt, x.ChangedAt = m.now, m.now
	if x.State == job.Unknown {
		return // its end closes it
	}
	_ = m.move(context.Background(), x, job.Running, reason.New(reason.JobStarted))
}

// start is a device trying to start what it holds; fate says how long it takes.
func (m *sim) start(id ident.DeviceID, takes time.Duration) {
	for _, j := range (simJobs{m}).list(func(x *job.Job) bool { return x.Device == id && x.State == job.Leased }) {
		x := m.jobs[j.ID]
		if !m.running[x.ID].IsZero() || m.now.After(x.StartBy) || m.busy(id) {
			continue
		}
		if !m.devices[id].Online {
			if x.Alone && m.now.After(x.NotBefore.Add(2*time.Minute)) {
				m.begin(x, takes)
			}
			continue
		}
		if m.now.Before(x.NotBefore) && m.consent != reason.OutsideWindow {
			continue
		}
		a := m.ask(x)
		switch {
		case a.Verdict == job.Start || a.Reason.Code == m.consent:
			x.GrantedAt, x.ChangedAt = m.now, m.now
			m.begin(x, takes)
			m.checkGrant(x, "start")
			m.tellStart(x)
		case a.Verdict == job.Withdrawn:
			_ = m.move(context.Background(), x, job.Cancelling, a.Reason)
		}
	}
}

func (m *sim) busy(id ident.DeviceID) bool {
	for j := range m.running {
		if m.jobs[j].Device == id {
			return true
		}
	}
	return false
}

func (m *sim) begin(x *job.Job, takes time.Duration) {
	m.running[x.ID] = m.now.Add(takes)
	m.starts++
	m.checkStart(x)
}

// finish lets a device in contact tell of what is done, and scan again.
func (m *sim) finish(id ident.DeviceID, result func(patch.Release) wire.ResultState) {
	for _, j := range (simJobs{m}).list(func(x *job.Job) bool { return x.Device == id }) {
		x := m.jobs[j.ID]
		done, ok := m.running[x.ID]
		if !ok || m.now.Before(done) || !m.devices[id].Online || x.State.Final() {
			continue
		}
		m.tellStart(x)
		delete(m.running, x.ID)
		failed := false
		for i := range x.Releases {
			r := &x.Releases[i]
			rel := patch.Release{Source: r.Source, Package: r.Package, Version: r.Version}
			u := m.updates[id][rel]
			r.Result, r.EndedAt = result(rel), m.now
			if !u.Offered {
				r.Result = wire.ResultSuperseded
			}
			switch r.Result {
			case wire.ResultVerified:
				u.Offered = false
				*u = u.Move(patch.Verified, reason.New(reason.VerifiedByScan, "version", rel.Version), m.now)
			case wire.ResultFailed:
				failed = true
				u.Tries++
				*u = u.Move(patch.Failed, reason.New(reason.InstallFailed, "error", "1603"), m.now)
			case wire.ResultSuperseded:
				*u = u.Move(patch.Superseded, reason.New(reason.GoneFromScan), m.now)
			default:
				*u = u.Move(patch.Approved, reason.New(reason.NotStarted, "why", string(r.Result)), m.now)
			}
		}
		to, why := job.Succeeded, reason.New(reason.JobFinished)
		if failed {
			to, why = job.Failed, reason.New(reason.JobFailed, "error", "1603")
		}
		_ = m.move(context.Background(), x, to, why)
	}
}

// rescue ends jobs whose time has passed.
func (m *sim) rescue() {
	for _, x := range m.jobs {
		switch {
		case x.State == job.Queued && m.now.After(x.StartBy):
			_ = m.move(context.Background(), x, job.Expired, reason.New(reason.JobExpired, "until", reason.Time(x.StartBy)))
		case (x.State == job.Leased || x.State == job.Cancelling) && !x.MayHaveStarted() && m.now.After(x.StartBy.Add(wire.LeaseGrace)) && m.running[x.ID].IsZero():
			to := job.Expired
			if x.State == job.Cancelling {
				to = job.Cancelled
			}
			_ = m.move(context.Background(), x, to, reason.New(reason.JobExpired, "until", reason.Time(x.StartBy)))
		case !x.State.Final() && x.State != job.Unknown && x.State != job.Queued && x.MayHaveStarted() && m.now.After(x.Deadline.Add(wire.UnknownAfter)):
			_ = m.move(context.Background(), x, job.Unknown, reason.New(reason.NoReport, "since", reason.Time(m.now)))
		case x.State == job.Unknown && m.running[x.ID].IsZero() && m.devices[x.Device].Online:
			_ = m.move(context.Background(), x, job.Expired, reason.New(reason.JobExpired, "until", reason.Time(x.StartBy)))
		}
	}
}
