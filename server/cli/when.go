package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// when shows a time of the API (RFC 3339) beside now: how far away, and when
// exactly in the reader's zone. What is no time is shown as it is.
func (e *Env) when(text string) string {
	if text == "" || strings.HasPrefix(text, "0001-01-01") {
		return "-"
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return line(text)
	}
	return relative(t.Sub(e.Now())) + ", " + e.absolute(t, e.Zone)
}

// absolute is the time in a zone, as short as it is clear.
func (e *Env) absolute(t time.Time, zone *time.Location) string {
	t, now := t.In(zone), e.Now().In(zone)
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04 MST")
	case t.Year() == now.Year():
		return t.Format("Mon 2 Jan 15:04 MST")
	}
	return t.Format("2 Jan 2006 15:04 MST")
}

func relative(d time.Duration) string {
	ahead := d > 0
	if d < 0 {
		d = -d
	}
	if d > time.Minute {
		d += 30 * time.Second // 23:59:50 is 24 h to a person
	}
	var text string
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		text = fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		text = fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h", d/time.Hour)
	default:
		text = fmt.Sprintf("%d d", d/(24*time.Hour))
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}

var spanForm = regexp.MustCompile(`^([0-9]{1,9})([smhd])$`)

// span is a duration as documents write it: 30s, 10m, 24h, 3d.
type span string

// Validate is called by kong with what was given.
func (s span) Validate() error {
	if s == "" {
		return nil
	}
	if m := spanForm.FindStringSubmatch(string(s)); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			return nil
		}
	}
	return fault.New(fault.Invalid, "%q is no duration: write 30s, 10m, 24h or 3d", line(string(s)))
}

// duration is the span in Go's own unit; 0 for what is none.
func (s span) duration() time.Duration {
	m := spanForm.FindStringSubmatch(string(s))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return time.Duration(n) * map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
}
