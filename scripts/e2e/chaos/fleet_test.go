//go:build e2e

package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// How long things may take while parts are killed: an agent that was refused
// waits longer and longer, and a busy dpkg is looked at again after a minute.
const (
	settleLimit  = 2 * time.Minute
	windowLength = time.Hour
)

// fleet is a server and an agent of this machine with some updates on offer.
type fleet struct {
	t        *testing.T
	repo     *rig.Repository
	server   *rig.Server
	agent    *rig.Agent
	device   string
	packages []string
	marks    string // folder where the packages' scripts note when they ran
	opens    time.Time
	killed   struct{ server, agent int } // how often revive found it dead
	mayDrop  bool                        // reports may be dropped: the agent's disk is full
}

// place is where the parts of a fleet stand; the zero value is a fresh one.
type place struct {
	server, agent string // data directories
	flags         []string
	proxy         *rig.Proxy // between them, if not nil
}

// newFleet enrolls an agent and waits until the server has seen that each of
// count packages can be updated. Their scripts take some seconds each.
func newFleet(t *testing.T, name string, count, seconds int, at place) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: rig.NewHouse(t), marks: t.TempDir()}
	for i := range count {
		pkg := rig.Name(fmt.Sprintf("%s-%c", name, 'a'+i))
		f.packages = append(f.packages, pkg)
		f.repo.Put(pkg, "1.0.0", "")
		f.repo.Install(pkg, "1.0.0")
		f.repo.Put(pkg, "1.1.0", fmt.Sprintf("echo begin >>%[1]s; sleep %[2]d; echo end >>%[1]s", filepath.Join(f.marks, pkg), seconds))
	}
	if at.server == "" {
		at.server = filepath.Join(t.TempDir(), "server")
	}
	if at.agent == "" {
		at.agent = filepath.Join(t.TempDir(), "agent")
	}
	f.server = rig.StartServerAt(t, at.server, at.flags...)
	if at.proxy != nil {
		at.proxy.To(f.server.Agents)
	}
	f.agent = rig.NewAgentAt(t, at.agent, f.repo.Environment())
	f.agent.Inside(f.repo)
	f.agent.Enroll(f.server.Enrollment())
	f.agent.Start()
	f.device = f.agent.Device(f.server)
	rig.Eventually(t, 90*time.Second, "the updates are seen", func() (bool, string) {
		states, err := f.states()
		return err == nil && len(states) >= count, fmt.Sprint(states, err)
	})
	return f
}

// states are the states of the fleet's updates by package, as the server says.
func (f *fleet) states() (map[string]string, error) {
	var d struct {
		Updates []struct{ Package, State string }
	}
	if err := f.server.Get(&d, "/tenants/home/devices/"+f.device); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, u := range d.Updates {
		for _, pkg := range f.packages {
			if u.Package == pkg {
				out[pkg] = u.State
			}
		}
	}
	return out, nil
}

// open applies a policy whose window is open since a minute ago. The server may
// be killed while it does: a plan applied twice is a plan applied once.
func (f *fleet) open() {
	f.t.Helper()
	f.opens = time.Now().UTC().Truncate(time.Minute).Add(-time.Minute)
	var rules strings.Builder
	for _, p := range f.packages {
		fmt.Fprintf(&rules, "  - {match: {source: apt, package: %q}, action: approve}\n", p)
	}
	text := fmt.Sprintf(`kind: PatchPolicy
tenant: home
name: chaos
sources: [apt]
approvals:
%swindows:
  - {cron: "%d %d * * *", duration: 1h, time_zone: UTC}
rings:
  - {name: everyone, share: 100%%}
jitter: 0s
alone: never
reboot: {when: never}
`, rules.String(), f.opens.Minute(), f.opens.Hour())
	file := filepath.Join(f.t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	rig.Eventually(f.t, time.Minute, "the policy is applied", func() (bool, string) {
		f.revive()
		out, errs, code := f.server.Try("apply", "-f", file)
		return code == 0, out + errs
	})
}

// revive starts what was killed by its crash hook, without the hook.
func (f *fleet) revive() {
	f.t.Helper()
	if f.server.Ended() {
		f.killed.server++
		f.server.Arm()
		f.server.Start()
	}
	if f.agent.Ended() {
		f.killed.agent++
		f.agent.Arm()
		f.agent.Start()
	}
}

// begun waits until the script of the fleet's first package has begun.
func (f *fleet) begun() {
	f.t.Helper()
	rig.Eventually(f.t, settleLimit, "the installation has begun", func() (bool, string) {
		f.revive()
		for _, pkg := range f.packages {
			if len(f.scriptRan(pkg)) > 0 {
				return true, ""
			}
		}
		states, err := f.states()
		return false, fmt.Sprint(states, err)
	})
}

// scriptRan are the marks that the script of a package left.
func (f *fleet) scriptRan(pkg string) []string {
	data, _ := os.ReadFile(filepath.Join(f.marks, pkg))
	return strings.Fields(string(data))
}

// settle waits until the fleet's story is over: jobs ran and ended, the agent
// has nothing left to tell, and every update is verified. An agent that was
// killed leaves what it had not begun for the next window, and tells that what
// it had begun and not done failed: with rest such updates are fine, too, if
// their scripts never ran. settle revives what dies on the way.
func (f *fleet) settle(rest bool) {
	f.t.Helper()
	rig.Eventually(f.t, settleLimit, "every update is verified and everything is told", func() (bool, string) {
		f.revive()
		states, err := f.states()
		for _, pkg := range f.packages {
			if left := rest && (states[pkg] == "approved" || states[pkg] == "failed") && len(f.scriptRan(pkg)) == 0; states[pkg] != "verified" && !left {
				return false, fmt.Sprint(states, err, f.jobs())
			}
		}
		journal, _ := f.agent.Status()["journal"].(map[string]any)
		quiet := journal["queued"] == 0.0 && journal["running"] == 0.0 && journal["unreported"] == 0.0
		jobs := f.jobs()
		ended := len(jobs) > 0
		for _, j := range jobs {
			ended = ended && final(j.State)
		}
		return quiet && ended, fmt.Sprint(journal, states, jobs)
	})
}

// job is how the API tells of one.
type job struct {
	ID, State, Reason string
	Attempt           int
}

// jobs are those of the fleet; none when the server does not answer.
func (f *fleet) jobs() []job {
	var list struct{ Items []job }
	if err := f.server.Get(&list, "/tenants/home/jobs"); err != nil {
		return nil
	}
	return list.Items
}

// final reports whether a job's state is an end.
func final(state string) bool {
	switch state {
	case "succeeded", "failed", "deferred", "expired", "cancelled":
		return true
	}
	return false
}
