package deployment

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

var (
	evening = time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC)
	curl    = patch.Release{Source: "apt", Package: "curl", Version: "2"}
	vim     = patch.Release{Source: "apt", Package: "vim", Version: "9"}
	ada     = ident.Actor{Kind: ident.Person, ID: "ada", Name: "Ada"}
)

// office is ten devices in contact that need curl, under a policy of two rings
// whose window opens at 22:00 UTC.
func office() *sim {
	m := newSim(evening)
	for _, id := range strings.Fields("d0 d1 d2 d3 d4 d5 d6 d7 d8 d9") {
		m.add(id, fleet.Workstation, ident.MainSite)
		m.offer(ident.DeviceID(id), curl)
	}
	m.put("night", `{"approvals":[{"match":{},"action":"approve"}],"windows":[{"cron":"0 22 * * *","duration":"4h","time_zone":"UTC"}],
		"rings":[{"name":"pilots","share":"20%"},{"name":"everyone","share":"100%"}],"jitter":"0s","alone":"never","limits":{"in_flight":"100%"}}`)
	return m
}

// pass lets minutes pass in which every device does what it should.
func (m *sim) pass(minutes int, result wire.ResultState) {
	for range minutes / 5 {
		m.now = m.now.Add(5 * time.Minute)
		m.rescue()
		m.tick()
		for id, d := range m.devices {
			d.LastSeen = m.now
			m.lease(id)
			m.start(id, 5*time.Minute)
			m.finish(id, func(patch.Release) wire.ResultState { return result })
		}
	}
	m.tick()
}

func (m *sim) only(t *testing.T) Deployment {
	t.Helper()
	list, _, err := m.s.List(context.Background(), ident.NewScopeAll(), Filter{}, "", 10)
	if err != nil || len(list) != 1 || len(m.broken) > 0 {
		t.Fatalf("%d deployments, %v, %v", len(list), err, m.broken)
	}
	d, err := m.s.Deployment(context.Background(), acme, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestARolloutWalksItsRingsToTheEnd(t *testing.T) {
	m := office()
	m.pass(60, wire.ResultVerified)
	if d := m.only(t); d.State != Running || d.Rings[0].State != RingActive || len(m.jobs) != 0 {
		t.Fatalf("before the window: %s, %+v, %d jobs", d.State, d.Rings, len(m.jobs))
	}
	m.pass(180, wire.ResultVerified)
	d := m.only(t)
	if d.State != Completed || d.Rings[0].Counts.Verified != 2 || d.Rings[1].Counts.Verified != 8 || d.EndedAt.IsZero() {
		t.Fatalf("%s, %+v", d.State, d.Rings)
	}
	events, err := m.s.Events(context.Background(), acme, d.ID, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for i, e := range events {
		if e.Seq != int64(i+1) || e.Reason.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
		if e.Subject != OfJob {
			words = append(words, e.To)
		}
	}
	want := []string{"running", "active", "soaking", "passed", "active", "soaking", "passed", "completed"}
	if !slices.Equal(words, want) {
		t.Errorf("history %v, want %v", words, want)
	}
	if jobs := len(events) - len(words); jobs != 10*4 { // queued, leased, running, succeeded
		t.Errorf("%d rows of jobs", jobs)
	}
}

func TestALatecomerTakesWhatHasCompleted(t *testing.T) {
	m := office()
	m.pass(240, wire.ResultVerified)
	m.add("late", fleet.Laptop, ident.MainSite)
	m.offer("late", curl)
	m.pass(24*60, wire.ResultVerified)
	d := m.only(t)
	i := slices.IndexFunc(d.Members, func(mem Member) bool { return mem.Device == "late" })
	if i < 0 || !d.Members[i].Late || d.Members[i].Result != wire.ResultVerified || d.State != Completed {
		t.Errorf("%s, %+v", d.State, d.Members)
	}
	if n := d.Rings[0].Counts.Devices + d.Rings[1].Counts.Devices; n != 11 {
		t.Errorf("%d devices counted", n)
	}
}

func TestABadReleaseHaltsAndTheOtherGoesOn(t *testing.T) {
	m := office()
	for id := range m.devices {
		m.offer(id, vim)
	}
	for range 60 {
		m.now = m.now.Add(5 * time.Minute)
		m.tick()
		for id := range m.devices {
			m.lease(id)
			m.start(id, 5*time.Minute)
			m.finish(id, func(r patch.Release) wire.ResultState {
				if r == curl {
					return wire.ResultFailed
				}
				return wire.ResultVerified
			})
		}
	}
	if len(m.broken) > 0 {
		t.Fatal(m.broken)
	}
	states := map[string]State{}
	for _, d := range m.store.heads {
		states[d.Release.Package] = d.State
	}
	if states["curl"] != Halted || states["vim"] != Completed {
		t.Fatalf("states %v", states)
	}
	halted, failed := 0, 0
	for _, list := range m.updates {
		switch list[curl].State {
		case patch.Halted:
			halted++
		case patch.Failed:
			failed++
		}
	}
	if halted != 8 || failed != 2 {
		t.Errorf("%d halted, %d failed", halted, failed)
	}
	if len(m.audits) != 1 || m.audits[0].Action != "deployment.halted" || m.audits[0].Actor.Kind != ident.System {
		t.Errorf("audited %+v", m.audits)
	}
}

func TestPeopleHoldADeploymentWithAReason(t *testing.T) {
	m, ctx := office(), context.Background()
	m.now = m.now.Add(2 * time.Hour)
	m.tick()
	for id := range m.devices {
		m.lease(id)
	}
	d := m.only(t)
	for _, why := range []string{"", strings.Repeat("x", 2000)} {
		if err := m.s.Pause(ctx, m.now, ada, acme, d.ID, why); !fault.Is(err, fault.Invalid) {
			t.Errorf("a reason of %d bytes: %v", len(why), err)
		}
	}
	if err := m.s.Pause(ctx, m.now, ada, "other", d.ID, "lunch"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant pauses it: %v", err)
	}
	if err := m.s.Pause(ctx, m.now, ada, acme, d.ID, "lunch"); err != nil {
		t.Fatal(err)
	}
	for _, j := range m.jobs { // at once, before any tick
		if a, err := m.s.MayStart(ctx, m.now, *j); a.Verdict != job.Withdrawn || a.Reason.Code != reason.DeploymentPaused || err != nil {
			t.Errorf("%+v, %v", a, err)
		}
	}
	m.tick()
	for _, j := range m.jobs {
		if j.State != job.Cancelling {
			t.Errorf("job is %s", j.State)
		}
	}
	if err := m.s.Pause(ctx, m.now, ada, acme, d.ID, "again"); !fault.Is(err, fault.Conflict) {
		t.Errorf("paused twice: %v", err)
	}
	if err := m.s.Resume(ctx, m.now, ada, acme, d.ID, "back"); err != nil {
		t.Fatal(err)
	}
	m.pass(120, wire.ResultVerified)
	if d := m.only(t); d.State != Completed {
		t.Errorf("resumed: %s, %+v", d.State, d.Rings)
	}
	var verbs []string
	for _, e := range m.audits {
		verbs = append(verbs, e.Action+": "+e.Reason)
	}
	if !slices.Equal(verbs, []string{"deployment.paused: lunch", "deployment.resumed: back"}) {
		t.Errorf("audited %v", verbs)
	}
}

func TestWhyHasOneOrderedAnswer(t *testing.T) {
	m := office()
	m.tick()
	m.devices["d0"].Online = false
	got, err := m.s.Why(context.Background(), m.now, acme, "d0")
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	e := got[0]
	last := len(e.Blockers) - 1
	if e.Policy != "night" || e.Decision.Action != policy.Approve || last < 1 || e.Blockers[last].Reason.Code != reason.Offline {
		t.Errorf("%+v", e)
	}
	if len(e.Checks) != 5 || e.Checks[0].About != "approval" || !e.Checks[0].Passed || e.Checks[4].Passed {
		t.Errorf("checks %+v", e.Checks)
	}
	if _, err := m.s.Why(context.Background(), m.now, acme, "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestTheForecastNamesWindowsAndConflicts(t *testing.T) {
	m := office()
	m.put("long", `{"targets":{"tags":["lab"]},"sources":["winget"],"windows":[{"cron":"0 23 * * *","duration":"15m","time_zone":"UTC"}],"approvals":[{"match":{},"action":"approve"}]}`)
	m.devices["d3"].Tags = []string{"lab"}
	m.offer("d3", patch.Release{Source: "winget", Package: "git", Version: "1"})
	got, err := m.s.Plan(context.Background(), m.now, acme, 2)
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	first := got[0]
	if first.Policy != "night" || len(first.Devices) != 10 || first.ExpectedMinutes != 17 || len(first.Conflicts) != 1 || got[2].ExpectedMinutes != 0 {
		t.Errorf("%+v", first)
	}
	if lab := got[1]; lab.Policy != "long" || len(lab.Devices) != 1 || len(lab.Conflicts) != 2 {
		t.Errorf("%+v", lab)
	}
	for _, days := range []int{0, 91} {
		if _, err := m.s.Plan(context.Background(), m.now, acme, days); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d days: %v", days, err)
		}
	}
}

func TestAQuietTenantIsLeftAlone(t *testing.T) {
	m, ctx := office(), context.Background()
	looks := func() time.Time { return m.s.tenants[acme].looked }
	for m.s.tenants[acme] == nil || m.s.tenants[acme].dirty { // what a look changed is looked at again
		m.now = m.now.Add(time.Second)
		if err := m.s.RunOnce(ctx, m.now); err != nil {
			t.Fatal(err)
		}
	}
	before := looks()
	if err := m.s.RunOnce(ctx, m.now.Add(time.Minute)); err != nil || !looks().Equal(before) {
		t.Errorf("looked at again: %v", err)
	}
	m.s.Dirty(acme)
	if err := m.s.RunOnce(ctx, m.now.Add(2*time.Minute)); err != nil || looks().Equal(before) {
		t.Errorf("not looked at though dirty: %v", err)
	}
	before = looks()
	if err := m.s.RunOnce(ctx, m.now.Add(8*time.Minute)); err != nil || looks().Equal(before) {
		t.Errorf("not looked at for five minutes: %v", err)
	}
	opens := time.Date(2026, 11, 20, 21, 45, 0, 0, time.UTC)
	if next := m.s.tenants[acme].next; !next.Equal(opens) {
		t.Errorf("next look %v, want %v", next, opens)
	}
}
