package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// The lockout of a person: so many failures within the window close the
// account for the time.
const (
	LockoutFailures = 5
	LockoutWindow   = 15 * time.Minute
	LockoutFor      = 15 * time.Minute
)

// Lockout is what is remembered of a person's failed sign-ins.
type Lockout struct {
	Failures []time.Time `json:"failures,omitempty"` // within the window, oldest first; fewer than LockoutFailures
	Until    time.Time   `json:"until,omitzero"`     // locked before this time
}

// Locked reports whether no password is accepted now.
func (l Lockout) Locked(now time.Time) bool { return now.Before(l.Until) }

// Failed counts a wrong password. While locked nothing is counted, so that
// going on guessing does not keep the person out for ever.
func (l Lockout) Failed(now time.Time) Lockout {
	if l.Locked(now) {
		return l
	}
	next := Lockout{}
	for _, t := range l.Failures {
		if now.Sub(t) < LockoutWindow {
			next.Failures = append(next.Failures, t)
		}
	}
	next.Failures = append(next.Failures, now)
	if len(next.Failures) >= LockoutFailures {
		return Lockout{Until: now.Add(LockoutFor)}
	}
	return next
}

// Pace slows one address down: the first failures are free, then each doubles
// the wait before the next try.
type Pace struct {
	Failures int
	Last     time.Time
}

const (
	paceFree   = 10 // an office behind one address shares these
	paceMax    = 5 * time.Minute
	paceForget = 15 * time.Minute
)

// Wait returns how long the address must still wait; zero means go on.
func (p Pace) Wait(now time.Time) time.Duration {
	if p.Failures < paceFree {
		return 0
	}
	wait := paceMax
	if n := p.Failures - paceFree; n < 9 {
		wait = min(paceMax, time.Second<<n)
	}
	return max(0, p.Last.Add(wait).Sub(now))
}

// Failed counts a failure; after a quiet time it starts anew.
func (p Pace) Failed(now time.Time) Pace {
	if now.Sub(p.Last) >= paceForget {
		p.Failures = 0
	}
	return Pace{Failures: min(p.Failures+1, paceFree+9), Last: now}
}

// addresses keeps a Pace per network address in constant memory: two tables
// by different hashes, of which the milder counts. Two addresses that share a
// cell in one table seldom share the other.
type addresses struct {
	mu    sync.Mutex
	seeds [2]maphash.Seed
	cells [2][4096]Pace
}

func newAddresses() *addresses {
	return &addresses{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// take counts a try before its outcome is known, so that many at once cannot
// slip through together, or returns how long to wait. A success gives it back.
func (a *addresses) take(now time.Time, addr string) time.Duration {
	cells := a.cellsOf(addr)
	if cells == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := min(cells[0].Wait(now), cells[1].Wait(now)); wait > 0 {
		return wait
	}
	for _, c := range cells {
		*c = c.Failed(now)
	}
	return 0
}

// giveBack undoes one take after a success.
func (a *addresses) giveBack(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.cellsOf(addr) {
		c.Failures = max(0, c.Failures-1)
	}
}

// cellsOf finds the address's cells; none for text that is no address.
func (a *addresses) cellsOf(addr string) []*Pace {
	key := network(addr)
	if key == "" {
		return nil
	}
	out := make([]*Pace, 0, len(a.cells))
	for i := range a.cells {
		out = append(out, &a.cells[i][maphash.String(a.seeds[i], key)%uint64(len(a.cells[i]))])
	}
	return out
}

// network returns the address, or for IPv6 its /64: one subscriber has all of
// those. The text may carry a port.
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		withPort, err := netip.ParseAddrPort(addr)
		if err != nil {
			return ""
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}
