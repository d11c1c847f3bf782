//go:build e2e

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// sampled is how many of the (point, occurrence) pairs a usual run kills at.
const sampled = 5

// moment is the n-th time that a process passes a point.
type moment struct {
	point string
	n     int
}

func (m moment) String() string { return fmt.Sprintf("%s:%d", m.point, m.n) }

// listing is what a run without harm passed, from the start of the two
// processes on; the marks are how far they were when the policy was applied.
type listing struct {
	once          sync.Once
	server, agent []string
	serverMark    int
	agentMark     int
	killsOfServer []moment
	killsOfAgent  []moment
}

// undisturbed is shared by the two tests that kill at points.
var undisturbed listing

// list runs one fleet with nobody killed and notes the points.
func (l *listing) list(t *testing.T) {
	t.Helper()
	l.once.Do(func() {
		f := newFleet(t, "listed", 2, 1, place{})
		f.agent.Stop()
		f.server.Stop()
		f.server.Arm("STEWARD_CRASH=list:0")
		f.agent.Arm("STEWARD_AGENT_CRASH=list:0")
		f.server.Start()
		f.agent.Start()
		f.agent.Device(f.server)
		l.serverMark, l.agentMark = len(points(f.server.Log())), len(points(f.agent.Log()))
		f.open()
		f.settle(false)
		l.server, l.agent = points(f.server.Log()), points(f.agent.Log())
		f.verdict(1)
		l.killsOfServer = moments(l.server, l.serverMark)
		l.killsOfAgent = moments(l.agent, l.agentMark)
	})
	if len(l.killsOfServer) == 0 || len(l.killsOfAgent) == 0 {
		t.Fatalf("the run without harm passed no points: server %v, agent %v", l.server, l.agent)
	}
}

// points are the points that a process printed, in order.
func points(log string) []string {
	var out []string
	for line := range strings.SplitSeq(log, "\n") {
		if name, ok := strings.CutPrefix(line, "crash point "); ok {
			out = append(out, name)
		}
	}
	return out
}

// moments are, for each point passed behind the mark, its first time there and
// the one in the middle.
func moments(passed []string, mark int) []moment {
	before, after := map[string]int{}, map[string]int{}
	var order []string
	for i, p := range passed {
		if i < mark {
			before[p]++
			continue
		}
		if after[p] == 0 {
			order = append(order, p)
		}
		after[p]++
	}
	var out []moment
	for _, p := range order {
		out = append(out, moment{p, before[p] + 1})
		if later := before[p] + 1 + after[p]/2; later > before[p]+1 {
			out = append(out, moment{p, later})
		}
	}
	return out
}

// sample takes an even share of the moments, or all when soaking.
func sample(all []moment) []moment {
	if soak() || len(all) <= sampled {
		return all
	}
	out := make([]moment, sampled)
	for i := range out {
		out[i] = all[(2*i+1)*len(all)/(2*sampled)]
	}
	return out
}

// name makes a package's name of a moment.
func (m moment) name(who string) string { return who + "-" + hyphens(m.String()) }

func hyphens(s string) string {
	return strings.NewReplacer(".", "-", "_", "-", ":", "-", " ", "-").Replace(s)
}

// A server killed at any point between two durable steps loses nothing that it
// acknowledged, does nothing twice, and starts again by itself.
func TestServerKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	undisturbed.list(t)
	t.Logf("the server passes %d points in one run: %v", len(undisturbed.killsOfServer), undisturbed.killsOfServer)
	for _, m := range sample(undisturbed.killsOfServer) {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, m.name("server"), 2, 1, place{})
			f.server.Stop()
			f.server.Arm("STEWARD_CRASH=" + m.String())
			f.server.Start()
			f.open()
			f.settle(false)
			if f.killed.server == 0 {
				t.Errorf("the server was never killed: it passes %s no more", m)
			}
			f.verdict(1)
		})
	}
}

// An agent killed at any point of its journal repairs, scans and tells what is
// true; it never starts a journaled start again.
func TestAgentKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	undisturbed.list(t)
	t.Logf("the agent passes %d points in one run: %v", len(undisturbed.killsOfAgent), undisturbed.killsOfAgent)
	for _, m := range sample(undisturbed.killsOfAgent) {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, m.name("agent"), 2, 1, place{})
			f.agent.Stop()
			f.agent.Arm("STEWARD_AGENT_CRASH=" + m.String())
			f.agent.Start()
			f.open()
			f.settle(true)
			if f.killed.agent == 0 {
				t.Errorf("the agent was never killed: it passes %s no more", m)
			}
			f.verdict(2)
		})
	}
}

// Killed in the middle of an installation: alone, so that dpkg goes on without
// it, or together with dpkg, as by a power cut.
func TestAgentKilledMidInstall(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*rig.Agent){
		"alone":     (*rig.Agent).Kill,
		"with dpkg": (*rig.Agent).KillTree,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "middle-"+hyphens(name), 2, 4, place{})
			f.open()
			f.begun()
			kill(f.agent)
			f.agent.Start()
			f.settle(true)
			f.verdict(2)
		})
	}
}

// Killed at random moments, both of them, again and again.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	rounds := 1
	if soak() {
		rounds = 10
	}
	for round := range rounds {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			dice := rand.New(rand.NewPCG(seed, 0))
			f := newFleet(t, fmt.Sprint("random-", round), 3, 2, place{})
			f.open()
			for range 5 {
				<-time.After(time.Duration(dice.IntN(6000)) * time.Millisecond)
				switch dice.IntN(5) {
				case 0:
					f.server.Kill()
					f.agent.Kill()
				case 1:
					f.agent.KillTree()
				case 2:
					f.agent.Kill()
				default:
					f.server.Kill()
				}
				f.revive()
			}
			f.settle(true)
			f.verdict(6)
		})
	}
}
