//go:build unix

package storetest_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

// BenchmarkJobTransitions measures whole lives of jobs through the service: 4
// durable transitions with their history (queued, leased, running, succeeded)
// in 7 transactions, with a grant and two results between them. Figures by the
// core-second hold on a busy machine too.
func BenchmarkJobTransitions(b *testing.B) {
	for _, inFlight := range []int{1, 1000} {
		b.Run(fmt.Sprint("in flight ", inFlight), func(b *testing.B) {
			s := storetest.Open(b)
			svc := jobService(s, 1<<30, nil)
			svc.SetGatekeeper(yes{})
			devices := benchDevices(b, s, inFlight)
			var next, moved atomic.Int64
			var wg sync.WaitGroup
			began := cpuTime(b)
			b.ResetTimer()
			for _, device := range devices {
				wg.Go(func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						if err := oneJob(b.Context(), svc, device, at.Add(time.Duration(n)*time.Second)); err != nil {
							b.Error(err)
							return
						}
						moved.Add(4) // queued, leased, running, succeeded
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(moved.Load())/b.Elapsed().Seconds(), "transitions/s")
			b.ReportMetric(float64(moved.Load())/(cpuTime(b)-began), "transitions/core-s")
			b.ReportMetric(float64(moved.Load())/4*7/b.Elapsed().Seconds(), "transactions/s")
		})
	}
}

type yes struct{}

func (yes) MayLease(context.Context, time.Time, job.Job) (reason.Reason, error) {
	return reason.Reason{}, nil
}
func (yes) MayStart(context.Context, time.Time, job.Job) (job.Answer, error) {
	return job.Answer{Verdict: job.Start}, nil
}

// benchDevices enrolls n devices in one transaction.
func benchDevices(b *testing.B, s *store.Store, n int) (ids []ident.DeviceID) {
	b.Helper()
	err := s.Tx(b.Context(), func(ctx context.Context) error {
		ids = nil
		if err := s.Fleet().PutTenant(ctx, benchTenant); err != nil {
			return err
		}
		if err := s.Fleet().PutSite(ctx, benchSite); err != nil {
			return err
		}
		for i := range n {
			d := benchDevice
			d.ID, d.KeyHash = ident.DeviceID(fmt.Sprint("d", i)), [32]byte{9, byte(i), byte(i >> 8)}
			if err := s.Fleet().PutDevice(ctx, d); err != nil {
				return err
			}
			ids = append(ids, d.ID)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return ids
}

var (
	benchTenant = fleet.Tenant{ID: "acme", Name: "acme", TimeZone: "UTC", Mode: fleet.Live, CreatedAt: at, UpdatedAt: at}
	benchSite   = fleet.Site{Tenant: "acme", ID: ident.MainSite, Name: "Main", CreatedAt: at}
	benchDevice = fleet.Device{Tenant: "acme", Site: ident.MainSite, Class: fleet.Server, State: fleet.Active, Since: at, EnrolledAt: at}
)

func oneJob(ctx context.Context, svc *job.Service, device ident.DeviceID, now time.Time) error {
	sp := spec("acme", device)
	sp.Run.Opens, sp.Run.Closes = now.Truncate(time.Hour), now.Add(2*time.Hour)
	sp.NotBefore, sp.StartBy, sp.Deadline = now, now.Add(time.Hour), now.Add(2*time.Hour)
	j, err := svc.Submit(ctx, now, sp)
	if err != nil {
		return err
	}
	if _, _, err := svc.Desired(ctx, now, "acme", device); err != nil {
		return err
	}
	if _, err := svc.MayStart(ctx, now, "acme", device, j.ID, 1); err != nil {
		return err
	}
	for _, step := range []job.Step{{Kind: job.StepStarted}, {Kind: job.StepResult, Source: "apt", Package: "bash", Result: wire.ResultVerified},
		{Kind: job.StepResult, Source: "apt", Package: "curl", Result: wire.ResultVerified}, {Kind: job.StepFinished, Rescanned: true}} {
		step.Job, step.Attempt, step.At = j.ID, 1, now
		if _, err := svc.Step(ctx, now, "acme", device, step); err != nil {
			return err
		}
	}
	return nil
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
