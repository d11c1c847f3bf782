package store

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one database.
type metrics struct {
	failed  prometheus.Counter
	retries prometheus.Counter
	seconds prometheus.Histogram
	units   prometheus.Histogram
}

// newMetrics makes the metrics of a database and registers them when there is
// a registerer. Two stores on one registerer are an error.
func newMetrics(reg prometheus.Registerer, name string) (*metrics, error) {
	labels := prometheus.Labels{"database": name}
	m := &metrics{
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "steward_store_transactions_failed_total",
			Help: "Transactions that returned an error and left nothing.", ConstLabels: labels}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "steward_store_transactions_retried_total",
			Help: "Transactions that ran again.", ConstLabels: labels}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "steward_store_commit_seconds",
			Help: "Time of one commit.", ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
		units: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "steward_store_commit_units",
			Help: "Transactions committed together.", ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(1, 4, 6)}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.failed, m.retries, m.seconds, m.units} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) commit(took time.Duration, units int) {
	m.seconds.Observe(took.Seconds())
	m.units.Observe(float64(units))
}
