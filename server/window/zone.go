package window

import (
	"math"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// maxOffset is more than any zone's distance from UTC, in seconds. The widest
// in the IANA database are a little under 16 hours.
const maxOffset = 26 * 60 * 60

// LoadZone finds a zone by its IANA name. It refuses the empty name and
// "Local", which would mean the server's own zone. It may read the system's
// zone database, so keep what it returns. The error is a fault of kind Invalid.
func LoadZone(name string) (*time.Location, error) {
	const next = "use an IANA name such as Europe/Paris, or device, or site"
	if name == "" {
		return nil, fault.Invalidf("time_zone", "no time zone is given").WithNext(next)
	}
	if len(name) > 64 || strings.EqualFold(name, "local") || strings.ContainsFunc(name, notZoneRune) {
		return nil, fault.Invalidf("time_zone", "%.64q is not a time zone", name).WithNext(next)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fault.Invalidf("time_zone", "%q is not a known time zone", name).WithNext(next).WithCause(err)
	}
	return loc, nil
}

func notZoneRune(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("/_+-", r)
}

// Below, an instant is seconds since 1970 in UTC, and a reading is what a local
// clock shows, in seconds since 1970 as if that clock were UTC.

// segment returns the stretch [start, end) around an instant in which the zone
// keeps its offset, and that offset in seconds.
func segment(instant int64, loc *time.Location) (start, end, offset int64) {
	t := time.Unix(instant, 0).In(loc)
	_, seconds := t.Zone()
	first, after := t.ZoneBounds()
	start, end = math.MinInt64, math.MaxInt64
	if !first.IsZero() {
		start = first.Unix()
	}
	if !after.IsZero() {
		end = after.Unix()
	}
	return start, end, int64(seconds)
}

// readingAt returns what the local clock shows at an instant.
func readingAt(instant int64, loc *time.Location) int64 {
	_, offset := time.Unix(instant, 0).In(loc).Zone()
	return instant + int64(offset)
}

// firstReached returns the first instant at which the local clock shows the
// reading or has passed it, and whether it shows exactly that. This one rule
// covers gaps and repeats, and rises with the reading.
func firstReached(reading int64, loc *time.Location) (instant int64, exact bool) {
	instant = reading - maxOffset
	for {
		_, end, offset := segment(instant, loc)
		if at := max(instant, reading-offset); at < end {
			return at, at == reading-offset
		}
		instant = end
	}
}

// leftBehind returns the first instant from which the local clock never again
// shows less than the reading. It differs from firstReached only where a clock
// is put back across the reading.
func leftBehind(reading int64, loc *time.Location) int64 {
	instant := reading - maxOffset
	last := instant
	for instant < reading+maxOffset {
		_, end, offset := segment(instant, loc)
		if at := reading - offset; at > instant {
			last = min(at, end)
		}
		instant = end
	}
	return last
}

// highestReading returns the most that the local clock has shown up to and
// including the instant.
func highestReading(instant int64, loc *time.Location) int64 {
	highest, at := readingAt(instant, loc), instant
	for {
		start, _, _ := segment(at, loc)
		if start < instant-2*maxOffset {
			return highest
		}
		at = start - 1
		highest = max(highest, readingAt(at, loc))
	}
}
