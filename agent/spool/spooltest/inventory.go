package spooltest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

func item(key, version string) wire.Item {
	return wire.Item{Key: key, Facts: map[string]string{wire.FactVersion: version}}
}

func inventory(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	record := func(at time.Time, items ...wire.Item) bool {
		t.Helper()
		return get(j.RecordInventory(at, wire.SectionUpdates, items, at, "schedule"))(t)
	}
	last := func() spool.InventoryEvent {
		t.Helper()
		_, next, err := j.EventRange()
		must(t, err)
		return *get(j.Events(next-1, 1))(t)[0].Inventory
	}
	if !record(T0(), item("a", "1"), item("b", "1")) {
		t.Fatal("the first picture is not told")
	}
	if e := last(); !e.Full || !e.Final || len(e.Upsert) != 2 || e.Cause != "schedule" || !e.ScannedAt.Equal(T0()) {
		t.Fatalf("first %+v", e)
	}
	if record(T0(), item("b", "1"), item("a", "1")) {
		t.Fatal("the same picture of the same scan is told again")
	}
	later := T0().Add(time.Hour)
	if !record(later, item("a", "1"), item("b", "1")) {
		t.Fatal("a new scan that found the same is not told")
	}
	if e := last(); e.Full || !e.Final || len(e.Upsert)+len(e.Remove) != 0 || !e.ScannedAt.Equal(later) || e.Hash != wire.HashItems([]wire.Item{item("a", "1"), item("b", "1")}) {
		t.Fatalf("same %+v", e)
	}
	record(later, item("a", "2"))
	if e := last(); e.Full || len(e.Upsert) != 1 || len(e.Remove) != 1 || e.Remove[0] != "b" {
		t.Fatalf("difference %+v", e)
	}
	if got := get(j.Confirmed())(t); len(got) != 0 {
		t.Fatalf("confirmed before an acknowledgement: %v", got)
	}
	must(t, j.Acknowledge(2))
	if got := get(j.Confirmed())(t); len(got) != 1 || got[0].Hash != wire.HashItems([]wire.Item{item("a", "1"), item("b", "1")}) {
		t.Fatalf("confirmed %v", got)
	}
	resync(t, j, record, last, later)
	if _, err := j.RecordInventory(T0(), "no such", nil, T0(), ""); err == nil {
		t.Fatal("a section that the protocol does not have")
	}
	if told := get(j.RecordInventory(T0(), wire.SectionOS, nil, T0(), ""))(t); !told {
		t.Fatal("an empty first picture is not told")
	}
	if told := get(j.RecordInventory(later, wire.SectionOS, nil, later, ""))(t); told {
		t.Fatal("the time of a scan is told for a section without one")
	}
}

func resync(t *testing.T, j *spool.Journal, record func(time.Time, ...wire.Item) bool, last func() spool.InventoryEvent, at time.Time) {
	t.Helper()
	must(t, j.ForgetSection(wire.SectionUpdates))
	if got := get(j.Confirmed())(t); len(got) != 0 {
		t.Fatalf("confirmed after forgetting: %v", got)
	}
	record(at, item("a", "2"))
	if e := last(); !e.Full || len(e.Upsert) != 1 {
		t.Fatalf("after forgetting %+v", e)
	}
	if !get(j.ResendSection(at, wire.SectionUpdates))(t) {
		t.Fatal("nothing to send again")
	}
	if e := last(); !e.Full || len(e.Upsert) != 1 {
		t.Fatalf("sent again %+v", e)
	}
	if get(j.ResendSection(at, wire.SectionCPU))(t) {
		t.Fatal("a picture that was never taken is sent")
	}
	if got := get(j.Picture(wire.SectionUpdates))(t); len(got) != 1 || !got[0].Equal(item("a", "2")) {
		t.Fatalf("picture %v", got)
	}
}

func parts(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	var items []wire.Item
	for i := range wire.MaxSoftware + 50 {
		it := item(fmt.Sprintf("k%06d", i), "1")
		if i < 200 {
			it.Facts["long"] = strings.Repeat("é", wire.MaxText)
		}
		items = append(items, it)
	}
	get(j.RecordInventory(T0(), wire.SectionSoftware, items, T0(), "start"))(t)
	var model model
	events := get(j.Events(0, 1000))(t)
	for i, e := range events {
		inv := e.Inventory
		raw, err := json.Marshal(inv)
		must(t, err)
		if n := len(inv.Upsert) + len(inv.Remove); n > wire.MaxChunkItems || len(raw) > wire.MaxMessage {
			t.Fatalf("part %d has %d items, %d bytes", i, n, len(raw))
		}
		if inv.Full != (i == 0) || inv.Final != (i == len(events)-1) {
			t.Fatalf("part %d of %d: full %v, final %v", i, len(events), inv.Full, inv.Final)
		}
		model.take(t, *inv)
	}
	if len(model.items[wire.SectionSoftware]) != wire.MaxSoftware {
		t.Fatalf("%d items, want the limit", len(model.items[wire.SectionSoftware]))
	}
}

func gathered(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	n := 0
	for get(j.RecordInventory(T0(), wire.SectionOS, []wire.Item{item("a", fmt.Sprint(n))}, T0(), ""))(t) {
		if n++; n > 5000 {
			t.Fatal("a server that never acknowledges fills the disk")
		}
	}
	must(t, j.Acknowledge(uint64(n)))
	if !get(j.RecordInventory(T0(), wire.SectionOS, []wire.Item{item("a", "last")}, T0(), ""))(t) {
		t.Fatal("gathered changes are not told afterwards")
	}
	if e := get(j.Events(0, 10))(t); len(e) != 1 || e[0].Inventory.Upsert[0].Facts[wire.FactVersion] != "last" {
		t.Fatalf("events %+v", e)
	}
}

// model is a server that takes parts in order.
type model struct {
	items map[wire.Section][]wire.Item
	open  *wire.Change
}

func (m *model) take(t testing.TB, e spool.InventoryEvent) {
	t.Helper()
	if m.items == nil {
		m.items = map[wire.Section][]wire.Item{}
	}
	if m.open == nil {
		m.open = &wire.Change{Section: e.Section, Full: e.Full}
	} else if e.Full {
		t.Fatal("a full part in the middle")
	}
	m.open.Upsert = append(m.open.Upsert, e.Upsert...)
	m.open.Remove = append(m.open.Remove, e.Remove...)
	m.open.Hash = e.Hash
	if !e.Final {
		return
	}
	after, ok := m.open.Apply(m.items[e.Section])
	if !ok {
		t.Fatalf("the hash of %s does not add up", e.Section)
	}
	m.items[e.Section], m.open = after, nil
}

func pictureProperty(t *testing.T, fresh Maker) {
	rapid.Check(t, func(rt *rapid.T) {
		j := fresh(t, spool.Options{})
		sections := []wire.Section{wire.SectionUpdates, wire.SectionSources}
		want := map[wire.Section][]wire.Item{}
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			section := rapid.SampledFrom(sections).Draw(rt, "section")
			at := T0().Add(time.Duration(i) * time.Hour)
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				must(t, j.ForgetSection(section))
			case 1:
				get(j.ResendSection(at, section))(t)
			default:
				keys := rapid.MapOfN(rapid.StringMatching(`[a-f]`), rapid.StringMatching(`[12]`), 0, 6).Draw(rt, "items")
				var items []wire.Item
				for k, v := range keys {
					items = append(items, item(k, v))
				}
				want[section] = items
				get(j.RecordInventory(at, section, items, at, "test"))(t)
			}
		}
		var m model
		for _, e := range get(j.Events(0, 1000))(t) {
			m.take(t, *e.Inventory)
		}
		for _, s := range sections {
			if wire.HashItems(m.items[s]) != wire.HashItems(want[s]) {
				rt.Fatalf("%s: the server has %v, the device %v", s, m.items[s], want[s])
			}
		}
	})
}

func report(second int, values ...spool.Value) spool.Report {
	return spool.Report{At: T0().Add(time.Duration(second) * time.Second), Values: values}
}

func value(v float64, pairs ...string) spool.Value {
	out := spool.Value{Signal: wire.SignalDiskIO, Value: v}
	for i := 0; i+1 < len(pairs); i += 2 {
		if out.Attributes == nil {
			out.Attributes = map[string]string{}
		}
		out.Attributes[pairs[i]] = pairs[i+1]
	}
	return out
}

func times(reports []spool.Report) (out []int) {
	for _, r := range reports {
		out = append(out, int(r.At.Sub(T0())/time.Second))
	}
	return out
}

func reports(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{})
	first := report(0, value(1.5, wire.AttributeDevice, "sda", wire.AttributeDirection, "read"), value(2))
	for _, r := range []spool.Report{first, report(30, value(3)), report(60), report(30, value(9)), report(90, value(math.NaN()), value(math.Inf(1)), value(4))} {
		must(t, j.AppendReport(r))
	}
	all := get(j.Reports(time.Time{}, 100))(t)
	if got := times(all); !reflect.DeepEqual(got, []int{0, 30, 60, 90}) {
		t.Fatalf("reports at %v", got)
	}
	if !reflect.DeepEqual(all[0], first) || all[1].Values[0].Value != 3 || len(all[3].Values) != 1 {
		t.Fatalf("reports %+v", all)
	}
	if got := times(get(j.Reports(T0(), 2))(t)); !reflect.DeepEqual(got, []int{30, 60}) {
		t.Fatalf("after the first, two: %v", got)
	}
	must(t, j.StoredThrough(T0().Add(45*time.Second)))
	must(t, j.StoredThrough(T0()))
	if got := times(get(j.Reports(time.Time{}, 100))(t)); !reflect.DeepEqual(got, []int{60, 90}) {
		t.Fatalf("after storing: %v", got)
	}
	if n := get(j.ReportsDropped())(t); n != 0 {
		t.Fatalf("%d counted as lost", n)
	}
	must(t, j.StoredThrough(T0().Add(time.Hour)))
	if got := get(j.Reports(time.Time{}, 100))(t); len(got) != 0 {
		t.Fatalf("left %v", got)
	}
}

func ring(t *testing.T, fresh Maker) {
	j := fresh(t, spool.Options{MaxReportBytes: 2000})
	for i := range 100 {
		must(t, j.AppendReport(report(i, value(float64(i)), value(1, wire.AttributeDevice, "sda"))))
	}
	left := get(j.Reports(time.Time{}, 1000))(t)
	dropped := get(j.ReportsDropped())(t)
	if len(left) < 20 || len(left) > 90 || int(dropped) != 100-len(left) || times(left)[len(left)-1] != 99 {
		t.Fatalf("%d left, %d dropped", len(left), dropped)
	}
	old := T0().Add(wire.MaxSpoolAge + 99*time.Second)
	must(t, j.AppendReport(spool.Report{At: old}))
	if got := get(j.Reports(time.Time{}, 1000))(t); len(got) != 2 {
		t.Fatalf("%d left after 72 hours, want the one of that second and the new one", len(got))
	}
	// Series that come and go do not pile up.
	for i := range 3 * wire.MaxSeries {
		at := old.Add(time.Duration(i+1) * time.Second)
		must(t, j.AppendReport(spool.Report{At: at, Values: []spool.Value{value(1, wire.AttributeDevice, fmt.Sprint(i))}}))
		if i%100 == 99 {
			must(t, j.StoredThrough(at))
		}
	}
	at := old.Add(24 * time.Hour)
	must(t, j.AppendReport(spool.Report{At: at, Values: []spool.Value{value(7, wire.AttributeDevice, "0")}}))
	if got := get(j.Reports(at.Add(-time.Second), 1))(t); len(got) != 1 || got[0].Values[0].Attributes[wire.AttributeDevice] != "0" {
		t.Fatalf("series after many: %+v", got)
	}
}
