package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

// model is a device as the protocol sees it: its own pictures, its numbered
// events, what was acknowledged, over a network that loses, repeats and mixes.
type model struct {
	t      *testing.T
	r      *rand.Rand
	d      *sessiontest.Device
	live   *session.Live
	now    time.Time
	bad    bool // the network is
	told   map[wire.Section]map[string]wire.Item
	known  map[wire.Section]bool // the server has, or will have, a picture
	queue  []*agentv1.Event      // not acknowledged
	next   uint64
	serial int

	changes, full, sent int // bytes: of changes told, of full pictures in their place, and how many
}

func (m *model) chance(p float64) bool { return m.bad && m.r.Float64() < p }

func items(by map[string]wire.Item) []wire.Item {
	out := make([]wire.Item, 0, len(by))
	for _, key := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[key])
	}
	return out
}

// change is a new event, in parts of 40 items.
func (m *model) tell(c wire.Change) (size int) {
	upsert := c.Upsert
	for first := true; ; first = false {
		part := upsert[:min(40, len(upsert))]
		upsert = upsert[len(part):]
		inv := &agentv1.InventoryChange{Section: string(c.Section), Full: c.Full && first, Hash: c.Hash[:], Final: len(upsert) == 0, ScannedAtMs: m.now.UnixMilli()}
		if first {
			inv.Remove = c.Remove
		}
		for _, it := range part {
			p := &agentv1.Item{Key: it.Key}
			for name, value := range it.Facts {
				p.Facts = append(p.Facts, &agentv1.Fact{Name: name, Value: value})
			}
			inv.Upsert = append(inv.Upsert, p)
		}
		e := &agentv1.Event{Seq: m.next, AtMs: m.now.UnixMilli(), Kind: &agentv1.Event_Inventory{Inventory: inv}}
		m.next++
		m.queue = append(m.queue, e)
		size += proto.Size(e)
		if len(upsert) == 0 {
			return size
		}
	}
}

// scan changes a few items of a section and tells the difference.
func (m *model) scan(section wire.Section) {
	before := items(m.told[section])
	now := m.told[section]
	for range 1 + m.r.IntN(3) {
		m.serial++
		it := sessiontest.Item(fmt.Sprintf("apt:package-%03d", m.r.IntN(150)), wire.FactSource, "apt", wire.FactVersion, fmt.Sprintf("1.%d-2ubuntu1", m.serial))
		it.Facts[wire.FactName], it.Facts[wire.FactPackage], it.Facts[wire.FactAvailable] = it.Key[4:], it.Key[4:], it.Facts[wire.FactVersion]
		it.Facts[wire.FactInstalled], it.Facts[wire.FactKind] = "1.0", "quality"
		if _, there := now[it.Key]; there && m.r.IntN(3) == 0 {
			delete(now, it.Key)
			continue
		}
		now[it.Key] = it
	}
	after := items(now)
	diff, _ := wire.Diff(section, before, after)
	whole, _ := wire.Diff(section, nil, after)
	whole.Full = true
	if !m.known[section] {
		diff = whole
		m.known[section] = true
	}
	scratch := model{now: m.now, next: m.next}
	m.full += scratch.tell(whole)
	m.changes += m.tell(diff)
	m.sent++
}

// want tells a section in full, as the server asked.
func (m *model) want(section wire.Section) {
	if m.told[section] == nil {
		return
	}
	diff, _ := wire.Diff(section, nil, items(m.told[section]))
	diff.Full, m.known[section] = true, true
	m.changes += m.tell(diff)
}

func (m *model) acknowledge(through uint64) {
	for len(m.queue) > 0 && m.queue[0].GetSeq() <= through {
		m.queue = m.queue[1:]
	}
}

func (m *model) open() {
	m.d.Hello.NextEvent = m.next
	if len(m.queue) > 0 {
		m.d.Hello.NextEvent = m.queue[0].GetSeq()
	}
	secret := bytes.Clone(m.d.Hello.CloneSecret)
	live, w, bye := m.d.Open(m.t, m.now)
	if bye != nil {
		m.t.Fatalf("refused: %+v", bye)
	}
	if m.chance(0.2) { // Welcome is lost on the way
		m.d.Hello.CloneSecret = secret
		live.Close(m.now)
		return
	}
	m.live = live
	m.acknowledge(w.EventsThrough)
	for _, section := range w.WantFull {
		m.want(section)
	}
}

// exchange sends what is not acknowledged, once.
func (m *model) exchange() {
	pass := slices.Clone(m.queue[:min(25, len(m.queue))])
	if m.chance(0.2) {
		m.r.Shuffle(len(pass), func(i, j int) { pass[i], pass[j] = pass[j], pass[i] })
	}
	for _, e := range pass {
		copies := 1
		if m.chance(0.1) {
			copies = 2
		}
		if m.chance(0.1) {
			copies = 0
		}
		for range copies {
			m.deliver(e)
			if m.live.Ended() != nil {
				m.live.Close(m.now)
				m.live = nil
				return
			}
		}
	}
}

func (m *model) deliver(e *agentv1.Event) {
	raw, err := proto.Marshal(e)
	if err != nil {
		m.t.Fatal(err)
	}
	var got agentv1.Event
	if err := proto.Unmarshal(raw, &got); err != nil {
		m.t.Fatal(err)
	}
	out, err := m.live.Event(context.Background(), m.now, event(&got))
	if err != nil {
		if bye := m.live.Ended(); bye == nil || bye.Code != session.ByeLimit {
			m.t.Fatalf("event %d: %v, %+v", e.GetSeq(), err, bye)
		}
		return
	}
	if !m.chance(0.1) {
		m.acknowledge(out.Through)
	}
	// On one stream the question is lost only with everything behind it.
	if len(out.Want) > 0 && m.chance(0.3) {
		m.live.Close(m.now)
		m.live.End(session.Goodbye{})
		return
	}
	for _, section := range out.Want {
		m.want(section)
	}
}

func (m *model) round() {
	m.now = m.now.Add(70 * time.Second)
	if m.live == nil {
		m.open()
	}
	for range 3 {
		if m.live != nil && len(m.queue) > 0 {
			m.exchange()
		}
	}
	if m.live != nil && m.chance(0.1) {
		m.live.Close(m.now)
		m.live = nil
	}
	if m.chance(0.01) { // the server is killed: what it has in memory is gone
		m.d.House = sessiontest.OpenEpoch(m.t, m.d.House.Store, m.d.House.Keys, 1)
		m.live = nil
	}
}

// After 1,000 changes over a network that loses, repeats and mixes messages,
// ends sessions and kills the server, both sides have the same picture, and it
// took a tenth of the bytes that full pictures take.
func TestBothPicturesAreEqualAfterAThousandRounds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := sessiontest.Open(t).Device(t, sessiontest.PC())
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), d: d, now: sessiontest.Start, bad: true, next: 1,
		told: map[wire.Section]map[string]wire.Item{}, known: map[wire.Section]bool{}}
	// Most changes in sections that nothing is computed from: the test is of
	// what travels.
	sections := []wire.Section{wire.SectionSoftware, wire.SectionUpdates, wire.SectionNetwork, wire.SectionDisks, wire.SectionVolumes, wire.SectionMemory}
	for _, section := range sections {
		m.told[section] = map[string]wire.Item{}
		for i := range 90 {
			it := sessiontest.Item(fmt.Sprintf("apt:package-%03d", i), wire.FactSource, "apt", wire.FactName, fmt.Sprintf("package-%03d", i), wire.FactVersion, "1.0-1ubuntu1",
				wire.FactPackage, fmt.Sprintf("package-%03d", i), wire.FactInstalled, "1.0", wire.FactAvailable, "1.0-1ubuntu1", wire.FactKind, "quality")
			m.told[section][it.Key] = it
		}
	}
	for range 1000 {
		m.scan(sections[max(m.r.IntN(len(sections)), m.r.IntN(len(sections)), m.r.IntN(len(sections)))])
		m.round()
	}
	m.bad = false
	for range 200 {
		if m.round(); m.live != nil && len(m.queue) == 0 {
			break
		}
	}
	for _, section := range sections {
		got, err := m.d.House.Inventory.Section(context.Background(), "acme", m.d.Row.ID, section)
		if err != nil {
			t.Fatal(err)
		}
		want := items(m.told[section])
		if !slices.EqualFunc(got.Items, want, wire.Item.Equal) || got.Hash != wire.HashItems(want) {
			t.Errorf("section %s: %d items on the server, %d on the device, %d events wait", section, len(got.Items), len(want), len(m.queue))
		}
	}
	if state := m.d.State(t).State; state == fleet.Conflict {
		t.Error("the network made a copy of the device")
	}
	t.Logf("%d changes: %d bytes, in full %d", m.sent, m.changes, m.full)
	if m.changes*10 > m.full {
		t.Errorf("changes took %d bytes, full pictures %d", m.changes, m.full)
	}
}
