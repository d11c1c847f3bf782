package gateway

import (
	"context"
	"crypto"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

// door is a gateway on a real socket, with a clock that a test can move.
type door struct {
	*sessiontest.House
	gateway *Gateway
	address string
	begun   time.Time
	ahead   atomic.Int64
	served  chan error
}

func (d *door) now() time.Time {
	return sessiontest.Start.Add(time.Since(d.begun) + time.Duration(d.ahead.Load()))
}

func serve(t *testing.T) *door {
	t.Helper()
	d := &door{House: sessiontest.Open(t), begun: time.Now(), served: make(chan error, 1)}
	d.gateway = New(Options{Session: d.Service, Keys: d.Keys, Now: d.now})
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	go func() { d.served <- d.gateway.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		d.gateway.Stop(context.Background())
		if err := <-d.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return d
}

// dial connects with a certificate, or without one for a nil chain.
func (d *door) dial(t *testing.T, chain [][]byte, key crypto.PrivateKey) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Time: d.now} // who the server is, pki tests
	if chain != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil
		}
	}
	conn, err := grpc.NewClient("passthrough:///"+d.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

type client = grpc.BidiStreamingClient[agentv1.AgentMessage, agentv1.ServerMessage]

func stream1(t *testing.T, conn *grpc.ClientConn) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	s, err := agentv1.NewAgentServiceClient(conn).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func say(t *testing.T, s client, m *agentv1.AgentMessage) {
	t.Helper()
	if err := s.Send(m); err != nil {
		t.Fatal(err)
	}
}

// helloOf is a device's next Hello.
func helloOf(d *sessiontest.Device) *agentv1.AgentMessage {
	d.Hello.Number++
	return &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Hello{Hello: &agentv1.Hello{
		ProtocolMin: 1, ProtocolMax: 1, DeviceId: string(d.Row.ID), Tenant: string(d.Row.Tenant), JournalId: d.Hello.Journal, SessionNo: d.Hello.Number,
		NextEvent: 1, CloneSecret: d.Hello.CloneSecret, ClockMs: sessiontest.Start.UnixMilli(), AgentVersion: "1.0",
	}}}
}

// connect opens a session and reads its Welcome.
func (d *door) connect(t *testing.T, dev *sessiontest.Device) client {
	t.Helper()
	s := stream1(t, d.dial(t, dev.Chain, dev.Key))
	say(t, s, helloOf(dev))
	w := next(t, s).GetWelcome()
	if w == nil || w.GetServerEpoch() != "1" || len(w.GetWantFull()) == 0 {
		t.Fatalf("welcome %v", w)
	}
	dev.Hello.CloneSecret = w.GetNextCloneSecret()
	return s
}

func next(t *testing.T, s client) *agentv1.ServerMessage {
	t.Helper()
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bye reads until the Goodbye and the end of the stream.
func bye(t *testing.T, s client) (code string, end error) {
	t.Helper()
	for {
		m, err := s.Recv()
		if err != nil {
			return code, err
		}
		if g := m.GetGoodbye(); g != nil {
			code = g.GetCode()
		}
	}
}

func (d *door) active(t *testing.T) *sessiontest.Device {
	t.Helper()
	dev := d.Device(t, sessiontest.PC())
	if _, err := d.Fleet.Transition(t.Context(), d.now(), "acme", dev.Row.ID, fleet.Active, reason.New(reason.DeviceInventory), ident.Steward("test")); err != nil {
		t.Fatal(err)
	}
	return dev
}
