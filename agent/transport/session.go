package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

const (
	welcomeTimeout = 30 * time.Second
	ackTimeout     = 5 * time.Minute // without an acknowledgement of what was sent
	maxResends     = 64              // in a row without an acknowledgement
)

// session is one stream to the server.
type session struct {
	c      *Client
	conn   *grpc.ClientConn
	used   *identity.Credential
	stream grpc.BidiStreamingClient[agentv1.AgentMessage, agentv1.ServerMessage]
	cancel context.CancelFunc
	opened time.Time
	pokes  chan struct{} // one slot: something is to be sent
	ended  chan struct{}

	mu          sync.Mutex
	failure     error // the first reason why the session ends
	acked, sent uint64
	resends     int
	watch       *time.Timer // fires when acknowledgements stay away
	ackDesired  bool
	version     uint64 // of the desired state, to acknowledge
	outbox      []*agentv1.AgentMessage
	questions   map[uint64]question
	lastRequest uint64
	wanted      map[wire.Section]time.Time // sections to tell in full, and when
	told        map[wire.Section]time.Time // when they were told so last
	reported    time.Time                  // reports up to here are sent or stored

	reports reports // the sender's own
}

var (
	errRenumbered = errors.New("the journal and the server disagree about what was sent; it counts anew")
	errSilent     = fmt.Errorf("the server acknowledged nothing for %v", ackTimeout)
	errResends    = errors.New("the server asks for the same events again and again")
)

// streamError is an error of the stream in words for a log.
type streamError struct{ err error }

func (s streamError) Error() string {
	if errors.Is(s.err, io.EOF) {
		return "the server closed the session"
	}
	if st, ok := status.FromError(s.err); ok {
		return printable(st.Message())
	}
	return s.err.Error()
}

func (s streamError) Unwrap() error { return s.err }

// open says Hello and takes the Welcome in.
func (c *Client) open(ctx context.Context, cancel context.CancelFunc, conn *grpc.ClientConn, used *identity.Credential) (*session, error) {
	s := &session{
		c: c, conn: conn, used: used, cancel: cancel, pokes: make(chan struct{}, 1), ended: make(chan struct{}),
		questions: map[uint64]question{}, wanted: map[wire.Section]time.Time{}, told: map[wire.Section]time.Time{}, reports: reports{names: newNames()},
	}
	hello, err := c.hello()
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(welcomeTimeout, func() {
		s.fail(fmt.Errorf("server %s: no welcome in %v", c.o.Identity.Facts().Address, welcomeTimeout))
	})
	defer late.Stop()
	if s.stream, err = agentv1.NewAgentServiceClient(conn).Session(ctx); err != nil {
		return nil, s.why(err)
	}
	if err := s.stream.Send(hello); err != nil && !errors.Is(err, io.EOF) {
		return nil, s.why(err)
	}
	m, err := s.stream.Recv() // tells why, when Send said EOF
	if err != nil {
		return nil, s.why(err)
	}
	c.heard()
	first, err := readMessage(m)
	if err != nil {
		return nil, err
	}
	switch first := first.(type) {
	case *Goodbye:
		return nil, goodbye(first)
	case welcome:
		return s, s.welcome(first)
	}
	return nil, broken("the first message is no welcome")
}

func goodbye(g *Goodbye) error {
	if g.Code == ByeRetired {
		return fmt.Errorf("%w: %w", ErrRetired, g)
	}
	return g
}

// fail ends the session; the first reason counts.
func (s *session) fail(err error) {
	s.mu.Lock()
	if s.failure == nil {
		s.failure = err
	}
	s.mu.Unlock()
	s.cancel()
}

// why returns the reason for the end, err when nothing better is known.
func (s *session) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	return streamError{err}
}

// welcome takes in what the server says of itself and of what it holds.
func (s *session) welcome(w welcome) error {
	c, j := s.c, s.c.o.Journal
	// Before anything else is said: a copy of this machine must not be able to
	// use the same secret.
	if err := c.o.Identity.KeepClone(w.nextClone); err != nil {
		return err
	}
	if err := c.o.Identity.Opened(s.used); err != nil {
		return err
	}
	if len(w.bundle) > 0 {
		if err := c.o.Identity.TakeBundle(w.bundle); err != nil {
			c.o.Log.Error("the server's new roots and job keys are refused; the old ones stay", "why", err)
		}
	}
	boot, bootID := c.o.Boot()
	if err := j.Welcome(w.epoch, spool.Anchor{Server: w.now, Boot: boot, BootID: bootID}); err != nil {
		return err
	}
	if err := s.agree(w.eventsThrough); err != nil {
		return err
	}
	if err := j.DropLeases(w.dropLeases); err != nil {
		return err
	}
	if !w.reportsThrough.IsZero() {
		if err := j.StoredThrough(w.reportsThrough); err != nil {
			return err
		}
	}
	s.reported, s.opened = w.reportsThrough, c.o.Now()
	if err := s.want(w.wantFull); err != nil {
		return err
	}
	if w.interval > 0 {
		c.o.Interval(w.interval)
	}
	return nil
}

// agree compares the numbers of events with the server's. When it holds more
// than the journal gave, or misses what the journal no longer has, the journal
// counts anew under a new id, which makes the server ask for everything.
func (s *session) agree(through uint64) error {
	j := s.c.o.Journal
	first, next, err := j.EventRange()
	if err != nil {
		return err
	}
	if through >= next || through+1 < first {
		return s.renumber()
	}
	if err := j.Acknowledge(through); err != nil {
		return err
	}
	s.acked, s.sent = through, through
	return nil
}

func (s *session) renumber() error {
	if err := s.c.o.Journal.Renumber(); err != nil {
		return err
	}
	return errRenumbered
}

// wake tells the sender that there is something to send.
func (s *session) wake() {
	select {
	case s.pokes <- struct{}{}:
	default:
	}
}

// work receives until the session ends, and returns why.
func (s *session) work(ctx context.Context) error {
	s.c.mu.Lock()
	s.c.live = s
	s.c.mu.Unlock()
	s.c.setConnected(true)
	s.c.o.Log.Info("session open", "server", s.c.o.Identity.Facts().Address)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := s.guardedSend(ctx); err != nil {
			s.fail(err)
		}
	}()
	err := s.receive()
	s.fail(err)
	<-sent
	s.c.mu.Lock()
	s.c.live = nil
	s.c.mu.Unlock()
	close(s.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != nil {
		s.watch.Stop()
	}
	return s.failure
}

// guardedSend turns a panic of the sender into the end of the session.
func (s *session) guardedSend(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the sender panicked: %v", r)
		}
	}()
	return s.send(ctx)
}

// receive handles messages in order; it never waits for the sender.
func (s *session) receive() error {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return s.why(err)
		}
		s.c.heard()
		plain, err := readMessage(m)
		if err != nil {
			return err
		}
		if err := s.handle(plain); err != nil {
			return err
		}
	}
}

func (s *session) handle(m any) error {
	switch m := m.(type) {
	case nil: // of a newer server
		return nil
	case welcome:
		return broken("a second welcome")
	case eventAck:
		return s.acknowledged(m.through)
	case resend:
		return s.resend(m.from)
	case desired:
		return s.desired(m)
	case reportsStored:
		return s.c.o.Journal.StoredThrough(m.through)
	case startAnswer:
		s.answer(m.request, true, m.key, reply{verdict: m.verdict, reason: m.reason, retry: m.retry})
	case scanAnswer:
		s.answer(m.request, false, spool.Key{}, reply{allowed: m.allowed, retry: m.retry})
	case wantSections:
		return s.want(m.sections)
	case *Goodbye:
		return goodbye(m)
	}
	return nil
}

// acknowledged drops what the server stored. It may not acknowledge what was
// never sent to it.
func (s *session) acknowledged(through uint64) error {
	s.mu.Lock()
	sent, fresh := s.sent, through > s.acked
	s.mu.Unlock()
	if through > sent {
		return broken("it acknowledges event %d, %d is the last sent", through, sent)
	}
	if !fresh {
		return nil
	}
	if err := s.c.o.Journal.Acknowledge(through); err != nil {
		return err
	}
	s.mu.Lock()
	s.acked, s.resends = through, 0
	s.guard()
	s.mu.Unlock()
	s.wake()
	return nil
}

// guard keeps the watch over acknowledgements. The caller holds mu.
func (s *session) guard() {
	switch {
	case s.sent == s.acked:
		if s.watch != nil {
			s.watch.Stop()
		}
	case s.watch == nil:
		s.watch = time.AfterFunc(ackTimeout, func() { s.fail(errSilent) })
	default:
		s.watch.Reset(ackTimeout)
	}
}

// resend goes back to an event that the server misses.
func (s *session) resend(from uint64) error {
	first, _, err := s.c.o.Journal.EventRange()
	if err != nil {
		return err
	}
	if from < first {
		return s.renumber()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if from > s.sent { // it comes anyway
		return nil
	}
	if s.resends++; s.resends > maxResends {
		return errResends
	}
	s.sent = from - 1
	s.wake()
	return nil
}

// desired journals what the server wants, and then acknowledges it.
func (s *session) desired(d desired) error {
	version, err := s.c.o.Journal.ApplyDesired(s.c.o.Now(), d.Desired)
	if err != nil {
		return fmt.Errorf("journal what the server wants: %w", err)
	}
	if d.Settings.ReportInterval > 0 {
		s.c.o.Interval(d.Settings.ReportInterval)
	}
	s.mu.Lock()
	s.version, s.ackDesired = version, true
	s.mu.Unlock()
	s.wake()
	return nil
}
