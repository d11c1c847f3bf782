package window

import (
	"fmt"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

const (
	daySeconds = 24 * 60 * 60
	dateLayout = "2006-01-02"
)

// Date is a day of the proleptic Gregorian calendar, in no zone. Its text form
// is "2026-12-24"; years are 1 to 9999.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the local date of t in t's own location.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// ParseDate reads "2026-12-24"; the error is a fault of kind Invalid.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(dateLayout, text)
	if err != nil || t.Year() < 1 {
		return Date{}, fault.Invalidf("date", "%.40q is not a date", text).WithNext("write it as 2026-12-24")
	}
	return DateOf(t), nil
}

// Valid reports whether the calendar has this day.
func (d Date) Valid() bool {
	return d.Year >= 1 && d.Year <= 9999 && dateOfDay(d.dayNumber()) == d
}

// Before reports whether d comes before other.
func (d Date) Before(other Date) bool { return d.dayNumber() < other.dayNumber() }

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// MarshalText writes "2026-12-24".
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// dayNumber counts days since 1970-01-01.
func (d Date) dayNumber() int {
	return int(floorDiv(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix(), daySeconds))
}

func dateOfDay(day int) Date { return DateOf(time.Unix(int64(day)*daySeconds, 0).UTC()) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// DateRange is a stretch of local dates, both ends included. Its text form is
// "2026-12-24/2027-01-02", or "2026-12-24" for a single day.
type DateRange struct {
	From Date
	To   Date
}

// ParseDateRange reads one date or two with a slash between them; the error is
// a fault of kind Invalid.
func ParseDateRange(text string) (DateRange, error) {
	first, last, two := strings.Cut(text, "/")
	if !two {
		last = first
	}
	from, err := ParseDate(first)
	if err != nil {
		return DateRange{}, err
	}
	to, err := ParseDate(last)
	if err != nil {
		return DateRange{}, err
	}
	r := DateRange{from, to}
	return r, r.check()
}

func (r DateRange) check() error {
	switch {
	case !r.From.Valid():
		return fault.Invalidf("blackout", "%s is not a date of the calendar", r.From).WithNext("write it as 2026-12-24")
	case !r.To.Valid():
		return fault.Invalidf("blackout", "%s is not a date of the calendar", r.To).WithNext("write it as 2026-12-24")
	case r.To.Before(r.From):
		return fault.Invalidf("blackout", "%s ends before it begins", r).WithNext("write the earlier date first: %s/%s", r.To, r.From)
	}
	return nil
}

func (r DateRange) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "/" + r.To.String()
}

// MarshalText writes "2026-12-24/2027-01-02".
func (r DateRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *DateRange) UnmarshalText(text []byte) error {
	parsed, err := ParseDateRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// Clock is a local time of day in minutes after midnight, 0 to 1439. Its text
// form is "22:00".
type Clock int

// ParseClock reads "22:00"; the error is a fault of kind Invalid.
func ParseClock(text string) (Clock, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fault.Invalidf("at", "%.40q is not a time of day", text).WithNext("write hours and minutes, 00:00 to 23:59, as 22:00")
	}
	return Clock(t.Hour()*60 + t.Minute()), nil
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// MarshalText writes "22:00".
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Clock) UnmarshalText(text []byte) error {
	parsed, err := ParseClock(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
