// Package telemetry measures the machine it runs on: processors, memory, file
// systems, disks, network and the agent itself, as the closed table of signals
// in proto/wire. Providers read gauges and counters; the Collector makes rates
// of counters and keeps the report within its limits. What a platform does not
// have, or what could not be read, is absent and never zero.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Series is one line of values: a signal and the attributes that tell it from
// the signal's other lines.
type Series struct {
	Signal     string
	Attributes map[string]string
}

// Key returns the series' text for maps and order, see wire.SeriesKey.
func (s Series) Key() string { return wire.SeriesKey(s.Signal, s.Attributes) }

// Sample is one value of a series, in the signal's unit.
type Sample struct {
	Series Series
	Value  float64
}

// Form says how a reading becomes a value.
type Form uint8

// The forms of readings.
const (
	Gauge     Form = iota // Value as it is
	PerSecond             // Value is a counter; its growth a second
	Share                 // Value and Of are counters; growth of the one ÷ growth of the other
)

// Reading is what a provider read: a gauge, or counters since some start.
type Reading struct {
	Series
	Form  Form
	Value float64
	Of    float64 // with Share only
}

// Provider reads one part of the machine. Readings that came before an error
// count. Read is never called twice at once.
type Provider interface {
	Name() string
	Read(ctx context.Context) ([]Reading, error)
}

// Options of a Collector. Providers defaults to this machine's.
type Options struct {
	Proc      string // root of procfs on Linux, default /proc
	Sys       string // root of sysfs on Linux, default /sys
	Providers []Provider
	Timeout   time.Duration // for one provider, default 5 s; one that hangs is left out until it returned
}

// Collector turns readings into samples. Collect is for one goroutine; the
// other methods may be called from any.
type Collector struct {
	providers []*watched
	timeout   time.Duration
	signals   map[string]wire.Signal
	rank      map[string]int

	mu       sync.Mutex
	dropped  uint64
	failures []string
}

// watched is a provider with the counters it had before, by series key.
type watched struct {
	Provider
	running chan answer // not nil while a read has not come back
	before  map[string]counter
}

type answer struct {
	readings []Reading
	err      error
}

// counter is what a counter was when last read.
type counter struct {
	value, of float64
	at        time.Time
}

// minStretch is the shortest time over which a rate means anything.
const minStretch = 500 * time.Millisecond

// New makes a Collector. It reads nothing yet: rates are there from the second
// collection on.
func New(o Options) *Collector {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
	if o.Providers == nil {
		o.Providers = machine(o.Proc, o.Sys)
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	c := &Collector{timeout: o.Timeout, signals: map[string]wire.Signal{}, rank: map[string]int{}}
	for i, s := range wire.Signals() {
		c.signals[s.Name], c.rank[s.Name] = s, i
	}
	for _, p := range o.Providers {
		c.providers = append(c.providers, &watched{Provider: p, before: map[string]counter{}})
	}
	return c
}

// Collect reads every provider once and returns the samples in order of their
// series' importance and key, at most wire.MaxSeries. Pass now as the clock
// gave it, with its monotonic part, so that a set clock makes no false rate.
// Failures are never an error of the whole: see Failures and Dropped.
func (c *Collector) Collect(ctx context.Context, now time.Time) []Sample {
	var found []candidate
	var failures []string
	var dropped uint64
	for _, p := range c.providers {
		readings, err := c.read(ctx, p)
		if err != nil {
			failures = append(failures, fmt.Sprintf("read %s: %v", p.Name(), err))
		}
		usable, refused := c.usable(p, readings)
		dropped += refused
		if err == nil {
			p.forget(usable)
		}
		found = append(found, usable...)
	}
	kept := choose(found, c.rank, wire.MaxSeries)
	dropped += uint64(len(found) - len(kept))
	samples := make([]Sample, 0, len(kept))
	for _, k := range kept {
		if v, ok := c.value(k, now); ok {
			samples = append(samples, Sample{Series: k.Series, Value: v})
		}
	}
	c.mu.Lock()
	c.dropped += dropped
	c.failures = failures
	c.mu.Unlock()
	return samples
}

// Dropped returns how many readings were left out since New because the report
// was full or the reading was not one of the table's.
func (c *Collector) Dropped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// Failures says what the last collection could not read, for status and log.
func (c *Collector) Failures() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.failures...)
}

var errHangs = errors.New("does not answer; left out until it does")

// read asks a provider, and gives up on it after the timeout: statfs of a
// dying disk can hang for hours, and the other signals must not wait for it.
func (c *Collector) read(ctx context.Context, p *watched) ([]Reading, error) {
	if p.running == nil {
		p.running = make(chan answer, 1)
		go func(out chan<- answer) { out <- safely(ctx, p.Provider) }(p.running)
	} else {
		select {
		case <-p.running: // what it says now is old; the next collection asks anew
			p.running = nil
		default:
		}
		return nil, errHangs
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case a := <-p.running:
		p.running = nil
		return a.readings, a.err
	case <-timer.C:
		return nil, errHangs
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// safely turns a panic in a provider into its error: one broken reader of the
// system costs its own signals only.
func safely(ctx context.Context, p Provider) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a = answer{err: fmt.Errorf("panic: %v", r)}
		}
	}()
	readings, err := p.Read(ctx)
	return answer{readings: readings, err: err}
}

// value makes a sample's value of a reading, and remembers its counters.
func (c *Collector) value(k candidate, now time.Time) (float64, bool) {
	if k.Form == Gauge {
		return k.Value, true
	}
	before, had := k.from.before[k.key]
	stretch := now.Sub(before.at)
	if had && stretch >= 0 && stretch < minStretch {
		return 0, false // keep the older counters: the next stretch is long enough
	}
	k.from.before[k.key] = counter{value: k.Value, of: k.Of, at: now}
	if !had || stretch < 0 || k.Value < before.value || k.Of < before.of {
		return 0, false // first, or the clock or a counter went back: nothing is known
	}
	per := stretch.Seconds()
	if k.Form == Share {
		per = k.Of - before.of
	}
	if per <= 0 {
		return 0, false
	}
	v := (k.Value - before.value) / per
	if c.signals[k.Signal].Unit == "1" {
		v = min(v, 1) // ticks of the counter and of the clock differ a little
	}
	return v, !math.IsInf(v, 0)
}
