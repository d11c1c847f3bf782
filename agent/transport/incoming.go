package transport

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

// errProtocol is in the chain of errors about a message that passes a limit or
// makes no sense. It ends the session: nothing of it was done.
var errProtocol = errors.New("the server broke the protocol")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// Limits of a server's message that proto/wire does not state.
const (
	maxCancels  = 4 * wire.MaxLeases
	maxDrops    = 4 * wire.MaxLeases
	maxSections = 64
	maxReport   = time.Hour // the longest time between reports
	maxInterval = 7 * 24 * time.Hour
	lastYear    = 253402300799 // seconds, the end of the year 9999
)

// readMessage translates a message of the server. It is nil, nil for one of a
// newer server that this agent does not know.
func readMessage(m *agentv1.ServerMessage) (any, error) {
	switch k := m.GetKind().(type) {
	case *agentv1.ServerMessage_Welcome:
		return readWelcome(k.Welcome)
	case *agentv1.ServerMessage_EventAck:
		return eventAck{k.EventAck.GetThrough()}, nil
	case *agentv1.ServerMessage_Resend:
		if k.Resend.GetFrom() == 0 {
			return nil, broken("resend from 0; events are counted from 1")
		}
		return resend{k.Resend.GetFrom()}, nil
	case *agentv1.ServerMessage_Desired:
		return readDesired(k.Desired)
	case *agentv1.ServerMessage_ReportsStored:
		at, err := readTime(k.ReportsStored.GetThroughS(), time.Second, "reports stored")
		return reportsStored{at}, err
	case *agentv1.ServerMessage_StartAnswer:
		return readStartAnswer(k.StartAnswer)
	case *agentv1.ServerMessage_ScanAnswer:
		a := k.ScanAnswer
		return scanAnswer{a.GetRequest(), a.GetAllowed(), readRetry(a.GetRetryAfterS())}, nil
	case *agentv1.ServerMessage_WantSections:
		sections, err := readSections(k.WantSections.GetSections())
		return wantSections{sections}, err
	case *agentv1.ServerMessage_Goodbye:
		g := k.Goodbye
		return &Goodbye{Code: printable(g.GetCode()), Message: printable(g.GetMessage()), RetryAfter: readRetry(g.GetRetryAfterS())}, nil
	}
	return nil, nil
}

func readWelcome(w *agentv1.Welcome) (welcome, error) {
	out := welcome{
		epoch: w.GetServerEpoch(), eventsThrough: w.GetEventsThrough(), dropLeases: w.GetDropLeases(),
		nextClone: w.GetNextCloneSecret(), bundle: w.GetBundle(), interval: readInterval(w.GetReportIntervalS()),
	}
	var err error
	if out.now, err = readTime(w.GetServerTimeMs(), time.Millisecond, "server time"); err != nil {
		return out, err
	}
	if out.reportsThrough, err = readTime(w.GetReportsThroughMs(), time.Millisecond, "reports stored"); err != nil {
		return out, err
	}
	if out.wantFull, err = readSections(w.GetWantFull()); err != nil {
		return out, err
	}
	switch p := w.GetProtocol(); {
	case p < wire.MinProtocolVersion || p > wire.ProtocolVersion:
		return out, broken("protocol version %d, this agent speaks %d to %d", p, wire.MinProtocolVersion, wire.ProtocolVersion)
	case out.epoch == "" || len(out.epoch) > wire.MaxText:
		return out, broken("an epoch of %d bytes", len(out.epoch))
	case out.eventsThrough == math.MaxUint64:
		return out, broken("all event numbers are taken")
	case len(out.dropLeases) > maxDrops || tooLong(out.dropLeases):
		return out, broken("%d leases to drop, at most %d", len(out.dropLeases), maxDrops)
	case len(out.nextClone) == 0 || len(out.nextClone) > maxClone:
		return out, broken("a clone secret of %d bytes", len(out.nextClone))
	case len(out.bundle) > 2*wire.MaxBundleBytes:
		return out, broken("a bundle of %d bytes", len(out.bundle))
	}
	return out, nil
}

func readDesired(d *agentv1.Desired) (desired, error) {
	var out desired
	if len(d.GetLeases()) > wire.MaxLeases || len(d.GetCancels()) > maxCancels {
		return out, broken("%d leases and %d cancels, at most %d and %d", len(d.GetLeases()), len(d.GetCancels()), wire.MaxLeases, maxCancels)
	}
	out.Version = d.GetVersion()
	for _, l := range d.GetLeases() {
		key, err := readKey(l.GetJobId(), l.GetAttempt())
		if err != nil {
			return desired{}, err
		}
		if n := len(l.GetJob()); n == 0 || n > wire.MaxJob {
			return desired{}, broken("a job of %d bytes, at most %d", n, wire.MaxJob)
		}
		if n := len(l.GetSignature()); n > 128 {
			return desired{}, broken("a signature of %d bytes", n)
		}
		out.Leases = append(out.Leases, spool.Lease{Key: key, Bytes: l.GetJob(), Signature: l.GetSignature(), KeyVersion: l.GetKeyVersion()})
	}
	for _, c := range d.GetCancels() {
		key, err := readKey(c.GetJobId(), c.GetAttempt())
		if err != nil {
			return desired{}, err
		}
		if len(c.GetReason()) > wire.MaxText {
			return desired{}, broken("a reason of %d bytes", len(c.GetReason()))
		}
		out.Cancels = append(out.Cancels, spool.Cancel{Key: key, Reason: c.GetReason()})
	}
	if s := d.GetSettings(); s != nil {
		out.Settings.ReportInterval = readInterval(s.GetReportIntervalS())
		out.Settings.ScanInterval = min(time.Duration(s.GetScanIntervalS())*time.Second, maxInterval)
	}
	return out, nil
}

func readStartAnswer(a *agentv1.StartAnswer) (startAnswer, error) {
	key, err := readKey(a.GetJobId(), a.GetAttempt())
	if err != nil {
		return startAnswer{}, err
	}
	if len(a.GetReason()) > wire.MaxText || len(a.GetText()) > 4*wire.MaxText {
		return startAnswer{}, broken("a reason of %d bytes", len(a.GetReason())+len(a.GetText()))
	}
	out := startAnswer{request: a.GetRequest(), key: key, reason: printable(a.GetReason()), retry: readRetry(a.GetRetryAfterS())}
	switch a.GetVerdict() { // one of a newer server is no word, and no start
	case agentv1.StartAnswer_VERDICT_START:
		out.verdict = VerdictStart
	case agentv1.StartAnswer_VERDICT_WAIT:
		out.verdict = VerdictWait
	case agentv1.StartAnswer_VERDICT_CANCELLED:
		out.verdict = VerdictCancelled
	}
	return out, nil
}

func readKey(job string, attempt uint32) (spool.Key, error) {
	if job == "" || len(job) > wire.MaxText {
		return spool.Key{}, broken("a job id of %d bytes", len(job))
	}
	return spool.Key{JobID: job, Attempt: attempt}, nil
}

// readSections returns the sections that this agent knows, each once.
func readSections(names []string) ([]wire.Section, error) {
	if len(names) > maxSections || tooLong(names) {
		return nil, broken("%d sections, at most %d", len(names), maxSections)
	}
	var out []wire.Section
	for _, s := range wire.Sections() {
		if slices.Contains(names, string(s)) {
			out = append(out, s)
		}
	}
	return out, nil
}

func tooLong(texts []string) bool {
	return slices.ContainsFunc(texts, func(t string) bool { return len(t) > wire.MaxText })
}

// readTime reads a time since 1970; zero stays the zero time.
func readTime(n int64, unit time.Duration, what string) (time.Time, error) {
	switch {
	case n == 0:
		return time.Time{}, nil
	case n < 0 || n/int64(time.Second/unit) > lastYear:
		return time.Time{}, broken("%s: a time of %d", what, n)
	case unit == time.Second:
		return time.Unix(n, 0).UTC(), nil
	}
	return time.UnixMilli(n).UTC(), nil
}

// readInterval reads the time between reports; settings narrow, so a foolish
// one is set back to the edge of what makes sense. Zero means the agent's own.
func readInterval(s uint32) time.Duration {
	if s == 0 {
		return 0
	}
	return min(max(time.Duration(s)*time.Second, wire.MinReportInterval), maxReport)
}

func readRetry(s uint32) time.Duration { return min(time.Duration(s)*time.Second, maxRetry) }
