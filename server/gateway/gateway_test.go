package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/session/sessiontest"
)

func TestASessionFromHelloToGoodbye(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	s := d.connect(t, dev)
	first := next(t, s).GetDesired()
	if first == nil || first.GetSettings().GetReportIntervalS() != 30 {
		t.Fatalf("after Welcome: %v", first)
	}
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_DesiredAck{DesiredAck: &agentv1.DesiredAck{Version: first.GetVersion()}}})
	hash := wire.HashItems([]wire.Item{{Key: "os", Facts: map[string]string{}}})
	event := &agentv1.Event{Seq: 1, AtMs: sessiontest.Start.UnixMilli(), Kind: &agentv1.Event_Inventory{Inventory: &agentv1.InventoryChange{
		Section: "os", Full: true, Final: true, Hash: hash[:], Upsert: []*agentv1.Item{{Key: "os"}}}}}
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Event{Event: event}})
	if got := next(t, s).GetEventAck().GetThrough(); got != 1 {
		t.Errorf("acknowledged %d", got)
	}
	event.Seq = 5
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Event{Event: event}})
	if got := next(t, s).GetResend().GetFrom(); got != 2 {
		t.Errorf("resend from %d", got)
	}
	id := ident.New(sessiontest.Start)
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_StartRequest{StartRequest: &agentv1.StartRequest{JobId: id, Attempt: 1, Request: 8}}})
	if got := next(t, s).GetStartAnswer(); got.GetVerdict() != agentv1.StartAnswer_VERDICT_START || got.GetRequest() != 8 || got.GetJobId() != id {
		t.Errorf("start %v", got)
	}
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_ScanRequest{ScanRequest: &agentv1.ScanRequest{Source: "apt", Request: 9}}})
	if got := next(t, s).GetScanAnswer(); !got.GetAllowed() || got.GetRequest() != 9 {
		t.Errorf("scan %v", got)
	}
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Series{Series: &agentv1.SeriesNames{Series: []*agentv1.Series{{Id: 4, Signal: wire.SignalLoad1}}}}})
	say(t, s, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Report{Report: &agentv1.Report{AtS: sessiontest.Start.Unix(), Ids: []uint32{4}, Values: []float64{1.5}}}})
	// A job for the device arrives by a hint.
	d.Jobs.Give([]job.Lease{{Job: ident.JobID(id), Attempt: 1, Encoded: []byte("job"), Signature: []byte("s"), KeyVersion: 1}})
	d.Hub.Wake(session.DesiredTopic(dev.Row.ID))
	if got := next(t, s).GetDesired(); got.GetVersion() != first.GetVersion()+1 || len(got.GetLeases()) != 1 {
		t.Errorf("desired %v", got)
	}
	if got := d.Samples.Latest("acme", dev.Row.ID); len(got) != 1 || got[0].V != 1.5 {
		t.Errorf("samples %+v", got)
	}
	go d.gateway.Stop(context.Background())
	if code, _ := bye(t, s); code != session.ByeShutdown {
		t.Errorf("at the end: %q", code)
	}
}

func foreign(t *testing.T, now time.Time) (chain [][]byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "d1", Organization: []string{"acme"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		&x509.Certificate{Subject: pkix.Name{CommonName: "another authority"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{der}, key
}

func TestOnlyACertificateOfThisServerOpensASession(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	t.Run("none", func(t *testing.T) {
		s := stream1(t, d.dial(t, nil, nil))
		say(t, s, helloOf(dev))
		if _, err := bye(t, s); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v", err)
		}
	})
	t.Run("foreign", func(t *testing.T) {
		chain, key := foreign(t, d.now())
		s := stream1(t, d.dial(t, chain, key))
		say(t, s, helloOf(dev))
		if _, err := bye(t, s); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v", err)
		}
	})
	t.Run("another device's name in Hello", func(t *testing.T) {
		s := stream1(t, d.dial(t, dev.Chain, dev.Key))
		h := helloOf(dev)
		h.GetHello().DeviceId = "somebody else"
		say(t, s, h)
		if code, _ := bye(t, s); code != session.ByeUnknown {
			t.Errorf("%q", code)
		}
	})
	t.Run("expired, and renewed", func(t *testing.T) {
		d.ahead.Store(int64(40 * 24 * time.Hour))
		defer d.ahead.Store(0)
		if err := d.Keys.Maintain(d.now(), []string{"127.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		conn := d.dial(t, dev.Chain, dev.Key)
		s := stream1(t, conn)
		say(t, s, helloOf(dev))
		if _, err := bye(t, s); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v", err)
		}
		chain, key := renew(t, agentv1.NewEnrollmentServiceClient(conn), dev)
		s = stream1(t, d.dial(t, chain, key))
		say(t, s, helloOf(dev))
		if next(t, s).GetWelcome() == nil {
			t.Error("the renewed certificate opens no session")
		}
	})
}

func renew(t *testing.T, c agentv1.EnrollmentServiceClient, dev *sessiontest.Device) ([][]byte, *ecdsa.PrivateKey) {
	t.Helper()
	nonce, err := c.RenewNonce(t.Context(), &agentv1.RenewNonceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	key, csr := sessiontest.NewKey(t)
	digest := wire.RenewalDigest(nonce.GetNonce(), csr)
	signature, err := dev.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Renew(t.Context(), &agentv1.RenewRequest{OldCertificate: dev.Chain[0], Csr: csr, Nonce: nonce.GetNonce(), Signature: signature})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetCertificates(), key
}

func TestRevocationCutsALiveStreamWithinASecond(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	s := d.connect(t, dev)
	began := time.Now()
	by := ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya", Tenant: ident.MSP}
	if _, err := d.Fleet.Revoke(t.Context(), d.now(), by, "acme", dev.Row.ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	code, err := bye(t, s) // the device does not go by itself
	if took := time.Since(began); code != session.ByeRevoked || err == nil || took > time.Second {
		t.Errorf("%q, %v after %v", code, err, took)
	}
	s = stream1(t, d.dial(t, dev.Chain, dev.Key))
	say(t, s, helloOf(dev))
	if code, _ := bye(t, s); code != session.ByeRevoked {
		t.Errorf("the next session: %q", code)
	}
	conn := d.dial(t, dev.Chain, dev.Key)
	if _, err := agentv1.NewEnrollmentServiceClient(conn).Renew(t.Context(), &agentv1.RenewRequest{OldCertificate: dev.Chain[0]}); err == nil {
		t.Error("a revoked device renewed its certificate")
	}
}

func TestWhatIsNotTheProtocolEndsTheSession(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	ack := &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_DesiredAck{DesiredAck: &agentv1.DesiredAck{Version: 1}}}
	t.Run("before Hello", func(t *testing.T) {
		s := stream1(t, d.dial(t, dev.Chain, dev.Key))
		say(t, s, ack)
		if code, _ := bye(t, s); code != session.ByeProtocol {
			t.Errorf("%q", code)
		}
	})
	t.Run("a second Hello", func(t *testing.T) {
		s := d.connect(t, dev)
		say(t, s, helloOf(dev))
		if code, _ := bye(t, s); code != session.ByeProtocol {
			t.Errorf("%q", code)
		}
	})
	t.Run("a Hello that is too long", func(t *testing.T) {
		s := stream1(t, d.dial(t, dev.Chain, dev.Key))
		h := helloOf(dev)
		h.GetHello().AgentVersion = strings.Repeat("x", wire.MaxText+1)
		say(t, s, h)
		if code, _ := bye(t, s); code != session.ByeProtocol {
			t.Errorf("%q", code)
		}
	})
	t.Run("a message over the limit", func(t *testing.T) {
		s := d.connect(t, dev)
		big := &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_Hello{Hello: &agentv1.Hello{CloneSecret: make([]byte, wire.MaxMessage+1)}}}
		say(t, s, big)
		if _, err := bye(t, s); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%v", err)
		}
	})
	t.Run("bytes that are no message", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
		raw, err := d.dial(t, dev.Chain, dev.Key).NewStream(ctx, desc, agentv1.AgentService_Session_FullMethodName, grpc.ForceCodec(garbage{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.SendMsg(struct{}{}); err != nil {
			t.Fatal(err)
		}
		if err := raw.RecvMsg(&struct{}{}); status.Code(err) != codes.Internal && status.Code(err) != codes.Unknown {
			t.Errorf("%v", err)
		}
	})
	if d.connect(t, dev) == nil { // the door still stands
		t.Error("no session any more")
	}
}

// garbage is a codec that sends what is no protobuf.
type garbage struct{}

func (garbage) Marshal(any) ([]byte, error) { return []byte{0x0a, 0xff, 0x01}, nil }
func (garbage) Unmarshal([]byte, any) error { return nil }
func (garbage) Name() string                { return "proto" }

func TestTheNewerSessionWinsAndACopyDoesNot(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	first := d.connect(t, dev)
	second := d.connect(t, dev)
	if code, _ := bye(t, first); code != session.ByeSuperseded {
		t.Errorf("the older session: %q", code)
	}
	twin := *dev
	twin.Hello.Journal, twin.Hello.Number = "another journal", 0
	s := stream1(t, d.dial(t, dev.Chain, dev.Key))
	say(t, s, helloOf(&twin))
	if code, _ := bye(t, s); code != session.ByeConflict {
		t.Errorf("another journal with this key: %q", code)
	}
	d.ahead.Store(int64(time.Second))
	say(t, second, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_ScanRequest{ScanRequest: &agentv1.ScanRequest{Source: "apt"}}})
	for next(t, second).GetScanAnswer() == nil {
	}
	s = stream1(t, d.dial(t, dev.Chain, dev.Key))
	say(t, s, helloOf(&twin))
	if code, _ := bye(t, s); code != session.ByeConflict {
		t.Errorf("another machine with this key: %q", code)
	}
	if got := dev.State(t).State; got != fleet.Conflict {
		t.Errorf("state %s", got)
	}
	say(t, second, &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_StartRequest{StartRequest: &agentv1.StartRequest{JobId: ident.New(d.now()), Attempt: 1}}})
	for {
		if a := next(t, second).GetStartAnswer(); a != nil {
			if a.GetVerdict() != agentv1.StartAnswer_VERDICT_WAIT || a.GetReason() != string(reason.DeviceState) {
				t.Errorf("a start in conflict: %v", a)
			}
			break
		}
	}
}

func TestEnrollmentNeedsNoCertificateAndTellsWhenToComeAgain(t *testing.T) {
	d := serve(t)
	key, csr := sessiontest.NewKey(t)
	conn := d.dial(t, nil, nil)
	c := agentv1.NewEnrollmentServiceClient(conn)
	request := &agentv1.EnrollRequest{ProtocolVersion: 1, Token: d.Token(t, pki.Draft{Tags: []string{"vip"}, Uses: 1, PerMinute: 3}), Csr: csr,
		Machine: &agentv1.Machine{Hostname: "pc\u202e-2\x00", OsFamily: "windows"}, AgentVersion: "1.0"}
	got, err := c.Enroll(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetTenant() != "acme" || got.GetSite() != "main" || got.GetClass() != "workstation" || len(got.GetTags()) != 1 {
		t.Errorf("%v", got)
	}
	row, err := d.Fleet.Device(t.Context(), "acme", ident.DeviceID(got.GetDeviceId()))
	if err != nil || row.Hostname != "pc-2" {
		t.Errorf("host name %q, %v", row.Hostname, err)
	}
	dev := &sessiontest.Device{House: d.House, Row: row, Key: key, Chain: got.GetCertificates(), Hello: session.Hello{Journal: "j"}}
	d.connect(t, dev)
	_, other := sessiontest.NewKey(t)
	request.Csr = other
	if _, err := c.Enroll(t.Context(), request); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a string that is used up: %v", err)
	}
	var trailer metadata.MD
	if _, err := c.Enroll(t.Context(), request); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v", err)
	}
	_, err = c.Enroll(t.Context(), request, grpc.Trailer(&trailer))
	if status.Code(err) != codes.ResourceExhausted || len(trailer.Get(RetryAfter)) != 1 {
		t.Errorf("the fourth in a minute: %v, %v", err, trailer)
	}
	if _, err := c.RenewNonce(t.Context(), &agentv1.RenewNonceRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a nonce without a certificate: %v", err)
	}
}

func TestSilentConnectionsHoldNobodyUp(t *testing.T) {
	d := serve(t)
	dev := d.active(t)
	for range 64 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", d.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	began := time.Now()
	d.connect(t, dev)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a session took %v beside silent connections", took)
	}
}
