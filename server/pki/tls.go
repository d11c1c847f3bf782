package pki

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/ident"
)

// Peer is what a device's certificate says about a connection. It says nothing
// about revocation: look the device up by SPKI.
type Peer struct {
	Presented bool // a certificate was presented; everything else is about it
	SPKI      [32]byte
	Tenant    ident.TenantID // a hint only
	Device    ident.DeviceID // a hint only
	NotAfter  time.Time
	Expired   bool
	ChainOK   bool // it is this server's and good, or was until NotAfter
}

// Trusted reports whether a session may be opened with it, as far as the
// certificate goes: a chain to the root, and not expired.
func (p Peer) Trusted() bool { return p.Presented && p.ChainOK && !p.Expired }

// PeerState judges the certificate of a connection, resumed or not. The TLS
// handshake proved that the peer has its key, and nothing else.
func (k *Keys) PeerState(cs tls.ConnectionState, now time.Time) Peer {
	if len(cs.PeerCertificates) == 0 {
		return Peer{}
	}
	leaf := cs.PeerCertificates[0]
	p := Peer{
		Presented: true, SPKI: SPKIHash(leaf), NotAfter: leaf.NotAfter,
		Device: ident.DeviceID(leaf.Subject.CommonName), Expired: now.After(leaf.NotAfter),
	}
	if len(leaf.Subject.Organization) == 1 {
		p.Tenant = ident.TenantID(leaf.Subject.Organization[0])
	}
	_, err := k.chainOf(cs.PeerCertificates, now)
	p.ChainOK = err == nil
	return p
}

// TLSOptions are what the agents' listener needs.
type TLSOptions struct {
	Clock func() time.Time
	// Observe, if set, is told of every finished handshake that presented a
	// certificate, resumed or not. It must not block.
	Observe func(Peer)
}

var (
	errNoServerCertificate = errors.New("the server has no certificate yet")
	errNotHTTP2            = errors.New("the client does not speak HTTP/2")
)

// ServerTLS returns the configuration of the agents' listener: TLS 1.3 and
// HTTP/2 only, a client certificate asked for and never required, because a
// device without one enrolls and one with an expired one renews. It follows
// every later Maintain by itself, also when the caller clones it.
func (k *Keys) ServerTLS(o TLSOptions) *tls.Config {
	live := &liveConfig{keys: k, options: o}
	base := k.baseTLS(o)
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return live.current() }
	return base
}

func (k *Keys) baseTLS(o TLSOptions) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		ClientAuth: tls.RequestClientCert,
		Time:       o.Clock,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			k.mu.RLock()
			defer k.mu.RUnlock()
			if k.leaf == nil {
				return nil, errNoServerCertificate
			}
			return k.leaf, nil
		},
		// Called on resumption too, where VerifyPeerCertificate is not.
		VerifyConnection: func(cs tls.ConnectionState) error {
			// crypto/tls lets an HTTP/1.1 client through without a protocol.
			if cs.NegotiatedProtocol != "h2" {
				return errNotHTTP2
			}
			if o.Observe != nil && len(cs.PeerCertificates) > 0 {
				o.Observe(k.PeerState(cs, o.Clock()))
			}
			return nil
		},
	}
}

// liveConfig keeps the configuration of the present generation of keys.
type liveConfig struct {
	keys       *Keys
	options    TLSOptions
	mu         sync.Mutex
	config     *tls.Config
	generation uint64
}

func (l *liveConfig) current() (*tls.Config, error) {
	l.keys.mu.RLock()
	generation, tickets := l.keys.generation, l.keys.tickets
	l.keys.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config == nil || l.generation != generation {
		c := l.keys.baseTLS(l.options)
		sets := make([][32]byte, 0, len(tickets))
		for _, t := range tickets {
			sets = append(sets, [32]byte(t.Key))
		}
		c.SetSessionTicketKeys(sets)
		l.config, l.generation = c, generation
	}
	return l.config, nil
}
