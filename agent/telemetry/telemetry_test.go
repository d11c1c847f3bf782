package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
)

// recorded plays readings back, one step a collection.
type recorded struct {
	name  string
	steps [][]Reading
	errs  []error
	at    int
}

func (r *recorded) Name() string { return r.name }

func (r *recorded) Read(context.Context) ([]Reading, error) {
	step := r.at
	r.at++
	var err error
	if step < len(r.errs) {
		err = r.errs[step]
	}
	if step >= len(r.steps) {
		return nil, err
	}
	return r.steps[step], err
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func byKey(samples []Sample) map[string]float64 {
	out := map[string]float64{}
	for _, s := range samples {
		out[s.Series.Key()] = s.Value
	}
	return out
}

func received(device string, bytes float64) Reading {
	return rate(wire.SignalNetworkIO, bytes).with(wire.AttributeDevice, device, wire.AttributeDirection, "receive")
}

func TestRatesAreAbsentUntilTheyAreKnown(t *testing.T) {
	const key = `system.network.io{device="eth0",direction="receive"}`
	for _, c := range []struct {
		name     string
		counters []float64
		want     []float64 // NaN stands for absent; 30 s apart
	}{
		{"first, steady, still", []float64{1000, 4000, 4000}, []float64{math.NaN(), 100, 0}},
		{"reset", []float64{1000, 4000, 10, 310}, []float64{math.NaN(), 100, math.NaN(), 10}},
		{"wrap of 32 bits", []float64{math.MaxUint32 - 10, 20, 50}, []float64{math.NaN(), math.NaN(), 1}},
		{"not a number", []float64{1000, math.NaN(), 4000, 7000}, []float64{math.NaN(), math.NaN(), math.NaN(), 100}},
		{"infinite", []float64{1000, math.Inf(1), 4000, 7000}, []float64{math.NaN(), math.NaN(), math.NaN(), 100}},
		{"negative", []float64{1000, -5, 4000, 7000}, []float64{math.NaN(), math.NaN(), math.NaN(), 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &recorded{name: "network"}
			for _, v := range c.counters {
				p.steps = append(p.steps, []Reading{received("eth0", v)})
			}
			collector := New(Options{Providers: []Provider{p}})
			for i, want := range c.want {
				got, ok := byKey(collector.Collect(t.Context(), start.Add(time.Duration(i)*30*time.Second)))[key]
				if ok == math.IsNaN(want) || (ok && got != want) {
					t.Errorf("collection %d: %v, present %v; want %v", i, got, ok, want)
				}
			}
		})
	}
}

func TestAClockThatGoesBackMakesNoRate(t *testing.T) {
	p := &recorded{name: "network", steps: [][]Reading{{received("eth0", 0)}, {received("eth0", 300)}, {received("eth0", 600)}}}
	c := New(Options{Providers: []Provider{p}})
	for i, step := range []struct {
		at   time.Duration
		want int
	}{{0, 0}, {-time.Hour, 0}, {-time.Hour + 30*time.Second, 1}} {
		if got := c.Collect(t.Context(), start.Add(step.at)); len(got) != step.want {
			t.Errorf("collection %d: %v, want %d samples", i, got, step.want)
		}
	}
}

func TestTwoCollectionsAtOnceKeepTheOlderCounters(t *testing.T) {
	p := &recorded{name: "network", steps: [][]Reading{{received("eth0", 0)}, {received("eth0", 30)}, {received("eth0", 300)}}}
	c := New(Options{Providers: []Provider{p}})
	c.Collect(t.Context(), start)
	if got := c.Collect(t.Context(), start.Add(3*time.Millisecond)); len(got) != 0 {
		t.Errorf("a rate over 3 ms: %v", got)
	}
	if got := c.Collect(t.Context(), start.Add(30*time.Second)); len(got) != 1 || got[0].Value != 10 {
		t.Errorf("%v, want 10 By/s over the whole stretch", got)
	}
}

func TestSharesStayBetweenNothingAndAll(t *testing.T) {
	share := func(busy, all float64) []Reading {
		return []Reading{{Series: Series{Signal: wire.SignalCPUUtilization}, Form: Share, Value: busy, Of: all}}
	}
	p := &recorded{name: "processors", steps: [][]Reading{
		share(10, 100), share(25, 130), share(25, 130), share(60, 160), share(70, 150), share(71, 160)}}
	c := New(Options{Providers: []Provider{p}})
	for i, want := range []float64{math.NaN(), 0.5, math.NaN(), 1, math.NaN(), 0.1} {
		got := c.Collect(t.Context(), start.Add(time.Duration(i)*30*time.Second))
		if math.IsNaN(want) != (len(got) == 0) || (len(got) == 1 && got[0].Value != want) {
			t.Errorf("collection %d: %v, want %v", i, got, want)
		}
	}
}

func TestAMountThatGoesAwayIsGoneFromTheNextReport(t *testing.T) {
	mount := func(m string) Reading {
		return gauge(wire.SignalFilesystemUtilization, 0.5).with(wire.AttributeMountpoint, m, wire.AttributeDevice, "/dev/loop0", wire.AttributeType, "ext4")
	}
	p := &recorded{name: "file systems", steps: [][]Reading{{mount("/")}, {mount("/"), mount("/mnt/x")}, {mount("/")}}}
	c := New(Options{Providers: []Provider{p}})
	for i, want := range []int{1, 2, 1} {
		if got := c.Collect(t.Context(), start.Add(time.Duration(i)*time.Minute)); len(got) != want {
			t.Errorf("collection %d: %d samples, want %d", i, len(got), want)
		}
	}
}

func TestADiskThatComesBackStartsAnew(t *testing.T) {
	p := &recorded{name: "network", steps: [][]Reading{{received("usb0", 100)}, {}, {received("usb0", 5000)}}}
	c := New(Options{Providers: []Provider{p}})
	for i := range 3 {
		if got := c.Collect(t.Context(), start.Add(time.Duration(i)*time.Minute)); len(got) != 0 {
			t.Errorf("collection %d: %v, want nothing known", i, got)
		}
	}
	if n := len(c.providers[0].before); n != 1 {
		t.Errorf("%d counters kept, want those of the present device only", n)
	}
}

type panics struct{}

func (panics) Name() string                            { return "broken" }
func (panics) Read(context.Context) ([]Reading, error) { panic("index out of range") }

func TestOneProvidersFailureCostsItsSignalsOnly(t *testing.T) {
	partly := &recorded{name: "disks", steps: [][]Reading{{gauge(wire.SignalProcesses, 7)}}, errs: []error{errors.New("device not ready")}}
	whole := &recorded{name: "uptime", steps: [][]Reading{{gauge(wire.SignalUptime, 60)}}}
	c := New(Options{Providers: []Provider{panics{}, partly, whole}})
	got := byKey(c.Collect(t.Context(), start))
	if want := map[string]float64{wire.SignalProcesses: 7, wire.SignalUptime: 60}; !reflect.DeepEqual(got, want) {
		t.Errorf("samples %v, want %v", got, want)
	}
	failures := strings.Join(c.Failures(), "\n")
	for _, want := range []string{"read broken: panic: index out of range", "read disks: device not ready"} {
		if !strings.Contains(failures, want) {
			t.Errorf("failures %q do not say %q", failures, want)
		}
	}
}

type hangs struct{ release chan struct{} }

func (hangs) Name() string { return "file systems" }
func (h hangs) Read(context.Context) ([]Reading, error) {
	<-h.release
	return []Reading{gauge(wire.SignalProcesses, 1)}, nil
}

func TestAHangingProviderDelaysNobodyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hangs{make(chan struct{})}
		up := &recorded{name: "uptime", steps: [][]Reading{{gauge(wire.SignalUptime, 1)}, {gauge(wire.SignalUptime, 31)}, {gauge(wire.SignalUptime, 61)}, {gauge(wire.SignalUptime, 91)}}}
		c := New(Options{Providers: []Provider{h, up}, Timeout: 5 * time.Second})
		for i, wait := range []time.Duration{5 * time.Second, 0} {
			before := time.Now()
			if got := c.Collect(t.Context(), before); len(got) != 1 || time.Since(before) != wait || len(c.Failures()) != 1 {
				t.Errorf("collection %d: %v after %v, failures %v", i, got, time.Since(before), c.Failures())
			}
		}
		close(h.release)
		synctest.Wait()
		c.Collect(t.Context(), time.Now())
		if got := c.Collect(t.Context(), time.Now()); len(got) != 2 {
			t.Errorf("after it answered again: %v", got)
		}
	})
}

func TestReadingsOutsideTheTableAreCountedAndLeftOut(t *testing.T) {
	p := &recorded{name: "odd", steps: [][]Reading{{
		gauge("system.made.up", 1),
		rate(wire.SignalUptime, 1),
		gauge(wire.SignalUptime, 1).with("colour", "red"),
		gauge(wire.SignalMemoryUsage, 1).with(wire.AttributeState, strings.Repeat("x", wire.MaxText+1)),
		gauge(wire.SignalMemoryUsage, 1).with(wire.AttributeState, "\xff"),
		gauge(wire.SignalProcesses, 3), gauge(wire.SignalProcesses, 4),
		gauge(wire.SignalMemoryUtilization, 1.5),
	}}}
	c := New(Options{Providers: []Provider{p}})
	got := byKey(c.Collect(t.Context(), start))
	if want := map[string]float64{wire.SignalProcesses: 3}; !reflect.DeepEqual(got, want) || c.Dropped() != 5 {
		t.Errorf("samples %v, dropped %d; want %v and 5", got, c.Dropped(), want)
	}
}

func TestAFullReportKeepsTheSameSeriesAndAllSignals(t *testing.T) {
	var readings []Reading
	for i := range 1500 {
		readings = append(readings, gauge(wire.SignalFilesystemUtilization, 0.5).with(wire.AttributeMountpoint, fmt.Sprintf("/mnt/%04d", i)))
	}
	readings = append(readings, gauge(wire.SignalAgentHandles, 9))
	reversed := make([]Reading, len(readings))
	for i, r := range readings {
		reversed[len(readings)-1-i] = r
	}
	c := New(Options{Providers: []Provider{&recorded{name: "many", steps: [][]Reading{readings, reversed}}}})
	first, second := c.Collect(t.Context(), start), c.Collect(t.Context(), start.Add(time.Minute))
	if len(first) != wire.MaxSeries || !reflect.DeepEqual(first, second) {
		t.Errorf("%d and %d samples, or not the same ones; want %d", len(first), len(second), wire.MaxSeries)
	}
	if first[len(first)-1].Series.Signal != wire.SignalAgentHandles {
		t.Error("the mounts crowded out another signal")
	}
	if want := uint64(2 * (len(readings) - wire.MaxSeries)); c.Dropped() != want {
		t.Errorf("dropped %d, want %d", c.Dropped(), want)
	}
}

// Whatever a driver says, a report holds finite values within their range.
func TestNoReportHoldsNonsense(t *testing.T) {
	number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1e6), rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.MaxUint64}))
	reading := rapid.Custom(func(t *rapid.T) Reading {
		s := rapid.SampledFrom(wire.Signals()).Draw(t, "signal")
		r := Reading{Series: Series{Signal: s.Name}, Form: Form(rapid.IntRange(0, 2).Draw(t, "form")), Value: number.Draw(t, "value"), Of: number.Draw(t, "of")}
		for _, a := range s.Attributes {
			r = r.with(a, rapid.SampledFrom([]string{"a", "b"}).Draw(t, a))
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		p := &recorded{name: "driver", steps: rapid.SliceOfN(rapid.SliceOfN(reading, 0, 8), 1, 5).Draw(t, "steps")}
		c, now := New(Options{Providers: []Provider{p}}), start
		for range p.steps {
			seen := map[string]bool{}
			for _, s := range c.Collect(context.Background(), now) {
				signal, _ := wire.SignalByName(s.Series.Signal)
				key := s.Series.Key()
				if seen[key] || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) || s.Value < 0 || (signal.Unit == "1" && s.Value > 1) {
					t.Fatalf("reported %s = %v (twice: %v)", key, s.Value, seen[key])
				}
				seen[key] = true
			}
			now = now.Add(time.Duration(rapid.IntRange(-10, 60).Draw(t, "step")) * time.Second)
		}
	})
}
