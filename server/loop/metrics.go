package loop

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the shell counts of its loops, by loop name. A nil *metrics
// counts nothing.
type metrics struct {
	duration  *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	succeeded *prometheus.GaugeVec
}

// newMetrics registers the metrics, or finds those that another group
// registered before. Without a registerer it returns nil.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	if registerer == nil {
		return nil, nil
	}
	label := []string{"loop"}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "steward_loop_duration_seconds", Help: "How long one tick of a background loop took.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 15, 60},
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "steward_loop_failures_total", Help: "Ticks of a background loop that returned an error or panicked.",
		}, label),
		succeeded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "steward_loop_last_success_timestamp_seconds", Help: "When the latest tick without an error began, Unix time; 0 before the first.",
		}, label),
	}
	var err error
	if m.duration, err = register(registerer, m.duration); err != nil {
		return nil, err
	}
	if m.failures, err = register(registerer, m.failures); err != nil {
		return nil, err
	}
	m.succeeded, err = register(registerer, m.succeeded)
	return m, err
}

// register returns the collector, or the equal one that is there already.
func register[C prometheus.Collector](registerer prometheus.Registerer, collector C) (C, error) {
	err := registerer.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	if err != nil {
		return collector, fmt.Errorf("register metrics of loops: %w", err)
	}
	return collector, nil
}

// expect makes a loop visible before its first tick ends, so that an alert on
// a missing success can see it.
func (m *metrics) expect(loop string) {
	if m == nil {
		return
	}
	m.failures.WithLabelValues(loop)
	m.succeeded.WithLabelValues(loop)
}

func (m *metrics) ran(loop string, now time.Time, took time.Duration, err error) {
	if m == nil {
		return
	}
	m.duration.WithLabelValues(loop).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(loop).Inc()
		return
	}
	m.succeeded.WithLabelValues(loop).Set(float64(now.UnixMilli()) / 1000)
}
