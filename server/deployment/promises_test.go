package deployment

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/window"
)

// world is the service's picture of the whole tenant with what only the moment
// knows filled in, as the gatekeeper has it for one device.
func (m *sim) world() *World {
	ctx := context.Background()
	w, err := m.s.load(ctx, m.now, acme)
	if err != nil {
		m.fail("load: %v", err)
		return nil
	}
	for i := range w.Devices {
		scan, _ := simInventory{m}.Scan(ctx, acme, w.Devices[i].ID)
		w.Devices[i].Scan = &scan
	}
	_ = m.s.blast(ctx, m.now, w)
	return w
}

// ask is MayStart, checked against what Blockers says of the whole tenant.
func (m *sim) ask(x *job.Job) job.Answer {
	a, err := m.s.MayStart(context.Background(), m.now, *x)
	if err != nil {
		m.fail("may start: %v", err)
	}
	w := m.world()
	empty, tolerated := 0, 0
	var list []Blocker
	for _, r := range x.Releases {
		b, ok := rollout.Blockers(m.now, w, x.Device, patch.Release{Source: r.Source, Package: r.Package, Version: r.Version})
		switch {
		case ok && len(b) == 0:
			empty++
		case ok && len(b) == 1 && b[0].Reason.Code == reason.DoesNotFit:
			tolerated++
		}
		list = append(list, b...)
	}
	want := empty > 0 && empty+tolerated == len(x.Releases)
	got := a.Verdict == job.Start || a.Reason.Code == m.consent
	if want != got {
		m.fail("starts exactly when Blockers is empty: job %s %v %+v, blockers %+v", x.ID, a.Verdict, a.Reason, list)
	}
	return a
}

// checkStart holds what is true of every start, with and without contact.
func (m *sim) checkStart(x *job.Job) {
	d := m.devices[x.Device]
	effs, _ := policy.Resolve(acme, d.Site, m.docs)
	i := slices.IndexFunc(effs, func(e policy.Effective) bool { return e.Name == x.Policy })
	site := m.sites[slices.IndexFunc(m.sites, func(s fleet.Site) bool { return s.ID == d.Site })]
	zone := fleet.Location(m.tenant, site, *d)
	if i < 0 && !x.Alone {
		m.fail("no start outside its window: %s has no policy", x.ID)
	}
	if i >= 0 && !x.Alone {
		if _, open := window.Contains(effs[i].Windows.Bind(zone, zone), nil, m.now); !open {
			m.fail("no start outside its window: job %s of %s", x.ID, x.Device)
		}
	}
	if m.now.Before(x.NotBefore) && m.consent != reason.OutsideWindow || m.now.After(x.StartBy) {
		m.fail("no start outside its window: job %s starts at %v, allowed %v to %v", x.ID, m.now, x.NotBefore, x.StartBy)
	}
	for _, r := range x.Releases {
		m.checkCanary(x, r.Deployment)
	}
}

// checkCanary: when a ring has its first start, whatever goes before has shown
// that it works.
func (m *sim) checkCanary(x *job.Job, id ident.DeploymentID) {
	head := m.store.heads[id]
	members := m.store.members[id]
	ring := members[x.Device].Ring
	if first := fmt.Sprint(id, ring); m.opened[first] {
		return
	} else {
		m.opened[first] = true
	}
	for before := range ring {
		counted, good := 0, 0
		for device, mem := range members {
			if mem.Ring != before || mem.Late || mem.Result == wire.ResultSuperseded || mem.Result == wire.ResultNotApplicable {
				continue
			}
			u := m.updates[device][head.Release]
			switch {
			case u.State == patch.Verified:
				counted, good = counted+1, good+1
			case u.State == patch.Superseded || u.Tries >= 3 || !m.devices[device].MayWork():
			default:
				counted++
			}
		}
		if counted > 0 && float64(good) < math.Min(0.6*float64(counted), 1) {
			m.fail("canary before the rest: %s in ring %d starts, %d of %d verified in ring %d\n%+v\n%+v", x.Device, ring, good, counted, before, members, m.story(id))
		}
	}
}

// story is a deployment's history in words.
func (m *sim) story(id ident.DeploymentID) (out string) {
	for _, r := range m.store.history[id] {
		out += fmt.Sprintln(r.At.Format("02T15:04"), r.Subject, r.ID, r.Device, r.From, "→", r.To, r.Reason.Text(time.UTC))
	}
	return out
}

// checkGrant holds what is true whenever a lease or a start was granted.
func (m *sim) checkGrant(x *job.Job, what string) {
	for _, r := range x.Releases {
		head := m.store.heads[r.Deployment]
		if head.State == Halted || head.State == Paused || head.State == Cancelled {
			m.fail("a halted ring gets no lease and no start: %s of job %s, deployment %s", what, x.ID, head.State)
		}
		for _, h := range m.hand {
			if h.Action == policy.Deny && h.Package == r.Package {
				m.fail("denied never leased: %s of job %s with %s", what, x.ID, r.Package)
			}
		}
		m.checkFlight(x, r.Deployment, head)
	}
}

func (m *sim) checkFlight(x *job.Job, id ident.DeploymentID, head Deployment) {
	members := m.store.members[id]
	ring, size, busy := members[x.Device].Ring, 0, 0
	for _, mem := range members {
		size += rank(mem.Ring == ring)
	}
	for _, j := range m.jobs {
		if j.Has(id) && members[j.Device].Ring == ring && j.HoldsSlot(m.now, m.devices[j.Device].Online) {
			busy++
		}
	}
	if limit := max(1, int(head.InFlight.Of(size))); busy > limit && x.HoldsSlot(m.now, true) {
		m.fail("never more in flight than allowed: %d of ring %d, limit %d", busy, ring, limit)
	}
}

// checkPlan holds what is true once nothing is left to plan: with a window
// open, a release has an unstarted job exactly when only the moment holds it.
func (m *sim) checkPlan() {
	w := m.world()
	held := map[string]bool{}
	for _, j := range w.Jobs {
		if (j.State == job.Queued || j.State == job.Leased && j.StartedAt.IsZero()) && !m.now.After(j.StartBy) {
			for _, r := range j.Releases {
				held[string(j.Device)+r.Package+r.Version] = true
			}
		}
	}
	for _, u := range w.Updates {
		list, _ := rollout.Blockers(m.now, w, u.Device, u.Release)
		standing := slices.DeleteFunc(slices.Clone(list), func(b Blocker) bool { return b.Moment })
		has := held[string(u.Device)+u.Package+u.Version]
		if len(standing) == 0 && !has {
			m.fail("starts exactly when Blockers is empty: %s on %s has no job, blockers %+v", u.Package, u.Device, list)
		}
		early := len(standing) == 1 && (standing[0].Reason.Code == reason.OutsideWindow || standing[0].Reason.Code == reason.DoesNotFit || standing[0].Reason.Code == reason.Blackout)
		if has && len(standing) > 0 && !early {
			m.fail("starts exactly when Blockers is empty: %s on %s has a job in spite of %+v", u.Package, u.Device, standing)
		}
	}
}

// checkHistory: numbers without gaps, and each job ends once.
func (m *sim) checkHistory() {
	for id, rows := range m.store.history {
		over := map[string]bool{}
		for i, r := range rows {
			if r.Seq != int64(i+1) {
				m.fail("history of %s: row %d has number %d", id, i, r.Seq)
			}
			if r.Subject != OfJob {
				continue
			}
			if over[r.ID] {
				m.fail("each job ends once: %s goes from %s to %s after its end", r.ID, r.From, r.To)
			}
			over[r.ID] = job.State(r.To).Final()
		}
	}
}

// checkTwice: a second look at the same moment changes nothing.
func (m *sim) checkTwice() {
	before := m.print()
	m.tick()
	if after := m.print(); before != after {
		stories := ""
		for id := range m.store.heads {
			stories += m.story(id) + "\n"
		}
		m.fail("a plan applied twice is a plan applied once:\n%s\n%s\n%s", before, after, stories)
	}
}

func (m *sim) print() string {
	out := ""
	for id, d := range m.store.heads {
		_ = id
		out += fmt.Sprint(d.State, d.Seq, len(m.store.members[id]))
	}
	return fmt.Sprint(len(out), len(m.jobs), len(m.audits), len(m.store.heads), m.rows())
}

func (m *sim) rows() (n int) {
	for _, rows := range m.store.history {
		n += len(rows)
	}
	return n
}

// mutant breaks one rule on purpose; promise is the one that must notice.
type mutant struct {
	name    string
	promise string
	breaks  func(*sim)
}

func mutants() []mutant {
	return []mutant{
		{"starts before not_before", "no start outside its window", func(m *sim) { m.consent = reason.OutsideWindow }},
		{"in flight is not counted", "never more in flight than allowed", func(m *sim) { m.consent = reason.InFlightLimit }},
		{"a halt is not asked for", "a halted ring gets no lease and no start", func(m *sim) { m.consent = reason.DeploymentHalted }},
		{"a denial is not asked for", "denied never leased", func(m *sim) { m.consent = reason.DeniedByHand }},
		{"rings open at once", "canary before the rest", func(m *sim) { m.store.opensAll = true }},
		{"a job tells its end twice", "each job ends once", func(m *sim) { m.endsTwo = true }},
		{"what is written is lost", "a plan applied twice is a plan applied once", func(m *sim) { m.store.forgetsState = true }},
		{"a device out of contact starts", "starts exactly when Blockers is empty", func(m *sim) { m.consent = reason.InFlightLimit }},
	}
}

// play runs one random story and returns the promises that were not kept.
func play(t *rapid.T, breaks func(*sim)) *sim {
	m := newSim(time.Date(2026, 3, 27, 17, 0, 0, 0, time.UTC)) // clocks change in Europe on the 29th
	n := rapid.IntRange(1, 16).Draw(t, "devices")
	for i := range n {
		class := rapid.SampledFrom([]fleet.Class{fleet.Server, fleet.Laptop, fleet.Workstation}).Draw(t, "class")
		site := rapid.SampledFrom([]ident.SiteID{ident.MainSite, "branch"}).Draw(t, "site")
		m.add(fmt.Sprintf("d%02d", i), class, site)
	}
	rings := rapid.SampledFrom([]string{
		`[{"name":"pilots","share":"10%","soak":"2h"},{"name":"half","share":"50%"},{"name":"everyone","share":"100%"}]`,
		`[{"name":"everyone","share":"100%"}]`,
		`[{"name":"pilots","share":"30%"},{"name":"everyone","share":"100%","soak":"1h"}]`,
	}).Draw(t, "rings")
	windows := rapid.SampledFrom([]string{
		`[{"cron":"0 22 * * *","duration":"4h","time_zone":"site"}]`,
		`[{"cron":"0 1 * * *","duration":"90m","time_zone":"device","blackout":["2026-03-29/2026-03-29"]}]`,
		`[{"cron":"0 */2 * * *","duration":"1h","time_zone":"Europe/Paris"},{"cron":"30 20 * * *","duration":"3h","time_zone":"UTC"}]`,
	}).Draw(t, "windows")
	alone := rapid.SampledFrom([]string{"never", "last-ring"}).Draw(t, "alone")
	m.put("night", `{"approvals":[{"match":{},"action":"approve"}],"rings":`+rings+`,"windows":`+windows+`,"alone":"`+alone+`","limits":{"in_flight":"25%","failures":"max(1, 10%)"}}`)
	breaks(m)
	bad := rapid.IntRange(0, 3).Draw(t, "bad")
	steps := rapid.IntRange(20, 70).Draw(t, "steps")
	for range steps {
		m.step(t, bad)
		if len(m.broken) > 0 {
			return m
		}
	}
	m.checkHistory()
	return m
}

// step is one move in a story: time passes, and things happen.
func (m *sim) step(t *rapid.T, bad int) {
	ctx := context.Background()
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 75).Draw(t, "minutes")) * time.Minute)
	ids := slices.Sorted(func(yield func(ident.DeviceID) bool) {
		for id := range m.devices {
			if !yield(id) {
				return
			}
		}
	})
	who := rapid.SampledFrom(ids).Draw(t, "who")
	deployments, _ := m.store.Running(ctx, acme)
	by := ident.Actor{Kind: ident.Person, ID: "ada", Name: "Ada"}
	what := rapid.IntRange(0, 19).Draw(t, "what")
	switch {
	case what < 5:
		r := patch.Release{Source: "apt", Package: rapid.SampledFrom([]string{"bash", "curl", "vim"}).Draw(t, "package"), Version: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version")}
		for _, id := range ids {
			if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
				m.offer(id, r)
			}
		}
	case what < 7:
		d := m.devices[who]
		d.Online, d.OnlineSince = !d.Online, m.now
	case what == 7 && len(deployments) > 0:
		d := deployments[rapid.IntRange(0, len(deployments)-1).Draw(t, "deployment")]
		switch d.State {
		case Running:
			_ = m.s.Halt(ctx, m.now, by, acme, d.ID, "looks bad")
		default:
			_ = m.s.Resume(ctx, m.now, by, acme, d.ID, "was fine")
		}
	case what == 8 && len(deployments) > 0:
		_ = m.s.Pause(ctx, m.now, by, acme, deployments[0].ID, "lunch")
	case what == 9:
		m.rev++
		if len(m.hand) > 0 {
			m.hand = nil
		} else {
			m.hand = []policy.Manually{{Tenant: acme, Action: policy.Deny, Source: "apt", Package: "curl", Reason: "breaks the scanner", By: by}}
		}
	case what == 10 && bad == 3:
		m.devices[who].State = fleet.Revoked
	}
	m.rescue()
	planned := rapid.IntRange(0, 3).Draw(t, "tick") > 0
	if planned {
		m.tick()
		m.checkPlan()
		m.checkTwice()
	}
	for _, id := range ids {
		d := m.devices[id]
		if d.Online {
			d.LastSeen = m.now
			m.lease(id)
		}
		m.start(id, time.Duration(rapid.IntRange(2, 50).Draw(t, "takes"))*time.Minute)
		m.finish(id, func(patch.Release) wire.ResultState {
			if rapid.IntRange(0, 9).Draw(t, "luck") < bad {
				return rapid.SampledFrom([]wire.ResultState{wire.ResultFailed, wire.ResultDeferred, wire.ResultNotApplicable}).Draw(t, "result")
			}
			return wire.ResultVerified
		})
	}
}

func TestPromisesHoldInEveryStory(t *testing.T) {
	starts := 0
	rapid.Check(t, func(t *rapid.T) {
		m := play(t, func(*sim) {})
		starts += m.starts
		if len(m.broken) > 0 {
			t.Fatalf("%s", m.broken[0])
		}
	})
	if starts == 0 {
		t.Error("nothing ever started: the stories prove nothing")
	}
}

// TestEachBrokenRuleIsNoticed breaks rules one at a time: the promise of that
// name must not hold any more, or it proves nothing.
func TestEachBrokenRuleIsNoticed(t *testing.T) {
	for _, mu := range mutants() {
		t.Run(mu.name, func(t *testing.T) {
			story := rapid.Custom(func(t *rapid.T) []string { return play(t, mu.breaks).broken })
			for seed := range 400 {
				for _, b := range story.Example(seed) {
					if strings.Contains(b, mu.promise) {
						return
					}
				}
			}
			t.Errorf("%q was not noticed", mu.promise)
		})
	}
}
