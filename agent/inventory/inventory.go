// Package inventory says what the machine is: maker, board, firmware,
// processors, memory, disks, volumes, network and operating system. Software,
// updates and sources are another room's. A fact that could not be read is
// absent, and why is among the problems; numbers that change by themselves
// (free space, uptime) are not here but in agent/telemetry, so that a quiet
// machine sends no change. Parsers take bytes and have no build tags.
package inventory

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/disk"

	"github.com/steward-rmm/steward/proto/wire"
)

// Inventory is the items of each section that this room fills, in order of
// their keys. A section that could not be read at all is missing from the map,
// which is not the same as being there without items.
type Inventory map[wire.Section][]wire.Item

// Problem says what is not in the inventory and why.
type Problem struct {
	Section wire.Section
	Fact    string // "" when the whole section or several facts are meant
	Text    string
}

// String returns the problem as one line.
func (p Problem) String() string {
	if p.Fact == "" {
		return fmt.Sprintf("%s: %s", p.Section, p.Text)
	}
	return fmt.Sprintf("%s %s: %s", p.Section, p.Fact, p.Text)
}

// Runner starts one program by its absolute path and returns its standard
// output. agent/osexec is one; only macOS needs it.
type Runner interface {
	Run(ctx context.Context, path string, args ...string) ([]byte, error)
}

// Options of a Collector. The roots are for tests and containers.
type Options struct {
	Root   string // of the file system, default /
	Proc   string // of procfs, default Root/proc
	Sys    string // of sysfs, default Root/sys
	Runner Runner // starts system_profiler and sw_vers on macOS
}

// Collector reads the inventory. It remembers the boot time it last said, as
// the kernel's answer wanders with the clock. For one goroutine.
type Collector struct {
	root, proc, sys string
	runner          Runner
	goos, goarch    string
	interfaces      func() ([]networkInterface, error)
	volumes         func(ctx context.Context) ([]Volume, error)
	capacity        func(ctx context.Context, mountpoint string) (bytes uint64, err error)
	windows         func(ctx context.Context) (windowsMachine, error)
	bootTime        time.Time
}

// New makes a Collector for the machine it runs on.
func New(o Options) *Collector {
	if o.Root == "" {
		o.Root = "/"
	}
	c := &Collector{root: o.Root, proc: o.Proc, sys: o.Sys, runner: o.Runner, goos: runtime.GOOS, goarch: runtime.GOARCH,
		interfaces: systemInterfaces, volumes: Volumes, windows: readWindows,
		capacity: func(ctx context.Context, mountpoint string) (uint64, error) {
			u, err := disk.UsageWithContext(ctx, mountpoint)
			if err != nil {
				return 0, err
			}
			return u.Total, nil
		}}
	if c.proc == "" {
		c.proc = c.path("proc")
	}
	if c.sys == "" {
		c.sys = c.path("sys")
	}
	return c
}

// Collect reads everything once. It never fails as a whole: what is not there
// is named in the problems. On a machine without changes two calls return
// equal inventories.
func (c *Collector) Collect(ctx context.Context, now time.Time) (Inventory, []Problem) {
	b := &builder{found: Inventory{}}
	// gopsutil takes the roots of procfs and sysfs from the context.
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: c.proc, common.HostSysEnvKey: c.sys})
	switch c.goos {
	case "windows":
		c.collectWindows(ctx, now, b)
	case "darwin":
		c.collectMac(ctx, now, b)
	default:
		c.collectLinux(ctx, now, b)
	}
	c.collectVolumes(ctx, b)
	c.collectNetwork(b)
	return b.finish()
}

// builder gathers items and problems.
type builder struct {
	found    Inventory
	problems []Problem
}

func (b *builder) problem(section wire.Section, fact, format string, args ...any) {
	b.problems = append(b.problems, Problem{section, fact, fmt.Sprintf(format, args...)})
}

// add puts an item into its section, unless nothing is known of it.
func (b *builder) add(section wire.Section, key string, f facts) {
	if key = clean(key); key != "" && len(f) > 0 {
		b.found[section] = append(b.found[section], wire.Item{Key: key, Facts: f})
	}
}

// finish keeps every section within the protocol's limits and in order. Items
// that share a key are told apart by a number.
func (b *builder) finish() (Inventory, []Problem) {
	for section, items := range b.found {
		if len(items) > wire.MaxOtherItems {
			b.problem(section, "", "%d items, the first %d are reported", len(items), wire.MaxOtherItems)
			items = items[:wire.MaxOtherItems]
		}
		seen := make(map[string]bool, len(items))
		for i := range items {
			key := items[i].Key
			for n := 2; seen[items[i].Key]; n++ {
				items[i].Key = fmt.Sprintf("%s #%d", key, n)
			}
			seen[items[i].Key] = true
		}
		slices.SortFunc(items, func(x, y wire.Item) int { return strings.Compare(x.Key, y.Key) })
		b.found[section] = items
	}
	return b.found, b.problems
}

// networkInterface is what Go's net package knows of one interface.
type networkInterface struct {
	net.Interface
	addresses []net.Addr
}

func systemInterfaces() ([]networkInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	out := make([]networkInterface, 0, len(all))
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			addresses = nil // it went away in between
		}
		out = append(out, networkInterface{i, addresses})
	}
	return out, nil
}
