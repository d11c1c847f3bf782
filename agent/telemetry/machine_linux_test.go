package telemetry

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"

	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/proto/wire"
)

func valuesOf(readings []Reading) map[string]float64 {
	out := map[string]float64{}
	for _, r := range readings {
		out[r.Key()] = r.Value
	}
	return out
}

func TestThisMachineAgreesWithItsOwnTools(t *testing.T) {
	c := New(Options{})
	c.Collect(t.Context(), time.Now())
	spin(60 * time.Millisecond)
	got := byKey(c.Collect(t.Context(), time.Now().Add(time.Second)))
	for _, f := range c.Failures() {
		t.Logf("failure: %s", f)
	}
	for _, want := range []string{wire.SignalCPUUtilization, wire.SignalMemoryUtilization, wire.SignalLoad1, wire.SignalProcesses,
		wire.SignalUptime, wire.SignalAgentMemory, wire.SignalAgentCPU, wire.SignalAgentHandles, `system.cpu.time{cpu.mode="user"}`} {
		if _, ok := got[want]; !ok {
			t.Errorf("no value of %s", want)
		}
	}
	near(t, "memory in all states", got[`system.memory.usage{state="used"}`]+got[`system.memory.usage{state="free"}`]+
		got[`system.memory.usage{state="cached"}`]+got[`system.memory.usage{state="buffers"}`], float64(memTotal(t)), 1e-6)
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	near(t, "processes", got[wire.SignalProcesses], float64(len(names)), 0.5)
	near(t, "agent memory", got[wire.SignalAgentMemory], float64(statusRSS(t)), 0.3)
	if _, ok := got[wire.SignalPagingUtilization]; ok != (swapTotal(t) > 0) {
		t.Errorf("paging reported: %v, swap of the machine: %d", ok, swapTotal(t))
	}
	for key := range got {
		if strings.Contains(key, `device="lo"`) || strings.Contains(key, "loop") && strings.HasPrefix(key, "system.disk") {
			t.Errorf("%s should not be measured", key)
		}
	}
}

func TestUtilizationOfFileSystemsIsWhatDfSays(t *testing.T) {
	out, err := exec.Command("df", "--output=pcent,target", "-B1", "-x", "tmpfs", "-x", "devtmpfs").Output()
	if err != nil {
		t.Fatal(err)
	}
	df := map[string]float64{}
	for _, line := range strings.Split(string(out), "\n")[1:] {
		f := strings.Fields(line)
		if len(f) == 2 {
			if v, err := strconv.ParseFloat(strings.TrimSuffix(f[0], "%"), 64); err == nil {
				df[f[1]] = v / 100
			}
		}
	}
	checked := 0
	for _, s := range New(Options{}).Collect(t.Context(), time.Now()) {
		if s.Series.Signal != wire.SignalFilesystemUtilization {
			continue
		}
		if want, ok := df[s.Series.Attributes[wire.AttributeMountpoint]]; ok {
			checked++
			if math.Abs(s.Value-want) > 0.011 {
				t.Errorf("%v: %v, df says %v", s.Series.Attributes, s.Value, want)
			}
		}
		if len(s.Series.Attributes) != 3 {
			t.Errorf("attributes %v, want mountpoint, device and type", s.Series.Attributes)
		}
	}
	if checked == 0 {
		t.Errorf("no file system of df %v was measured", df)
	}
}

func TestProcessorsWaitingForADiskAreIdle(t *testing.T) {
	times := cpu.TimesStat{User: 10, Nice: 1, System: 4, Irq: 1, Softirq: 1, Steal: 3, Idle: 70, Iowait: 10, Guest: 5}
	linux := cpuReadings(times, "linux")
	if linux[0].Value != 20 || linux[0].Of != 100 {
		t.Errorf("busy %v of %v, want 20 of 100", linux[0].Value, linux[0].Of)
	}
	got := valuesOf(linux[1:])
	for mode, want := range map[string]float64{"user": 11, "system": 6, "iowait": 10, "steal": 3} {
		if v := got[`system.cpu.time{cpu.mode="`+mode+`"}`]; v != want {
			t.Errorf("%s: %v, want %v", mode, v, want)
		}
	}
	if n := len(cpuReadings(times, "windows")); n != 3 {
		t.Errorf("%d readings on Windows, which knows no iowait and no steal", n)
	}
}

func TestMemoryOutsideLinuxHasTwoStates(t *testing.T) {
	m := mem.VirtualMemoryStat{Total: 100, Available: 25, Free: 5}
	readings, err := memoryReadings(m, "darwin")
	got := valuesOf(readings)
	if err != nil || len(got) != 3 || got[wire.SignalMemoryUtilization] != 0.75 || got[`system.memory.usage{state="used"}`] != 75 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := memoryReadings(mem.VirtualMemoryStat{}, "linux"); err == nil {
		t.Error("a machine without memory was believed")
	}
}

func TestFileSystemsWithoutInodesReportNone(t *testing.T) {
	v := inventory.Volume{Mountpoint: "/", Device: "/dev/sda1", Type: "btrfs"}
	if got := filesystemReadings(v, disk.UsageStat{Used: 30, Free: 60, Total: 100}, "linux"); len(got) != 3 || got[0].Value != 30.0/90 {
		t.Errorf("%v", got)
	}
	if got := filesystemReadings(v, disk.UsageStat{Used: 30, Free: 60, InodesTotal: 10, InodesFree: 4}, "linux"); len(got) != 4 || got[3].Value != 0.6 {
		t.Errorf("%v", got)
	}
	if got := filesystemReadings(v, disk.UsageStat{}, "linux"); got != nil {
		t.Errorf("an empty file system reported %v", got)
	}
}

func TestOnlyWholeDisksAreMeasured(t *testing.T) {
	sys := t.TempDir()
	for _, dir := range []string{"block/sda/device", "block/nvme0n1/device", "block/dm-0", "block/loop0", "block/sr0/device", "block/cciss!c0d0/device"} {
		if err := os.MkdirAll(filepath.Join(sys, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"sda": true, "sda1": false, "nvme0n1": true, "dm-0": false, "loop0": false, "sr0": false, "cciss/c0d0": true} {
		if got := wholeDisk(sys, name); got != want {
			t.Errorf("wholeDisk(%s) = %v", name, got)
		}
	}
	if n := len(diskReadings("C:", disk.IOCountersStat{}, "windows")); n != 4 {
		t.Errorf("%d readings of a Windows drive, whose busy time is not known", n)
	}
}

func TestInterfacesThatOnlyPassOnAreLeftOut(t *testing.T) {
	for name, want := range map[string]bool{"eth0": true, "enp3s0": true, "wlan0": true, "en0": true, "Ethernet 2": true, "bond0": true, "br0": true, "ppp0": true,
		"lo": false, "lo0": false, "veth12ab": false, "docker0": false, "br-0123456789ab": false, "virbr0-nic": false, "awdl0": false, "Loopback Pseudo-Interface 1": false} {
		if got := len(networkReadings([]net.IOCountersStat{{Name: name}})) > 0; got != want {
			t.Errorf("%s measured: %v", name, got)
		}
	}
}

// info2 builds one message as macOS' kernel sends it.
func info2(index uint16, in, out uint64) []byte {
	m := make([]byte, 160)
	binary.LittleEndian.PutUint16(m, uint16(len(m)))
	m[2], m[3] = 5, interfaceInfo2
	binary.LittleEndian.PutUint16(m[atIndex:], index)
	binary.LittleEndian.PutUint64(m[atInBytes:], in)
	binary.LittleEndian.PutUint64(m[atOutBytes:], out)
	return m
}

func TestInterfaceListOfMacOS(t *testing.T) {
	address := []byte{20, 0, 5, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	raw := append(append(info2(4, 1<<33, 77), address...), info2(9, 1, 1)...)
	name := func(i int) string { return map[int]string{4: "en0"}[i] }
	got, err := parseInterfaceList(raw, name)
	if err != nil || len(got) != 1 || got[0].Name != "en0" || got[0].BytesRecv != 1<<33 || got[0].BytesSent != 77 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := parseInterfaceList(append(info2(4, 1, 2), 200, 0, 5, 0x12), name); err == nil || len(got) != 1 {
		t.Errorf("cut short: %+v, %v", got, err)
	}
}

func FuzzInterfaceList(f *testing.F) {
	f.Add(append(info2(1, 2, 3), info2(2, 4, 5)...))
	f.Add([]byte{4, 0, 5, 0x12})
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, _ := parseInterfaceList(raw, func(int) string { return "en0" })
		if len(got)*minInfo2 > len(raw) {
			t.Errorf("%d interfaces in %d bytes", len(got), len(raw))
		}
	})
}

// The budget is one processor second an hour at two collections a minute:
// 8.3 ms each.
func BenchmarkCollect(b *testing.B) {
	c := New(Options{})
	now := time.Now()
	c.Collect(b.Context(), now)
	b.ReportAllocs()
	before := cpuTime(b)
	n, series := 0, 0
	for b.Loop() {
		now = now.Add(30 * time.Second)
		series = len(c.Collect(b.Context(), now))
		n++
	}
	each := (cpuTime(b) - before).Seconds() / float64(n)
	b.ReportMetric(float64(series), "series")
	b.ReportMetric(each*1000, "cpu-ms/collect")
	b.ReportMetric(each*120, "cpu-s/h")
}

func TestCollectingStaysInItsBudget(t *testing.T) {
	c := New(Options{})
	now := time.Now()
	c.Collect(t.Context(), now)
	const times = 20
	before := cpuTime(t)
	for i := range times {
		c.Collect(t.Context(), now.Add(time.Duration(i+1)*30*time.Second))
	}
	hour := (cpuTime(t) - before).Seconds() / times * 120
	t.Logf("%.2f CPU-s an hour", hour)
	if hour > 1.0*raceFactor {
		t.Errorf("%.2f CPU-s an hour, the budget is 1.0", hour)
	}
}

func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		runtime.Gosched()
	}
}

func near(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.Abs(got-want) > share*want {
		t.Errorf("%s: %v, want about %v", what, got, want)
	}
}

func procNumber(t *testing.T, file, field string) (bytes uint64) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == field {
			if bytes, err = strconv.ParseUint(f[1], 10, 64); err != nil {
				t.Fatal(err)
			}
			return bytes * 1024
		}
	}
	t.Fatalf("%s has no %s", file, field)
	return 0
}

func memTotal(t *testing.T) uint64  { return procNumber(t, "/proc/meminfo", "MemTotal:") }
func swapTotal(t *testing.T) uint64 { return procNumber(t, "/proc/meminfo", "SwapTotal:") }
func statusRSS(t *testing.T) uint64 { return procNumber(t, "/proc/self/status", "VmRSS:") }
