package window

import (
	"sort"
	"time"
)

// Set is a policy's rules, compiled. It never changes, may be shared by
// goroutines, and its zero value never opens.
type Set struct {
	windows []Window
}

// Window is one compiled rule.
type Window struct {
	index     int
	days      days
	starts    []Clock // ascending, at least one
	length    int64   // seconds
	zone      *time.Location
	floating  floating
	blackouts []daySpan // ascending, disjoint, not touching
}

// floating says whose zone a rule without its own takes.
type floating int

const (
	fixed floating = iota
	ofDevice
	ofSite
)

// days are the local dates of a rule as day numbers since 1970-01-01.
type days interface {
	match(day int) bool
	next(day int) int // the first match from day on
}

// daySpan is a stretch of day numbers, both ends included.
type daySpan struct {
	from, to int
}

// Len returns the number of rules.
func (s Set) Len() int { return len(s.windows) }

// Bind returns the set with the zones of a device and its site filled in, for a
// policy whose rules mix them. Rules with their own zone keep it; a nil zone
// leaves its rules open, to take the location given with each question.
func (s Set) Bind(device, site *time.Location) Set {
	bound := Set{windows: make([]Window, len(s.windows))}
	for i, w := range s.windows {
		switch {
		case w.floating == ofDevice && device != nil:
			w.zone = device
		case w.floating == ofSite && site != nil:
			w.zone = site
		}
		bound.windows[i] = w
	}
	return bound
}

// in returns the zone to evaluate the rule in: its own, or the caller's.
func (w *Window) in(loc *time.Location) *time.Location {
	switch {
	case w.zone != nil:
		return w.zone
	case loc != nil:
		return loc
	}
	return time.UTC
}

// blackoutsFrom returns the blackouts that end on the day or later.
func (w *Window) blackoutsFrom(day int) []daySpan {
	i := sort.Search(len(w.blackouts), func(i int) bool { return w.blackouts[i].to >= day })
	return w.blackouts[i:]
}

// instants returns the stretch [start, end) that a blackout covers. Where a
// clock is put back over midnight the other date's minutes in between are
// covered too, so that a blackout is one stretch and nothing opens inside it.
func (d daySpan) instants(loc *time.Location) (start, end int64) {
	start, _ = firstReached(int64(d.from)*daySeconds, loc)
	return start, leftBehind(int64(d.to+1)*daySeconds, loc)
}

// blackoutAt returns the end of the blackout that covers the instant, or begins
// within ahead seconds after it.
func (w *Window) blackoutAt(instant, ahead int64, loc *time.Location) (end int64, ok bool) {
	if len(w.blackouts) == 0 {
		return 0, false
	}
	day := int(floorDiv(readingAt(instant, loc), daySeconds))
	for _, b := range w.blackoutsFrom(day - 2) {
		if b.from > day+2 {
			break
		}
		if start, end := b.instants(loc); start-ahead <= instant && instant < end {
			return end, true
		}
	}
	return 0, false
}
