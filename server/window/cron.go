package window

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/steward-rmm/steward/server/fault"
)

const (
	cronNext = `write five fields, "minute hour day-of-month month day-of-week", for example "0 22 * * 1-5"`
	// maxCron is far longer than any cron line a person can read.
	maxCron = 200
	// starBit is set by the parser in a field that was written as a star.
	starBit = 1 << 63
)

// cronDays are the days of a cron line; it has either days of the month or days
// of the week, so both sets must hold.
type cronDays struct {
	months, daysOfMonth, weekdays uint64 // bit n is n; Sunday is 0
}

// parseCron reads a five-field line into its days and its starts of day,
// ascending.
func parseCron(line string) (cronDays, []Clock, error) {
	if err := checkCronText(line); err != nil {
		return cronDays{}, nil, err
	}
	spec, err := robfigParse(line)
	if err != nil {
		return cronDays{}, nil, fault.Invalidf("cron", "%.200q is not understood: %s", line, err).WithNext(cronNext)
	}
	if spec.Dom&starBit == 0 && spec.Dow&starBit == 0 {
		return cronDays{}, nil, fault.Invalidf("cron", "%q restricts both day-of-month and day-of-week, which cron reads as either", line).
			WithNext("leave one of them *; for the second Tuesday write weekday: second tuesday")
	}
	days := cronDays{months: spec.Month &^ starBit, daysOfMonth: spec.Dom &^ starBit, weekdays: spec.Dow &^ starBit}
	starts := clocks(spec.Hour&^starBit, spec.Minute&^starBit)
	if len(starts) == 0 || !days.everFires() {
		return cronDays{}, nil, fault.Invalidf("cron", "%q never fires: no month has such a day", line).WithNext("choose a day that exists in a chosen month")
	}
	return days, starts, nil
}

// checkCronText refuses what the parser would accept, or answer unclearly.
func checkCronText(line string) error {
	fields := strings.Fields(line)
	switch {
	case len(line) > maxCron:
		return fault.Invalidf("cron", "the line is longer than %d characters", maxCron).WithNext(cronNext)
	case strings.Contains(line, "="):
		return fault.Invalidf("cron", "%q sets a variable", line).WithNext("put the zone into time_zone; " + cronNext)
	case strings.Contains(line, "@"):
		return fault.Invalidf("cron", "%q uses an @ shorthand", line).WithNext(cronNext)
	case len(fields) == 6 || len(fields) == 7:
		return fault.Invalidf("cron", "%q has %d fields; seconds and years are not supported", line, len(fields)).WithNext(cronNext)
	case len(fields) != 5:
		return fault.Invalidf("cron", "%q has %d fields", line, len(fields)).WithNext(cronNext)
	}
	for _, field := range fields {
		for item := range strings.SplitSeq(field, ",") {
			if item == "" {
				return fault.Invalidf("cron", "%q has an empty item in %q", line, field).WithNext(cronNext)
			}
			if rest := item[1:]; (item[0] == '*' || item[0] == '?') && rest != "" && rest[0] != '/' {
				return fault.Invalidf("cron", "%q has %q, a star that is the start of a range", line, item).WithNext(cronNext)
			}
		}
	}
	return nil
}

// robfigParse keeps the parser's panics inside.
func robfigParse(line string) (spec *cron.SpecSchedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			spec, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	schedule, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(line)
	if err != nil {
		return nil, err
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("unexpected schedule %T", schedule)
	}
	return spec, nil
}

func clocks(hours, minutes uint64) []Clock {
	starts := make([]Clock, 0, bits.OnesCount64(hours)*bits.OnesCount64(minutes))
	for hour := range 24 {
		for minute := range 60 {
			if hours>>hour&1 == 1 && minutes>>minute&1 == 1 {
				starts = append(starts, Clock(hour*60+minute))
			}
		}
	}
	return starts
}

func (c cronDays) everFires() bool {
	if c.weekdays == 0 {
		return false
	}
	longest := [...]int{1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
	for month := 1; month <= 12; month++ {
		daysOfMonth := uint64(1)<<(longest[month]+1) - 1
		if c.months>>month&1 == 1 && c.daysOfMonth&daysOfMonth != 0 {
			return true
		}
	}
	return false
}

func (c cronDays) match(day int) bool {
	date := dateOfDay(day)
	return c.months>>int(date.Month)&1 == 1 && c.matchInMonth(day, date)
}

func (c cronDays) matchInMonth(day int, date Date) bool {
	return c.daysOfMonth>>date.Day&1 == 1 && c.weekdays>>weekdayOf(day)&1 == 1
}

// next returns the first matching day from day on, hopping over whole months.
func (c cronDays) next(day int) int {
	for {
		date := dateOfDay(day)
		switch {
		case c.months>>int(date.Month)&1 == 0:
			day = Date{date.Year, date.Month + 1, 1}.dayNumber()
		case c.matchInMonth(day, date):
			return day
		default:
			day++
		}
	}
}

// weekdayOf returns 0 for Sunday; 1970-01-01 was a Thursday.
func weekdayOf(day int) int { return ((day+4)%7 + 7) % 7 }
