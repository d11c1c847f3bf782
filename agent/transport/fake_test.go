package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/identity/identitytest"
	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

// fake is a server that keeps the protocol: it stores events once and in order,
// acknowledges, asks again for what is missing, and refuses expired
// certificates. Tests bend it by its fields.
type fake struct {
	agentv1.UnimplementedAgentServiceServer
	agentv1.UnimplementedEnrollmentServiceServer
	authority *identitytest.Authority
	life      time.Duration // of certificates that it renews

	mu       sync.Mutex
	through  map[string]uint64 // by journal
	events   []*agentv1.Event
	reports  map[int64]int // how often, by time
	arrived  []time.Time   // of reports
	hellos   []*agentv1.Hello
	acks     []uint64
	used     [][32]byte // keys that opened sessions
	problems []string
	resumed  int
	secret   []byte // the clone secret offered last
	live     *fakeStream

	welcome func(h *agentv1.Hello, w *agentv1.Welcome)          // bends a Welcome
	take    func(st *fakeStream, m *agentv1.AgentMessage) error // before the usual; errSkip drops it
	refuse  func(key [32]byte) error                            // a session of a key

	refuseHello func(h *agentv1.Hello) *agentv1.Goodbye
}

var errSkip = errors.New("skip")

type fakeStream struct {
	grpc.BidiStreamingServer[agentv1.AgentMessage, agentv1.ServerMessage]
	hello *agentv1.Hello
	n     int // messages received
	names map[uint32]bool
}

func (f *fake) say(st *fakeStream, kind any) error {
	m := &agentv1.ServerMessage{}
	switch k := kind.(type) {
	case *agentv1.EventAck:
		m.Kind = &agentv1.ServerMessage_EventAck{EventAck: k}
	case *agentv1.Resend:
		m.Kind = &agentv1.ServerMessage_Resend{Resend: k}
	case *agentv1.Desired:
		m.Kind = &agentv1.ServerMessage_Desired{Desired: k}
	case *agentv1.ReportsStored:
		m.Kind = &agentv1.ServerMessage_ReportsStored{ReportsStored: k}
	case *agentv1.StartAnswer:
		m.Kind = &agentv1.ServerMessage_StartAnswer{StartAnswer: k}
	case *agentv1.ScanAnswer:
		m.Kind = &agentv1.ServerMessage_ScanAnswer{ScanAnswer: k}
	case *agentv1.WantSections:
		m.Kind = &agentv1.ServerMessage_WantSections{WantSections: k}
	case *agentv1.Goodbye:
		m.Kind = &agentv1.ServerMessage_Goodbye{Goodbye: k}
	case *agentv1.Welcome:
		m.Kind = &agentv1.ServerMessage_Welcome{Welcome: k}
	}
	return st.Send(m)
}

func (f *fake) wrong(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, fmt.Sprintf(format, args...))
}

func state(ctx context.Context) tls.ConnectionState {
	p, _ := peer.FromContext(ctx)
	return p.AuthInfo.(credentials.TLSInfo).State
}

// Session implements the server's side of a session.
func (f *fake) Session(s grpc.BidiStreamingServer[agentv1.AgentMessage, agentv1.ServerMessage]) error {
	cs := state(s.Context())
	if len(cs.PeerCertificates) == 0 || time.Now().After(cs.PeerCertificates[0].NotAfter) {
		return status.Error(codes.Unauthenticated, "no good certificate")
	}
	key := identity.KeyHash(cs.PeerCertificates[0])
	if f.refuse != nil {
		if err := f.refuse(key); err != nil {
			return err
		}
	}
	first, err := s.Recv()
	if err != nil {
		return err
	}
	h := first.GetHello()
	if h == nil {
		f.wrong("the first message is no Hello")
		return status.Error(codes.InvalidArgument, "no hello")
	}
	st := &fakeStream{BidiStreamingServer: s, hello: h, names: map[uint32]bool{}}
	f.mu.Lock()
	f.hellos, f.used = append(f.hellos, h), append(f.used, key)
	if cs.DidResume {
		f.resumed++
	}
	w := &agentv1.Welcome{
		Protocol: 1, ServerTimeMs: time.Now().UnixMilli(), ServerEpoch: "1", EventsThrough: f.through[h.GetJournalId()],
		NextCloneSecret: fmt.Appendf(nil, "secret-%d", len(f.hellos)), ReportIntervalS: 30,
	}
	f.secret = w.NextCloneSecret
	if f.welcome != nil {
		f.welcome(h, w)
	}
	f.live = st
	f.mu.Unlock()
	if f.refuseHello != nil {
		if bye := f.refuseHello(h); bye != nil {
			return f.say(st, bye)
		}
	}
	if err := f.say(st, w); err != nil {
		return err
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return nil
		}
		st.n++
		if err := f.message(st, m); err != nil {
			return err
		}
	}
}

func (f *fake) message(st *fakeStream, m *agentv1.AgentMessage) error {
	if f.take != nil {
		if err := f.take(st, m); errors.Is(err, errSkip) {
			return nil
		} else if err != nil {
			return err
		}
	}
	switch k := m.GetKind().(type) {
	case *agentv1.AgentMessage_Event:
		return f.event(st, k.Event)
	case *agentv1.AgentMessage_Series:
		for _, s := range k.Series.GetSeries() {
			st.names[s.GetId()] = true
		}
	case *agentv1.AgentMessage_Report:
		for _, id := range k.Report.GetIds() {
			if !st.names[id] {
				f.wrong("a report with the unnamed series %d", id)
			}
		}
		f.mu.Lock()
		f.reports[k.Report.GetAtS()]++
		f.arrived = append(f.arrived, time.Now())
		f.mu.Unlock()
		return f.say(st, &agentv1.ReportsStored{ThroughS: k.Report.GetAtS()})
	case *agentv1.AgentMessage_DesiredAck:
		f.mu.Lock()
		f.acks = append(f.acks, k.DesiredAck.GetVersion())
		f.mu.Unlock()
	case *agentv1.AgentMessage_StartRequest:
		r := k.StartRequest
		return f.say(st, &agentv1.StartAnswer{Request: r.GetRequest(), JobId: r.GetJobId(), Attempt: r.GetAttempt(), Verdict: agentv1.StartAnswer_VERDICT_START})
	case *agentv1.AgentMessage_ScanRequest:
		return f.say(st, &agentv1.ScanAnswer{Request: k.ScanRequest.GetRequest(), Allowed: true, RetryAfterS: 7})
	case *agentv1.AgentMessage_Hello:
		f.wrong("a second Hello")
	}
	return nil
}

// told is how many events came.
func (f *fake) told() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

// nth is one of them, from 0.
func (f *fake) nth(i int) *agentv1.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events[i]
}

func (f *fake) event(st *fakeStream, e *agentv1.Event) error {
	f.mu.Lock()
	journal := st.hello.GetJournalId()
	through := f.through[journal]
	if e.GetSeq() == through+1 {
		f.events = append(f.events, e)
		through++
		f.through[journal] = through
	}
	f.mu.Unlock()
	if e.GetSeq() > through {
		return f.say(st, &agentv1.Resend{From: through + 1})
	}
	return f.say(st, &agentv1.EventAck{Through: through})
}

func (f *fake) Enroll(_ context.Context, r *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	if r.GetToken()[0] != 1 {
		return nil, status.Error(codes.PermissionDenied, "the token is\x1b used")
	}
	chain, err := f.authority.Device(time.Now(), r.GetCsr(), wire.CertificateLife)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &agentv1.EnrollResponse{DeviceId: "dev-1", Tenant: "acme", Site: "main", Certificates: chain, Bundle: f.authority.Bundle("acme", 1)}, nil
}

func (f *fake) RenewNonce(ctx context.Context, _ *agentv1.RenewNonceRequest) (*agentv1.RenewNonceResponse, error) {
	if len(state(ctx).PeerCertificates) == 0 {
		return nil, status.Error(codes.Unauthenticated, "a renewal needs the old certificate")
	}
	return &agentv1.RenewNonceResponse{Nonce: []byte("nonce")}, nil
}

func (f *fake) Renew(_ context.Context, r *agentv1.RenewRequest) (*agentv1.RenewResponse, error) {
	if err := identitytest.CheckRenewal(r.GetOldCertificate(), r.GetNonce(), r.GetCsr(), r.GetSignature()); err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	chain, err := f.authority.Device(time.Now(), r.GetCsr(), f.life)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &agentv1.RenewResponse{Certificates: chain, Bundle: f.authority.Bundle("acme", 2)}, nil
}

// world is one device and its server, in virtual time.
type world struct {
	t       *testing.T
	fake    *fake
	id      *identity.Identity
	journal *spool.Journal
	client  *Client
	missing []wire.Section
	every   []time.Duration

	mu     sync.Mutex
	net    func() bool // whether the network is there
	dials  []time.Time
	listen *bufconn.Listener
	cancel context.CancelFunc
	ended  chan error
}

// inBubble runs a test in virtual time with a server that is not dialled yet.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { bubble(t, wire.CertificateLife, test) })
}

// bubble is inBubble within one; life is that of certificates.
func bubble(t *testing.T, life time.Duration, test func(w *world)) {
	a := identitytest.New(time.Now())
	a.Life = life
	w := &world{
		t: t, listen: bufconn.Listen(64 << 10), net: func() bool { return true }, ended: make(chan error, 1),
		fake: &fake{authority: a, through: map[string]uint64{}, reports: map[int64]int{}, life: life},
	}
	cert := a.Server(time.Now())
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert,
	})), grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}))
	agentv1.RegisterAgentServiceServer(server, w.fake)
	agentv1.RegisterEnrollmentServiceServer(server, w.fake)
	go func() { _ = server.Serve(w.listen) }()
	defer server.Stop()
	var err error
	if w.id, err = a.Enrolled(identity.Memory(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if w.journal, err = spool.NewMemory(spool.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.client, err = New(Options{
		Identity: w.id, Journal: w.journal, Version: "test", Now: time.Now, Dial: w.dial,
		Boot:     func() (time.Duration, string) { return time.Hour, "boot" },
		Missing:  func(s []wire.Section) { w.missing = append(w.missing, s...) },
		Interval: func(d time.Duration) { w.every = append(w.every, d) },
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}); err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	test(w)
	w.stop()
	if len(w.fake.problems) > 0 {
		t.Errorf("the agent broke the protocol: %v", w.fake.problems)
	}
}

func (w *world) dial(ctx context.Context, _ string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, time.Now())
	up := w.net()
	w.mu.Unlock()
	if !up {
		return nil, errors.New("no route to host")
	}
	return w.listen.DialContext(ctx)
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.ended <- w.client.Run(ctx) }()
	synctest.Wait()
}

func (w *world) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
		<-w.ended
	}
}

// until lets virtual time pass until a condition holds.
func (w *world) until(what string, limit time.Duration, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) { // virtual
		synctest.Wait()
		w.fake.mu.Lock()
		good := ok()
		w.fake.mu.Unlock()
		if good {
			return
		}
		if !time.Now().Before(end) {
			w.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func (w *world) connected() bool { up, _ := w.client.Contact(); return up }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// scan records an inventory with n items, which makes an event.
func (w *world) scan(section wire.Section, names ...string) {
	w.t.Helper()
	var items []wire.Item
	for _, n := range names {
		items = append(items, wire.Item{Key: n, Facts: map[string]string{wire.FactName: n}})
	}
	_, err := w.journal.RecordInventory(time.Now(), section, items, time.Now(), "test")
	w.must(err)
}

func (w *world) report(values int) time.Time {
	w.t.Helper()
	r := spool.Report{At: time.Now().Truncate(time.Second)}
	for i := range values {
		r.Values = append(r.Values, spool.Value{Signal: wire.SignalDiskIO, Attributes: map[string]string{"device": fmt.Sprint("d", i)}, Value: float64(i)})
	}
	w.must(w.journal.AppendReport(r))
	return r.At
}

// empty reports whether everything in the journal is with the server.
func (w *world) empty() bool {
	first, next, err := w.journal.EventRange()
	return err == nil && first == next
}

func (w *world) seqs() []uint64 {
	var out []uint64
	for _, e := range w.fake.events {
		out = append(out, e.GetSeq())
	}
	return out
}

func inOrder(n int) []uint64 {
	out := make([]uint64, 0, n)
	for i := range n {
		out = append(out, uint64(i+1))
	}
	return out
}

func (w *world) wantEvents(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d events in order", n), 2*time.Hour, func() bool { return len(w.fake.events) >= n && w.empty() })
	if got := w.seqs(); !slices.Equal(got, inOrder(n)) {
		w.t.Fatalf("events %v, want 1 to %d", got, n)
	}
}
