//go:build e2e

// Package apt_test acts out the main job on real parts: built binaries, real
// apt and dpkg, a repository of files.
package apt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

type update struct {
	Source, Package, State string
	Available              string `json:"available_version"`
	ReasonCode             string `json:"reason_code"`
}

type device struct {
	ID      string
	Updates []update
}

type deployment struct {
	ID, Package, Version, State string
	ReasonCode                  string `json:"reason_code"`
	Rings                       []struct {
		Name, State      string
		Devices, Failed  int
		Verified         int
		Running, Waiting int
	}
	Jobs []job
}

type job struct {
	ID, State string
	StartedAt time.Time `json:"started_at"`
	NotBefore time.Time `json:"not_before"`
	Results   []struct{ Package, State, Reason string }
}

// opening is a window of 20 minutes that opens at the next full minute at least
// lead from now.
func opening(lead time.Duration) (at time.Time, cron string) {
	at = time.Now().UTC().Add(lead).Truncate(time.Minute).Add(time.Minute)
	return at, fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour())
}

func policyDocument(cron, alone string, packages ...string) string {
	var rules strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&rules, "  - {match: {source: apt, package: %q}, action: approve}\n", p)
	}
	return fmt.Sprintf(`kind: PatchPolicy
tenant: home
name: e2e
sources: [apt]
approvals:
%swindows:
  - {cron: %q, duration: 20m, time_zone: UTC}
rings:
  - {name: everyone, share: 100%%}
jitter: 0s
alone: %s
reboot: {when: never}
`, rules.String(), cron, alone)
}

// fleet is a server and an agent of this machine that sees only the repository.
func fleet(t *testing.T, repo *rig.Repository) (*rig.Server, *rig.Agent, string) {
	t.Helper()
	server := rig.StartServer(t)
	agent := rig.NewAgent(t, repo.Environment())
	agent.Enroll(server.Enrollment())
	agent.Start()
	return server, agent, agent.Device(server)
}

func offers(t *testing.T, s *rig.Server, id string, packages ...string) {
	t.Helper()
	rig.Eventually(t, 60*time.Second, "the updates are seen", func() (bool, string) {
		var d device
		s.JSON(&d, "devices", "show", id)
		seen := map[string]bool{}
		for _, u := range d.Updates {
			seen[u.Package] = true
		}
		for _, p := range packages {
			if !seen[p] {
				return false, fmt.Sprint(d.Updates)
			}
		}
		return true, ""
	})
}

func deploymentOf(t *testing.T, s *rig.Server, pkg string) deployment {
	t.Helper()
	var list []deployment
	s.JSON(&list, "deployments", "list", "--tenant", "home")
	for _, d := range list {
		if d.Package == pkg {
			var full deployment
			s.JSON(&full, "deployments", "show", d.ID)
			return full
		}
	}
	return deployment{}
}

func stateOf(t *testing.T, s *rig.Server, id, pkg string) update {
	t.Helper()
	var d device
	s.JSON(&d, "devices", "show", id)
	for _, u := range d.Updates {
		if u.Package == pkg {
			return u
		}
	}
	return update{}
}

// A good update is installed inside its window and not before, one that fails
// is told with its log and harms nobody, and a held one is untouched.
func TestARealUpdateInsideItsWindow(t *testing.T) {
	t.Parallel()
	repo := rig.NewRepository(t)
	good, bad, held := rig.Name("good"), rig.Name("bad"), rig.Name("held")
	for _, name := range []string{good, bad, held} {
		repo.Put(name, "1.0.0", "")
		repo.Install(name, "1.0.0")
	}
	repo.Put(good, "1.1.0", "")
	repo.Put(bad, "1.1.0", "echo the script of this package fails; exit 7")
	repo.Put(held, "1.1.0", "")
	repo.Hold(held)
	server, _, id := fleet(t, repo)
	offers(t, server, id, good, bad, held)

	opens, cron := opening(20 * time.Second)
	server.Apply(policyDocument(cron, "never", good, bad, held))
	rig.Eventually(t, 30*time.Second, "a deployment runs", func() (bool, string) {
		d := deploymentOf(t, server, good)
		return d.State == "running", d.State
	})
	if version, _ := repo.Installed(good); version != "1.0.0" {
		t.Fatalf("%s was installed before the window", version)
	}
	out, errs, code := server.Try("deployments", "watch", deploymentOf(t, server, good).ID)
	if code != 0 {
		t.Fatalf("watch: exit %d\n%s%s", code, out, errs)
	}
	if version, state := repo.Installed(good); version != "1.1.0" || state != "installed" {
		t.Errorf("dpkg says %s %s", version, state)
	}
	if u := stateOf(t, server, id, good); u.State != "verified" {
		t.Errorf("the update is %+v", u)
	}
	d := deploymentOf(t, server, good)
	if d.State != "completed" || len(d.Jobs) != 1 {
		t.Fatalf("the deployment is %+v", d)
	}
	if started := d.Jobs[0].StartedAt; started.Before(opens) || started.After(opens.Add(20*time.Minute)) {
		t.Errorf("started %v, the window opened %v", started, opens)
	}
	steps := fmt.Sprint(server.Events("home", d.ID, 0, 2*time.Second))
	for _, want := range []string{"to:running", "to:leased", "to:succeeded", "to:completed"} {
		// The job carries the failing release too, so it ends as failed.
		if want == "to:succeeded" {
			want = "to:failed"
		}
		if !strings.Contains(steps, want) {
			t.Errorf("the events do not tell %s: %s", want, steps)
		}
	}

	rig.Eventually(t, 30*time.Second, "the failed release is halted", func() (bool, string) {
		b := deploymentOf(t, server, bad)
		return b.State == "halted", b.State
	})
	if u := stateOf(t, server, id, bad); u.State != "failed" {
		t.Errorf("the failed update is %+v", u)
	}
	log := server.CLI("jobs", "show", d.Jobs[0].ID)
	if !strings.Contains(log, "the script of this package fails") {
		t.Errorf("the log is missing: %s", log)
	}
	if _, _, code := server.Try("deployments", "resume", deploymentOf(t, server, bad).ID); code != 2 {
		t.Errorf("resume without a reason: exit %d", code)
	}
	server.CLI("deployments", "resume", deploymentOf(t, server, bad).ID, "--reason", "the script was mended")

	if version, _ := repo.Installed(held); version != "1.0.0" {
		t.Errorf("the held package is at %s", version)
	}
	var why []struct {
		Package  string
		Blockers []struct{ Code string }
	}
	server.JSON(&why, "devices", "why", id)
	found := false
	for _, w := range why {
		if w.Package == held && len(w.Blockers) > 0 {
			found = w.Blockers[0].Code == "pinned_on_device"
		}
	}
	if !found {
		t.Errorf("why does not say pinned_on_device: %+v", why)
	}
	if out := server.CLI("audit", "verify"); !strings.Contains(out, "sealed") {
		t.Errorf("audit verify: %s", out)
	}
}

// leased is a server, an agent and a package whose lease the agent holds; the
// server is stopped before the window opens.
func leased(t *testing.T, repo *rig.Repository, pkg, alone string) (*rig.Server, *rig.Agent, string, time.Time) {
	t.Helper()
	repo.Put(pkg, "1.0.0", "")
	repo.Install(pkg, "1.0.0")
	repo.Put(pkg, "1.1.0", "")
	server, agent, id := fleet(t, repo)
	offers(t, server, id, pkg)
	opens, cron := opening(30 * time.Second)
	server.Apply(policyDocument(cron, alone, pkg))
	rig.Eventually(t, 25*time.Second, "the device holds its lease", func() (bool, string) {
		d := deploymentOf(t, server, pkg)
		return len(d.Jobs) == 1 && d.Jobs[0].State == "leased", fmt.Sprintf("%+v", d)
	})
	server.Stop()
	return server, agent, id, opens
}

// An alone lease installs in its window with the server stopped, after two
// minutes of silence, and is told when the server is back.
func TestAnAloneLeaseWithTheServerStopped(t *testing.T) {
	t.Parallel()
	repo, pkg := rig.NewRepository(t), rig.Name("alone")
	server, agent, id, opens := leased(t, repo, pkg, "last-ring")
	rig.Eventually(t, time.Until(opens)+5*time.Minute, "it is installed", func() (bool, string) {
		version, _ := repo.Installed(pkg)
		if version == "1.1.0" && time.Now().Before(opens.Add(2*time.Minute)) {
			t.Fatal("started before two minutes of silence in its window")
		}
		return version == "1.1.0", version
	})
	server.Start()
	agent.Stop() // it would wait minutes before it tries again
	agent.Start()
	rig.Eventually(t, 2*time.Minute, "the end is known", func() (bool, string) {
		d, u := deploymentOf(t, server, pkg), stateOf(t, server, id, pkg)
		return d.State == "completed" && u.State == "verified", fmt.Sprintf("%+v %+v", d, u)
	})
	d := deploymentOf(t, server, pkg)
	if len(d.Jobs) != 1 || d.Jobs[0].State != "succeeded" {
		t.Fatalf("the jobs are %+v", d.Jobs)
	}
	if started := d.Jobs[0].StartedAt; started.Before(opens.Add(2*time.Minute)) || started.After(opens.Add(20*time.Minute)) {
		t.Errorf("started %v, the window opened %v", started, opens)
	}
}

// Without alone nothing starts while the server is stopped.
func TestNothingStartsWithoutTheServersWord(t *testing.T) {
	t.Parallel()
	repo, pkg := rig.NewRepository(t), rig.Name("not-alone")
	server, _, _, opens := leased(t, repo, pkg, "never")
	rig.Eventually(t, time.Until(opens)+4*time.Minute, "the time has passed", func() (bool, string) {
		if version, _ := repo.Installed(pkg); version != "1.0.0" {
			t.Fatal("started without the server's word")
		}
		return time.Now().After(opens.Add(150 * time.Second)), ""
	})
	server.Start()
	for _, j := range deploymentOf(t, server, pkg).Jobs {
		if !j.StartedAt.IsZero() {
			t.Errorf("a job started: %+v", j)
		}
	}
}
