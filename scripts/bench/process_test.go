//go:build e2e && linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// tick is the unit of processor time in /proc, on every Linux that Go runs on:
// 10 ms.
const tick = 0.01

// usage is what a process takes of its machine.
type usage struct {
	resident  int64   // bytes, the mapped binary among them
	anonymous int64   // bytes of its own: heap and stacks
	peak      int64   // bytes, the most that was resident
	cpu       float64 // seconds since it started
	children  float64 // seconds of programs that it started and that ended
}

// look reads a process's usage.
func look(t testing.TB, pid int) (u usage) {
	t.Helper()
	rollup := read(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	u.resident, u.anonymous = kilobytes(t, rollup, "Rss:"), kilobytes(t, rollup, "Anonymous:")
	u.peak = kilobytes(t, read(t, fmt.Sprintf("/proc/%d/status", pid)), "VmHWM:")
	stat := read(t, fmt.Sprintf("/proc/%d/stat", pid))
	// pid (name) state …; utime is the 14th field, stime, cutime and cstime follow.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		t.Fatalf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks [4]float64
	for i := range ticks {
		n, err := strconv.ParseFloat(fields[11+i], 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks[i] = n
	}
	u.cpu, u.children = (ticks[0]+ticks[1])*tick, (ticks[2]+ticks[3])*tick
	return u
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// kilobytes finds "Name:   123 kB" and returns bytes.
func kilobytes(t testing.TB, text []byte, name string) int64 {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}
