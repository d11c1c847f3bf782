package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	known := Record{Journal: "j1", Number: 5, Through: 40, Epoch: 1, Desired: 3, DesiredHash: []byte{1}, ReportsThrough: noon}
	cases := []struct {
		name    string
		found   bool
		epoch   uint64
		h       Hello
		anew    bool
		bye     bool
		through uint64
		desired uint64
	}{
		{"the next session", true, 1, Hello{Journal: "j1", Number: 6, NextEvent: 41}, false, false, 40, 3},
		{"the same number again", true, 1, Hello{Journal: "j1", Number: 5}, false, true, 40, 3},
		{"an older one", true, 1, Hello{Journal: "j1", Number: 2}, false, true, 40, 3},
		{"acknowledgements were lost", true, 1, Hello{Journal: "j1", Number: 6, NextEvent: 30}, false, false, 40, 3},
		{"a new journal counts from 1", true, 1, Hello{Journal: "j2", Number: 1, NextEvent: 1}, true, false, 0, 3},
		{"a device not seen before", false, 1, Hello{Journal: "j1", Number: 1}, true, false, 0, 0},
		{"its row was lost", false, 1, Hello{Journal: "j1", Number: 9, NextEvent: 100}, true, false, 99, 0},
		{"a restored server", true, 2, Hello{Journal: "j1", Number: 3, NextEvent: 90}, true, false, 89, 3},
		{"a device that was told more than is known here", true, 1, Hello{Journal: "j1", Number: 6, NextEvent: 41, DesiredVersion: 9}, false, false, 40, 9},
	}
	for _, c := range cases {
		old := known
		if !c.found {
			old = Record{}
		}
		got, anew, bye := decide(noon, c.epoch, old, c.found, c.h)
		if anew != c.anew || (bye != nil) != c.bye || got.Through != c.through || got.Desired != c.desired {
			t.Errorf("%s: %+v, anew %v, bye %v", c.name, got, anew, bye)
		}
		if bye == nil && (got.Number != c.h.Number || got.Journal != c.h.Journal || got.Epoch != c.epoch) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if anew && !got.ReportsThrough.IsZero() {
			t.Errorf("%s: reports are acknowledged that this journal never sent", c.name)
		}
	}
}

func TestWanted(t *testing.T) {
	have := map[wire.Section][32]byte{wire.SectionOS: {1}, wire.SectionCPU: {2}}
	confirmed := map[wire.Section][32]byte{wire.SectionOS: {1}, wire.SectionCPU: {9}, wire.SectionDisks: {3}}
	cases := []struct {
		name string
		anew bool
		r    Record
		next uint64
		want []wire.Section
	}{
		{"anew", true, Record{}, 1, wire.Sections()},
		{"what differs, and what is not here", false, Record{Through: 4}, 5, []wire.Section{wire.SectionCPU, wire.SectionDisks}},
		{"acknowledgements were lost", false, Record{Through: 6}, 5, nil},
		{"asked before", false, Record{Through: 6, Wants: []wire.Section{wire.SectionOS}}, 5, []wire.Section{wire.SectionOS}},
	}
	for _, c := range cases {
		if got := wanted(c.anew, c.r, Hello{NextEvent: c.next, Confirmed: confirmed}, have); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// In no stretch of time does a bucket give more than its size and the rate.
func TestABucketNeverGivesMoreThanItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		every := time.Duration(rapid.IntRange(10, 60_000).Draw(t, "every ms")) * time.Millisecond
		var b bucket
		var given []time.Time
		now := noon
		for _, gap := range rapid.SliceOfN(rapid.IntRange(0, 100_000), 1, 200).Draw(t, "gaps ms") {
			now = now.Add(time.Duration(gap) * time.Millisecond)
			after := b.take(now, size, every)
			if after > 0 {
				again := b
				if again.take(now.Add(after+time.Millisecond), size, every) > 0 {
					t.Fatalf("refused again after the time it said, %v", after)
				}
				continue
			}
			given = append(given, now)
		}
		for i := range given {
			for j := i; j < len(given); j++ {
				most := float64(size) + given[j].Sub(given[i]).Seconds()/every.Seconds() + 0.1
				if n := j - i + 1; float64(n) > most {
					t.Fatalf("%d in %v, at most %.1f", n, given[j].Sub(given[i]), most)
				}
			}
		}
	})
}

func TestHashOfDesiredSeesEveryPart(t *testing.T) {
	base := func() Desired {
		return Desired{Leases: []job.Lease{{Job: "a", Attempt: 1, Encoded: []byte("x"), Signature: []byte("s"), KeyVersion: 1}},
			Cancels: []job.Cancel{{Job: "c", Attempt: 1}}, Settings: settings()}
	}
	if first, again := base().hash(), base().hash(); first != again {
		t.Fatal("the same content has two hashes")
	}
	version := base()
	version.Version = 9
	if version.hash() != base().hash() {
		t.Error("the version counts as content")
	}
	for i, change := range []func(*Desired){
		func(d *Desired) { d.Leases[0].Job = "b" }, func(d *Desired) { d.Leases[0].Attempt = 2 }, func(d *Desired) { d.Leases[0].Encoded = []byte("y") },
		func(d *Desired) { d.Leases[0].Signature = nil }, func(d *Desired) { d.Leases[0].KeyVersion = 2 }, func(d *Desired) { d.Leases = nil },
		func(d *Desired) { d.Cancels[0].Job = "d" }, func(d *Desired) { d.Cancels[0].Attempt = 2 }, func(d *Desired) { d.Cancels = nil },
		func(d *Desired) { d.Settings.ReportInterval++ }, func(d *Desired) { d.Settings.ScanInterval++ },
	} {
		d := base()
		change(&d)
		if d.hash() == base().hash() {
			t.Errorf("change %d is not seen", i)
		}
	}
}

func TestLeasesFitOneMessage(t *testing.T) {
	var many []job.Lease
	for i := range 100 {
		many = append(many, job.Lease{Job: "j", Attempt: i, Encoded: make([]byte, 100)})
	}
	if got := fit(many); len(got) != wire.MaxLeases || got[0].Attempt != 0 {
		t.Errorf("%d leases", len(got))
	}
	for i := range many {
		many[i].Encoded = make([]byte, 20<<10)
	}
	if got := fit(many); len(got) == 0 || len(got)*20<<10 > wire.MaxMessage {
		t.Errorf("%d leases of 20 KiB", len(got))
	}
}

func TestSpreadKeepsToItsStretch(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 100 {
		got := spread(fleetID(i), time.Minute)
		if got < 0 || got >= time.Minute {
			t.Fatalf("%v", got)
		}
		seen[got.Truncate(time.Second)] = true
	}
	if len(seen) < 30 {
		t.Errorf("100 devices share %d seconds", len(seen))
	}
}

func fleetID(i int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("device-%d", i)) }

func TestSectionsThatAreNoneTakeNoMemory(t *testing.T) {
	l := &Live{inventory: map[wire.Section]*bucket{}, wants: map[wire.Section]want{}}
	for i := range 1000 {
		e := Event{Inventory: &InventoryChange{Change: wire.Change{Section: wire.Section(fmt.Sprint("section ", i))}, Final: true}}
		if err := l.limits(time.Unix(1e9, 0), &e); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.inventory) != 0 {
		t.Errorf("%d sections are remembered, and there are none of these names", len(l.inventory))
	}
}
