package telemetry

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Options are the settings of a Service; the zero value of each is its default.
type Options struct {
	// Stretch is the time that one block covers; 2 h. Devices cut theirs at
	// different moments, by a hash of their names.
	Stretch time.Duration
	// Keep is how long samples are kept by RetainOnce; 30 days.
	Keep time.Duration
	// Logger takes what is wrong with stored data; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps none.
	Registerer prometheus.Registerer
}

// Service is the room's door. It is safe for concurrent use; the reports of one
// device come from one goroutine at a time.
type Service struct {
	store   Store
	opts    Options
	codec   *Codec
	metrics metrics

	mu      sync.RWMutex
	devices map[deviceKey]*memory
	shared  map[string]*Definition // equal definitions of all devices, once
}

type deviceKey struct {
	tenant ident.TenantID
	device ident.DeviceID
}

// memory is what is kept of one device, guarded by Service.mu.
type memory struct {
	defs   dictionary
	latest []latest // by rising series
	oldest int64    // time of the tail's oldest row, 0 when the tail is empty
}

type latest struct {
	series int32
	at     int64
	v      float64
}

type metrics struct {
	stored, refused, blocks, corrupt prometheus.Counter
}

// New makes the service over a store. Call Refill before the first report.
func New(store Store, opts Options) (*Service, error) {
	if opts.Stretch <= 0 {
		opts.Stretch = 2 * time.Hour
	}
	if opts.Keep <= 0 {
		opts.Keep = 30 * 24 * time.Hour
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	codec, err := NewCodec()
	if err != nil {
		return nil, err
	}
	s := &Service{store: store, opts: opts, codec: codec,
		devices: map[deviceKey]*memory{}, shared: map[string]*Definition{}}
	return s, s.register()
}

func (s *Service) register() error {
	var errs []error
	for name, c := range map[string]struct {
		at   *prometheus.Counter
		help string
	}{
		"stored_total":  {&s.metrics.stored, "Reports stored."},
		"refused_total": {&s.metrics.refused, "Reports that could not be stored; their values were still evaluated."},
		"blocks_total":  {&s.metrics.blocks, "Blocks written."},
		"corrupt_total": {&s.metrics.corrupt, "Stored rows and blocks that could not be read."},
	} {
		*c.at = prometheus.NewCounter(prometheus.CounterOpts{Name: "steward_samples_" + name, Help: c.help})
		if s.opts.Registerer != nil {
			errs = append(errs, s.opts.Registerer.Register(*c.at))
		}
	}
	return errors.Join(errs...)
}

// Close gives the codec's memory back.
func (s *Service) Close() error { return s.codec.Close() }

// Refill loads the dictionaries and the latest values of all devices.
func (s *Service) Refill(ctx context.Context) error {
	return s.store.Starts(ctx, func(start Start) error {
		key := deviceKey{start.Tenant, start.Device}
		s.mu.Lock()
		defer s.mu.Unlock()
		m := s.device(key)
		s.learn(m, start.Definitions)
		if !start.Oldest.IsZero() {
			m.oldest = start.Oldest.Unix()
		}
		at, values, err := s.lastOf(start, m.defs)
		if err != nil {
			s.corrupt(key, err)
			return nil
		}
		m.note(at, values)
		return nil
	})
}

// lastOf returns the values of the last report that the store has.
func (s *Service) lastOf(start Start, d dictionary) (at int64, values []Value, err error) {
	if start.Last.Data != nil {
		values, err = decodeRow(start.Last.Data, d)
		return start.Last.At.Unix(), values, err
	}
	if start.Block == nil {
		return 0, nil, nil
	}
	b, err := s.codec.Decode(start.Block)
	if err != nil {
		return 0, nil, err
	}
	last := len(b.Times) - 1
	for _, c := range b.Columns {
		if (c.Present == nil || c.Present[last]) && d.get(c.Series) != nil {
			values = append(values, Value{c.Series, c.Values[last]})
		}
	}
	return b.Times[last], values, nil
}

func (s *Service) corrupt(key deviceKey, err error) {
	s.metrics.corrupt.Inc()
	s.opts.Logger.Error("stored samples cannot be read", "tenant", key.tenant, "device", key.device, "error", err)
}

// Define returns the number of each definition in the device's dictionary,
// in the order given, and adds those that are new.
func (s *Service) Define(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, defs []Definition) ([]int, error) {
	for _, d := range defs {
		if err := d.Check(); err != nil {
			return nil, err
		}
	}
	key := deviceKey{tenant, device}
	if numbers := s.numbers(key, defs); !slices.Contains(numbers, 0) {
		return numbers, nil
	}
	all, err := s.store.Define(ctx, tenant, device, defs)
	if err != nil {
		return nil, fmt.Errorf("define the series of %s: %w", device, err)
	}
	s.mu.Lock()
	s.learn(s.device(key), all)
	s.mu.Unlock()
	numbers := s.numbers(key, defs)
	if i := slices.Index(numbers, 0); i >= 0 {
		return nil, fmt.Errorf("define the series of %s: %s got no number", device, defs[i].Signal)
	}
	return numbers, nil
}

// numbers looks definitions up in memory; 0 is unknown.
func (s *Service) numbers(key deviceKey, defs []Definition) []int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]int, len(defs))
	m := s.devices[key]
	if m == nil {
		return out
	}
	known := make(map[*Definition]int, len(m.defs))
	for i, d := range m.defs {
		if d != nil {
			known[d] = i
		}
	}
	for i, d := range defs {
		out[i] = known[s.shared[d.Key()]]
	}
	return out
}

// device returns the memory of a device. The caller holds mu for writing.
func (s *Service) device(key deviceKey) *memory {
	m := s.devices[key]
	if m == nil {
		m = &memory{}
		s.devices[key] = m
	}
	return m
}

// learn replaces the dictionary: readers may hold the old one. The caller
// holds mu for writing.
func (s *Service) learn(m *memory, defs map[int]Definition) {
	size := len(m.defs)
	for number := range defs {
		size = max(size, min(number, MaxDefinitions)+1)
	}
	next := make(dictionary, size)
	copy(next, m.defs)
	for number, d := range defs {
		if number < 1 || number >= size {
			continue
		}
		text := d.Key()
		if s.shared[text] == nil {
			s.shared[text] = &d
		}
		next[number] = s.shared[text]
	}
	m.defs = next
}

// note keeps values that are newer than those it has. values are by rising
// series.
func (m *memory) note(at int64, values []Value) {
	i := 0
	for _, v := range values {
		for i < len(m.latest) && int(m.latest[i].series) < v.Series {
			i++
		}
		if i == len(m.latest) || int(m.latest[i].series) != v.Series {
			m.latest = slices.Insert(m.latest, i, latest{series: int32(v.Series), at: at, v: v.V})
		} else if m.latest[i].at <= at {
			m.latest[i] = latest{series: int32(v.Series), at: at, v: v.V}
		}
	}
}

// Latest returns the last value of every series of a device, each with its own
// time, in no order; nil when nothing is known.
func (s *Service) Latest(tenant ident.TenantID, device ident.DeviceID) []Reading {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.devices[deviceKey{tenant, device}]
	if m == nil {
		return nil
	}
	out := make([]Reading, len(m.latest))
	for i, l := range m.latest {
		d := m.defs[l.series]
		out[i] = Reading{Signal: d.Signal, Attributes: d.Attributes, Unit: d.Unit,
			Point: Point{At: time.Unix(l.at, 0).UTC(), V: l.v}}
	}
	return out
}

// Store takes in reports of one device: the latest values at once, and the
// reports in the tail. A report of a second that is there already changes
// nothing. When the store has no room (fault.Unavailable) the latest values are
// kept all the same. It sorts the reports' values in place.
func (s *Service) Store(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, reports []Report) error {
	key := deviceKey{tenant, device}
	s.mu.RLock()
	var defs dictionary
	if m := s.devices[key]; m != nil {
		defs = m.defs
	}
	s.mu.RUnlock()
	rows := make([]Row, 0, len(reports))
	oldest := int64(0)
	for _, r := range reports {
		at := r.At.Round(time.Second).UTC()
		if r.Device != "" && r.Device != device {
			return fault.Invalidf("device", "a report of %s came as one of %s", r.Device, device)
		}
		if at.Unix() <= 0 || at.Unix() > maxBlockTime {
			return fault.Invalidf("at", "the report's time %v is out of range", r.At)
		}
		data, err := encodeRow(r.Values, defs)
		if err != nil {
			return err
		}
		rows = append(rows, Row{At: at, Data: data})
		if oldest == 0 || at.Unix() < oldest {
			oldest = at.Unix()
		}
	}
	s.mu.Lock()
	m := s.device(key)
	for i, r := range reports {
		m.note(rows[i].At.Unix(), r.Values)
	}
	if oldest != 0 && (m.oldest == 0 || oldest < m.oldest) {
		m.oldest = oldest
	}
	s.mu.Unlock()
	stored, err := s.store.Append(ctx, tenant, device, rows)
	if err != nil {
		s.metrics.refused.Add(float64(len(rows)))
		return fmt.Errorf("store samples of %s: %w", device, err)
	}
	s.metrics.stored.Add(float64(stored))
	return nil
}

// Drop forgets a device.
func (s *Service) Drop(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) error {
	s.mu.Lock()
	delete(s.devices, deviceKey{tenant, device})
	s.mu.Unlock()
	if err := s.store.Drop(ctx, tenant, device); err != nil {
		return fmt.Errorf("drop the samples of %s: %w", device, err)
	}
	return nil
}

// RetainOnce removes what is older than Options.Keep, of all tenants.
func (s *Service) RetainOnce(ctx context.Context, now time.Time) (removed int, err error) {
	return s.Forget(ctx, "", now.Add(-s.opts.Keep))
}

// Forget removes samples before a time, of one tenant or, when tenant is empty,
// of all. A block goes when all of it is that old.
func (s *Service) Forget(ctx context.Context, tenant ident.TenantID, before time.Time) (removed int, err error) {
	removed, err = s.store.Forget(ctx, tenant, before)
	if err != nil {
		return removed, fmt.Errorf("remove old samples: %w", err)
	}
	return removed, nil
}

// phase is where in a stretch the device cuts its blocks.
func (s *Service) phase(key deviceKey) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key.tenant)) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(key.device))
	return int64(h.Sum32()) % s.stretch()
}

func (s *Service) stretch() int64 { return max(1, int64(s.opts.Stretch/time.Second)) }
