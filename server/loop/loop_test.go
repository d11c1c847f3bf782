package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ticks counts how often a loop ran, and when.
type ticks struct {
	mu   sync.Mutex
	at   []time.Duration // since the start
	from time.Time
}

func newTicks() *ticks { return &ticks{from: time.Now()} }

func (c *ticks) run(_ context.Context, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, now.Sub(c.from))
	return nil
}

func (c *ticks) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.at)
}

// lines is a log kept as decoded JSON lines.
func newLog() (*slog.Logger, func() []map[string]any) {
	var buffer bytes.Buffer
	return slog.New(slog.NewJSONHandler(&buffer, nil)), func() []map[string]any {
		var lines []map[string]any
		for line := range strings.Lines(buffer.String()) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				panic(err)
			}
			lines = append(lines, fields)
		}
		return lines
	}
}

func newGroup(t *testing.T, options Options) *Group {
	t.Helper()
	g, err := NewGroup(options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustStart(t *testing.T, g *Group, loops ...Loop) {
	t.Helper()
	if err := g.Start(loops...); err != nil {
		t.Fatal(err)
	}
}

func mustStop(t *testing.T, g *Group) {
	t.Helper()
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// letPass advances the virtual clock of the test's bubble and lets all settle.
func letPass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestTicksAtOnceThenEveryPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(t, Options{}), newTicks()
		mustStart(t, g, Loop{Name: "a", Every: time.Minute, Run: c.run})
		letPass(3*time.Minute + time.Second)
		mustStop(t, g)
		letPass(time.Hour)
		if got := c.seen(); got != "[0s 1m0s 2m0s 3m0s]" {
			t.Errorf("ticked at %s", got)
		}
	})
}

func TestNowIsStorable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, Options{})
		got := make(chan time.Time, 1)
		mustStart(t, g, Loop{Name: "a", Every: time.Hour, Run: func(_ context.Context, now time.Time) error {
			got <- now
			return nil
		}})
		now := <-got
		if now != time.Unix(now.Unix(), int64(now.Nanosecond())).UTC() {
			t.Errorf("%v has a zone or a monotonic part", now)
		}
		mustStop(t, g)
	})
}

func TestStaggerAndJitterStayInBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, Options{Stagger: time.Minute})
		counters := map[string]*ticks{}
		for i := range 50 {
			name := fmt.Sprintf("loop-%d", i)
			counters[name] = newTicks()
			mustStart(t, g, Loop{Name: name, Every: time.Hour, Jitter: time.Minute, Run: counters[name].run})
		}
		letPass(90 * time.Minute)
		firsts, pauses := map[time.Duration]bool{}, map[time.Duration]bool{}
		for name, c := range counters {
			if len(c.at) != 2 {
				t.Fatalf("%s ticked at %s", name, c.seen())
			}
			first, pause := c.at[0], c.at[1]-c.at[0]
			if first != slot(name, time.Minute) || first >= time.Minute {
				t.Errorf("%s began at %s", name, first)
			}
			if pause < time.Hour || pause >= time.Hour+time.Minute {
				t.Errorf("%s paused %s", name, pause)
			}
			firsts[first], pauses[pause] = true, true
		}
		if len(firsts) < 45 || len(pauses) < 45 {
			t.Errorf("only %d first ticks and %d pauses differ", len(firsts), len(pauses))
		}
		mustStop(t, g)
	})
}

func TestWakeTicksEarlyAndRestartsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c, wake := newGroup(t, Options{}), newTicks(), make(chan struct{}, 1)
		mustStart(t, g, Loop{Name: "a", Every: time.Minute, Wake: wake, Run: c.run})
		letPass(20 * time.Second)
		wake <- struct{}{}
		letPass(65 * time.Second)
		close(wake) // must not spin
		letPass(61 * time.Second)
		mustStop(t, g)
		if got := c.seen(); got != "[0s 20s 1m20s 2m20s]" {
			t.Errorf("ticked at %s", got)
		}
	})
}

func TestHintDuringATickStartsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c, wake := newGroup(t, Options{}), newTicks(), make(chan struct{}, 1)
		mustStart(t, g, Loop{Name: "a", Every: time.Hour, Wake: wake, Run: func(ctx context.Context, now time.Time) error {
			<-time.After(10 * time.Second)
			return c.run(ctx, now)
		}})
		letPass(5 * time.Second)
		wake <- struct{}{}
		letPass(time.Minute)
		mustStop(t, g)
		if got := c.seen(); got != "[0s 10s]" {
			t.Errorf("ticked at %s", got)
		}
	})
}

// gathered reads a registry as "metric loop" and its value, or its count.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			key := family.GetName() + " " + m.GetLabel()[0].GetValue()
			numbers[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return numbers
}

func TestErrorsAndPanicsAreLoggedOnceAndTheLoopGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		registry := prometheus.NewRegistry()
		g := newGroup(t, Options{Log: log, Registerer: registry})
		n, began := 0, time.Now()
		mustStart(t, g, Loop{Name: "job.rescue", Every: time.Minute, Run: func(context.Context, time.Time) error {
			<-time.After(time.Second)
			n++
			switch n {
			case 1:
				return errors.New("disk full")
			case 2:
				panic("nil map")
			}
			return nil
		}})
		letPass(90 * time.Second)
		state := g.States()[0]
		var panicked *Panic
		if state.Failures != 2 || !errors.As(state.Err, &panicked) || !state.Succeeded.IsZero() || state.Running {
			t.Errorf("after two failures: %+v", state)
		}
		letPass(150 * time.Second)
		if state := g.States()[0]; state.Name != "job.rescue" || state.Failures != 0 || state.Err != nil || state.Succeeded.IsZero() {
			t.Errorf("after a success: %+v", state)
		}
		mustStop(t, g)
		got := lines()
		if len(got) != 3 {
			t.Fatalf("logged %v", got)
		}
		if got[0]["loop"] != "job.rescue" || got[0]["error"] != "disk full" || got[0]["level"] != "ERROR" {
			t.Errorf("first line %v", got[0])
		}
		stack, _ := got[1]["stack"].(string)
		if got[1]["error"] != "panic: nil map" || got[1]["failures"] != 2.0 || !strings.Contains(stack, "loop_test.go") {
			t.Errorf("second line %v", got[1])
		}
		if got[2]["msg"] != "loop works again" || got[2]["failures"] != 2.0 {
			t.Errorf("third line %v", got[2])
		}
		numbers := gathered(t, registry)
		want := map[string]float64{
			"steward_loop_duration_seconds job.rescue": 4, // ticks observed
			"steward_loop_failures_total job.rescue":   2,
			// The fourth tick began three pauses and three seconds after the first.
			"steward_loop_last_success_timestamp_seconds job.rescue": float64(began.Unix() + 3*61),
		}
		if !maps.Equal(numbers, want) {
			t.Errorf("metrics %v, want %v", numbers, want)
		}
	})
}

func TestGroupsShareARegistererButNotWithStrangers(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"a", "b"} {
		g := newGroup(t, Options{Registerer: registry})
		mustStart(t, g, Loop{Name: name, Every: time.Hour, Run: newTicks().run})
		mustStop(t, g)
	}
	numbers := gathered(t, registry)
	for _, name := range []string{"a", "b"} {
		if n, there := numbers["steward_loop_failures_total "+name]; !there || n != 0 {
			t.Errorf("metrics of %s: %v", name, numbers)
		}
	}
	other := prometheus.NewRegistry()
	other.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "steward_loop_failures_total", Help: "Another."}))
	if _, err := NewGroup(Options{Registerer: other}); err == nil {
		t.Error("took a registerer with other metrics of the same name")
	}
}

func TestStopCancelsAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		g := newGroup(t, Options{Log: log})
		mustStart(t, g, Loop{Name: "a", Every: time.Minute, Run: func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			return fmt.Errorf("reading: %w", ctx.Err())
		}})
		synctest.Wait()
		mustStop(t, g)
		mustStop(t, g)
		if got := lines(); len(got) != 0 {
			t.Errorf("logged %v", got)
		}
		if err := g.Start(Loop{Name: "b", Every: time.Minute, Run: newTicks().run}); err == nil {
			t.Error("started after stop")
		}
	})
}

func TestStopIsBoundedAndSaysWhoBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, Options{})
		release := make(chan struct{})
		mustStart(t, g,
			Loop{Name: "patch.reconcile", Every: time.Minute, Run: func(context.Context, time.Time) error { <-release; return nil }},
			Loop{Name: "polite", Every: time.Minute, Run: newTicks().run})
		letPass(5 * time.Second)
		began := time.Now()
		err := g.Stop(t.Context())
		if took := time.Since(began); took != StopWithin {
			t.Errorf("Stop without a deadline took %s", took)
		}
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || err.Error() != "stop loops: still running: patch.reconcile (for 25s): context deadline exceeded" {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Stop(ctx); err == nil || time.Since(began) != StopWithin+time.Second {
			t.Errorf("Stop with a deadline of a second: %v after %s", err, time.Since(began))
		}
		close(release)
		mustStop(t, g)
	})
}

func TestStartRefusesAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(t, Options{}), newTicks()
		good := Loop{Name: "a", Every: time.Minute, Run: c.run}
		for _, wrong := range []Loop{
			{Every: time.Minute, Run: c.run},
			{Name: "b", Every: time.Minute},
			{Name: "b", Run: c.run},
			{Name: "b", Every: time.Minute, Jitter: -1, Run: c.run},
			good,
		} {
			if err := g.Start(good, wrong); err == nil {
				t.Errorf("%+v was started", wrong)
			}
		}
		if len(g.States()) != 0 {
			t.Errorf("started in part: %v", g.States())
		}
		mustStart(t, g, good)
		if err := g.Start(good); err == nil {
			t.Error("the same name twice")
		}
		mustStop(t, g)
	})
}
