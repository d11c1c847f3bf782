package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Facts about the device and the lease, for Check.
type Facts struct {
	// Device and Tenant are this device's own, from its enrollment.
	Device, Tenant string
	// JobID and Attempt are those of the envelope, under which the journal
	// keeps and counts the job.
	JobID   string
	Attempt uint32
	// Spent: this attempt ended or was cancelled here before.
	Spent bool
	// Supported are the kinds that this agent can do.
	Supported []wire.JobKind
	// ClockDoubt is that of Clock.Now; "" when the time can be believed.
	ClockDoubt string
	// Changing: another job that changes the machine runs.
	Changing bool
	// Reboots that jobs caused in the last 24 hours.
	Reboots int
}

// Changes reports whether jobs of the kind change the machine.
func Changes(kind wire.JobKind) bool { return kind != wire.JobScan }

// Check says whether a job whose signature was checked may start now. Of the
// refusals RefusedTooEarly, RefusedClock and RefusedConflict pass by waiting;
// the others are final. A time that cannot be believed is said before any
// verdict that rests on it, so that a wrong clock ends no job.
func Check(now time.Time, j wire.Job, f Facts) (refusal wire.Refusal, detail string) {
	if refusal, detail = checkIdentity(j, f); refusal != "" {
		return refusal, detail
	}
	if Changes(j.Kind) && f.ClockDoubt != "" {
		return wire.RefusedClock, f.ClockDoubt
	}
	switch {
	case now.After(j.Deadline):
		return wire.RefusedExpired, "its window shut at " + stamp(j.Deadline)
	case now.After(j.StartBy):
		return wire.RefusedOutsideWindow, "its latest start was " + stamp(j.StartBy)
	case now.Before(j.NotBefore):
		return wire.RefusedTooEarly, "it starts not before " + stamp(j.NotBefore)
	case Changes(j.Kind) && f.Changing:
		return wire.RefusedConflict, "another job changes the machine"
	case j.Kind == wire.JobReboot && f.Reboots >= wire.MaxRebootsPerDay:
		return wire.RefusedRebootLimit, fmt.Sprintf("%d reboots in the last 24 hours, at most %d", f.Reboots, wire.MaxRebootsPerDay)
	}
	return "", ""
}

func checkIdentity(j wire.Job, f Facts) (wire.Refusal, string) {
	switch {
	case j.Device != f.Device:
		return wire.RefusedOtherDevice, "it is for device " + j.Device
	case j.Tenant != f.Tenant:
		return wire.RefusedOtherTenant, "it is for tenant " + j.Tenant
	case j.ID != f.JobID || j.Attempt != f.Attempt:
		return wire.RefusedMalformed, fmt.Sprintf("its envelope says %s:%d, it says %s:%d", f.JobID, f.Attempt, j.ID, j.Attempt)
	case f.Spent:
		return wire.RefusedReplayed, "this attempt ended here before"
	case j.NotBefore.After(j.StartBy) || j.StartBy.After(j.Deadline):
		return wire.RefusedMalformed, "its times are not in order"
	case j.NotBefore.Sub(j.IssuedAt) > wire.MaxLeaseAhead:
		return wire.RefusedMalformed, fmt.Sprintf("it was issued more than %s ahead", wire.MaxLeaseAhead)
	case !slices.Contains(f.Supported, j.Kind):
		return wire.RefusedUnsupported, fmt.Sprintf("this agent does not know jobs of kind %d", j.Kind)
	case j.Kind == wire.JobInstall && len(j.Releases) == 0:
		return wire.RefusedMalformed, "it installs nothing"
	}
	return "", ""
}

// Passes reports whether a refusal may be gone later: the job stays held.
func Passes(r wire.Refusal) bool {
	return r == wire.RefusedTooEarly || r == wire.RefusedClock || r == wire.RefusedConflict
}

// Alone reports whether a job may start without the server's word: it says so
// itself, its window is open, and for two minutes of that window no session
// could be opened. silence is how long there has been none, zero with one.
func Alone(now time.Time, j wire.Job, silence time.Duration) bool {
	return j.Alone && silence >= wire.AloneSilence &&
		!now.Before(j.NotBefore.Add(wire.AloneSilence)) && !now.After(j.StartBy)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
