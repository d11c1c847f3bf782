package telemetry_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/telemetry"
)

const (
	acme   = ident.TenantID("acme")
	laptop = ident.DeviceID("018f0000-0000-7000-8000-000000000001")
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) // never changed

func service(t testing.TB, s *store.Store) *telemetry.Service {
	t.Helper()
	svc, err := telemetry.New(s.Samples(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := svc.Refill(t.Context()); err != nil {
		t.Fatal(err)
	}
	return svc
}

func definitions() []telemetry.Definition {
	return []telemetry.Definition{
		{Signal: "system.cpu.utilization", Unit: "1", Resolution: 0.001},
		{Signal: "system.filesystem.usage", Unit: "By", Resolution: 1 << 16, Attributes: map[string]string{"mountpoint": "/", "state": "used"}},
		{Signal: "system.filesystem.usage", Unit: "By", Resolution: 1 << 16, Attributes: map[string]string{"mountpoint": "/", "state": "free"}},
	}
}

func define(t testing.TB, svc *telemetry.Service, device ident.DeviceID) []int {
	t.Helper()
	numbers, err := svc.Define(t.Context(), acme, device, definitions())
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// put stores one report a minute from minute first on; the third series is
// there in every other one.
func put(t testing.TB, svc *telemetry.Service, device ident.DeviceID, numbers []int, first, count int) {
	t.Helper()
	for i := first; i < first+count; i++ {
		values := []telemetry.Value{{Series: numbers[1], V: float64(i) * 65536}, {Series: numbers[0], V: float64(i%1000) / 1000}}
		if i%2 == 0 {
			values = append(values, telemetry.Value{Series: numbers[2], V: 65536})
		}
		at := start.Add(time.Duration(i)*time.Minute + 300*time.Millisecond)
		err := svc.Store(t.Context(), acme, device, []telemetry.Report{{Device: device, At: at, Values: values}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, svc *telemetry.Service, from, to time.Time, signals ...string) []telemetry.Series {
	t.Helper()
	out, err := svc.Read(t.Context(), acme, laptop, from, to, signals...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compact(t testing.TB, svc *telemetry.Service, now time.Time) telemetry.Compaction {
	t.Helper()
	done, err := svc.RunOnce(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestReadingIsTheSameBeforeAndAfterCompaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		svc := service(t, s)
		numbers := define(t, svc, laptop)
		const reports = 600
		put(t, svc, laptop, numbers, 0, reports)
		end := start.Add(24 * time.Hour)
		before := read(t, svc, start, end)
		if len(before) != 3 || len(before[0].Points) != reports || len(before[1].Points) != reports/2 || len(before[2].Points) != reports {
			t.Fatalf("%d series before", len(before))
		}
		for i, p := range before[0].Points {
			if !p.At.Equal(start.Add(time.Duration(i)*time.Minute)) || p.V != float64(i)/1000 {
				t.Fatalf("point %d = %v", i, p)
			}
		}
		done := compact(t, svc, start.Add(5*time.Hour))
		if done.Reports == 0 || done.Reports >= reports {
			t.Errorf("the first compaction took %d reports", done.Reports)
		}
		same(t, before, read(t, svc, start, end))
		compact(t, svc, end)
		same(t, before, read(t, svc, start, end))
		if done := compact(t, svc, end); done.Blocks != 0 {
			t.Errorf("a compaction with nothing to do wrote %d blocks", done.Blocks)
		}
		part := read(t, svc, start.Add(100*time.Minute), start.Add(199*time.Minute), "system.cpu.utilization")
		if len(part) != 1 || len(part[0].Points) != 100 || part[0].Points[0].V != 0.1 {
			t.Errorf("a part of one signal: %v", part)
		}
	})
}

func same(t testing.TB, want, got []telemetry.Series) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d series, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Signal != want[i].Signal || fmt.Sprint(got[i].Attributes) != fmt.Sprint(want[i].Attributes) {
			t.Errorf("series %d is %v, want %v", i, got[i].Signal, want[i].Signal)
		}
		if !slices.Equal(got[i].Points, want[i].Points) {
			t.Errorf("%s %v: points differ", got[i].Signal, got[i].Attributes)
		}
	}
}

func TestReportsThatComeAgainOrLateAreKeptOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		svc := service(t, s)
		numbers := define(t, svc, laptop)
		put(t, svc, laptop, numbers, 0, 100)
		put(t, svc, laptop, numbers, 90, 10) // again, still in the tail
		put(t, svc, laptop, numbers, 200, 200)
		end := start.Add(24 * time.Hour)
		compact(t, svc, end)
		put(t, svc, laptop, numbers, 0, 300) // again, and those between for the first time
		check := func() {
			t.Helper()
			points := read(t, svc, start, end, "system.cpu.utilization")[0].Points
			if len(points) != 400 {
				t.Errorf("%d points, want 400", len(points))
			}
			for i, p := range points {
				if p.V != float64(i)/1000 {
					t.Fatalf("point %d = %v", i, p)
				}
			}
		}
		check()
		if done := compact(t, svc, end); done.Reports != 100 {
			t.Errorf("late compaction kept %d reports, want 100", done.Reports)
		}
		check()
	})
}

func TestLatestSurvivesARestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, compacted := range []bool{false, true} {
			device := ident.DeviceID(fmt.Sprint(laptop, compacted))
			svc := service(t, s)
			numbers := define(t, svc, device)
			put(t, svc, device, numbers, 0, 7)
			if compacted {
				compact(t, svc, start.Add(24*time.Hour))
			}
			want := svc.Latest(acme, device)
			again := service(t, s)
			got := again.Latest(acme, device)
			if len(got) != 3 || len(want) != 3 {
				t.Fatalf("%d readings, before %d", len(got), len(want))
			}
			for i := range got {
				if got[i].Point != want[i].Point || got[i].Signal != want[i].Signal {
					t.Errorf("reading %d = %v, want %v", i, got[i], want[i])
				}
			}
			if next := define(t, again, device); !slices.Equal(next, numbers) {
				t.Errorf("numbers %v, before %v", next, numbers)
			}
			if done := compact(t, again, start.Add(24*time.Hour)); done.Reports != 0 && compacted {
				t.Errorf("compacted %d reports again", done.Reports)
			}
		}
		if got := service(t, s).Latest("other", laptop); got != nil {
			t.Errorf("another tenant reads %v", got)
		}
	})
}

func TestLatestIsKeptBySeriesAndNeverGoesBack(t *testing.T) {
	svc := service(t, storetest.Open(t))
	numbers := define(t, svc, laptop)
	put(t, svc, laptop, numbers, 0, 4) // minute 3 has no third series
	put(t, svc, laptop, numbers, 1, 1)
	got := svc.Latest(acme, laptop)
	for i, minute := range []int{3, 3, 2} {
		if at := start.Add(time.Duration(minute) * time.Minute); !got[i].At.Equal(at) {
			t.Errorf("%s: latest at %v, want %v", got[i].Signal, got[i].At, at)
		}
	}
}

func TestRetentionRemovesWholeOldBlocksAndRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		svc := service(t, s)
		numbers := define(t, svc, laptop)
		put(t, svc, laptop, numbers, 0, 700)
		compact(t, svc, start.Add(6*time.Hour))
		now := start.Add(30*24*time.Hour + 8*time.Hour) // keeps from 8 h on
		removed, err := svc.RetainOnce(t.Context(), now)
		if err != nil || removed == 0 {
			t.Fatalf("removed %d, %v", removed, err)
		}
		points := read(t, svc, start, now, "system.cpu.utilization")[0].Points
		if first := points[0].At; first.Before(start.Add(6*time.Hour)) || first.After(start.Add(8*time.Hour)) {
			t.Errorf("the first point left is of %v", first)
		}
		if removed, err := svc.Forget(t.Context(), "other", now); err != nil || removed != 0 {
			t.Errorf("another tenant's retention removed %d, %v", removed, err)
		}
		if err := svc.Drop(t.Context(), acme, laptop); err != nil {
			t.Fatal(err)
		}
		if got := read(t, svc, start, now); got != nil || svc.Latest(acme, laptop) != nil {
			t.Errorf("a dropped device still has %d series", len(got))
		}
	})
}

func TestWhatCannotBeStoredIsRefused(t *testing.T) {
	svc := service(t, storetest.Open(t))
	numbers := define(t, svc, laptop)
	one := []telemetry.Value{{Series: numbers[0], V: 1}}
	cases := map[string]telemetry.Report{
		"unknown series": {At: start, Values: []telemetry.Value{{Series: 99, V: 1}}},
		"series 0":       {At: start, Values: []telemetry.Value{{Series: 0, V: 1}}},
		"series twice":   {At: start, Values: append(one, one...)},
		"no time":        {Values: one},
		"other device":   {Device: "other", At: start, Values: one},
	}
	for name, r := range cases {
		if err := svc.Store(t.Context(), acme, laptop, []telemetry.Report{r}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, d := range []telemetry.Definition{{Resolution: 1}, {Signal: "a"}, {Signal: "a", Resolution: math.NaN()}, {Signal: "a", Resolution: math.Inf(1)}} {
		if _, err := svc.Define(t.Context(), acme, laptop, []telemetry.Definition{d}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", d, err)
		}
	}
	special := []telemetry.Value{{Series: numbers[0], V: math.Inf(1)}, {Series: numbers[1], V: math.NaN()}}
	if err := svc.Store(t.Context(), acme, laptop, []telemetry.Report{{At: start, Values: special}}); err != nil {
		t.Error(err)
	}
	if got := read(t, svc, start, start); len(got) != 2 || !math.IsInf(got[0].Points[0].V, 1) || !math.IsNaN(got[1].Points[0].V) {
		t.Errorf("special values come back as %v", got)
	}
}

func TestDevicesCutTheirBlocksAtDifferentTimes(t *testing.T) {
	svc := service(t, storetest.Open(t))
	for i := range 40 {
		device := ident.DeviceID(fmt.Sprintf("device-%d", i))
		put(t, svc, device, define(t, svc, device), 0, 1)
	}
	at := map[int]int{} // devices by the quarter of an hour that made them due
	for quarter := range 10 {
		now := start.Add(time.Minute + time.Duration(quarter)*15*time.Minute)
		at[quarter] = compact(t, svc, now).Devices
	}
	total := 0
	for quarter, n := range at {
		total += n
		if n > 20 {
			t.Errorf("%d of 40 devices at once, in quarter %d", n, quarter)
		}
	}
	if total != 40 {
		t.Errorf("%d devices compacted within two hours, want 40", total)
	}
}

// failing is a store whose Compact fails while told so.
type failing struct {
	telemetry.Store
	err error
}

func (f *failing) Compact(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, blocks []telemetry.StoredBlock, from, to time.Time, rows int) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Compact(ctx, tenant, device, blocks, from, to, rows)
}

func TestAFailedCompactionIsTriedAgain(t *testing.T) {
	f := &failing{Store: storetest.Open(t).Samples(), err: fault.New(fault.Unavailable, "no")}
	svc, err := telemetry.New(f, telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = svc.Close() }()
	put(t, svc, laptop, define(t, svc, laptop), 0, 10)
	end := start.Add(24 * time.Hour)
	if _, err := svc.RunOnce(t.Context(), end); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error = %v", err)
	}
	f.err = nil
	if done := compact(t, svc, end); done.Reports != 10 {
		t.Errorf("the next run took %d reports, want 10", done.Reports)
	}
}
