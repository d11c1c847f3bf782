package transport

import (
	"fmt"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// The server's messages as plain types, after their limits were checked.

type welcome struct {
	now            time.Time
	epoch          string
	eventsThrough  uint64
	dropLeases     []string
	wantFull       []wire.Section
	nextClone      []byte
	reportsThrough time.Time
	interval       time.Duration
	bundle         []byte
}

type eventAck struct{ through uint64 }

type resend struct{ from uint64 }

type desired struct{ spool.Desired }

type reportsStored struct{ through time.Time }

type startAnswer struct {
	request uint64
	key     spool.Key
	verdict Verdict
	reason  string
	retry   time.Duration
}

type scanAnswer struct {
	request uint64
	allowed bool
	retry   time.Duration
}

type wantSections struct{ sections []wire.Section }

// Verdict is the server's word about the start of a job. The zero value is no
// word, and no start.
type Verdict uint8

// The verdicts.
const (
	VerdictNone Verdict = iota
	VerdictStart
	VerdictWait
	VerdictCancelled
)

// Codes of a Goodbye.
const (
	ByeSuperseded    = "superseded"
	ByeRevoked       = "revoked"
	ByeConflict      = "conflict"
	ByeRetired       = "retired"
	ByeLimit         = "limit"
	ByeShutdown      = "shutdown"
	ByeProtocol      = "protocol"
	ByeUnknownDevice = "unknown_device"
)

// Goodbye is how a server ends a session.
type Goodbye struct {
	Code       string // one of the above, or one of a newer server
	Message    string // for a person, printable
	RetryAfter time.Duration
}

// Error implements error.
func (g *Goodbye) Error() string {
	if g.Message == "" {
		return "the server ended the session: " + g.Code
	}
	return fmt.Sprintf("the server ended the session: %s: %s", g.Code, g.Message)
}

// slow reports whether coming again soon changes nothing.
func (g *Goodbye) slow() bool {
	switch g.Code {
	case ByeSuperseded, ByeRevoked, ByeConflict, ByeProtocol, ByeUnknownDevice, ByeLimit:
		return true
	}
	return false
}
