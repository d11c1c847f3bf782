package patch_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func decide(a policy.Action) patch.Decide {
	return func(inventory.Update) (policy.Decision, reason.Reason) {
		switch a {
		case policy.Approve:
			return policy.Decision{Action: a}, reason.New(reason.ApprovedByRule, "rule", "1", "policy", "p")
		case policy.Deny:
			return policy.Decision{Action: a}, reason.New(reason.DeniedByHand, "by", "Priya", "why", "x")
		case policy.Wait:
			return policy.Decision{Action: a, Until: now.Add(time.Hour)}, reason.New(reason.WaitingUntil)
		}
		return policy.Decision{Action: policy.Manual}, reason.New(reason.NotApproved)
	}
}

func row(state patch.State) patch.Update {
	return patch.Update{Tenant: "acme", Device: "d1", Release: patch.Release{Source: "apt", Package: "bash", Version: "2"}, Installed: "1",
		Kind: inventory.Security, State: state, Since: now.Add(-time.Hour), Offered: true, FirstSeen: now.Add(-24 * time.Hour)}
}

func scan(at time.Time, installed, offered string) inventory.Scan {
	s := inventory.Scan{Tenant: "acme", Device: "d1", At: at, Installed: map[string]string{}}
	if installed != "" {
		s.Installed["apt:bash"] = installed
	}
	if offered != "" {
		s.Updates = []inventory.Update{{Source: "apt", Package: "bash", Installed: installed, Available: offered, Kind: inventory.Security}}
	}
	return s
}

// broken is a scan after an installation that ended half way.
func broken() inventory.Scan {
	s := scan(now, "", "")
	s.Broken = map[string]string{"apt:bash": "half configured"}
	return s
}

func TestReconcile(t *testing.T) {
	cases := []struct {
		name     string
		current  []patch.Update
		observed inventory.Scan
		decision policy.Action
		version  string
		want     patch.State
		code     reason.Code
	}{
		{"first seen, approved", nil, scan(now, "1", "2"), policy.Approve, "2", patch.Approved, reason.ApprovedByRule},
		{"first seen, nobody decided", nil, scan(now, "1", "2"), policy.Manual, "2", patch.Available, reason.NotApproved},
		{"approved then denied", []patch.Update{row(patch.Approved)}, scan(now, "1", "2"), policy.Deny, "2", patch.Denied, reason.DeniedByHand},
		{"scheduled stays while approved", []patch.Update{row(patch.Scheduled)}, scan(now, "1", "2"), policy.Approve, "2", patch.Scheduled, ""},
		{"scheduled and denied", []patch.Update{row(patch.Scheduled)}, scan(now, "1", "2"), policy.Deny, "2", patch.Denied, reason.DeniedByHand},
		{"a halted one stays halted", []patch.Update{row(patch.Halted)}, scan(now, "1", "2"), policy.Approve, "2", patch.Halted, ""},
		{"a failed one stays failed", []patch.Update{row(patch.Failed)}, scan(now, "1", "2"), policy.Approve, "2", patch.Failed, ""},
		{"a failed one may be denied", []patch.Update{row(patch.Failed)}, scan(now, "1", "2"), policy.Deny, "2", patch.Denied, reason.DeniedByHand},
		{"the scan proves it", []patch.Update{row(patch.Installing)}, scan(now, "2", ""), policy.Approve, "2", patch.Verified, reason.VerifiedByScan},
		{"by hand on the device, proved too", []patch.Update{row(patch.Available)}, scan(now, "2", ""), policy.Manual, "2", patch.Verified, reason.VerifiedByScan},
		{"failed, and mended by hand", []patch.Update{row(patch.Failed)}, scan(now, "2", ""), policy.Approve, "2", patch.Verified, reason.VerifiedByScan},
		{"newer offered", []patch.Update{row(patch.Approved)}, scan(now, "1", "3"), policy.Approve, "2", patch.Superseded, reason.SupersededBy},
		{"newer installed", []patch.Update{row(patch.Approved)}, scan(now, "3", ""), policy.Approve, "2", patch.Superseded, reason.SupersededBy},
		{"no longer offered", []patch.Update{row(patch.Approved)}, scan(now, "1", ""), policy.Approve, "2", patch.Superseded, reason.GoneFromScan},
		{"removed", []patch.Update{row(patch.Approved)}, scan(now, "", ""), policy.Approve, "2", patch.Superseded, reason.GoneFromScan},
		{"failed half way", []patch.Update{row(patch.Failed)}, broken(), policy.Approve, "2", patch.Failed, ""},
		{"half way while it is installed", []patch.Update{row(patch.Installing)}, broken(), policy.Approve, "2", patch.Installing, ""},
		{"installing, and the scan is older", []patch.Update{row(patch.Installing)}, scan(now.Add(-2*time.Hour), "1", ""), policy.Approve, "2", patch.Installing, ""},
		{"unknown, and the scan is older", []patch.Update{row(patch.Unknown)}, scan(now.Add(-2*time.Hour), "1", "2"), policy.Approve, "2", patch.Unknown, ""},
		{"unknown, and a new scan offers it", []patch.Update{row(patch.Unknown)}, scan(now, "1", "2"), policy.Approve, "2", patch.Approved, reason.ApprovedByRule},
		{"verified, and offered again", []patch.Update{row(patch.Verified)}, scan(now, "1", "2"), policy.Approve, "2", patch.Approved, reason.ApprovedByRule},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rows := map[string]patch.Update{}
			for _, r := range c.current {
				rows[r.Version] = r
			}
			for _, r := range patch.Reconcile(now, c.observed, c.current, decide(c.decision)) {
				rows[r.Version] = r
			}
			got := rows[c.version]
			if got.State != c.want || got.Reason.Code != c.code {
				t.Errorf("%s (%s), want %s (%s)", got.State, got.Reason.Code, c.want, c.code)
			}
		})
	}
}

// Verified implies re-scanned: a row becomes verified only when a scan shows
// its version installed, whatever its job told before.
func TestVerifiedImpliesRescanned(t *testing.T) {
	states := []patch.State{patch.Available, patch.Approved, patch.Denied, patch.Waiting, patch.Scheduled, patch.Downloading, patch.Installing,
		patch.RebootPending, patch.Failed, patch.Unknown, patch.Halted}
	rapid.Check(t, func(t *rapid.T) {
		r := row(rapid.SampledFrom(states).Draw(t, "state"))
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			r, _ = patch.Follow(now, r, job.Step{Job: "j", At: now, Source: "apt", Package: "bash",
				Kind:   rapid.SampledFrom([]job.StepKind{job.StepProgress, job.StepResult, job.StepFinished}).Draw(t, "kind"),
				Phase:  rapid.SampledFrom([]string{"downloading", "installing"}).Draw(t, "phase"),
				Result: rapid.SampledFrom([]wire.ResultState{wire.ResultVerified, wire.ResultFailed, wire.ResultInstalledUnverified, wire.ResultUnknown}).Draw(t, "result")})
			if r.State == patch.Verified {
				t.Fatal("verified by what a job told")
			}
		}
		installed := rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "installed")
		offered := rapid.SampledFrom([]string{"", "2", "3"}).Draw(t, "offered")
		for _, next := range patch.Reconcile(now, scan(now, installed, offered), []patch.Update{r}, decide(policy.Approve)) {
			if next.State == patch.Verified && installed != next.Version {
				t.Fatalf("%s is verified, %q is installed", next.Version, installed)
			}
		}
	})
}

// A scan taken twice is a scan taken once.
func TestReconcileTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observed := scan(now, rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "installed"), rapid.SampledFrom([]string{"", "2", "3"}).Draw(t, "offered"))
		d := decide(rapid.SampledFrom([]policy.Action{policy.Approve, policy.Deny, policy.Wait, policy.Manual}).Draw(t, "decision"))
		rows := []patch.Update{row(rapid.SampledFrom([]patch.State{patch.Available, patch.Scheduled, patch.Installing, patch.Failed, patch.Halted}).Draw(t, "state"))}
		byVersion := map[string]patch.Update{"2": rows[0]}
		for _, r := range patch.Reconcile(now, observed, rows, d) {
			byVersion[r.Version] = r
		}
		var after []patch.Update
		for _, r := range byVersion {
			after = append(after, r)
		}
		if again := patch.Reconcile(now.Add(time.Minute), observed, after, d); len(again) != 0 {
			t.Fatalf("the second time changes %+v", again)
		}
	})
}

func TestFollowCountsAFailureOnce(t *testing.T) {
	failed := job.Step{Job: "j1", At: now, Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultFailed, Code: "script_failed", Detail: "postinst", ExitCode: 100}
	r, changed := patch.Follow(now, row(patch.Installing), failed)
	if !changed || r.State != patch.Failed || r.Tries != 1 || r.LastError != "postinst, exit code 100" {
		t.Fatalf("%+v", r)
	}
	if again, changed := patch.Follow(now, r, failed); changed || again.Tries != 1 {
		t.Errorf("told twice: %+v", again)
	}
}
