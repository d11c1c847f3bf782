package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

func TestEachBlockerIsNamedInTheClosedOrder(t *testing.T) {
	hand := func(a policy.Action) []policy.Manually {
		return []policy.Manually{{Tenant: "acme", Action: a, Source: "apt", Package: "bash", Days: 3, Reason: "r"}}
	}
	repolicy := func(w *World, fields string) {
		w.Policies[""] = effective(fields)
		w.Policies["main"] = w.Policies[""]
	}
	ownJob := func(w *World, s job.State) {
		outcome(w, 0, "r")
		w.Jobs[0].State = s
		w.Jobs[0].StartedAt = time.Time{}
	}
	for _, c := range []struct {
		name   string
		at     time.Time
		change func(w *World)
		want   []reason.Code
	}{
		{"nothing", night, func(*World) {}, nil},
		{"observe", night, func(w *World) { w.Tenant.Mode = fleet.Observe }, []reason.Code{reason.ModeObserve}},
		{"revoked", night, func(w *World) { w.Devices[0].State = fleet.Revoked }, []reason.Code{reason.DeviceState}},
		{"no policy", night, func(w *World) { w.Policies["main"] = nil }, []reason.Code{reason.NoPolicy}},
		{"tie", night, func(w *World) {
			twin := w.Policies["main"][0]
			twin.Name = "q"
			w.Policies["main"] = append(slices.Clone(w.Policies["main"]), twin)
		}, []reason.Code{reason.PolicyTie}},
		{"manual", night, func(w *World) { repolicy(w, `{"windows":[{"cron":"0 22 * * *","duration":"4h","time_zone":"UTC"}]}`) }, []reason.Code{reason.NotApproved}},
		{"waiting", night, func(w *World) {
			w.Hand = hand(policy.Wait)
			w.Releases[bash] = inventory.Release{Source: "apt", Package: "bash", Version: "2", FirstSeen: noon}
		}, []reason.Code{reason.WaitingUntil}},
		{"denied", night, func(w *World) { w.Hand = hand(policy.Deny) }, []reason.Code{reason.DeniedByHand}},
		{"halted", night, func(w *World) { w.Deployments[0].State = Halted }, []reason.Code{reason.DeploymentHalted}},
		{"paused", night, func(w *World) { w.Deployments[0].State = Paused }, []reason.Code{reason.DeploymentPaused}},
		{"cancelled", night, func(w *World) {
			w.Deployments[0].State, w.Deployments[0].Reason = Cancelled, reason.New(reason.CancelledBy, "by", "Ada", "why", "no")
		}, []reason.Code{reason.DeploymentEnded}},
		{"pending", night, func(w *World) { w.Deployments = nil }, []reason.Code{reason.DeploymentPending}},
		{"ring waits", night, func(w *World) { w.Deployments[0].Members[0].Ring = 1 }, []reason.Code{reason.RingWaits}},
		{"never opens", night, func(w *World) { repolicy(w, `{"approvals":[{"match":{},"action":"approve"}]}`) }, []reason.Code{reason.NeverOpens}},
		{"outside", noon, func(*World) {}, []reason.Code{reason.OutsideWindow}},
		{"blackout", night, func(w *World) {
			repolicy(w, `{"approvals":[{"match":{},"action":"approve"}],"windows":[{"cron":"0 22 * * *","duration":"4h","time_zone":"UTC","blackout":["2026-11-20/2026-11-22"]}]}`)
		}, []reason.Code{reason.Blackout}},
		{"does not fit", night, func(w *World) { w.Minutes[bash] = 5 * time.Hour }, []reason.Code{reason.DoesNotFit}},
		{"held and offline", night, func(w *World) { w.Updates[0].Held, w.Devices[0].Online = true, false }, []reason.Code{reason.PinnedOnDevice, reason.Offline}},
		{"phased", night, func(w *World) { w.Updates[0].Phased = true }, []reason.Code{reason.Phased}},
		{"restart first", night, func(w *World) { w.Updates[0].State = patch.RebootPending }, []reason.Code{reason.RebootFirst}},
		{"busy and old", night, func(w *World) {
			w.Devices[0].Scan = &inventory.Scan{At: night, Sources: []inventory.Source{{Name: "apt", Available: true, BusyWith: "dpkg"}}}
		}, []reason.Code{reason.SourceBusy}},
		{"no source", night, func(w *World) {
			w.Devices[0].Scan = &inventory.Scan{At: night.Add(-30 * 24 * time.Hour), Sources: []inventory.Source{{Name: "apt", Why: "gone"}}}
		}, []reason.Code{reason.SourceUnavailable, reason.ScanOld}},
		{"failed before", night, func(w *World) { w.Updates[0].Tries = 3 }, []reason.Code{reason.FailedBefore}},
		{"in flight", night, func(w *World) {
			outcome(w, 0, "wr")
			w.Deployments[0].InFlight = 1
		}, []reason.Code{reason.InFlightLimit}},
		{"blast", night, func(w *World) { w.Blast = Blast{TenantChanged: 25, TenantDevices: 2} }, []reason.Code{reason.BlastLimit}},
		{"blast of the server", night, func(w *World) { w.Blast = Blast{ServerChanged: 500, ServerDevices: 4} }, []reason.Code{reason.BlastLimit}},
		{"its job runs", night, func(w *World) { outcome(w, 0, "rw") }, []reason.Code{reason.JobUnderWay}},
		{"its job waits", night, func(w *World) { ownJob(w, job.Leased) }, nil},
		{"unknown", night, func(w *World) {
			ownJob(w, job.Unknown)
			w.Updates[0].State = patch.Unknown
		}, []reason.Code{reason.JobUnknown}},
		{"cancelling", night, func(w *World) { ownJob(w, job.Cancelling) }, []reason.Code{reason.CancelOpen}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rolling(2, 1)
			if c.name == "its job waits" || c.name == "unknown" || c.name == "cancelling" {
				w = rolling(1, 1)
			}
			c.change(w)
			w.ix = nil
			if got := codes(t, c.at, w, 0); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheClosedOrderIsThatOfReasons(t *testing.T) {
	seen := map[reason.Code]bool{}
	for _, c := range closedOrder {
		if seen[c] || reason.New(c).Text(time.UTC) == "" {
			t.Errorf("%s stands twice or has no sentence", c)
		}
		seen[c] = true
	}
	if len(seen) != 30 || closedOrder[0] != reason.ModeObserve || closedOrder[29] != reason.CancelOpen {
		t.Errorf("%d codes", len(seen))
	}
}

func TestPlanLooksAgainWhenSomethingChangesByItself(t *testing.T) {
	opens := time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)
	w := rolling(2, 2)
	if next := Plan(noon, w).Next; !next.Equal(opens.Add(-lead)) {
		t.Errorf("next %v, want the lead before the window", next)
	}
	r := Plan(opens.Add(-lead), w)
	if len(r.Submit) != 2 || r.Submit[0].NotBefore.Before(opens) || r.Submit[0].Alone || !r.Next.Equal(opens) {
		t.Errorf("ahead of the window: %+v, next %v", r.Submit, r.Next)
	}
	w = rolling(2, 2)
	outcome(w, 0, "VV")
	if next := Plan(night, w).Next; !next.Equal(night.Add(time.Hour)) {
		t.Errorf("next %v, want the end of the soak", next)
	}
}

func TestLeasesWithoutContactGoToTheLastRingOnly(t *testing.T) {
	w := rolling(2, 10)
	outcome(w, 0, "vv")
	w.Deployments[0].Rings[0].State, w.Deployments[0].Rings[1].State = RingPassed, RingActive
	w.Deployments[0].InFlight = 30
	w.Devices[11].Class = fleet.Server
	r := Plan(noon, w)
	if len(r.Submit) != 2 || !r.Submit[0].Alone { // three in flight, the last place stays free
		t.Fatalf("%d jobs ahead: %+v", len(r.Submit), r.Submit)
	}
	if !slices.ContainsFunc(r.Submit, func(s job.Spec) bool { return s.Device == w.Devices[11].ID }) {
		t.Error("the server does not come first")
	}
	first := rolling(2, 10)
	if r := Plan(noon, first); len(r.Submit) != 0 {
		t.Errorf("a ring that others wait for gets leases a day ahead: %+v", r.Submit)
	}
}

func TestReleasesOfAJobStandInTheirOrder(t *testing.T) {
	w := small(1)
	for _, u := range []struct {
		source, name string
		kind         inventory.Kind
	}{{"winget", "a", inventory.Quality}, {"apt", "z", inventory.Quality}, {"apt", "y", inventory.Security}, {"apt", "b", inventory.Quality}} {
		rel := patch.Release{Source: u.source, Package: u.name, Version: "1"}
		w.Updates = append(w.Updates, patch.Update{Device: w.Devices[0].ID, Release: rel, Kind: u.kind, Offered: true, State: patch.Approved})
	}
	w.Hand = []policy.Manually{{Tenant: "acme", Action: policy.Deny, Source: "apt", Package: "java*", Reason: "x-ray"}}
	w = made(w, Plan(night, w))
	w = made(w, Plan(night, w))
	r := Plan(night, w)
	var got []string
	for _, rel := range r.Submit[0].Releases {
		got = append(got, rel.Source+":"+rel.Package)
	}
	if !slices.Equal(got, []string{"apt:y", "apt:b", "apt:z", "winget:a"}) {
		t.Errorf("order %v", got)
	}
	if d := r.Submit[0].Denied; len(d) != 1 || d[0].Package != "java*" {
		t.Errorf("denied %+v", d)
	}
}
