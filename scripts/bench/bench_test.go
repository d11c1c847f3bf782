//go:build e2e && linux

package bench

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

const (
	minutesVariable = "STEWARD_BENCH_MINUTES"
	defaultMinutes  = 10
	settle          = 75 * time.Second // the first scan and inventory are not of every day
	megabyte        = 1e6
	mebibyte        = 1 << 20
)

// Budgets; docs/performance.md says where they come from.
const (
	budgetResident  = 20   // MiB
	budgetAnonymous = 8    // MiB
	budgetCPU       = 1.0  // core-seconds an hour
	budgetUp        = 13.2 // bytes a value: 330 for a report of 25
	budgetDown      = 2    // bytes a report
	budgetBinary    = 18.0 // MB
)

// TestFigures runs an agent beside its server for some minutes and prints what
// both take of the machine and of the wire.
func TestFigures(t *testing.T) {
	stretch := time.Duration(minutes(t)) * time.Minute
	proxy := rig.NewProxy(t)
	server := rig.StartServer(t, "--public-agents", proxy.Address())
	proxy.To(server.Agents)
	agent := rig.NewAgent(t)
	agent.Enroll(server.Enrollment())
	agent.Start()
	began := time.Now()
	device := agent.Device(server)
	<-time.After(settle - time.Since(began))

	// Both ends of the stretch stand right after a report, so that it holds
	// whole ones.
	awaitReport(t, server)
	a, s, first, at := look(t, agent.PID()), look(t, server.PID()), reports(t, server), time.Now()
	up, down := proxy.Carried()
	<-time.After(stretch - 20*time.Second)
	s2, alone := look(t, server.PID()), time.Since(at).Hours() // before it is asked again and again
	awaitReport(t, server)
	a2, last, hours := look(t, agent.PID()), reports(t, server), time.Since(at).Hours()
	up2, down2 := proxy.Carried()
	n, values := last-first, width(t, server, device)
	t.Logf("%.1f minutes, %.0f reports of %.0f values", hours*60, n, values)

	var out table
	out.add("agent: resident memory", float64(a2.resident)/mebibyte, "MiB", budgetResident)
	out.add("agent: of that its own (anonymous)", float64(a2.anonymous)/mebibyte, "MiB", budgetAnonymous)
	out.add("agent: most resident, first scan included", float64(a2.peak)/mebibyte, "MiB", 0)
	out.add("agent: processor time", (a2.cpu-a.cpu)/hours, "s/h", budgetCPU)
	out.add("agent: processor time of what it started", (a2.children-a.children)/hours, "s/h", 0)
	out.add("agent: processor time of start and first scan", a.cpu, "s", 0)
	out.add("wire: up, a report", float64(up2-up)/n, "B", 0)
	out.add("wire: up, a value", float64(up2-up)/n/values, "B", budgetUp)
	out.add("wire: down, a report", float64(down2-down)/n, "B", budgetDown)
	out.add("wire: down, a minute", float64(down2-down)/hours/60, "B", 0)
	out.add("wire: enrollment and first inventory, up", float64(up)/1e3, "kB", 0)
	out.add("agent: binary", size(t, "steward-agent"), "MB", budgetBinary)
	out.add("server: binary", size(t, "steward"), "MB", 0)
	out.add("server: resident memory, one agent", float64(s2.resident)/mebibyte, "MiB", 0)
	out.add("server: processor time, one agent", (s2.cpu-s.cpu)/alone, "s/h", 0)
	out.print(t)
}

func minutes(t testing.TB) int {
	t.Helper()
	text := os.Getenv(minutesVariable)
	if text == "" {
		return defaultMinutes
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: give minutes from 1", minutesVariable, text)
	}
	return n
}

func size(t testing.TB, name string) float64 {
	t.Helper()
	info, err := os.Stat(filepath.Clean(rig.Bin(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / megabyte
}

// reports is how many the server has stored since it started.
func reports(t testing.TB, s *rig.Server) float64 {
	t.Helper()
	resp, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "steward_samples_stored_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the server's metrics do not tell how many reports it has stored")
	return 0
}

// width is how many values the device's last report holds.
func width(t testing.TB, s *rig.Server, device string) float64 {
	t.Helper()
	at := map[time.Time]float64{}
	for _, signal := range wire.Signals() {
		var page struct {
			Items []struct {
				Time time.Time `json:"time"`
			} `json:"items"`
		}
		if err := s.Get(&page, "/tenants/home/devices/"+device+"/samples?since=5m&signal="+signal.Name); err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			at[item.Time]++
		}
	}
	if len(at) == 0 {
		t.Fatal("the device has no samples")
	}
	return at[slices.MaxFunc(slices.Collect(maps.Keys(at)), time.Time.Compare)]
}

// awaitReport waits for the next report.
func awaitReport(t testing.TB, s *rig.Server) {
	t.Helper()
	before := reports(t, s)
	rig.Eventually(t, 2*time.Minute, "a report comes", func() (bool, string) {
		n := reports(t, s)
		return n > before, fmt.Sprint(n, " reports so far")
	})
}
