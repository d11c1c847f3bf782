package window

import "time"

const (
	minSeconds = int64(MinLength / time.Second)
	// horizonDays bounds how far a question looks ahead, about 20 years: longer
	// than the rarest rule (29 February around a century), short of forever when
	// a blackout covers everything.
	horizonDays = 20 * 366
)

// span is one window in instants, with the day and start it was asked for.
type span struct {
	day           int
	start         Clock
	opens, closes int64
	cut           bool
	exact         bool // it opens when the local clock shows start
}

// place finds where the rule's start on a day falls. Without a piece of
// MinLength ok is false, and resume is a day to go on from (0: the next start).
func (w *Window) place(day int, start Clock, loc *time.Location) (s span, ok bool, resume int) {
	reached, exact := firstReached(int64(day)*daySeconds+int64(start)*60, loc)
	s = span{day: day, start: start, opens: reached, closes: reached + w.length, exact: exact}
	ok, resume = w.cutBlackouts(&s, loc)
	return s, ok, resume
}

// cutBlackouts leaves the first piece of MinLength that no blackout covers, and
// reports whether there is one. resume is as for place; s.day must be the local
// date of s, give or take two days.
func (w *Window) cutBlackouts(s *span, loc *time.Location) (ok bool, resume int) {
	lengthDays := int((s.closes-s.opens)/daySeconds) + 1
	lastDay := s.day + lengthDays + 3
	for _, b := range w.blackoutsFrom(s.day - 2) {
		if b.from > lastDay {
			break
		}
		from, to := b.instants(loc)
		if to <= s.opens {
			continue
		}
		if from >= s.closes {
			break
		}
		s.cut = true
		if from-s.opens >= minSeconds {
			s.closes = from
			return true, 0
		}
		s.opens, s.exact = to, false
		resume = b.to - lengthDays - 2 // no earlier start reaches past this blackout
	}
	return s.closes-s.opens >= minSeconds, resume
}

// walk yields the rule's windows in order, beginning with the first start whose
// local reading is not before from, until yield returns false or the horizon is
// reached. Opens rises strictly, Closes never falls.
func (w *Window) walk(from int64, loc *time.Location, yield func(span) bool) {
	day := int(floorDiv(from, daySeconds))
	earliest := Clock((from - int64(day)*daySeconds) / 60)
	horizon := day + horizonDays
	var held span // waits until no later start opens at the same instant
	holding := false
	for {
		found := w.days.next(day)
		if found > day {
			earliest = 0
		}
		if found > horizon {
			break
		}
		day = found + 1
		for _, start := range w.starts {
			if start < earliest {
				continue
			}
			s, ok, resume := w.place(found, start, loc)
			if !ok {
				if resume > day {
					day = resume
					break
				}
				continue
			}
			if holding && held.opens != s.opens && !yield(held) {
				return
			}
			held, holding = s, true
			if s.exact { // a later reading is shown later
				if !yield(s) {
					return
				}
				holding = false
			}
		}
		earliest = 0
	}
	if holding {
		yield(held)
	}
}

// next returns the rule's first window that opens after the instant.
func (w *Window) next(after int64, loc *time.Location) (found span, ok bool) {
	from := after
	if _, near := w.blackoutAt(after, minSeconds, loc); near {
		from -= w.length // an earlier start may open when the blackout ends
	}
	w.walk(readingAt(from, loc), loc, func(s span) bool {
		found, ok = s, s.opens > after
		return !ok
	})
	return found, ok
}

// covering returns the rule's window that is open at the instant; of several
// the one that closes last, which is the one that opened last.
func (w *Window) covering(instant int64, loc *time.Location) (span, bool) {
	if _, shut := w.blackoutAt(instant, 0, loc); shut {
		return span{}, false
	}
	highest := highestReading(instant, loc)
	lowest := int(floorDiv(readingAt(instant, loc)-w.length, daySeconds)) - 2
	for day := int(floorDiv(highest, daySeconds)); day >= lowest; day-- {
		if !w.days.match(day) {
			continue
		}
		for i := len(w.starts) - 1; i >= 0; i-- {
			if int64(day)*daySeconds+int64(w.starts[i])*60 > highest {
				continue
			}
			s, ok, _ := w.place(day, w.starts[i], loc)
			if !ok || s.opens > instant {
				continue
			}
			return s, instant < s.closes
		}
	}
	return span{}, false
}

func (w *Window) occurrence(s span) Occurrence {
	return Occurrence{
		RuleIndex: w.index, LocalDate: dateOfDay(s.day), LocalStart: s.start,
		Opens: time.Unix(s.opens, 0).UTC(), Closes: time.Unix(s.closes, 0).UTC(), Cut: s.cut,
	}
}
