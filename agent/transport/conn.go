package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/proto/wire"
)

const (
	keepaliveTime    = 60 * time.Second // the heartbeat of a silent session
	keepaliveTimeout = 20 * time.Second
	windowSize       = 65535 // static: nothing is measured, nothing comes back per report
	maxHeaders       = 8 << 10
	callTimeout      = 30 * time.Second // of enrollment and renewal
)

// connection says how to reach one server.
type connection struct {
	address string
	trust   func() identity.Trust
	cert    *tls.Certificate // nil: none is presented
	cache   tls.ClientSessionCache
	dial    func(ctx context.Context, address string) (net.Conn, error)
	now     func() time.Time
}

// client makes a lazy connection. The name of the host goes to the server for
// routing on the way and is otherwise not looked at: see identity.Trust.
func (c connection) client() (*grpc.ClientConn, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h2"},
		ClientSessionCache: c.cache,
		Time:               c.now,
		// The usual check wants a name that a public authority vouched for. Ours
		// is below, and runs on resumption too.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return c.trust().Verify(cs, c.now()) },
		// Presented also when expired: the server lets it renew.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c.cert == nil {
				return &tls.Certificate{}, nil
			}
			return c.cert, nil
		},
	}
	conn, err := grpc.NewClient("passthrough:///"+c.address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(c.dial),
		grpc.WithNoProxy(), // the dialer knows
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithStaticStreamWindowSize(windowSize), grpc.WithStaticConnWindowSize(windowSize),
		grpc.WithReadBufferSize(0), // the write buffer is a shared pool by default
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessage), grpc.MaxCallSendMsgSize(wire.MaxMessage)),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 2 * dialTimeout}),
		grpc.WithUserAgent("steward-agent"),
	)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", c.address, err)
	}
	return conn, nil
}

// connect prepares the connection of one attempt with a key of the device.
func (c *Client) connect(with *identity.Credential) (*grpc.ClientConn, error) {
	id := c.o.Identity
	return connection{
		address: id.Facts().Address, trust: id.Trust, cert: with.TLS(), cache: id.Sessions(with), dial: c.o.Dial, now: c.o.Now,
	}.client()
}
