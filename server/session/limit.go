package session

import (
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// bucket is a token bucket: size at once, then one each interval. Its zero
// value is full.
type bucket struct {
	used float32
	at   int64 // Unix milliseconds of the last taking
}

// take takes one and returns 0, or how long to wait for one.
func (b *bucket) take(now time.Time, size int, every time.Duration) time.Duration {
	ms := now.UnixMilli()
	if b.at != 0 && ms > b.at {
		b.used = max(0, b.used-float32(float64(ms-b.at)/float64(every.Milliseconds())))
	}
	b.at = max(b.at, ms)
	if b.used+1 > float32(size)+0.001 {
		return time.Duration(float64(b.used+1-float32(size)) * float64(every))
	}
	b.used++
	return 0
}

// idle reports whether the bucket is full again: it says nothing any more.
func (b bucket) idle(now time.Time, every time.Duration) bool {
	return now.UnixMilli()-b.at >= int64(float64(b.used)*float64(every.Milliseconds()))
}

// The rates behind wire's limits. What waited in the network arrives at once,
// so a bucket here is larger than what the agent allows itself.
const (
	opensEvery     = time.Minute / wire.MaxOpens
	reportBurst    = 2 * wire.MaxReportBurst
	reportEvery    = time.Second / wire.MaxReportBacklog
	inventoryBurst = 10 // changes of one section: a job's scans come close together
	malformedBurst = 100
	malformedEvery = time.Second
	renewEvery     = time.Minute
	renewBurst     = wire.MaxOpens // answers get lost, and the device tries again
	// reportAge is the age beyond which no spool keeps reports, with room for
	// those that wait while it is sent.
	reportAge = wire.MaxSpoolAge + 24*time.Hour
)

// Names of the limits, as the counter of refusals has them.
const (
	limitOpens     = "opens"
	limitReports   = "reports"
	limitInventory = "inventory"
	limitJobLog    = "job_log"
	limitSeries    = "series"
	limitMalformed = "malformed"
	limitRenewals  = "renewals"
)

// wholeSeconds rounds up: it becomes a retry-after.
func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
