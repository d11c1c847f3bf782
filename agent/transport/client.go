package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// Machine is what tells one computer from another.
type Machine struct {
	Hostname, Serial, BoardUUID string
	OSFamily, OSName, OSVersion string
	Arch, TimeZone              string
}

// Options of a Client. Identity, Journal, Now and Boot are needed.
type Options struct {
	Identity *identity.Identity
	Journal  *spool.Journal
	Version  string
	// Machine says what this computer is now; nil: nothing is told.
	Machine func() Machine
	// Now is the wall clock; Boot the time since boot, sleep included, and an id
	// that every boot has anew.
	Now  func() time.Time
	Boot func() (since time.Duration, bootID string)
	// Dial connects to host:port; nil: the network, through the proxy of the
	// environment.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Random returns a number from 0 up to 1, for jitter; nil: math/rand.
	Random func() float64
	// Missing is told of sections that the server wants and the journal has no
	// picture of. It must not block.
	Missing func(sections []wire.Section)
	// Interval is told how often to report. It must not block.
	Interval func(time.Duration)
	Log      *slog.Logger
}

// Client keeps one session with the server open.
type Client struct {
	o        Options
	patience patience

	mu        sync.Mutex
	live      *session  // nil between sessions
	connected bool      // a Welcome came
	since     time.Time // when connected became what it is
	last      time.Time // the last message of the server
	problem   string    // why there is no session
	refused   bool      // the renewed key was refused at the last attempt
	renewAt   time.Time // no renewal is tried before
	older     int       // attempts in a row that a session of a higher number refused
}

// ErrRetired: the server retired this device. Its identity is erased.
var ErrRetired = errors.New("this device was retired by its server")

// New checks the options.
func New(o Options) (*Client, error) {
	if o.Identity == nil || o.Journal == nil || o.Now == nil || o.Boot == nil {
		return nil, errors.New("transport: identity, journal and clocks are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = NewDialer(ProxyFromEnvironment())
	}
	if o.Random == nil {
		o.Random = random
	}
	if o.Missing == nil {
		o.Missing = func([]wire.Section) {}
	}
	if o.Interval == nil {
		o.Interval = func(time.Duration) {}
	}
	if o.Machine == nil {
		o.Machine = func() Machine { return Machine{} }
	}
	return &Client{o: o, since: o.Now(), patience: newPatience(o.Identity.Facts().Device, o.Random)}, nil
}

// Contact tells whether a session is open, and since when it is as it is. It is
// what a job that may start alone waits for.
func (c *Client) Contact() (connected bool, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected, c.since
}

// LastContact returns when the server last said something, and why there is no
// session now.
func (c *Client) LastContact() (at time.Time, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.problem
}

func (c *Client) setConnected(connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if connected != c.connected {
		c.connected, c.since = connected, c.o.Now()
	}
	if connected {
		c.problem = ""
	}
}

func (c *Client) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.o.Now()
}

// Run opens sessions until the context ends or the device is retired.
func (c *Client) Run(ctx context.Context) error {
	for {
		opened := c.o.Now()
		err := c.attempt(ctx)
		c.setConnected(false)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrRetired) {
			return errors.Join(err, c.o.Identity.Erase())
		}
		wait := c.patience.next(c.o.Now().Sub(opened), err)
		c.mu.Lock()
		c.problem = err.Error()
		c.mu.Unlock()
		c.o.Log.Warn("no session", "server", c.o.Identity.Facts().Address, "again_in", wait.Round(time.Millisecond), "why", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// attempt opens one session and works it until it ends. The error says why it
// ended, never nil.
func (c *Client) attempt(ctx context.Context) error {
	id := c.o.Identity
	used := id.Current()
	// A renewed key is tried first, and after a refusal in turn with the old.
	if next := id.Next(); next != nil && !c.refused {
		used = next
	}
	if id.Next() != nil && c.refused && c.o.Now().After(used.NotAfter()) {
		// Neither opens a session: renew once more with the old one.
		if err := id.DropNext(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := c.connect(used)
	if err != nil {
		return err
	}
	defer conn.Close()
	if used == id.Current() && id.RenewDue(c.o.Now()) && !c.o.Now().Before(c.renewAt) {
		switch err := c.renew(ctx, conn, used); {
		case err == nil:
			return errRenewed
		case c.o.Now().After(used.NotAfter()):
			return fmt.Errorf("renew the expired certificate: %w", err)
		default:
			c.renewAt = c.o.Now().Add(renewAgain)
			c.o.Log.Warn("the certificate is not renewed yet", "expires", used.NotAfter(), "why", err)
		}
	}
	s, err := c.open(ctx, cancel, conn, used)
	if err := c.countOlder(err); err != nil {
		return err
	}
	if err != nil {
		if used == id.Current() {
			c.refused = false
		} else if refusedKey(err) {
			c.refused = true
		}
		return err
	}
	if c.refused && used == id.Current() {
		c.refused, c.renewAt = false, c.o.Now().Add(renewAgain)
		if err := id.DropNext(); err != nil {
			c.o.Log.Warn("the refused key is not forgotten", "why", err)
		}
	}
	return s.work(ctx)
}

// manyOlder is how many refusals by a higher session number in a row mean that
// the machine was set back to an older image, whose counter is behind.
const manyOlder = 5

// countOlder gives the journal a new id when its session numbers are behind for
// good. If it is a copy of a machine that is connected instead, the server sees
// that by the new id.
func (c *Client) countOlder(opened error) error {
	var bye *Goodbye
	if !errors.As(opened, &bye) || bye.Code != ByeSuperseded {
		c.older = 0
		return nil
	}
	if c.older++; c.older < manyOlder {
		return nil
	}
	c.older = 0
	if err := c.o.Journal.Renumber(); err != nil {
		return err
	}
	return errRenumbered
}

// renewAgain is the time between tries to renew a certificate that is still
// good.
const renewAgain = time.Hour

// errRenewed ends an attempt whose key was replaced: the next comes at once.
var errRenewed = errors.New("the certificate was renewed")
