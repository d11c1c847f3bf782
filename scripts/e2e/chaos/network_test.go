//go:build e2e

package chaos_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// silence is how long an agent may take to notice that a connection is dead
// without an end: its heartbeat and the wait for the answer, then a first retry on a busy machine.
const silence = 60*time.Second + 20*time.Second + 25*time.Second

// Each fault begins in the middle of an installation. The agent comes back by
// itself, the job ends once, and no sample is lost or told twice.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault func(p *rig.Proxy)
		limit time.Duration // until the agent is back
		again bool          // it has to connect anew
	}{
		"cut":        {func(p *rig.Proxy) { p.Cut() }, 20 * time.Second, true},
		"reset":      {func(p *rig.Proxy) { p.Reset() }, 20 * time.Second, true},
		"half close": {func(p *rig.Proxy) { p.HalfClose() }, 20 * time.Second, true},
		"half open":  {func(p *rig.Proxy) { p.HalfOpen() }, silence, true},
		"black hole": {func(p *rig.Proxy) { p.Blackhole() }, silence, true},
		"refused": {func(p *rig.Proxy) {
			p.Refuse(true)
			p.Cut()
			<-time.After(20 * time.Second)
			p.Refuse(false)
		}, 45 * time.Second, true},
		"flapping": {func(p *rig.Proxy) {
			for range 6 {
				p.Reset()
				<-time.After(1500 * time.Millisecond)
			}
		}, 60 * time.Second, true},
		"stall": {func(p *rig.Proxy) {
			p.Stall(true)
			<-time.After(10 * time.Second)
			p.Stall(false)
		}, 20 * time.Second, false},
		"slow": {func(p *rig.Proxy) { p.Delay(300 * time.Millisecond) }, 20 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := rig.NewProxy(t)
			at := place{server: filepath.Join(t.TempDir(), "server"), flags: []string{"--public-agents", proxy.Address()}, proxy: proxy}
			f := newFleet(t, "net-"+hyphens(name), 1, 3, at)
			f.open()
			f.begun()
			before := len(proxy.Accepted())
			began := time.Now()
			c.fault(proxy)
			rig.Eventually(t, c.limit, "the agent is back", func() (bool, string) {
				connected, _ := f.agent.Status()["connected"].(bool)
				n := len(proxy.Accepted())
				return connected && (!c.again || n > before), fmt.Sprint(connected, n-before)
			})
			t.Logf("back after %v, %d connections", time.Since(began).Round(100*time.Millisecond), len(proxy.Accepted())-before)
			gaps(t, proxy.Accepted()[before:])
			f.settle(false)
			f.samples()
			f.verdict(1)
		})
	}
}

// gaps: an agent that is refused does not hammer, and not in step with others.
func gaps(t *testing.T, at []time.Time) {
	t.Helper()
	same := true
	for i := 1; i < len(at); i++ {
		gap := at[i].Sub(at[i-1])
		if gap < 900*time.Millisecond {
			t.Errorf("the agent connected again after %v", gap)
		}
		same = same && gap.Round(time.Second) == at[1].Sub(at[0]).Round(time.Second)
	}
	if len(at) > 4 && same {
		t.Errorf("the agent connects at even times: %v", at)
	}
}

// samples: each report once, none missing in between.
func (f *fleet) samples() {
	f.t.Helper()
	var list []struct{ Time time.Time }
	out := f.server.CLI("devices", "samples", f.device, "--signal", "system.uptime", "--since", "1h", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) == 0 {
		f.t.Fatalf("samples: %v in %s", err, out)
	}
	for i := 1; i < len(list); i++ {
		if gap := list[i].Time.Sub(list[i-1].Time); gap <= 0 || gap > 45*time.Second {
			f.t.Errorf("samples are %v apart at %v", gap, list[i].Time)
		}
	}
}
