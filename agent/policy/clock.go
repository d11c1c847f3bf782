package policy

import (
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Clock is what the machine's clocks say now, and what they said when the
// server last told its time.
type Clock struct {
	// Server is the server's time when it was last told; zero when it never was.
	Server time.Time
	// AnchorBoot is the boot clock (time since boot, sleep included) then.
	AnchorBoot time.Duration
	// SameBoot: the machine has not restarted since.
	SameBoot bool
	// Boot is the boot clock now, Wall the wall clock.
	Boot time.Duration
	Wall time.Time
}

// Now returns the time to decide by, and why no changing job may start by it:
// doubt is empty when it may. Within one boot the server's time goes on with
// the boot clock, whatever the wall clock says, but a wall clock more than two
// minutes off starts nothing. After a restart without contact the wall clock
// counts when it is not before the last server time and at most 72 hours after.
func (c Clock) Now() (now time.Time, doubt string) {
	switch {
	case c.Server.IsZero():
		return c.Wall, "the server has not told its time yet"
	case c.SameBoot && c.Boot >= c.AnchorBoot:
		now = c.Server.Add(c.Boot - c.AnchorBoot)
		if off := c.Wall.Sub(now).Abs(); off > wire.MaxClockSkew {
			return now, fmt.Sprintf("the clock is %s off the server's, at most %s: set it right", off.Round(time.Second), wire.MaxClockSkew)
		}
		return now, ""
	case c.Wall.Before(c.Server):
		return c.Wall, "the clock is before the last time that the server told: waits for contact"
	case c.Wall.Sub(c.Server) > wire.MaxWallClockTrust:
		return c.Wall, fmt.Sprintf("restarted, and without contact for more than %s: waits for contact", wire.MaxWallClockTrust)
	default:
		return c.Wall, ""
	}
}
