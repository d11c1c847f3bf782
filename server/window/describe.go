package window

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

const (
	allWeekdays = 0b1111111
	monToFri    = 0b0111110
	satAndSun   = 0b1000001
	allMonths   = 0b1111111111110
	allDays     = 1<<32 - 2
)

// Describe says a rule in English: "weekdays 22:00 for 4 h, device's zone". A
// cron line too tangled for a sentence is quoted; a rule that Check refuses is
// described by its text as far as that goes.
func Describe(rule Rule) string {
	var b strings.Builder
	if rule.Weekday != "" {
		b.WriteString(describeWeekday(rule))
	} else {
		b.WriteString(describeCron(rule.Cron))
	}
	b.WriteString(" for " + describeLength(rule.Duration) + ", " + describeZone(rule.TimeZone))
	switch n := len(rule.Blackout); {
	case n == 1 && rule.Blackout[0].From == rule.Blackout[0].To:
		b.WriteString(", not on " + rule.Blackout[0].From.String())
	case n == 1:
		fmt.Fprintf(&b, ", not %s to %s", rule.Blackout[0].From, rule.Blackout[0].To)
	case n > 1:
		fmt.Fprintf(&b, ", with %d blackouts", n)
	}
	return b.String()
}

func describeWeekday(rule Rule) string {
	days, err := parseWeekday(rule.Weekday)
	if err != nil {
		return fmt.Sprintf("weekday %q %s", rule.Weekday, rule.At)
	}
	text := "last"
	if days.n != last {
		text = [...]string{1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}[days.n]
	}
	text += " " + days.weekday.String()
	if days.n == 2 && days.weekday == time.Tuesday {
		text = "Patch Tuesday"
	}
	switch rule.OffsetDays {
	case 0:
	case 1:
		text += " + 1 day"
	default:
		text += fmt.Sprintf(" + %d days", rule.OffsetDays)
	}
	return text + " " + rule.At
}

func describeCron(line string) string {
	days, starts, err := parseCron(line)
	if err != nil || len(starts) > 4 {
		return fmt.Sprintf("cron %q", line)
	}
	times := make([]string, len(starts))
	for i, start := range starts {
		times[i] = start.String()
	}
	text := describeDays(days) + " " + join(times)
	if days.daysOfMonth == allDays && days.months != allMonths {
		text += " in " + describeMonths(days.months)
	}
	return text
}

func describeDays(days cronDays) string {
	switch {
	case days.daysOfMonth != allDays:
		text := "day " + join(bitNames(days.daysOfMonth, 1, 31, strconv.Itoa)) + " of "
		if days.months == allMonths {
			return text + "the month"
		}
		return text + describeMonths(days.months)
	case days.weekdays == allWeekdays:
		return "every day"
	case days.weekdays == monToFri:
		return "weekdays"
	case days.weekdays == satAndSun:
		return "weekends"
	case bits.OnesCount64(days.weekdays) == 1:
		return bitNames(days.weekdays, 0, 6, weekdayName)[0] + "s"
	}
	return join(bitNames(days.weekdays, 0, 6, func(n int) string { return weekdayName(n)[:3] }))
}

func describeMonths(months uint64) string {
	return join(bitNames(months, 1, 12, func(n int) string { return time.Month(n).String() }))
}

func weekdayName(n int) string { return time.Weekday(n).String() }

func bitNames(set uint64, low, high int, name func(int) string) []string {
	var names []string
	for n := low; n <= high; n++ {
		if set>>n&1 == 1 {
			names = append(names, name(n))
		}
	}
	return names
}

func join(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

func describeLength(d time.Duration) string {
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}

func describeZone(zone string) string {
	switch zone {
	case ZoneDevice:
		return "device's zone"
	case ZoneSite:
		return "site's zone"
	}
	return zone
}
