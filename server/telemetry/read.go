package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
)

// Read returns the device's series of the named signals (of all when none is
// named) with their points of from ≤ t ≤ to, sorted by signal and attributes.
// Series without a point there are left out. Rows and blocks that cannot be
// read are logged and left out.
func (s *Service) Read(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, from, to time.Time, signals ...string) ([]Series, error) {
	key := deviceKey{tenant, device}
	blocks, rows, err := s.store.Stretch(ctx, tenant, device, from, to)
	if err != nil {
		return nil, fmt.Errorf("read samples of %s: %w", device, err)
	}
	s.mu.RLock()
	var defs dictionary
	if m := s.devices[key]; m != nil {
		defs = m.defs
	}
	s.mu.RUnlock()
	g := gather{defs: defs, points: make([][]Point, len(defs)), from: from.Unix(), to: to.Unix()}
	if from.Nanosecond() > 0 {
		g.from++
	}
	g.wanted = func(series int) bool {
		d := defs.get(series)
		return d != nil && (len(signals) == 0 || slices.Contains(signals, d.Signal))
	}
	for _, stored := range blocks {
		b, err := s.codec.Decode(stored.Data)
		if err != nil {
			s.corrupt(key, err)
			continue
		}
		g.block(b, len(blocks))
	}
	for _, row := range rows {
		values, err := decodeRow(row.Data, defs)
		if err != nil {
			s.corrupt(key, err)
			continue
		}
		g.row(row.At.Unix(), values)
	}
	return g.series(), nil
}

// gather collects points by series.
type gather struct {
	defs     dictionary
	points   [][]Point
	from, to int64
	wanted   func(series int) bool
	last     int64 // the latest time so far
	mixed    bool  // a time came that was not later than all before it
}

// note is told of the times in the order in which points are added.
func (g *gather) note(first, last int64) {
	if first <= g.last {
		g.mixed = true
	}
	g.last = max(g.last, last)
}

func (g *gather) block(b Block, blocks int) {
	g.note(b.Times[0], b.Times[len(b.Times)-1])
	times := make([]time.Time, len(b.Times))
	for i, t := range b.Times {
		times[i] = time.Unix(t, 0).UTC()
	}
	for _, c := range b.Columns {
		if !g.wanted(c.Series) {
			continue
		}
		points := g.points[c.Series]
		if points == nil {
			points = make([]Point, 0, len(times)*blocks)
		}
		for i, t := range b.Times {
			if t >= g.from && t <= g.to && (c.Present == nil || c.Present[i]) {
				points = append(points, Point{times[i], c.Values[i]})
			}
		}
		g.points[c.Series] = points
	}
}

func (g *gather) row(at int64, values []Value) {
	if at < g.from || at > g.to {
		return
	}
	g.note(at, at)
	t := time.Unix(at, 0).UTC()
	for _, v := range values {
		if g.wanted(v.Series) {
			g.points[v.Series] = append(g.points[v.Series], Point{t, v.V})
		}
	}
}

// series orders what was gathered. Reports that came late, or twice, may have
// made blocks overlap: then points are put in order and the first of a time
// stays, which is the one of a block.
func (g *gather) series() []Series {
	var out []Series
	for number, points := range g.points {
		if len(points) == 0 {
			continue
		}
		if g.mixed {
			slices.SortStableFunc(points, func(a, b Point) int { return a.At.Compare(b.At) })
			points = slices.CompactFunc(points, func(a, b Point) bool { return a.At.Equal(b.At) })
		}
		d := g.defs[number]
		out = append(out, Series{Signal: d.Signal, Attributes: d.Attributes, Unit: d.Unit, Points: points})
	}
	slices.SortFunc(out, func(a, b Series) int {
		if c := cmp.Compare(a.Signal, b.Signal); c != 0 {
			return c
		}
		return cmp.Compare(wire.SeriesKey(a.Signal, a.Attributes), wire.SeriesKey(b.Signal, b.Attributes))
	})
	return out
}
