package session

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/telemetry"
)

// seriesNumber is a series' id in this session and its number in the device's
// dictionary.
type seriesNumber struct {
	id     uint32
	number int32
}

// stored is how far the device's reports are stored.
type stored struct {
	told, mark, newest, failed time.Time // by the device's clock
	at                         time.Time // when the mark was set
}

// Name gives numbers to series for the rest of the session. Signals that this
// version does not know are left out; their values will be too.
func (l *Live) Name(ctx context.Context, now time.Time, series []Series) error {
	if _, err := l.hear(now); err != nil {
		return err
	}
	table := map[string]wire.Signal{}
	for _, sig := range wire.Signals() {
		table[sig.Name] = sig
	}
	var ids []uint32
	var defs []telemetry.Definition
	for _, one := range series {
		sig, known := table[one.Signal]
		if !known || !onlyNames(one.Attributes, sig.Attributes) {
			l.s.count(limitSeries)
			continue
		}
		ids = append(ids, one.ID)
		defs = append(defs, telemetry.Definition{Signal: sig.Name, Attributes: one.Attributes, Unit: sig.Unit, Resolution: sig.Resolution})
	}
	if len(l.series)+len(ids) > 2*wire.MaxSeries {
		return l.overLimit(limitSeries, time.Minute, fmt.Sprintf("more than %d series", wire.MaxSeries))
	}
	numbers, err := l.s.o.Samples.Define(ctx, l.ref.Tenant, l.ref.Device, defs)
	if refused(err) {
		return l.overLimit(limitSeries, time.Hour, "the device has too many series")
	}
	if err != nil {
		return err
	}
	for i, id := range ids {
		at, found := slices.BinarySearchFunc(l.series, id, func(s seriesNumber, id uint32) int { return cmp.Compare(s.id, id) })
		if found {
			l.series[at].number = int32(numbers[i])
			continue
		}
		l.series = slices.Insert(l.series, at, seriesNumber{id, int32(numbers[i])})
	}
	l.series = slices.Clip(l.series)
	return nil
}

func onlyNames(attributes map[string]string, allowed []string) bool {
	for name := range attributes {
		if !slices.Contains(allowed, name) {
			return false
		}
	}
	return true
}

// Report takes in the values of one moment. A moment that is there already
// changes nothing. When there is no room for samples nothing is acknowledged
// and no error returned: the device keeps what it has and sends it again.
func (l *Live) Report(ctx context.Context, now time.Time, r Report) error {
	if _, err := l.hear(now); err != nil {
		return err
	}
	if after := l.reports.take(now, reportBurst, reportEvery); after > 0 {
		return l.overLimit(limitReports, after, fmt.Sprintf("more than %d reports at once", wire.MaxReportBurst))
	}
	if len(r.IDs) != len(r.Values) || len(r.IDs) > wire.MaxSeries || r.At.Add(l.offset).After(now.Add(wire.MaxClockSkew)) {
		l.s.count(limitMalformed)
		return nil
	}
	if r.At.Add(l.offset).Before(now.Add(-reportAge)) {
		l.s.count(limitReports)
		return nil
	}
	at := r.At
	if l.offset.Abs() > wire.MaxClockSkew {
		at = l.clock(now, at)
	}
	values := l.values(r)
	if len(values) == 0 {
		return nil
	}
	leave, err := l.s.room.enter(ctx, l.ref.Tenant)
	if err != nil {
		return err
	}
	err = l.s.o.Samples.Store(ctx, l.ref.Tenant, l.ref.Device, []telemetry.Report{{Device: l.ref.Device, At: at, Values: values}})
	leave()
	switch {
	case refused(err):
		l.s.count(limitMalformed)
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		if l.stored.failed.IsZero() {
			l.s.o.Log.Error("samples of a device are not stored", "tenant", l.ref.Tenant, "device", l.ref.Device, "error", err)
		}
		if l.stored.failed.IsZero() || r.At.Before(l.stored.failed) {
			l.stored.failed = r.At
		}
	case r.At.After(l.stored.newest):
		l.stored.newest = r.At
	}
	return nil
}

// values are the report's by the numbers of the dictionary, each once.
func (l *Live) values(r Report) []telemetry.Value {
	out := make([]telemetry.Value, 0, len(r.IDs))
	for i, id := range r.IDs {
		at, found := slices.BinarySearchFunc(l.series, id, func(s seriesNumber, id uint32) int { return cmp.Compare(s.id, id) })
		if !found || math.IsNaN(r.Values[i]) || math.IsInf(r.Values[i], 0) {
			continue
		}
		out = append(out, telemetry.Value{Series: int(l.series[at].number), V: r.Values[i]})
	}
	slices.SortStableFunc(out, func(a, b telemetry.Value) int { return cmp.Compare(a.Series, b.Series) })
	return slices.CompactFunc(out, func(a, b telemetry.Value) bool { return a.Series == b.Series })
}

// StoredThrough says up to which time (by its own clock) the device may forget
// its reports; ok at most every wire.StoredThroughEvery. It is the newest of
// the time before, so that what is told survives a power cut.
func (l *Live) StoredThrough(ctx context.Context, now time.Time) (through time.Time, ok bool, err error) {
	st := &l.stored
	if now.Sub(st.at) < wire.StoredThroughEvery || l.Ended() != nil {
		return time.Time{}, false, nil
	}
	through = st.mark
	if !st.failed.IsZero() && !through.Before(st.failed) {
		through = st.failed.Add(-time.Second)
	}
	st.mark, st.at = st.newest, now
	if through.IsZero() || !through.After(st.told) {
		return time.Time{}, false, nil
	}
	before := st.told
	err = l.s.tx(ctx, l.ref.Tenant, func(ctx context.Context) error {
		l.stored.told = through
		return l.putWants(ctx, "", "")
	})
	if err != nil {
		st.told = before
		return time.Time{}, false, err
	}
	return through, true, nil
}
