//go:build unix

package store_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/telemetry"
)

// day is what many devices measured in 24 hours, a report a minute: values by
// minute and device.
type day struct {
	begin   time.Time
	names   []ident.DeviceID
	defs    []telemetry.Definition
	minutes [][][]telemetry.Value
	values  int
}

func newDay(devices int) *day {
	d := &day{begin: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	machines := make([]*machine, devices)
	for i := range machines {
		machines[i] = newMachine(uint64(i))
		d.names = append(d.names, ident.DeviceID(ident.New(d.begin)))
	}
	d.defs = machines[0].defs
	numbers := make([]int, len(d.defs))
	for i := range numbers {
		numbers[i] = i + 1 // as Define gives them to a new device
	}
	for minute := range 24 * 60 {
		reports := make([][]telemetry.Value, devices)
		for i, m := range machines {
			reports[i] = m.values(d.begin.Add(time.Duration(minute)*time.Minute), numbers)
			d.values += len(reports[i])
		}
		d.minutes = append(d.minutes, reports)
	}
	return d
}

// BenchmarkSampleDay stores a day of 20 devices: with the compactor at work,
// and as one row for each sample in a table of the same durability.
func BenchmarkSampleDay(b *testing.B) {
	d := newDay(20)
	b.Run("blocks", func(b *testing.B) {
		spent := 0.0
		for b.Loop() {
			svc := samplesService(b, storetest.Open(b))
			for _, name := range d.names {
				numbers, err := svc.Define(b.Context(), "acme", name, d.defs)
				if err != nil || numbers[0] != 1 || numbers[len(numbers)-1] != len(numbers) {
					b.Fatal(numbers, err)
				}
			}
			began := cpuTime(b)
			storeDay(b, svc, d)
			spent += cpuTime(b) - began
		}
		b.ReportMetric(float64(b.N*d.values)/spent, "values/core-s")
	})
	b.Run("rows", func(b *testing.B) {
		spent := 0.0
		for b.Loop() {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "rows.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
			if err != nil {
				b.Fatal(err)
			}
			db.SetMaxOpenConns(1)
			mustExec(b, db, `CREATE TABLE sample (device INTEGER, series INTEGER, at INTEGER, v REAL, PRIMARY KEY (device, series, at)) WITHOUT ROWID`)
			began := cpuTime(b)
			rowsOfDay(b, db, d)
			spent += cpuTime(b) - began
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*d.values)/spent, "values/core-s")
	})
}

func storeDay(b *testing.B, svc *telemetry.Service, d *day) {
	b.Helper()
	for minute, reports := range d.minutes {
		at := d.begin.Add(time.Duration(minute) * time.Minute)
		var wg sync.WaitGroup
		for i, values := range reports {
			wg.Go(func() {
				if err := svc.Store(b.Context(), "acme", d.names[i], []telemetry.Report{{At: at, Values: values}}); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		if minute%5 == 4 {
			if _, err := svc.RunOnce(b.Context(), at); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// rowsOfDay commits once for each minute, with the statement prepared.
func rowsOfDay(b *testing.B, db *sql.DB, d *day) {
	b.Helper()
	insert, err := db.Prepare(`INSERT INTO sample VALUES (?, ?, ?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = insert.Close() }()
	for minute, reports := range d.minutes {
		at := d.begin.Add(time.Duration(minute) * time.Minute).Unix()
		mustExec(b, db, `BEGIN`)
		for device, values := range reports {
			for _, v := range values {
				if _, err := insert.Exec(device, v.Series, at, v.V); err != nil {
					b.Fatal(err)
				}
			}
		}
		mustExec(b, db, `COMMIT`)
	}
}

// cpuTime is what this process has used of the processors, in seconds.
func cpuTime(tb testing.TB) float64 {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
