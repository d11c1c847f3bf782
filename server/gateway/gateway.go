// Package gateway is the agents' door: gRPC over TLS 1.3, one long stream per
// device. It turns a connection's certificate into a device and protobuf into
// plain types, cleans the texts that devices send, and calls session.
package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/session"
)

// Keys are the server's; *pki.Keys is it.
type Keys interface {
	ServerTLS(o pki.TLSOptions) *tls.Config
	PeerState(cs tls.ConnectionState, now time.Time) pki.Peer
}

// Options are what a Gateway needs.
type Options struct {
	Session *session.Service
	Keys    Keys
	Now     func() time.Time // nil is time.Now
	Log     *slog.Logger     // nil discards
	// Tick is how often ended sessions and wishes for devices are looked for; 200 ms.
	Tick time.Duration
	// Handshakes is how many are worked on at once; 2 for each core.
	Handshakes int
}

// Times of the door.
const (
	helloTimeout = 15 * time.Second // from the stream's beginning to its Hello
	sendTimeout  = 20 * time.Second // a device that does not read for so long is cut off
	stuckAfter   = 2 * time.Second  // one that does not read for so long is told nothing new
	cutAfter     = 300 * time.Millisecond
	stopTimeout  = 5 * time.Second
	callTimeout  = 30 * time.Second
	idleTimeout  = 2 * time.Minute // a connection without a stream
	pushers      = 32              // devices that are told something at the same time
)

// Gateway serves agents.
type Gateway struct {
	o      Options
	server *grpc.Server
	push   chan struct{} // places of pushers

	mu       sync.Mutex
	streams  map[*stream]struct{}
	stopping bool
}

// New makes a Gateway.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Tick <= 0 {
		o.Tick = 200 * time.Millisecond
	}
	if o.Handshakes <= 0 {
		o.Handshakes = 2 * runtime.GOMAXPROCS(0)
	}
	g := &Gateway{o: o, push: make(chan struct{}, pushers), streams: map[*stream]struct{}{}}
	g.server = grpc.NewServer(
		grpc.Creds(newCreds(o.Keys.ServerTLS(pki.TLSOptions{Clock: o.Now}), o.Handshakes)),
		grpc.ConnectionTimeout(handshakeTimeout+queueTimeout),
		grpc.ReadBufferSize(0),
		grpc.StaticStreamWindowSize(65535), grpc.StaticConnWindowSize(65535), // no pings to measure: nothing comes back per report
		grpc.MaxHeaderListSize(8192), grpc.MaxConcurrentStreams(wire.MaxStreams),
		grpc.MaxRecvMsgSize(wire.MaxMessage), grpc.MaxSendMsgSize(wire.MaxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 60 * time.Second, Timeout: 20 * time.Second, MaxConnectionIdle: idleTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(g.unary),
	)
	agentv1.RegisterEnrollmentServiceServer(g.server, enrollment{g: g})
	agentv1.RegisterAgentServiceServer(g.server, agents{g: g})
	return g
}

// Listen opens the agents' port. TCP keepalive is off: together with the TCP
// user timeout that gRPC sets it ends connections at a single lost probe.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(ctx, "tcp", address)
}

// Serve serves a listener of Listen until Stop or the end of ctx.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	done := make(chan struct{})
	var sweeping sync.WaitGroup
	telling, stopTelling := context.WithCancel(ctx)
	defer stopTelling()
	// Telling may wait for devices; what ends sessions never does.
	for _, sweep := range []func(now time.Time){g.sweepEnds, func(now time.Time) { g.sweepDue(telling, now) }} {
		sweeping.Go(func() { g.sweeps(done, sweep) })
	}
	stop := context.AfterFunc(ctx, func() { g.Stop(context.WithoutCancel(ctx)) })
	err := g.server.Serve(l)
	stop()
	close(done)
	stopTelling()
	sweeping.Wait()
	return err
}

// Stop tells every device to come back a little later, each at its own time,
// waits until the streams have ended, and closes what is left.
func (g *Gateway) Stop(ctx context.Context) {
	g.mu.Lock()
	g.stopping = true
	open := make([]*stream, 0, len(g.streams))
	for st := range g.streams {
		open = append(open, st)
	}
	g.mu.Unlock()
	// About 500 devices a second come back without a storm.
	over := 2*time.Second + time.Duration(len(open))*2*time.Millisecond
	for _, st := range open {
		bye := session.Goodbye{Code: session.ByeShutdown, Message: "the server stops", RetryAfter: time.Second + rand.N(over)}
		if live := st.live.Load(); live != nil {
			live.End(bye)
		}
		g.cut(st, bye)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.server.GracefulStop()
	}()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	g.server.Stop()
	<-ended
}

// sweeps calls sweep at each tick until done. Two goroutines do it for all
// streams.
func (g *Gateway) sweeps(done <-chan struct{}, sweep func(now time.Time)) {
	ticker := time.NewTicker(g.o.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			sweep(g.o.Now())
		}
	}
}

// pick lists the streams for which look holds. It must not block.
func (g *Gateway) pick(look func(st *stream, live *session.Live) bool) (picked []*stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for st := range g.streams {
		if look(st, st.live.Load()) {
			picked = append(picked, st)
		}
	}
	return picked
}

// sweepEnds ends sessions that may not go on, and connections that should have
// ended. It waits for no device.
func (g *Gateway) sweepEnds(now time.Time) {
	g.o.Session.Sweep(now)
	for _, st := range g.pick(func(st *stream, _ *session.Live) bool { return st.late(now) }) {
		st.close()
	}
	for _, st := range g.pick(func(_ *stream, live *session.Live) bool { return live != nil && live.Ended() != nil }) {
		g.cut(st, *st.live.Load().Ended())
	}
}

// sweepDue tells devices what they should hold. One that does not read what it
// was sent before waits, and holds nobody's place.
func (g *Gateway) sweepDue(ctx context.Context, now time.Time) {
	due := g.pick(func(st *stream, live *session.Live) bool {
		return live != nil && live.Ended() == nil && !st.stuck(now) && live.Due(now)
	})
	for _, st := range due {
		select {
		case g.push <- struct{}{}:
		case <-ctx.Done():
			return
		}
		go func() {
			defer func() { <-g.push }()
			g.tell(ctx, st)
		}()
	}
}

// cut says goodbye, and lets a later sweep close the connection of a device
// that does not go by itself.
func (g *Gateway) cut(st *stream, bye session.Goodbye) {
	if st.cutAt.CompareAndSwap(0, g.o.Now().UnixMilli()) {
		st.trySend(g.o.Now(), goodbye(bye))
	}
}

// tell sends what the device should hold, if it has not got it.
func (g *Gateway) tell(ctx context.Context, st *stream) {
	live := st.live.Load()
	d, changed, err := live.Desired(ctx, g.o.Now())
	if err != nil || !changed {
		if err != nil && live.Ended() == nil {
			g.o.Log.Error("what a device should hold could not be found out", "device", live.Device().Device, "error", err)
		}
		return
	}
	if err := st.send(g.o.Now(), desired(d)); err != nil {
		live.Unsent()
	}
}
