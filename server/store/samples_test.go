package store_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/telemetry"
)

// machine makes the values of one device that looks alive: shares that follow
// the hour and wander, flows in bursts, disks that fill slowly, counts and an
// uptime.
type machine struct {
	r     *rand.Rand
	defs  []telemetry.Definition
	state []float64
	sizes []float64
}

func newMachine(seed uint64) *machine {
	m := &machine{r: rand.New(rand.NewPCG(seed, 1))}
	add := func(signal string, attributes ...string) {
		s, ok := wire.SignalByName(signal)
		if !ok {
			panic("no signal " + signal)
		}
		d := telemetry.Definition{Signal: signal, Unit: s.Unit, Resolution: s.Resolution, Attributes: map[string]string{}}
		for i := 0; i+1 < len(attributes); i += 2 {
			d.Attributes[attributes[i]] = attributes[i+1]
		}
		m.defs = append(m.defs, d)
		m.state = append(m.state, m.r.Float64())
		m.sizes = append(m.sizes, 1+9*m.r.Float64())
	}
	for _, s := range []string{wire.SignalCPUUtilization, wire.SignalMemoryUtilization, wire.SignalPagingUtilization,
		wire.SignalLoad1, wire.SignalLoad5, wire.SignalLoad15, wire.SignalProcesses, wire.SignalUptime} {
		add(s)
	}
	for _, state := range []string{"used", "free", "cached"} {
		add(wire.SignalMemoryUsage, "state", state)
	}
	for _, mount := range []string{"/", "/data"} {
		add(wire.SignalFilesystemUtilization, "mountpoint", mount)
		add(wire.SignalFilesystemUsage, "mountpoint", mount, "state", "used")
		add(wire.SignalFilesystemUsage, "mountpoint", mount, "state", "free")
	}
	for _, direction := range []string{"read", "write"} {
		add(wire.SignalDiskIO, "device", "sda", "direction", direction)
		add(wire.SignalDiskOperations, "device", "sda", "direction", direction)
	}
	add(wire.SignalDiskIOTime, "device", "sda")
	for _, direction := range []string{"receive", "transmit"} {
		add(wire.SignalNetworkIO, "device", "eth0", "direction", direction)
		add(wire.SignalNetworkErrors, "device", "eth0", "direction", direction)
	}
	return m
}

func (m *machine) values(at time.Time, numbers []int) []telemetry.Value {
	hour := float64(at.Hour()) + float64(at.Minute())/60
	busy := 0.2 + 0.6*math.Max(0, math.Sin((hour-6)/12*math.Pi))
	out := make([]telemetry.Value, len(m.defs))
	for i, d := range m.defs {
		m.state[i] += 0.1*(m.r.Float64()-m.state[i]) + 0.02*m.r.NormFloat64()
		m.state[i] = min(1, max(0, m.state[i]))
		out[i] = telemetry.Value{Series: numbers[i], V: m.value(d, i, busy, at)}
	}
	return out
}

func (m *machine) value(d telemetry.Definition, i int, busy float64, at time.Time) float64 {
	x, gib := m.state[i], m.sizes[i]*(1<<30)
	switch d.Signal {
	case wire.SignalUptime:
		return float64(at.Unix() - 1_700_000_000)
	case wire.SignalProcesses:
		return math.Round(180 + 20*m.sizes[i]*x)
	case wire.SignalMemoryUsage:
		return gib * (0.5 + 0.1*x + 0.002*m.r.NormFloat64())
	case wire.SignalFilesystemUsage:
		m.sizes[i] += 1e-6 * m.r.ExpFloat64()
		return 20 * gib
	case wire.SignalFilesystemUtilization:
		m.sizes[i] += 1e-6 * m.r.ExpFloat64()
		return m.sizes[i] / 11
	case wire.SignalPagingUtilization:
		return math.Floor(x*20) / 100
	case wire.SignalNetworkErrors:
		return 0
	case wire.SignalDiskIO, wire.SignalNetworkIO:
		return busy * 200_000 * math.Exp(1.2*m.r.NormFloat64())
	case wire.SignalDiskOperations:
		return busy * 30 * math.Exp(m.r.NormFloat64())
	case wire.SignalLoad1, wire.SignalLoad5, wire.SignalLoad15:
		return 4 * busy * x
	}
	return busy * (0.7*x + 0.1*m.r.Float64())
}

// fillDay stores 24 hours of reports, one a minute, with the compactor at work,
// and calls each with every report. It returns the number of values.
func fillDay(t testing.TB, svc *telemetry.Service, devices int, each func(device ident.DeviceID, at time.Time, values []telemetry.Value)) (values int) {
	t.Helper()
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	machines, numbers := make([]*machine, devices), make([][]int, devices)
	names := make([]ident.DeviceID, devices)
	for i := range machines {
		machines[i] = newMachine(uint64(i))
		names[i] = ident.DeviceID(ident.New(begin))
		var err error
		if numbers[i], err = svc.Define(t.Context(), "acme", names[i], machines[i].defs); err != nil {
			t.Fatal(err)
		}
	}
	for minute := range 24 * 60 {
		at := begin.Add(time.Duration(minute) * time.Minute)
		var wg sync.WaitGroup
		for i, m := range machines {
			v := m.values(at, numbers[i])
			values += len(v)
			if each != nil {
				each(names[i], at, v)
			}
			wg.Go(func() {
				if err := svc.Store(t.Context(), "acme", names[i], []telemetry.Report{{At: at, Values: v}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if minute%5 == 4 {
			if _, err := svc.RunOnce(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values
}

func samplesService(t testing.TB, s *store.Store) *telemetry.Service {
	t.Helper()
	svc, err := telemetry.New(s.Samples(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Close() })
	return svc
}

// TestSamplesOfADayStayWithinTheirBudget holds the budget of docs/performance.md: at most
// 2.0 bytes for each value in the whole file, after a day of one report a minute.
func TestSamplesOfADayStayWithinTheirBudget(t *testing.T) {
	size, values := dayFile(t, 20, nil)
	perValue := float64(size) / float64(values)
	t.Logf("%d values, %d bytes, %.2f bytes a value", values, size, perValue)
	if perValue > 2.0 {
		t.Errorf("%.2f bytes a value, the budget is 2.0", perValue)
	}
}

func dayFile(t testing.TB, devices int, each func(ident.DeviceID, time.Time, []telemetry.Value)) (size int64, values int) {
	t.Helper()
	dir := storetest.Dir(t)
	s := storetest.OpenOptions(t, store.Options{Dir: dir})
	values = fillDay(t, samplesService(t, s), devices, each)
	if err := s.Close(); err != nil { // the journal goes into the file
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "samples.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size(), values
}

// BenchmarkBytesPerValue stores a day beside a table with one row for each
// sample, as a reader would first think of.
func BenchmarkBytesPerValue(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "rows.db")
		rows, err := sql.Open("sqlite", path)
		if err != nil {
			b.Fatal(err)
		}
		rows.SetMaxOpenConns(1)
		mustExec(b, rows, `CREATE TABLE sample (device INTEGER, series INTEGER, at INTEGER, v REAL, PRIMARY KEY (device, series, at)) WITHOUT ROWID`)
		mustExec(b, rows, `BEGIN`)
		insert, err := rows.Prepare(`INSERT INTO sample VALUES (?, ?, ?, ?)`)
		if err != nil {
			b.Fatal(err)
		}
		ids := map[ident.DeviceID]int{}
		size, values := dayFile(b, 20, func(device ident.DeviceID, at time.Time, values []telemetry.Value) {
			if _, ok := ids[device]; !ok {
				ids[device] = len(ids) + 1
			}
			for _, v := range values {
				if _, err := insert.Exec(ids[device], v.Series, at.Unix(), v.V); err != nil {
					b.Fatal(err)
				}
			}
		})
		mustExec(b, rows, `COMMIT`)
		if err := rows.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/float64(values), "B/value")
		b.ReportMetric(float64(info.Size())/float64(values), "B/value-by-row")
	}
}

func mustExec(b testing.TB, db *sql.DB, text string) {
	b.Helper()
	if _, err := db.Exec(text); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSampleAppend stores reports of about 25 values from many devices.
func BenchmarkSampleAppend(b *testing.B) {
	svc := samplesService(b, storetest.Open(b))
	const devices = 500
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	names, numbers := make([]ident.DeviceID, devices), make([][]int, devices)
	m := newMachine(1)
	for i := range names {
		names[i] = ident.DeviceID(ident.New(begin))
		var err error
		if numbers[i], err = svc.Define(b.Context(), "acme", names[i], m.defs); err != nil {
			b.Fatal(err)
		}
	}
	values := m.values(begin, numbers[0])
	var wg sync.WaitGroup
	share := b.N/devices + 1
	b.ResetTimer()
	for _, name := range names {
		wg.Go(func() {
			for i := range share {
				at := begin.Add(time.Duration(i) * time.Minute)
				if err := svc.Store(b.Context(), "acme", name, []telemetry.Report{{At: at, Values: slices.Clone(values)}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	n := float64(share * devices)
	b.ReportMetric(n/b.Elapsed().Seconds(), "reports/s")
	b.ReportMetric(n*float64(len(values))/b.Elapsed().Seconds(), "values/s")
}

// BenchmarkReadDay reads all signals of one device over 24 hours.
func BenchmarkReadDay(b *testing.B) {
	s := storetest.Open(b)
	svc := samplesService(b, s)
	var device ident.DeviceID
	fillDay(b, svc, 2, func(d ident.DeviceID, _ time.Time, _ []telemetry.Value) { device = d })
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	runtime.GC()
	var took []time.Duration
	points := 0
	for b.Loop() {
		at := time.Now()
		out, err := svc.Read(b.Context(), "acme", device, begin, begin.Add(24*time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(at))
		points = 0
		for _, series := range out {
			points += len(series.Points)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms-p99")
	b.ReportMetric(float64(points), "points")
	if points == 0 {
		b.Fatal(fmt.Errorf("nothing read"))
	}
}
