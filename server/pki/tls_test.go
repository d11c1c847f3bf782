package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// device is an agent's side of the handshake: it knows the root's hash only.
type device struct {
	key   *ecdsa.PrivateKey
	chain [][]byte
	cache tls.ClientSessionCache
}

func newDevice(t *testing.T, k *Keys, at time.Time) *device {
	t.Helper()
	key := newKey(t)
	chain, err := k.IssueDevice(newCSR(t, key), "acme", "d-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return &device{key, chain, tls.NewLRUClientSessionCache(4)}
}

func (d *device) config(k *Keys, now time.Time) *tls.Config {
	pin := k.RootSPKI()
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, ServerName: "steward.test",
		Time: func() time.Time { return now }, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			i := slices.IndexFunc(cs.PeerCertificates, func(c *x509.Certificate) bool { return SPKIHash(c) == pin })
			if i < 0 {
				return errors.New("not my server")
			}
			roots, between := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(cs.PeerCertificates[i])
			for _, c := range cs.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, DNSName: "steward.test"})
			return err
		},
	}
	if d != nil {
		c.ClientSessionCache = d.cache
		c.Certificates = []tls.Certificate{{Certificate: d.chain, PrivateKey: d.key}}
	}
	return c
}

// handshake connects over loopback, lets one byte pass each way (tickets come
// with it) and returns what both sides saw.
func handshake(t *testing.T, server, client *tls.Config) (serverSide, clientSide tls.ConnectionState, err error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		if err = conn.Handshake(); err == nil {
			serverSide = conn.ConnectionState()
			_, err = conn.Write([]byte("x"))
		}
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		done <- err
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
		clientSide = conn.ConnectionState()
		_, werr := conn.Write([]byte("x"))
		err = errors.Join(err, werr)
		defer conn.Close()
	}
	return serverSide, clientSide, errors.Join(err, <-done)
}

func serve(k *Keys, now time.Time, seen *[]Peer) *tls.Config {
	return k.ServerTLS(TLSOptions{
		Clock:   func() time.Time { return now },
		Observe: func(p Peer) { *seen = append(*seen, p) },
	})
}

func TestDeviceIsKnownByItsKeyInEveryHandshake(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	var seen []Peer
	want, err := KeyHash(d.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	// The second is resumed, and gRPC clones the configuration: both must see.
	config := serve(k, start, &seen).Clone()
	for i, resumed := range []bool{false, true, true} {
		s, c, err := handshake(t, config, d.config(k, start))
		if err != nil {
			t.Fatal(err)
		}
		p := k.PeerState(s, start)
		if s.DidResume != resumed || c.DidResume != resumed || s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != "h2" {
			t.Errorf("%d: resumed %v, version %x, protocol %q", i, s.DidResume, s.Version, s.NegotiatedProtocol)
		}
		if !p.Trusted() || p.SPKI != want || p.Device != "d-1" || p.Tenant != "acme" || len(seen) != i+1 || seen[i] != p {
			t.Errorf("%d: %+v, observed %d", i, p, len(seen))
		}
	}
}

func TestResumptionSurvivesRestartsAndRotations(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	var seen []Peer
	if _, _, err := handshake(t, serve(k, start, &seen), d.config(k, start)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // a night each, with a restart from the directory
		now := start.Add(time.Duration(i) * 25 * time.Hour)
		k = reload(t, k)
		if err := k.Maintain(now, []string{"steward.test", "127.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		s, _, err := handshake(t, serve(k, now, &seen), d.config(k, now))
		if err != nil || !s.DidResume {
			t.Errorf("restart %d: resumed %v, %v", i, s.DidResume, err)
		}
		if p := k.PeerState(s, now); !p.Trusted() {
			t.Errorf("restart %d: %+v", i, p)
		}
	}
}

// frozenCache keeps what it has.
type frozenCache struct{ tls.ClientSessionCache }

func (f *frozenCache) Put(string, *tls.ClientSessionState) {}

func TestOldTicketsStopWorking(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	var seen []Peer
	config := serve(k, start, &seen)
	if _, _, err := handshake(t, config, d.config(k, start)); err != nil {
		t.Fatal(err)
	}
	d.cache = &frozenCache{d.cache}
	// The same configuration follows every rotation.
	for i, resumed := range []bool{true, true, true, false} {
		if i > 0 {
			if err := k.Maintain(start.Add(time.Duration(i)*day), []string{"steward.test", "127.0.0.1"}); err != nil {
				t.Fatal(err)
			}
		}
		s, _, err := handshake(t, config, d.config(k, start))
		if err != nil || s.DidResume != resumed {
			t.Errorf("after %d rotations: resumed %v, want %v, %v", i, s.DidResume, resumed, err)
		}
	}
}

func TestExpiredCertificatePassesTheHandshakeAndIsSeen(t *testing.T) {
	k := newKeys(t)
	d := newDevice(t, k, start)
	var seen []Peer
	if _, _, err := handshake(t, serve(k, start, &seen), d.config(k, start)); err != nil {
		t.Fatal(err)
	}
	now := start.Add(wire.CertificateLife + time.Hour)
	if err := k.Maintain(now, []string{"steward.test"}); err != nil {
		t.Fatal(err)
	}
	s, _, err := handshake(t, serve(k, now, &seen), d.config(k, now))
	if err != nil {
		t.Fatal(err)
	}
	if p := k.PeerState(s, now); p.Trusted() || !p.Expired || !p.ChainOK || s.DidResume || len(seen) != 2 || !seen[1].Expired {
		t.Errorf("%+v, resumed %v", p, s.DidResume)
	}
}

func TestForeignCertificateAndNoneAreSeen(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	var seen []Peer
	d := newDevice(t, other, start)
	s, _, err := handshake(t, serve(k, start, &seen), d.config(k, start))
	if err != nil {
		t.Fatal(err)
	}
	if p := k.PeerState(s, start); p.Trusted() || p.ChainOK || !p.Presented {
		t.Errorf("foreign: %+v", p)
	}
	s, _, err = handshake(t, serve(k, start, &seen), (*device)(nil).config(k, start))
	if err != nil {
		t.Fatal(err)
	}
	if p := k.PeerState(s, start); p != (Peer{}) || len(seen) != 1 {
		t.Errorf("none: %+v", p)
	}
}

func TestHandshakeIsRefused(t *testing.T) {
	k := newKeys(t)
	var seen []Peer
	for name, change := range map[string]func(c *tls.Config, d *device){
		"TLS 1.2":          func(c *tls.Config, _ *device) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"HTTP/1.1":         func(c *tls.Config, _ *device) { c.NextProtos = []string{"http/1.1"} },
		"another's key":    func(c *tls.Config, _ *device) { c.Certificates[0].PrivateKey = newKey(t) },
		"a foreign server": func(c *tls.Config, d *device) { *c = *d.config(newKeys(t), start) },
	} {
		d := newDevice(t, k, start)
		c := d.config(k, start)
		change(c, d)
		if _, _, err := handshake(t, serve(k, start, &seen), c); err == nil {
			t.Errorf("%s was let in", name)
		}
	}
	bare, err := Create(t.TempDir()+"/keys", start)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := handshake(t, serve(bare, start, &seen), (*device)(nil).config(bare, start)); err == nil {
		t.Error("a server without a certificate was believed")
	}
}
