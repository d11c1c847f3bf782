package telemetry

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
)

// candidate is a reading that may become a sample.
type candidate struct {
	Reading
	key  string
	from *watched
}

// usable keeps the readings that the table of signals knows and whose numbers
// mean something; refused counts those that can never be reported. A series
// that is read twice counts with its first reading.
func (c *Collector) usable(p *watched, readings []Reading) (kept []candidate, refused uint64) {
	seen := make(map[string]bool, len(readings))
	for _, r := range readings {
		signal, known := c.signals[r.Signal]
		if !known || (signal.Kind == wire.KindGauge) != (r.Form == Gauge) || !cleanAttributes(signal, r.Attributes) {
			refused++
			continue
		}
		k := candidate{Reading: r, key: r.Key(), from: p}
		if seen[k.key] {
			continue
		}
		seen[k.key] = true
		if !sensible(r.Value) || !sensible(r.Of) || (r.Form == Gauge && signal.Unit == "1" && r.Value > 1) {
			delete(p.before, k.key) // the next good counter has nothing to be compared with
			continue
		}
		kept = append(kept, k)
	}
	return kept, refused
}

// sensible tells a number from what broken drivers say: NaN, infinite, below
// nothing. No signal of this collector can be negative.
func sensible(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) && v >= 0 }

// cleanAttributes reports whether the attributes are the signal's own and fit
// a report.
func cleanAttributes(signal wire.Signal, attrs map[string]string) bool {
	for name, value := range attrs {
		if !slices.Contains(signal.Attributes, name) || value == "" || len(value) > wire.MaxText || !utf8.ValidString(value) {
			return false
		}
	}
	return true
}

// forget drops the counters of series that are gone, as an unplugged disk's,
// so that memory stays bounded and its return starts anew.
func (p *watched) forget(present []candidate) {
	keep := make(map[string]bool, len(present))
	for _, k := range present {
		keep[k.key] = true
	}
	for key := range p.before {
		if !keep[key] {
			delete(p.before, key)
		}
	}
}

// choose returns at most limit candidates, the same ones for the same machine:
// every signal keeps its first series in order of keys before any keeps its
// second, so that a thousand mounts do not crowd out the processor. The result
// is in the order of the table, then of keys.
func choose(found []candidate, rank map[string]int, limit int) []candidate {
	byRank := func(a, b candidate) int {
		return cmp.Or(cmp.Compare(rank[a.Signal], rank[b.Signal]), strings.Compare(a.key, b.key))
	}
	slices.SortFunc(found, byRank)
	if len(found) <= limit {
		return found
	}
	type turn struct {
		candidate
		nth int
	}
	turns := make([]turn, len(found))
	for i, k := range found {
		turns[i].candidate = k
		if i > 0 && found[i-1].Signal == k.Signal {
			turns[i].nth = turns[i-1].nth + 1
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.nth, b.nth) })
	kept := make([]candidate, 0, limit)
	for _, t := range turns[:limit] {
		kept = append(kept, t.candidate)
	}
	slices.SortFunc(kept, byRank)
	return kept
}
