package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

const (
	sendPoll    = time.Minute // polling is truth
	inFlight    = 32          // events sent and not acknowledged
	eventBatch  = 4           // events read at once; one may be large
	reportBatch = 32
	reportGap   = time.Second / wire.MaxReportBacklog
	spreadStart = 2 * time.Second  // the first report of a backlog is late by up to this
	namesAge    = 10 * time.Minute // of a session before it ends because its numbers for series are used up
)

// reports is where the sender is in the reports. Only the sender uses it.
type reports struct {
	names *names
	queue []spool.Report
	next  time.Time // no report goes before
	begun bool
}

var errNames = errors.New("all numbers for series of this session are used; a new one begins")

// send sends what is due, in the order of its worth, until the context ends.
func (s *session) send(ctx context.Context) error {
	j := s.c.o.Journal
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, err := s.sendDue(ctx)
		if err != nil {
			return err
		}
		timer.Reset(min(wait, sendPoll))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-s.pokes:
		case <-j.EventsWake():
		case <-j.ReportsWake():
		}
	}
}

// sendDue sends everything that may go now and returns when more may.
func (s *session) sendDue(ctx context.Context) (time.Duration, error) {
	if err := s.sendAnswers(); err != nil {
		return 0, err
	}
	wait, err := s.tellWanted()
	if err != nil {
		return 0, err
	}
	if err := s.sendEvents(); err != nil {
		return 0, err
	}
	pace, err := s.sendReport()
	if err != nil {
		return 0, err
	}
	return min(wait, pace), s.renewIfDue(ctx)
}

// sendOne sends one message. EOF means that the stream ended; the receiver knows why.
func (s *session) sendOne(m *agentv1.AgentMessage) error {
	err := s.stream.Send(m)
	if errors.Is(err, io.EOF) {
		<-s.stream.Context().Done()
		return s.stream.Context().Err()
	}
	if err != nil {
		return streamError{err}
	}
	return nil
}

// sendAnswers sends the questions, and the acknowledgement of what the server
// wants.
func (s *session) sendAnswers() error {
	s.mu.Lock()
	out, version, ack := s.outbox, s.version, s.ackDesired
	s.outbox, s.ackDesired = nil, false
	s.mu.Unlock()
	if ack {
		out = append([]*agentv1.AgentMessage{{Kind: &agentv1.AgentMessage_DesiredAck{DesiredAck: &agentv1.DesiredAck{Version: version}}}}, out...)
	}
	for _, m := range out {
		if err := s.sendOne(m); err != nil {
			return err
		}
	}
	return nil
}

// tellWanted appends the sections to the events that the server asked for in
// full, and returns when the next is due.
func (s *session) tellWanted() (time.Duration, error) {
	now, wait := s.c.o.Now(), sendPoll
	var due []wire.Section
	s.mu.Lock()
	for section, at := range s.wanted {
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			continue
		}
		due = append(due, section)
		s.told[section] = now
		delete(s.wanted, section)
	}
	s.mu.Unlock()
	for _, section := range due {
		if _, err := s.c.o.Journal.ResendSection(now, section); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// sendEvents sends what the journal has, up to the window.
func (s *session) sendEvents() error {
	for {
		s.mu.Lock()
		from, room := s.sent+1, int(s.acked+inFlight-s.sent)
		s.mu.Unlock()
		if room <= 0 {
			return nil
		}
		events, err := s.c.o.Journal.Events(from, min(room, eventBatch))
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if stop, err := s.sendEvent(e); stop || err != nil {
				return err
			}
		}
	}
}

// sendEvent sends one event if it is the next; stop tells that the place moved
// meanwhile.
func (s *session) sendEvent(e spool.Event) (stop bool, err error) {
	s.mu.Lock()
	if e.Seq != s.sent+1 {
		s.mu.Unlock()
		s.wake() // look again
		return true, nil
	}
	// Counted before it is sent, or its acknowledgement could come first.
	s.sent = e.Seq
	if s.sent == s.acked+1 {
		s.guard()
	}
	s.mu.Unlock()
	m, fits := eventOut(e)
	if !fits {
		s.c.o.Log.Error("an event does not fit a message and goes without its content", "event", e.Seq)
	}
	return false, s.sendOne(m)
}

// sendReport sends one report if the pace allows it, and returns when to come
// again. After an outage at most wire.MaxReportBacklog go a second.
func (s *session) sendReport() (time.Duration, error) {
	r, now := &s.reports, s.c.o.Now()
	if len(r.queue) == 0 {
		var err error
		if r.queue, err = s.c.o.Journal.Reports(s.reported, reportBatch); err != nil {
			return 0, err
		}
	}
	if !r.begun && len(r.queue) > 1 {
		r.next = now.Add(time.Duration(s.c.o.Random() * float64(spreadStart)))
	}
	r.begun = true
	if len(r.queue) == 0 {
		return sendPoll, nil
	}
	if wait := r.next.Sub(now); wait > 0 && wait <= spreadStart { // more is a clock that was set back
		return wait, nil
	}
	named, report := r.names.reportOut(r.queue[0])
	for _, m := range append(named, report) {
		if err := s.sendOne(m); err != nil {
			return 0, err
		}
	}
	s.reported, r.queue = r.queue[0].At, r.queue[1:]
	gap := reportGap + time.Duration(s.c.o.Random()*float64(reportGap)/2)
	r.next = now.Add(gap)
	if r.names.full && now.Sub(s.opened) > namesAge {
		return 0, errNames
	}
	return gap, nil
}

// renewIfDue renews the certificate over the open connection, and then ends the
// session: the next is opened with the new key.
func (s *session) renewIfDue(ctx context.Context) error {
	c := s.c
	now := c.o.Now()
	if !c.o.Identity.RenewDue(now) || now.Before(c.renewAt) {
		return nil
	}
	if err := c.renew(ctx, s.conn, s.used); err != nil {
		c.renewAt = now.Add(renewAgain)
		c.o.Log.Warn("the certificate is not renewed yet", "expires", s.used.NotAfter(), "why", fmt.Sprint(err))
		return nil
	}
	return errRenewed
}
