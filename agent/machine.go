package agent

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/agent/osexec"
	"github.com/steward-rmm/steward/agent/runner"
	"github.com/steward-rmm/steward/agent/transport"
	"github.com/steward-rmm/steward/proto/wire"
)

// machine is the computer itself, for the rooms that ask.
type machine struct {
	boot string

	mu  sync.Mutex
	now transport.Machine
}

// newMachine looks up what does not change while the process runs. A boot
// without a name gets one of this process: a restart of the agent then counts
// as one of the machine, which trusts the clock less and never more.
func newMachine() *machine {
	m := &machine{boot: bootID()}
	if m.boot == "" {
		m.boot = "process-" + rand.Text()
	}
	return m
}

// BootClock implements runner.Machine.
func (m *machine) BootClock() (time.Duration, string) { return sinceBoot(), m.boot }

// FreeBytes implements runner.Machine.
func (m *machine) FreeBytes() int64 { return freeBytes() }

// Facts returns what was last seen of the machine.
func (m *machine) Facts() transport.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *machine) learn(found inventory.Inventory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = machineOf(found)
}

// machineOf picks what tells one computer from another.
func machineOf(found inventory.Inventory) transport.Machine {
	fact := func(s wire.Section, name string) string {
		if items := found[s]; len(items) > 0 {
			return items[0].Facts[name]
		}
		return ""
	}
	return transport.Machine{
		Hostname: fact(wire.SectionSystem, inventory.FactHostname), Serial: fact(wire.SectionSystem, inventory.FactSerial),
		BoardUUID: fact(wire.SectionSystem, inventory.FactUUID), OSFamily: fact(wire.SectionOS, inventory.FactFamily),
		OSName: fact(wire.SectionOS, wire.FactName), OSVersion: fact(wire.SectionOS, wire.FactVersion),
		Arch: fact(wire.SectionOS, wire.FactArch), TimeZone: fact(wire.SectionOS, inventory.FactTimeZone),
	}
}

// collectTimeout bounds one look at the hardware.
const collectTimeout = 2 * time.Minute

// newCollector reads this machine's inventory.
func newCollector(now func() time.Time) *inventory.Collector {
	return inventory.New(inventory.Options{Runner: programs{osexec.System{Now: now}}})
}

func collect(ctx context.Context, c *inventory.Collector, now time.Time) (inventory.Inventory, []inventory.Problem) {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	return c.Collect(ctx, now)
}

// starter asks the server for the runner, in the runner's words.
type starter struct{ client *transport.Client }

// MayStart implements runner.Starter.
func (s starter) MayStart(ctx context.Context, jobID string, attempt uint32) (runner.Answer, error) {
	a, err := s.client.MayStart(ctx, jobID, attempt)
	out := runner.Answer{Reason: a.Reason, RetryAfter: a.RetryAfter}
	switch a.Verdict {
	case transport.VerdictStart:
		out.Verdict = runner.VerdictStart
	case transport.VerdictWait:
		out.Verdict = runner.VerdictWait
	case transport.VerdictCancelled:
		out.Verdict = runner.VerdictCancelled
	}
	return out, err
}

// MayScan implements runner.Starter.
func (s starter) MayScan(ctx context.Context, source string) (bool, time.Duration, error) {
	return s.client.MayScan(ctx, source)
}

// Contact implements runner.Starter.
func (s starter) Contact() (bool, time.Time) { return s.client.Contact() }
