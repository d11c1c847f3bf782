package window

import (
	"cmp"
	"slices"
	"time"
)

// Next returns the first occurrence that opens strictly after the time, of any
// rule; at the same instant the rule that is written first. Rules of the
// device's or the site's zone take loc (nil is UTC). It is false when nothing
// opens within 20 years.
func Next(set Set, loc *time.Location, after time.Time) (Occurrence, bool) {
	var best Occurrence
	found := false
	for i := range set.windows {
		w := &set.windows[i]
		s, ok := w.next(after.Unix(), w.in(loc))
		if !ok {
			continue
		}
		if o := w.occurrence(s); !found || o.Opens.Before(best.Opens) {
			best, found = o, true
		}
	}
	return best, found
}

// Contains returns the occurrence that is open at t: Opens ≤ t < Closes. Of
// several it is the one that closes last, then the one of the rule that is
// written first. loc is as for Next.
func Contains(set Set, loc *time.Location, t time.Time) (Occurrence, bool) {
	var best Occurrence
	found := false
	for i := range set.windows {
		w := &set.windows[i]
		s, ok := w.covering(t.Unix(), w.in(loc))
		if !ok {
			continue
		}
		if o := w.occurrence(s); !found || o.Closes.After(best.Closes) {
			best, found = o, true
		}
	}
	return best, found
}

// Between returns every occurrence that is open at some moment of [from, to),
// whole, not trimmed to it; sorted by opening, then by rule. Occurrences of
// overlapping rules are all there. loc is as for Next.
func Between(set Set, loc *time.Location, from, to time.Time) []Occurrence {
	var all []Occurrence
	if !from.Before(to) {
		return all
	}
	for i := range set.windows {
		w := &set.windows[i]
		zone := w.in(loc)
		w.walk(readingAt(from.Unix()-w.length, zone), zone, func(s span) bool {
			o := w.occurrence(s)
			if !o.Opens.Before(to) {
				return false
			}
			if o.Closes.After(from) {
				all = append(all, o)
			}
			return true
		})
	}
	slices.SortStableFunc(all, func(a, b Occurrence) int {
		if c := a.Opens.Compare(b.Opens); c != 0 {
			return c
		}
		return cmp.Compare(a.RuleIndex, b.RuleIndex)
	})
	return all
}

// InBlackout reports whether t falls on a blackout date of the rule that o is
// an occurrence of, and when that blackout ends. loc is as for Next.
func InBlackout(set Set, loc *time.Location, o Occurrence, t time.Time) (until time.Time, shut bool) {
	if o.RuleIndex < 0 || o.RuleIndex >= len(set.windows) {
		return time.Time{}, false
	}
	w := &set.windows[o.RuleIndex]
	end, shut := w.blackoutAt(t.Unix(), 0, w.in(loc))
	if !shut {
		return time.Time{}, false
	}
	return time.Unix(end, 0).UTC(), true
}

// CatchUp returns the personal window of a device that missed o and is back
// from the given time on: of the stated length, cut by the rule's blackouts as
// any window is. It keeps o's names, so it is the same occurrence. It is false
// when less than MinLength is left, or when o is no occurrence of the set.
func CatchUp(set Set, loc *time.Location, o Occurrence, from time.Time, length time.Duration) (Occurrence, bool) {
	if o.RuleIndex < 0 || o.RuleIndex >= len(set.windows) {
		return Occurrence{}, false
	}
	w := &set.windows[o.RuleIndex]
	zone := w.in(loc)
	opens := from.Unix()
	if !time.Unix(opens, 0).Equal(from) {
		opens++ // never before the device is back
	}
	s := span{
		day:   int(floorDiv(readingAt(opens, zone), daySeconds)),
		opens: opens, closes: opens + int64(length/time.Second),
	}
	ok, _ := w.cutBlackouts(&s, zone)
	return Occurrence{
		RuleIndex: o.RuleIndex, LocalDate: o.LocalDate, LocalStart: o.LocalStart,
		Opens: time.Unix(s.opens, 0).UTC(), Closes: time.Unix(s.closes, 0).UTC(), Cut: s.cut,
	}, ok
}
