package spool_test

import (
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/spool/spooltest"
	"github.com/steward-rmm/steward/proto/wire"
)

// BenchmarkReport is what a device does every 30 seconds: a report of 25 values
// is kept, read, and dropped when stored.
func BenchmarkReport(b *testing.B) {
	for name, fresh := range map[string]func() (*spool.Journal, error){
		"memory": func() (*spool.Journal, error) { return spool.NewMemory(spool.Options{}) },
		"file":   func() (*spool.Journal, error) { return spool.Open(b.TempDir(), spool.Options{}) },
	} {
		b.Run(name, func(b *testing.B) {
			j, err := fresh()
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			var values []spool.Value
			for _, s := range wire.Signals() {
				values = append(values, spool.Value{Signal: s.Name, Value: 1.25})
			}
			at := spooltest.T0()
			for b.Loop() {
				at = at.Add(30 * time.Second)
				if err := j.AppendReport(spool.Report{At: at, Values: values}); err != nil {
					b.Fatal(err)
				}
				if got, err := j.Reports(at.Add(-time.Second), 10); err != nil || len(got) != 1 {
					b.Fatal(got, err)
				}
				if err := j.StoredThrough(at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
