//go:build unix

package storetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/store/storetest"
)

// BenchmarkBusy reads the jobs under way of one deployment, as each grant does:
// 100 of 5,000, the others queued.
func BenchmarkBusy(b *testing.B) {
	s := storetest.Open(b)
	svc := jobService(s, 1<<30, nil)
	svc.SetGatekeeper(yes{})
	const busy = 100
	devices := benchDevices(b, s, 5000)
	err := s.Tx(b.Context(), func(ctx context.Context) error {
		for i, d := range devices {
			j, err := svc.Submit(ctx, at, spec("acme", d))
			if err != nil {
				return err
			}
			if i >= busy {
				continue
			}
			if _, _, err := svc.Desired(ctx, at, "acme", d); err != nil {
				return err
			}
			if _, err := svc.MayStart(ctx, at, "acme", d, j.ID, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("jobs", func(b *testing.B) {
		for b.Loop() {
			if jobs, err := svc.Busy(b.Context(), "acme", "dep1"); err != nil || len(jobs) != busy {
				b.Fatal(len(jobs), err)
			}
		}
	})
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			if n, err := svc.Changed(b.Context(), "acme", at.Add(-time.Hour)); err != nil || n != busy {
				b.Fatal(n, err)
			}
		}
	})
}
