package runner

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/proto/wire"
)

// Source is one update source of the machine; agent/source has the real ones.
// Scan, Installed and Plan change nothing. Install ends with a state and never
// with half an answer; it is given a context that ends at the step's timeout,
// and stops for it only in a phase where that is safe. Repair completes what an
// interrupted installation left behind, and is harmless when nothing is.
type Source interface {
	Name() string
	Compare(a, b string) int
	Available(ctx context.Context) (here bool, why string)
	Scan(ctx context.Context) (source.Scan, error)
	Installed(ctx context.Context) ([]source.Installed, error)
	Plan(ctx context.Context, requests []source.Request) (source.Plan, error)
	Install(ctx context.Context, request source.Request, ui source.UI) source.Outcome
	Repair(ctx context.Context) error
}

// Refresher is a source that has lists to fetch from the network before a scan
// shows what is new. MayScan is asked before.
type Refresher interface {
	Refresh(ctx context.Context) error
}

// Verdict is the server's word about a start.
type Verdict uint8

// The verdicts. The zero value is no word, and no start.
const (
	VerdictNone Verdict = iota
	VerdictStart
	VerdictWait
	VerdictCancelled
)

// Answer is the server's word about the start of one job. Reason is a code of
// the server; RetryAfter goes with VerdictWait.
type Answer struct {
	Verdict    Verdict
	Reason     string
	RetryAfter time.Duration
}

// Starter asks the server. An error, or no answer within the context's time,
// is no start.
type Starter interface {
	// MayStart asks whether a job may start now.
	MayStart(ctx context.Context, jobID string, attempt uint32) (Answer, error)
	// MayScan asks whether a scan that touches the network may run now, and
	// when to ask again if not.
	MayScan(ctx context.Context, source string) (allowed bool, retry time.Duration, err error)
	// Contact tells whether a session is open, and since when it is as it is.
	Contact() (connected bool, since time.Time)
}

// KeyRing holds the tenant's job keys, from the bundle signed by the root.
type KeyRing interface {
	JobKey(version uint32) (key wire.BundleKey, known bool)
}

// Machine is what the runner asks the computer itself.
type Machine interface {
	// BootClock returns the time since boot, sleep included, and an id that
	// every boot has anew.
	BootClock() (since time.Duration, bootID string)
	// FreeBytes of the volume that updates are written to; negative when
	// unknown.
	FreeBytes() int64
}
