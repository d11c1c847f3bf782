package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/session"
)

type agentStream = grpc.BidiStreamingServer[agentv1.AgentMessage, agentv1.ServerMessage]

// stream is one device's connection.
type stream struct {
	grpc  agentStream
	close func() // the connection
	since time.Time
	live  atomic.Pointer[session.Live]
	cutAt atomic.Int64 // Unix milliseconds of the goodbye; 0: none

	mu      sync.Mutex   // one message goes out at a time
	over    bool         // the handler has returned
	sending atomic.Int64 // Unix milliseconds since when one goes out; 0: none
}

func (st *stream) send(now time.Time, m *agentv1.ServerMessage) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.write(now, m)
}

// trySend does not wait for another message to be out.
func (st *stream) trySend(now time.Time, m *agentv1.ServerMessage) {
	if st.mu.TryLock() {
		go func() {
			defer st.mu.Unlock()
			_ = st.write(now, m) // the connection is closed next, either way
		}()
	}
}

// write sends; the caller holds mu. The time is looked at by the sweeps, which
// close the connection of a device that does not read.
func (st *stream) write(now time.Time, m *agentv1.ServerMessage) error {
	if st.over {
		return session.ErrEnded
	}
	st.sending.Store(now.UnixMilli())
	defer st.sending.Store(0)
	return st.grpc.Send(m)
}

// late reports whether the connection is to be closed: no Hello came, the
// device does not read, or it stayed after the goodbye.
func (st *stream) late(now time.Time) bool {
	past := func(since int64, limit time.Duration) bool {
		return since != 0 && now.UnixMilli()-since > limit.Milliseconds()
	}
	return st.live.Load() == nil && now.Sub(st.since) > helloTimeout || past(st.sending.Load(), sendTimeout) || past(st.cutAt.Load(), cutAfter)
}

// stuck reports whether a message has been going out for long: the device does
// not read.
func (st *stream) stuck(now time.Time) bool {
	since := st.sending.Load()
	return since != 0 && now.UnixMilli()-since > stuckAfter.Milliseconds()
}

// agents is the service of devices with a certificate.
type agents struct {
	agentv1.UnimplementedAgentServiceServer
	g *Gateway
}

// Session implements the stream of a device.
func (a agents) Session(grpcStream agentStream) (err error) {
	g := a.g
	defer func() {
		if p := recover(); p != nil {
			g.o.Log.Error("a session panicked", "panic", p, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "the server failed; it was logged")
		}
	}()
	ctx := grpcStream.Context()
	info, ok := connection(ctx)
	if !ok {
		return status.Error(codes.Unauthenticated, "no TLS")
	}
	st := &stream{grpc: grpcStream, close: info.close, since: g.o.Now()}
	if !g.add(st) {
		return status.Error(codes.Unavailable, "the server stops")
	}
	defer g.remove(st)
	bye, err := g.serve(ctx, st, info)
	if bye == nil {
		return err
	}
	if st.cutAt.CompareAndSwap(0, g.o.Now().UnixMilli()) {
		if err := st.send(g.o.Now(), goodbye(*bye)); err != nil {
			return err
		}
	}
	return nil
}

func connection(ctx context.Context) (peerInfo, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return peerInfo{}, false
	}
	info, ok := p.AuthInfo.(peerInfo)
	return info, ok
}

func (g *Gateway) add(st *stream) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopping {
		g.streams[st] = struct{}{}
	}
	return !g.stopping
}

func (g *Gateway) remove(st *stream) {
	st.mu.Lock()
	st.over = true
	st.mu.Unlock()
	g.mu.Lock()
	delete(g.streams, st)
	g.mu.Unlock()
	if live := st.live.Load(); live != nil {
		live.Close(g.o.Now())
	}
}

// serve runs a session; bye is what to tell the device at its end.
func (g *Gateway) serve(ctx context.Context, st *stream, info peerInfo) (bye *session.Goodbye, err error) {
	now := g.o.Now()
	who := g.o.Keys.PeerState(info.state, now)
	first, err := st.grpc.Recv()
	if err != nil {
		return nil, err
	}
	if first.GetHello() == nil {
		return protocolError(errors.New("the first message is no Hello")), nil
	}
	h, err := hello(first.GetHello())
	if err != nil {
		return protocolError(err), nil
	}
	now = g.o.Now()
	live, w, bye, err := g.o.Session.Open(ctx, now, session.Peer{KeyHash: who.SPKI, Tenant: who.Tenant, Device: who.Device, Trusted: who.Trusted()}, h)
	if err != nil {
		return nil, g.failure(ctx, "open a session", err)
	}
	if bye != nil {
		return bye, nil
	}
	// Nothing is sent before Welcome: the sweeps see the session only after it.
	if err := st.send(g.o.Now(), welcome(w)); err != nil {
		live.Close(g.o.Now())
		return nil, err
	}
	st.live.Store(live)
	if live.Due(g.o.Now()) {
		g.tell(ctx, st)
	}
	for {
		m, err := st.grpc.Recv()
		if err != nil {
			return live.Ended(), quiet(err)
		}
		if err := g.message(ctx, st, live, m); err != nil {
			if bye := live.Ended(); bye != nil {
				return bye, nil
			}
			var malformed *malformed
			if errors.As(err, &malformed) {
				return protocolError(err), nil
			}
			return nil, g.failure(ctx, "take a message in", err)
		}
	}
}

// quiet leaves out the ends that are nobody's failure.
func quiet(err error) error {
	if status.Code(err) == codes.ResourceExhausted {
		return err // a message over the limit: the device should read why
	}
	return nil
}

func protocolError(err error) *session.Goodbye {
	return &session.Goodbye{Code: session.ByeProtocol, Message: err.Error(), RetryAfter: 5 * time.Minute}
}

// message takes one message in and answers it.
func (g *Gateway) message(ctx context.Context, st *stream, live *session.Live, m *agentv1.AgentMessage) error {
	now := g.o.Now()
	switch k := m.GetKind().(type) {
	case *agentv1.AgentMessage_Event:
		out, err := live.Event(ctx, now, event(k.Event))
		if err != nil {
			return err
		}
		return g.answer(st, out)
	case *agentv1.AgentMessage_Series:
		names, err := series(k.Series)
		if err != nil {
			return err
		}
		return live.Name(ctx, now, names)
	case *agentv1.AgentMessage_Report:
		if err := live.Report(ctx, now, report(k.Report)); err != nil {
			return err
		}
		through, ok, err := live.StoredThrough(ctx, now)
		if err != nil || !ok {
			return err
		}
		return st.send(now, reportsStored(through))
	case *agentv1.AgentMessage_DesiredAck:
		return live.DesiredAck(ctx, now, k.DesiredAck.GetVersion())
	case *agentv1.AgentMessage_StartRequest:
		return g.mayStart(ctx, st, live, k.StartRequest)
	case *agentv1.AgentMessage_ScanRequest:
		source, err := text("source", k.ScanRequest.GetSource())
		if err != nil {
			return err
		}
		allowed, after, err := live.MayScan(now, source)
		if err != nil {
			return err
		}
		return st.send(now, scanAnswer(k.ScanRequest.GetRequest(), allowed, after))
	case *agentv1.AgentMessage_Hello:
		return &malformed{"a second Hello"}
	}
	return nil // of a newer agent: it will not miss an answer that does not exist
}

func (g *Gateway) answer(st *stream, out session.Outcome) error {
	now := g.o.Now()
	if len(out.Want) > 0 {
		if err := st.send(now, wantSections(out.Want)); err != nil {
			return err
		}
	}
	if out.Resend != 0 {
		return st.send(now, resend(out.Resend))
	}
	return st.send(now, eventAck(out.Through))
}

func (g *Gateway) mayStart(ctx context.Context, st *stream, live *session.Live, r *agentv1.StartRequest) error {
	id := r.GetJobId()
	if !ident.ValidID(id) || r.GetAttempt() > maxAttempt {
		return &malformed{"the start of no job"}
	}
	ctx, cancel := context.WithTimeout(ctx, wire.MayStartTimeout)
	defer cancel()
	a, err := live.MayStart(ctx, g.o.Now(), ident.JobID(id), int(r.GetAttempt()))
	if err != nil {
		return fmt.Errorf("start of job %s: %w", id, err)
	}
	return st.send(g.o.Now(), startAnswer(r, a))
}
