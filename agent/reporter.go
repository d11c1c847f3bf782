package agent

import (
	"context"
	"log/slog"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/telemetry"
	"github.com/steward-rmm/steward/proto/wire"
)

// reporter measures the machine and spools what it measured.
type reporter struct {
	journal   *spool.Journal
	collector *telemetry.Collector
	now       func() time.Time
	log       *slog.Logger
	changed   chan struct{} // one slot: the interval is another

	mu    sync.Mutex
	every time.Duration
}

// set changes the time between reports; it never blocks.
func (r *reporter) set(every time.Duration) {
	r.mu.Lock()
	same := r.every == every
	r.every = every
	r.mu.Unlock()
	if !same {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

func (r *reporter) interval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.every
}

// run reports at once and then at every interval. The first report has no rates,
// so the second comes as soon as it may.
func (r *reporter) run(ctx context.Context) error {
	ticker := time.NewTicker(min(r.interval(), wire.MinReportInterval))
	defer ticker.Stop()
	for n := 0; ; n++ {
		r.runOnce(ctx, r.now())
		if n == 1 {
			ticker.Reset(r.interval())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-r.changed:
			ticker.Reset(r.interval())
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
	}
}

func (r *reporter) runOnce(ctx context.Context, now time.Time) {
	report := spool.Report{At: now.UTC().Round(time.Second)}
	for _, s := range r.collector.Collect(ctx, now) {
		report.Values = append(report.Values, spool.Value{Signal: s.Series.Signal, Attributes: s.Series.Attributes, Value: s.Value})
	}
	if ctx.Err() != nil {
		return
	}
	if err := r.journal.AppendReport(report); err != nil {
		r.log.Error("a report is lost", "at", report.At, "why", err)
	}
}

// scanner tells what the machine is: at the start, every 8 hours, after jobs,
// and when the server asks. Software and updates are the runner's.
type scanner struct {
	journal   *spool.Journal
	collector *inventory.Collector
	machine   *machine
	now       func() time.Time
	log       *slog.Logger
	want      chan string // one slot: a cause
}

const scanEvery = 8 * time.Hour

// soon asks for a scan; it never blocks.
func (s *scanner) soon(cause string) {
	select {
	case s.want <- cause:
	default:
	}
}

func (s *scanner) run(ctx context.Context) error {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for {
		cause := "schedule"
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case cause = <-s.want:
		}
		if err := s.runOnce(ctx, s.now(), cause); err != nil {
			s.log.Error("the inventory is not told", "cause", cause, "why", err)
		}
	}
}

// runOnce tells every section that could be read. One that could not stays as
// it was told last.
func (s *scanner) runOnce(ctx context.Context, now time.Time, cause string) error {
	found, problems := collect(ctx, s.collector, now)
	for _, p := range problems {
		s.log.Debug("not in the inventory", "what", p.String())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.machine.learn(found)
	for _, section := range wire.Sections() {
		items, ok := found[section]
		if !ok {
			continue
		}
		if _, err := s.journal.RecordInventory(now, section, items, now, cause); err != nil {
			return err
		}
	}
	return nil
}

// maxUnused is how much memory that nothing uses the process keeps, in bytes.
const maxUnused = 2 << 20

// tidy gives memory back to the system that a scan left unused.
func tidy() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 && sample[0].Value.Uint64() > maxUnused {
		debug.FreeOSMemory()
	}
}
