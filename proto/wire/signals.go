package wire

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// SignalKind says what a value of a signal is.
type SignalKind string

// The kinds of signals. A rate is computed by the agent from a counter of the
// system: it is absent on the first collection and after the counter went
// back, and never zero for want of knowledge.
const (
	KindGauge SignalKind = "gauge"
	KindRate  SignalKind = "counter_as_rate"
)

// Signal is one measured quantity, named by the OpenTelemetry system
// conventions (https://opentelemetry.io/docs/specs/semconv/system/).
// Resolution is the step in which values are kept: a stored value is a whole
// multiple of it. Attributes are the names that tell its series apart; a
// series without one of them has no value for it. Unit is UCUM.
type Signal struct {
	Name       string
	Unit       string
	Resolution float64
	Attributes []string
	Kind       SignalKind
}

// Names of the signals.
const (
	SignalCPUUtilization        = "system.cpu.utilization" // share of all processors not idle, one series
	SignalCPUTime               = "system.cpu.time"        // processor seconds a second, by mode
	SignalLoad1                 = "system.cpu.load_average.1m"
	SignalLoad5                 = "system.cpu.load_average.5m"
	SignalLoad15                = "system.cpu.load_average.15m"
	SignalMemoryUtilization     = "system.memory.utilization" // share that no program could have without swapping
	SignalMemoryUsage           = "system.memory.usage"
	SignalPagingUtilization     = "system.paging.utilization"
	SignalPagingUsage           = "system.paging.usage"
	SignalFilesystemUtilization = "system.filesystem.utilization" // as df counts: used ÷ (used + available to users)
	SignalFilesystemUsage       = "system.filesystem.usage"
	SignalInodesUtilization     = "system.filesystem.inodes.utilization"
	SignalDiskIO                = "system.disk.io"
	SignalDiskOperations        = "system.disk.operations"
	SignalDiskIOTime            = "system.disk.io_time" // share of the time with at least one request under way
	SignalNetworkIO             = "system.network.io"
	SignalNetworkErrors         = "system.network.errors"
	SignalNetworkDropped        = "system.network.dropped"
	SignalProcesses             = "system.processes.count"
	SignalUptime                = "system.uptime"
	SignalAgentMemory           = "process.memory.usage" // process.* is the agent itself
	SignalAgentCPU              = "process.cpu.utilization"
	SignalAgentHandles          = "process.open_file_descriptor.count" // handles on Windows
	SignalClockSkew             = "steward.agent.clock_skew"           // reserved: the agent's clock minus the server's
)

// Names of the attributes.
const (
	AttributeMode       = "cpu.mode"   // user, system, iowait, steal
	AttributeState      = "state"      // used, free, cached, buffers
	AttributeMountpoint = "mountpoint" // where a file system is mounted
	AttributeDevice     = "device"     // device of a file system, disk or network interface
	AttributeType       = "type"       // of a file system: ext4, ntfs, apfs …
	AttributeDirection  = "direction"  // read, write; receive, transmit
)

// Signals returns the closed table of signals, the most wanted first. Names,
// units and resolutions are what stored samples mean: a row may be added, and
// never changed.
func Signals() []Signal {
	fs := []string{AttributeMountpoint, AttributeDevice, AttributeType}
	flow := []string{AttributeDevice, AttributeDirection}
	state := []string{AttributeState}
	return []Signal{
		{SignalCPUUtilization, "1", 0.001, nil, KindRate},
		{SignalMemoryUtilization, "1", 0.001, nil, KindGauge},
		{SignalFilesystemUtilization, "1", 0.001, fs, KindGauge},
		{SignalUptime, "s", 1, nil, KindGauge},
		{SignalPagingUtilization, "1", 0.001, nil, KindGauge},
		{SignalLoad1, "{thread}", 0.01, nil, KindGauge},
		{SignalLoad5, "{thread}", 0.01, nil, KindGauge},
		{SignalLoad15, "{thread}", 0.01, nil, KindGauge},
		{SignalCPUTime, "s/s", 0.001, []string{AttributeMode}, KindRate},
		{SignalMemoryUsage, "By", 1 << 20, state, KindGauge},
		{SignalPagingUsage, "By", 1 << 20, state, KindGauge},
		{SignalProcesses, "{process}", 1, nil, KindGauge},
		{SignalFilesystemUsage, "By", 1 << 16, append(slices.Clone(fs), AttributeState), KindGauge},
		{SignalInodesUtilization, "1", 0.001, fs, KindGauge},
		{SignalDiskIOTime, "1", 0.001, []string{AttributeDevice}, KindRate},
		{SignalDiskIO, "By/s", 1 << 10, flow, KindRate},
		{SignalDiskOperations, "{operation}/s", 0.1, flow, KindRate},
		{SignalNetworkIO, "By/s", 100, flow, KindRate},
		{SignalNetworkErrors, "{error}/s", 0.01, flow, KindRate},
		{SignalNetworkDropped, "{packet}/s", 0.01, flow, KindRate},
		{SignalAgentMemory, "By", 1 << 16, nil, KindGauge},
		{SignalAgentCPU, "1", 0.0001, nil, KindRate},
		{SignalAgentHandles, "{count}", 1, nil, KindGauge},
		{SignalClockSkew, "s", 0.001, nil, KindGauge},
	}
}

// SignalByName returns the row of the table; ok is false for a name that is
// not in it.
func SignalByName(name string) (signal Signal, ok bool) {
	for _, s := range Signals() {
		if s.Name == name {
			return s, true
		}
	}
	return Signal{}, false
}

// SeriesKey returns the one text for a signal and its attributes, whatever
// their order: name{key="value",…}. Different series have different keys.
func SeriesKey(name string, attrs map[string]string) string {
	var b strings.Builder
	b.WriteString(plainOrQuoted(name))
	if len(attrs) == 0 {
		return b.String()
	}
	sep := byte('{')
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		b.WriteByte(sep)
		b.WriteString(plainOrQuoted(key))
		b.WriteByte('=')
		b.WriteString(strconv.Quote(attrs[key]))
		sep = ','
	}
	b.WriteByte('}')
	return b.String()
}

// plainOrQuoted leaves the names that the table uses readable and quotes what
// could be mistaken for the punctuation of a key.
func plainOrQuoted(s string) string {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
