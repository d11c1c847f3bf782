package telemetry

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/process"

	"github.com/steward-rmm/steward/proto/wire"
)

// provider is a Provider made of a function.
type provider struct {
	name string
	read func(ctx context.Context) ([]Reading, error)
}

func (p provider) Name() string                                { return p.name }
func (p provider) Read(ctx context.Context) ([]Reading, error) { return p.read(ctx) }

// machine returns the providers of the machine that this process runs on.
func machine(proc, sys string) []Provider {
	// gopsutil takes the roots of procfs and sysfs from the context.
	at := func(read func(context.Context) ([]Reading, error)) func(context.Context) ([]Reading, error) {
		return func(ctx context.Context) ([]Reading, error) {
			return read(context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: proc, common.HostSysEnvKey: sys}))
		}
	}
	all := []Provider{
		provider{"processors", at(readCPU)},
		provider{"memory", at(readMemory)},
		provider{"paging", at(readPaging)},
		provider{"file systems", at(readFilesystems(runtime.GOOS))},
		provider{"disks", at(readDisks(runtime.GOOS, sys))},
		provider{"network", at(readNetwork(proc))},
		provider{"processes", at(readProcesses)},
		provider{"uptime", at(readUptime)},
		provider{"agent", readAgent(os.Getpid())},
	}
	if runtime.GOOS != "windows" { // gopsutil imitates a load average there; Windows has none
		all = append(all, provider{"load", at(readLoad)})
	}
	return all
}

func gauge(signal string, value float64) Reading {
	return Reading{Series: Series{Signal: signal}, Value: value}
}

// with returns the reading with attributes, given as name, value, name, value.
func (r Reading) with(pairs ...string) Reading {
	attrs := make(map[string]string, len(r.Attributes)+len(pairs)/2)
	for name, value := range r.Attributes {
		attrs[name] = value
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		attrs[pairs[i]] = pairs[i+1]
	}
	r.Attributes = attrs
	return r
}

func rate(signal string, counter float64) Reading {
	return Reading{Series: Series{Signal: signal}, Form: PerSecond, Value: counter}
}

func readCPU(ctx context.Context) ([]Reading, error) {
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) == 0 {
		return nil, errors.Join(err, errIf(len(times) == 0, "the system names no processor"))
	}
	return cpuReadings(times[0], runtime.GOOS), nil
}

// cpuReadings counts waiting for a disk as idle, as top does: a processor that
// waits can work. Guest time is part of user time on Linux already.
func cpuReadings(t cpu.TimesStat, goos string) []Reading {
	user, system := t.User+t.Nice, t.System+t.Irq+t.Softirq
	busy := user + system + t.Steal
	mode := func(name string, seconds float64) Reading {
		return rate(wire.SignalCPUTime, seconds).with(wire.AttributeMode, name)
	}
	out := []Reading{
		{Series: Series{Signal: wire.SignalCPUUtilization}, Form: Share, Value: busy, Of: busy + t.Idle + t.Iowait},
		mode("user", user), mode("system", system),
	}
	if goos == "linux" {
		out = append(out, mode("iowait", t.Iowait), mode("steal", t.Steal))
	}
	return out
}

func readLoad(ctx context.Context) ([]Reading, error) {
	l, err := load.AvgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return []Reading{gauge(wire.SignalLoad1, l.Load1), gauge(wire.SignalLoad5, l.Load5), gauge(wire.SignalLoad15, l.Load15)}, nil
}

func readMemory(ctx context.Context) ([]Reading, error) {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return memoryReadings(*m, runtime.GOOS)
}

// memoryReadings: utilization is what no program could have without paging;
// the states of usage add up to all memory on Linux.
func memoryReadings(m mem.VirtualMemoryStat, goos string) ([]Reading, error) {
	if m.Total == 0 {
		return nil, errors.New("the system names no memory")
	}
	total := float64(m.Total)
	state := func(name string, bytes float64) Reading {
		return gauge(wire.SignalMemoryUsage, bytes).with(wire.AttributeState, name)
	}
	out := []Reading{gauge(wire.SignalMemoryUtilization, (total-float64(m.Available))/total)}
	if goos == "linux" {
		free, cached, buffers := float64(m.Free), float64(m.Cached), float64(m.Buffers)
		return append(out, state("used", total-free-cached-buffers), state("free", free),
			state("cached", cached), state("buffers", buffers)), nil
	}
	return append(out, state("used", total-float64(m.Available)), state("free", float64(m.Available))), nil
}

// readPaging is silent on a machine without swap: there is nothing to fill.
func readPaging(ctx context.Context) ([]Reading, error) {
	s, err := mem.SwapMemoryWithContext(ctx)
	if err != nil || s.Total == 0 {
		return nil, err
	}
	used, total := float64(s.Used), float64(s.Total)
	usage := gauge(wire.SignalPagingUsage, used).with(wire.AttributeState, "used")
	free := gauge(wire.SignalPagingUsage, total-used).with(wire.AttributeState, "free")
	return []Reading{gauge(wire.SignalPagingUtilization, used/total), usage, free}, nil
}

// readProcesses counts the names in /proc, or the system's list of ids; it
// opens no process.
func readProcesses(ctx context.Context) ([]Reading, error) {
	pids, err := process.PidsWithContext(ctx)
	if err != nil || len(pids) == 0 {
		return nil, err
	}
	return []Reading{gauge(wire.SignalProcesses, float64(len(pids)))}, nil
}

func readUptime(ctx context.Context) ([]Reading, error) {
	up, err := host.UptimeWithContext(ctx)
	if err != nil || up == 0 {
		return nil, err
	}
	return []Reading{gauge(wire.SignalUptime, float64(up))}, nil
}

// readAgent measures the agent's own process: what it costs its machine.
func readAgent(pid int) func(context.Context) ([]Reading, error) {
	self := &process.Process{Pid: int32(pid)}
	return func(ctx context.Context) ([]Reading, error) {
		var out []Reading
		memory, errMemory := self.MemoryInfoWithContext(ctx)
		if errMemory == nil && memory.RSS > 0 {
			out = append(out, gauge(wire.SignalAgentMemory, float64(memory.RSS)))
		}
		times, errTimes := self.TimesWithContext(ctx)
		if errTimes == nil {
			out = append(out, rate(wire.SignalAgentCPU, (times.User+times.System)/float64(runtime.NumCPU())))
		}
		// macOS tells it only to a program of its own; absent there.
		if handles, err := self.NumFDsWithContext(ctx); err == nil && handles > 0 {
			out = append(out, gauge(wire.SignalAgentHandles, float64(handles)))
		}
		return out, errors.Join(errMemory, errTimes)
	}
}

func errIf(wrong bool, text string) error {
	if wrong {
		return errors.New(text)
	}
	return nil
}
