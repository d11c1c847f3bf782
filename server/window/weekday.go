package window

import (
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// last as nthDays.n is the last such weekday of the month.
const last = -1

// nthDays are "second tuesday" and the like, offset days later. Months without
// a fifth such weekday have no "fifth".
type nthDays struct {
	n       int // 1 to 5, or last
	weekday time.Weekday
	offset  int
}

// parseWeekday reads "second tuesday", "2nd tue", "last friday" or
// "patch tuesday", in any case.
func parseWeekday(text string) (nthDays, error) {
	const next = `write "first" to "fifth" or "last" and a weekday, as "second tuesday", or "patch tuesday"`
	words := strings.Fields(strings.ToLower(text))
	if len(words) != 2 {
		return nthDays{}, fault.Invalidf("weekday", "%.60q is not an ordinal and a weekday", text).WithNext(next)
	}
	weekday, ok := parseDayName(words[1])
	if !ok {
		return nthDays{}, fault.Invalidf("weekday", "%.60q is not a weekday", words[1]).WithNext(next)
	}
	if words[0] == "patch" {
		if weekday != time.Tuesday {
			return nthDays{}, fault.Invalidf("weekday", "%.60q: only patch tuesday exists", text).WithNext(next)
		}
		return nthDays{n: 2, weekday: weekday}, nil
	}
	n, ok := parseOrdinal(words[0])
	if !ok {
		return nthDays{}, fault.Invalidf("weekday", "%.60q is not an ordinal", words[0]).WithNext(next)
	}
	return nthDays{n: n, weekday: weekday}, nil
}

func parseOrdinal(word string) (int, bool) {
	switch word {
	case "first", "1st":
		return 1, true
	case "second", "2nd":
		return 2, true
	case "third", "3rd":
		return 3, true
	case "fourth", "4th":
		return 4, true
	case "fifth", "5th":
		return 5, true
	case "last":
		return last, true
	}
	return 0, false
}

func parseDayName(word string) (time.Weekday, bool) {
	for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
		name := strings.ToLower(weekday.String())
		if word == name || word == name[:3] {
			return weekday, true
		}
	}
	return 0, false
}

// in returns the day number of the weekday in a month, before the offset.
func (d nthDays) in(year int, month time.Month) (day int, ok bool) {
	first := Date{year, month, 1}.dayNumber()
	after := Date{year, month + 1, 1}.dayNumber()
	day = first + (int(d.weekday)-weekdayOf(first)+7)%7
	if d.n == last {
		return day + (after-1-day)/7*7, true
	}
	day += 7 * (d.n - 1)
	return day, day < after
}

func (d nthDays) match(day int) bool {
	date := dateOfDay(day - d.offset)
	found, ok := d.in(date.Year, date.Month)
	return ok && found == day-d.offset
}

// next returns the first matching day from day on.
func (d nthDays) next(day int) int {
	date := dateOfDay(day - d.offset)
	for month := date.Month; ; month++ {
		if found, ok := d.in(date.Year, month); ok && found >= day-d.offset {
			return found + d.offset
		}
	}
}
