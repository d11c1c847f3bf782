package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
)

// ticket is one key of TLS session tickets.
type ticket struct {
	Key     []byte    `json:"key"` // 32 bytes
	Created time.Time `json:"created"`
}

const (
	ticketEvery = day // how often a new key is made
	ticketKeep  = 3   // keys that are still accepted
)

// rotate puts a new key first and drops those that are too many or too old.
func rotate(old []ticket, now time.Time) []ticket {
	out := []ticket{{random(32), now.UTC()}}
	for _, t := range old {
		if len(out) < ticketKeep && now.Sub(t.Created) < ticketKeep*ticketEvery {
			out = append(out, t)
		}
	}
	return out
}

func (k *Keys) loadTickets() error {
	if err := k.loadJSON(fileTickets, &k.tickets); err != nil {
		return err
	}
	for _, t := range k.tickets {
		if len(t.Key) != 32 {
			return fmt.Errorf("%s: want keys of 32 bytes", fileTickets)
		}
	}
	return nil
}

// Maintain does what is due: it rotates the ticket keys daily, renews the
// issuing certificate and the server's own before their end, and makes the
// latter anew when the agents' addresses changed. An address is a host or
// host:port. Call it at start, before ServerTLS is used, and hourly.
func (k *Keys) Maintain(now time.Time, addresses []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Each is tried whatever became of the others.
	return errors.Join(k.maintainTickets(now), k.maintainIssuing(now), k.maintainServer(now, addresses))
}

func (k *Keys) maintainTickets(now time.Time) error {
	if len(k.tickets) > 0 && now.Sub(k.tickets[0].Created) < ticketEvery && !now.Before(k.tickets[0].Created.Add(-ticketEvery)) {
		return nil
	}
	next := rotate(k.tickets, now)
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(k.dir, fileTickets, data); err != nil {
		return err
	}
	k.tickets = next
	k.generation++
	return nil
}

func (k *Keys) maintainIssuing(now time.Time) error {
	end := k.issuing.certs[0].NotAfter
	if end.Sub(now) > issuingRenew || !end.Before(k.root.NotAfter) {
		return nil
	}
	if k.rootKey == nil {
		return fault.New(fault.Unavailable, "the issuing certificate ends on %s and the root's key is not here", end.Format(time.DateOnly)).
			WithNext("put %s back into %s and restart the server", fileRootKey, k.dir)
	}
	key, cert, err := newIssuing(k.rootKey, k.root, now)
	if err != nil {
		return fmt.Errorf("renew the issuing certificate: %w", err)
	}
	// Earlier ones stay: a device that comes back presents a chain by them.
	certs := append([]*x509.Certificate{cert}, k.issuing.certs...)
	data, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("renew the issuing certificate: %w", err)
	}
	if err := replaceFile(k.dir, fileIssuing, append(data, encodeCerts(certs...)...)); err != nil {
		return err
	}
	k.issuing = issuer{key, certs}
	return nil
}

func (k *Keys) maintainServer(now time.Time, addresses []string) error {
	names, ips, err := hosts(addresses)
	if err != nil {
		return err
	}
	if k.leaf != nil && fits(k.leaf.Leaf, names, ips) && !now.Before(k.leaf.Leaf.NotBefore) &&
		(k.leaf.Leaf.NotAfter.Sub(now) > serverRenew || !k.leaf.Leaf.NotAfter.Before(k.issuing.certs[0].NotAfter)) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := template(pkix.Name{CommonName: "Steward server"}, now, serverLife)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.NotAfter = earlier(t.NotAfter, k.issuing.certs[0].NotAfter)
	t.DNSNames = names
	for _, ip := range ips {
		t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
	}
	cert, err := sign(t, k.issuing.certs[0], key.Public(), k.issuing.key)
	if err != nil {
		return fmt.Errorf("renew the server's certificate: %w", err)
	}
	data, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("renew the server's certificate: %w", err)
	}
	chain := []*x509.Certificate{cert, k.issuing.certs[0]}
	if err := replaceFile(k.dir, fileServer, append(data, encodeCerts(chain...)...)); err != nil {
		return err
	}
	k.leaf = serverCertificate(key, append(chain, k.root))
	k.generation++
	return nil
}

// serverCertificate sends the root too: a device that enrolls knows only its
// hash and finds it at the end of the chain.
func serverCertificate(key *ecdsa.PrivateKey, chain []*x509.Certificate) *tls.Certificate {
	out := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

// hosts splits addresses into DNS names and IP addresses, in order, each once.
func hosts(addresses []string) (names []string, ips []netip.Addr, err error) {
	for _, a := range addresses {
		host := strings.TrimSuffix(strings.TrimPrefix(a, "["), "]")
		if wire.CheckAddress(a) == nil {
			host, _, _ = net.SplitHostPort(a) // CheckAddress did the same
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			ips = append(ips, ip.Unmap().WithZone(""))
			continue
		}
		if wire.CheckAddress(net.JoinHostPort(host, "1")) != nil {
			return nil, nil, fault.Invalidf("addresses", "%q is no host name and no IP address", a)
		}
		names = append(names, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	if len(names)+len(ips) == 0 {
		return nil, nil, fault.Invalidf("addresses", "none: the agents need at least one to reach this server")
	}
	slices.Sort(names)
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(names), slices.Compact(ips), nil
}

func fits(cert *x509.Certificate, names []string, ips []netip.Addr) bool {
	return slices.Equal(cert.DNSNames, names) && slices.EqualFunc(cert.IPAddresses, ips, func(a net.IP, b netip.Addr) bool {
		return a.Equal(b.AsSlice())
	})
}
