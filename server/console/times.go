package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// Num writes 10114 as 10,114.
func num(n int) string {
	s := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// plural is "1 device", "10,114 devices".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return num(n) + " " + many
}

// span is a length of time in words: "2 min 40 s", "3 h", "9 d".
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 10*time.Hour && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// rough is a length in one unit, for columns.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// full is the absolute time with its zone named: "Fri 13 Nov, 22:00 GMT".
func full(t time.Time, loc *time.Location, now time.Time) string {
	t = t.In(loc)
	if t.Year() != now.In(loc).Year() {
		return t.Format("Mon 2 Jan 2006, 15:04 MST")
	}
	return t.Format("Mon 2 Jan, 15:04 MST")
}

func stamp(t time.Time, title, text string) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` + template.HTMLEscapeString(title) + `">` + template.HTMLEscapeString(text) + `</time>`)
}

// stamps are times in one zone: the technician's on pages over many customers,
// the device's own on its page.
type stamps struct {
	now time.Time
	loc *time.Location
}

// Ago is how long ago, the absolute time on hover: "12 min", "3 h", then the date.
func (s stamps) Ago(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="dim">never</span>`
	}
	text := rough(s.now.Sub(t))
	if s.now.Sub(t) >= 14*24*time.Hour {
		text = t.In(s.loc).Format("2 Jan")
		if t.In(s.loc).Year() != s.now.In(s.loc).Year() {
			text = t.In(s.loc).Format("2 Jan 2006")
		}
	}
	return stamp(t, full(t, s.loc, s.now), text)
}

// Since is Ago inside a sentence: "12 min ago", "on 3 Nov".
func (s stamps) Since(t time.Time) template.HTML {
	age := s.now.Sub(t)
	switch {
	case t.IsZero() || age < time.Minute:
		return s.Ago(t)
	case age >= 14*24*time.Hour:
		return "on " + s.Ago(t)
	}
	return stamp(t, full(t, s.loc, s.now), rough(age)+" ago")
}

// In is how long until: "in 25 h".
func (s stamps) In(t time.Time) template.HTML {
	if !t.After(s.now) {
		return stamp(t, full(t, s.loc, s.now), "now")
	}
	return stamp(t, full(t, s.loc, s.now), "in "+span(t.Sub(s.now).Truncate(time.Minute)))
}

// Full is the absolute time, zone named.
func (s stamps) Full(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="dim">–</span>`
	}
	return stamp(t, full(t, s.loc, s.now), full(t, s.loc, s.now))
}

// Clock is the time of day, with the day when it is another one.
func (s stamps) Clock(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	text := t.In(s.loc).Format("15:04")
	if y, m, d := t.In(s.loc).Date(); y != s.now.In(s.loc).Year() || m != s.now.In(s.loc).Month() || d != s.now.In(s.loc).Day() {
		text = t.In(s.loc).Format("Mon 15:04")
		if s.now.Sub(t).Abs() > 6*24*time.Hour {
			text = t.In(s.loc).Format("2 Jan 15:04")
		}
	}
	return stamp(t, full(t, s.loc, s.now), text)
}

// Second is the time of day to the second, for logs.
func (s stamps) Second(t time.Time) template.HTML {
	return stamp(t, full(t, s.loc, s.now), t.In(s.loc).Format("15:04:05"))
}

// Now is the moment of the page.
func (s stamps) Now() time.Time { return s.now }

// Zone names the zone that these times are in: "your time, CET".
func (s stamps) Zone() string { return s.now.In(s.loc).Format("MST") }

func (f *frame) stamps() stamps { return stamps{now: f.now, loc: f.loc} }

// The frame's times are in the technician's zone.

// Ago is stamps.Ago in the technician's zone.
func (f *frame) Ago(t time.Time) template.HTML { return f.stamps().Ago(t) }

// Since is stamps.Since in the technician's zone.
func (f *frame) Since(t time.Time) template.HTML { return f.stamps().Since(t) }

// In is stamps.In in the technician's zone.
func (f *frame) In(t time.Time) template.HTML { return f.stamps().In(t) }

// Full is stamps.Full in the technician's zone.
func (f *frame) Full(t time.Time) template.HTML { return f.stamps().Full(t) }

// Clock is stamps.Clock in the technician's zone.
func (f *frame) Clock(t time.Time) template.HTML { return f.stamps().Clock(t) }

// Zone is the technician's zone, as its times name it.
func (f *frame) Zone() string { return f.stamps().Zone() }

// Nowish is the clock of the top bar.
func (f *frame) Nowish() template.HTML {
	return stamp(f.now, full(f.now, f.loc, f.now), strings.Replace(full(f.now, f.loc, f.now), ",", "", 1))
}
