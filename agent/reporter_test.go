package agent

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/telemetry"
	"github.com/steward-rmm/steward/proto/wire"
)

// steady is a provider of one gauge.
type steady struct{}

func (steady) Name() string { return "steady" }

func (steady) Read(context.Context) ([]telemetry.Reading, error) {
	return []telemetry.Reading{{Series: telemetry.Series{Signal: wire.SignalProcesses}, Value: 7}}, nil
}

func TestReportsComeInTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := spool.NewMemory(spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := &reporter{
			journal: j, collector: telemetry.New(telemetry.Options{Providers: []telemetry.Provider{steady{}}}), now: time.Now,
			log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1), every: 30 * time.Second,
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- r.run(ctx) }()
		time.Sleep(36 * time.Second)
		synctest.Wait()
		r.set(time.Minute)
		r.set(time.Minute)
		time.Sleep(119 * time.Second)
		cancel()
		<-ended
		reports, err := j.Reports(time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		for _, one := range reports {
			at = append(at, one.At.Sub(began.Round(time.Second)).Round(time.Second))
			if len(one.Values) != 1 || one.Values[0].Value != 7 {
				t.Errorf("values %v", one.Values)
			}
		}
		want := []time.Duration{0, 5 * time.Second, 35 * time.Second, 96 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("reports at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("reports at %v, want %v", at, want)
			}
		}
	})
}
