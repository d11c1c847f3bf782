//go:build e2e

package rig

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between agents and a server and does to their connections what
// networks do.
type Proxy struct {
	listener net.Listener

	mu       sync.Mutex
	target   string
	pairs    map[*pair]bool
	refuse   bool
	delay    time.Duration
	gate     chan struct{} // closed: bytes pass
	accepted []time.Time
	carried  [2]int64 // bytes to the server, bytes to agents
}

// pair is one connection from an agent and the one to the server behind it.
type pair struct {
	agent, server net.Conn
	mu            sync.Mutex
	swallow       bool // bytes vanish, nobody is told
}

// NewProxy listens; To says where it leads.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, pairs: map[*pair]bool{}, gate: make(chan struct{})}
	close(p.gate)
	go p.serve()
	t.Cleanup(func() {
		_ = l.Close()
		p.Stall(false)
		p.Cut()
	})
	return p
}

// Address is where agents connect.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// To sets the server's address.
func (p *Proxy) To(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Accepted are the times of all connections that agents began.
func (p *Proxy) Accepted() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.accepted...)
}

// Carried is how many bytes have passed to the server and to agents: what TCP
// carries, with TLS's own.
func (p *Proxy) Carried() (up, down int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carried[0], p.carried[1]
}

// Cut closes every connection in order, on both sides.
func (p *Proxy) Cut() { p.each(func(c *pair) { c.close() }) }

// Reset ends every connection by a TCP reset.
func (p *Proxy) Reset() {
	p.each(func(c *pair) {
		for _, side := range []net.Conn{c.agent, c.server} {
			_ = side.(*net.TCPConn).SetLinger(0)
		}
		c.close()
	})
}

// HalfOpen lets the server see every connection end, the agent not.
func (p *Proxy) HalfOpen() {
	p.each(func(c *pair) {
		c.vanish()
		_ = c.server.Close()
	})
}

// HalfClose tells the agent that the server sends no more; what the agent
// sends still arrives.
func (p *Proxy) HalfClose() {
	p.each(func(c *pair) { _ = c.agent.(*net.TCPConn).CloseWrite() })
}

// Blackhole loses every byte of the present connections from now on; nobody
// sees them end.
func (p *Proxy) Blackhole() { p.each(func(c *pair) { c.vanish() }) }

// Stall holds back every byte until it is called with false.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		if on {
			p.gate = make(chan struct{})
		}
	default:
		if !on {
			close(p.gate)
		}
	}
}

// Refuse resets every new connection at once.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Delay makes each read of up to 4 KiB, in each direction, late.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) each(f func(*pair)) {
	p.mu.Lock()
	var all []*pair
	for c := range p.pairs {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

func (p *Proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.accepted = append(p.accepted, time.Now())
		target, refuse := p.target, p.refuse
		p.mu.Unlock()
		if refuse {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			continue
		}
		go p.join(conn, target)
	}
}

func (p *Proxy) join(agent net.Conn, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil { // as if nobody listened there
		_ = agent.(*net.TCPConn).SetLinger(0)
		_ = agent.Close()
		return
	}
	c := &pair{agent: agent, server: server}
	p.mu.Lock()
	p.pairs[c] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(c, agent, server, 0) })
	both.Go(func() { p.pump(c, server, agent, 1) })
	both.Wait()
	c.close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pump carries bytes one way (0: to the server) until that way ends. In a pair whose bytes vanish
// the end of one side is not told to the other.
func (p *Proxy) pump(c *pair, from, to net.Conn, way int) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		gate, delay := p.gate, p.delay
		p.carried[way] += int64(n)
		p.mu.Unlock()
		<-gate
		if delay > 0 {
			<-time.After(delay)
		}
		gone := c.vanished()
		if n > 0 && !gone {
			if _, err := to.Write(buffer[:n]); err != nil && !c.vanished() {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			if !c.vanished() {
				_ = to.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}

func (c *pair) vanish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swallow = true
}

func (c *pair) vanished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.swallow
}

func (c *pair) close() {
	_ = c.agent.Close()
	_ = c.server.Close()
}
