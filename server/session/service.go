package session

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
)

// Service takes devices' messages in. It holds one live session per device.
type Service struct {
	o     Options
	queue *queue // of transactions of the database
	room  *queue // of reports for the samples

	mu      sync.Mutex
	live    map[fleet.Ref]*Live
	leaving map[fleet.Ref]time.Time // closed, and not yet counted as offline
	opens   map[fleet.Ref]*bucket
	renews  map[fleet.Ref]*bucket
	hints   map[ident.TenantID]hint // of fleet.DevicesTopic
	swept   time.Time
	bundles map[ident.TenantID]bundle

	refused *prometheus.CounterVec
	open    prometheus.Gauge
	events  prometheus.Counter
}

type hint struct {
	slot   <-chan struct{}
	cancel func()
}

type bundle struct {
	version uint64
	encoded []byte
	at      time.Time
}

// New makes a Service. Run RunOnce about every ten seconds, and Sweep several
// times a second.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Grace <= 0 {
		o.Grace = 90 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 2 * time.Minute
	}
	if o.Writers <= 0 {
		o.Writers = 256
	}
	s := &Service{
		o: o, queue: newQueue(o.Writers), room: newQueue(o.Writers), live: map[fleet.Ref]*Live{}, leaving: map[fleet.Ref]time.Time{},
		opens: map[fleet.Ref]*bucket{}, renews: map[fleet.Ref]*bucket{}, hints: map[ident.TenantID]hint{}, bundles: map[ident.TenantID]bundle{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steward_agent_refused_total", Help: "What devices sent beyond a limit."}, []string{"limit"}),
		open:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "steward_agent_sessions", Help: "Open sessions of devices."}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Name: "steward_agent_events_total", Help: "Events of devices taken in."}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(s.refused, s.open, s.events)
	}
	return s
}

// DesiredTopic is to be woken when what the device should hold changed.
func DesiredTopic(device ident.DeviceID) string { return "desired/" + string(device) }

// epoch is the server's epoch as the protocol has it.
func (s *Service) epoch() string { return strconv.FormatUint(s.o.Epoch, 10) }

// tx runs f in a transaction, within the tenant's share of those that wait.
func (s *Service) tx(ctx context.Context, tenant ident.TenantID, f func(ctx context.Context) error) error {
	leave, err := s.queue.enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer leave()
	return s.o.Tx(ctx, f)
}

func (s *Service) count(limit string) { s.refused.WithLabelValues(limit).Inc() }

// bundle is what the tenant's devices trust, as it travels.
func (s *Service) bundle(now time.Time, tenant ident.TenantID) (bundle, error) {
	s.mu.Lock()
	b, ok := s.bundles[tenant]
	s.mu.Unlock()
	if ok && now.Sub(b.at) < time.Minute && !now.Before(b.at) {
		return b, nil
	}
	signed, err := s.o.Keys.Bundle(tenant)
	if err != nil {
		return bundle{}, err
	}
	parsed, err := wire.ParseBundle(signed.Bytes)
	if err != nil {
		return bundle{}, err
	}
	b = bundle{parsed.Version, signed.Encode(), now}
	s.mu.Lock()
	s.bundles[tenant] = b
	s.mu.Unlock()
	return b, nil
}

// record writes an audit entry of a device's act, inside the caller's transaction.
func (s *Service) record(ctx context.Context, now time.Time, d fleet.Device, action string, detail map[string]string) error {
	return s.o.Audit.Record(ctx, audit.Entry{
		Tenant: d.Tenant, At: now, Actor: ident.Actor{Kind: ident.Device, ID: string(d.ID), Name: d.Hostname, Tenant: d.Tenant},
		Action: action, Object: audit.Object{Kind: "device", ID: string(d.ID), Name: d.Hostname}, Detail: detail,
	})
}

// Expect says which devices were online when the process ended: they have the
// grace to come back, so that a restart is no flip.
func (s *Service) Expect(now time.Time, online []fleet.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range online {
		if _, back := s.live[ref]; !back {
			s.leaving[ref] = now
		}
	}
}

// RunOnce counts devices as offline that did not come back within the grace.
func (s *Service) RunOnce(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	var gone []fleet.Ref
	for ref, since := range s.leaving {
		if now.Sub(since) >= s.o.Grace {
			gone = append(gone, ref)
		}
	}
	for ref, b := range s.opens {
		if b.idle(now, opensEvery) {
			delete(s.opens, ref)
		}
	}
	for ref, b := range s.renews {
		if b.idle(now, renewEvery) {
			delete(s.renews, ref)
		}
	}
	s.mu.Unlock()
	for _, ref := range gone {
		if err := s.offline(ctx, now, ref); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) offline(ctx context.Context, now time.Time, ref fleet.Ref) error {
	// Inside the transaction nobody else writes this device, so a session that
	// opens at this moment comes after and flips it back.
	err := s.o.Tx(ctx, func(ctx context.Context) error {
		s.mu.Lock()
		_, away := s.leaving[ref]
		s.mu.Unlock()
		if !away {
			return nil
		}
		return s.o.Fleet.Disconnected(ctx, now, ref.Tenant, ref.Device)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	_, back := s.live[ref]
	delete(s.leaving, ref)
	s.mu.Unlock()
	if !back {
		s.o.Inventory.Drop(ref.Tenant, ref.Device)
	}
	return nil
}

// Sweep ends the sessions of devices that may have none any more: at once when
// the fleet told of a change, else within a second.
func (s *Service) Sweep(now time.Time) {
	s.mu.Lock()
	all := now.Sub(s.swept) >= 800*time.Millisecond || now.Before(s.swept)
	if all {
		s.swept = now
	}
	told := map[ident.TenantID]bool{}
	for tenant, h := range s.hints {
		select {
		case <-h.slot:
			told[tenant] = true
		default:
		}
	}
	var look []*Live
	if all || len(told) > 0 {
		for ref, l := range s.live {
			if all || told[ref.Tenant] {
				look = append(look, l)
			}
		}
	}
	s.mu.Unlock()
	for _, l := range look {
		l.device()
	}
}

// Live returns how many sessions are open.
func (s *Service) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
