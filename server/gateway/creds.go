package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Times of a handshake.
const (
	handshakeTimeout = 10 * time.Second
	queueTimeout     = 30 * time.Second
	// workTime is how long a handshake may hold its place: longer than the work
	// of both sides, and short for a client that holds it by keeping silent.
	workTime = 250 * time.Millisecond
)

// creds are the server's side of TLS. A bounded number of handshakes is worked
// on at once: in a storm of reconnects all of them together would take twice
// the memory and none would be ready earlier.
type creds struct {
	config *tls.Config
	places chan struct{}
}

func newCreds(config *tls.Config, places int) *creds {
	return &creds{config, make(chan struct{}, places)}
}

// peerInfo is what a handler learns of its connection.
type peerInfo struct {
	credentials.CommonAuthInfo
	state tls.ConnectionState
	close func()
}

// AuthType implements credentials.AuthInfo.
func (peerInfo) AuthType() string { return "tls" }

// ServerHandshake implements credentials.TransportCredentials.
func (c *creds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	place := &place{all: c.places}
	defer place.leave()
	config, choose := c.config.Clone(), c.config.GetConfigForClient
	// The place is taken when the client's first message is there: who only
	// connects holds none.
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := place.take(hello.Context()); err != nil || choose == nil {
			return nil, err
		}
		return choose(hello)
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout+queueTimeout)
	defer cancel()
	if err := raw.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil, err
	}
	place.granted = func() { _ = raw.SetDeadline(time.Now().Add(handshakeTimeout)) }
	conn := tls.Server(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, errors.Join(err, raw.Close())
	}
	info := peerInfo{state: conn.ConnectionState(), close: func() { _ = raw.Close() }}
	info.SecurityLevel = credentials.PrivacyAndIntegrity
	return conn, info, nil
}

// place is one handshake's place among those that are worked on.
type place struct {
	all     chan struct{}
	granted func()

	mu    sync.Mutex
	held  bool
	timer *time.Timer
}

func (p *place) take(ctx context.Context) error {
	select {
	case p.all <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.granted != nil {
		p.granted() // the time in the queue was not the client's
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
	p.timer = time.AfterFunc(workTime, p.leave)
	return nil
}

func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.held = false
		p.timer.Stop()
		<-p.all
	}
}

// ClientHandshake implements credentials.TransportCredentials; the server never
// calls.
func (*creds) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("the agents' door does not call")
}

// Info implements credentials.TransportCredentials.
func (*creds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (c *creds) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (*creds) OverrideServerName(string) error { return nil }
