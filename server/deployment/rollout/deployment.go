package rollout

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// The numbers of this room; orchestration of releases rests on them.
const (
	// leadAlone is how long before a window a job is submitted that may start
	// without contact, lead how long for others.
	leadAlone = 24 * time.Hour
	lead      = 15 * time.Minute
	// maxJitter bounds the default spread of starts, a quarter of the window.
	maxJitter = 30 * time.Minute
	// defaultExpected is how long a step takes that nobody has seen yet.
	defaultExpected = 15 * time.Minute
	// maxTries is how often an update may fail on a device before a person
	// has to look.
	maxTries = 3
	// agreeWithin is how long a device's "verified" waits for the re-scan that
	// proves it.
	agreeWithin = time.Hour
	// staleScan is the age of a scan on which nothing is started any more.
	staleScan = 7 * 24 * time.Hour
	// freshScan is the age up to which "the source is busy" is believed.
	freshScan = 90 * time.Second
)

// Limits on devices changed in an hour, of a tenant and of the whole server.
var (
	tenantBlast = policy.Allowance{Count: 25, Share: 50}
	serverBlast = policy.Allowance{Count: 500, Share: 25}
)

// member finds a device among the members; -1 when it is none.
func (d *Deployment) member(id ident.DeviceID) int {
	n, ok := slices.BinarySearchFunc(d.Members, id, func(m Member, id ident.DeviceID) int { return strings.Compare(string(m.Device), string(id)) })
	if !ok {
		return -1
	}
	return n
}

// walked reports whether the last ring has passed.
func (d *Deployment) walked() bool {
	return len(d.Rings) > 0 && d.Rings[len(d.Rings)-1].State == RingPassed
}

// limit is how many devices of a ring of n may be under way.
func (d *Deployment) limit(n int) int { return max(1, int(d.InFlight.Of(n))) }

// needed is how many of n must be verified before the ring goes on.
func (r *Ring) needed(n int) int {
	return min(n, max(1, int(math.Ceil(r.MinVerified.Of(n)-1e-9))))
}

// unstarted reports whether nobody has said yet that the job started.
func unstarted(j *job.Job) bool {
	return j.State == job.Queued || j.State == job.NeedsAgreement || j.State == job.Leased && j.StartedAt.IsZero()
}

// Expected is how long a start must have left: what the release takes, plus 10 %.
func (w *World) Expected(r patch.Release) time.Duration {
	return (w.takes(r) * 11 / 10).Round(time.Second)
}

// takes is what the device is told, which adds its own 10 %: learned, else 15 minutes.
func (w *World) takes(r patch.Release) time.Duration {
	return cmp.Or(w.Minutes[r], defaultExpected)
}
