package window

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// Check reports the first thing that is wrong with a rule, as a fault of kind
// Invalid whose Field is the rule's JSON name.
func Check(rule Rule) error {
	_, err := compile(rule)
	return err
}

// Compile checks rules and makes them ready for questions. An error is a fault
// of kind Invalid whose Field begins with the rule's place, as "[1].cron". No
// rules make a Set that never opens.
func Compile(rules []Rule) (Set, error) {
	set := Set{windows: make([]Window, 0, len(rules))}
	for i, rule := range rules {
		w, err := compile(rule)
		if err != nil {
			var wrong *fault.Error
			if errors.As(err, &wrong) {
				wrong.Field = fmt.Sprintf("[%d].%s", i, wrong.Field)
			}
			return Set{}, err
		}
		w.index = i
		set.windows = append(set.windows, w)
	}
	return set, nil
}

func compile(rule Rule) (Window, error) {
	w := Window{length: int64(rule.Duration / time.Second)}
	if err := checkLength(rule.Duration); err != nil {
		return Window{}, err
	}
	var err error
	switch {
	case rule.Cron != "" && rule.Weekday != "":
		err = fault.Invalidf("cron", "a rule has both cron and weekday").WithNext("keep one of them, or write two rules")
	case rule.Cron != "":
		err = w.takeCron(rule)
	case rule.Weekday != "":
		err = w.takeWeekday(rule)
	default:
		err = fault.Invalidf("cron", "a rule has neither cron nor weekday").WithNext(`write cron: "0 22 * * 1-5", or weekday: "second tuesday" and at: "22:00"`)
	}
	if err != nil {
		return Window{}, err
	}
	switch rule.TimeZone {
	case ZoneDevice:
		w.floating = ofDevice
	case ZoneSite:
		w.floating = ofSite
	default:
		if w.zone, err = LoadZone(rule.TimeZone); err != nil {
			return Window{}, err
		}
	}
	w.blackouts, err = mergeBlackouts(rule.Blackout)
	return w, err
}

func checkLength(d time.Duration) error {
	switch {
	case d < MinLength:
		return fault.Invalidf("duration", "%s is shorter than 15 minutes", d).WithNext("write 15m or more")
	case d > MaxLength:
		return fault.Invalidf("duration", "%s is longer than 7 days", d).WithNext("write 7d or less, or another rule")
	case d%time.Minute != 0:
		return fault.Invalidf("duration", "%s is not in whole minutes", d).WithNext("round it to a minute")
	}
	return nil
}

func (w *Window) takeCron(rule Rule) error {
	if rule.At != "" {
		return fault.Invalidf("at", "a cron rule has its own start").WithNext("remove at, or use weekday instead of cron")
	}
	if rule.OffsetDays != 0 {
		return fault.Invalidf("offset_days", "a cron rule has no offset").WithNext("remove offset_days, or use weekday instead of cron")
	}
	days, starts, err := parseCron(rule.Cron)
	w.days, w.starts = days, starts
	return err
}

func (w *Window) takeWeekday(rule Rule) error {
	days, err := parseWeekday(rule.Weekday)
	if err != nil {
		return err
	}
	if rule.OffsetDays < 0 || rule.OffsetDays > MaxOffsetDays {
		return fault.Invalidf("offset_days", "%d is not between 0 and %d", rule.OffsetDays, MaxOffsetDays).WithNext("choose another weekday to count from")
	}
	start, err := ParseClock(rule.At)
	if err != nil {
		return err
	}
	days.offset = rule.OffsetDays
	w.days, w.starts = days, []Clock{start}
	return nil
}

// mergeBlackouts checks ranges and joins those that touch or overlap.
func mergeBlackouts(ranges []DateRange) ([]daySpan, error) {
	spans := make([]daySpan, 0, len(ranges))
	for i, r := range ranges {
		if err := r.check(); err != nil {
			var wrong *fault.Error
			if errors.As(err, &wrong) {
				wrong.Field = fmt.Sprintf("blackout[%d]", i)
			}
			return nil, err
		}
		spans = append(spans, daySpan{r.From.dayNumber(), r.To.dayNumber()})
	}
	slices.SortFunc(spans, func(a, b daySpan) int { return a.from - b.from })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to+1 {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged, nil
}
