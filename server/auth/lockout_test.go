package auth

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLockoutMachine(t *testing.T) {
	const m = time.Minute
	for name, c := range map[string]struct {
		failures []time.Duration // since start
		at       time.Duration
		locked   bool
	}{
		"none":                     {nil, 0, false},
		"four":                     {[]time.Duration{0, 1, 2, 3}, 3, false},
		"five":                     {[]time.Duration{0, 1, 2, 3, 4}, 4, true},
		"five until the end":       {[]time.Duration{0, 0, 0, 0, 0}, 15*m - 1, true},
		"five, over":               {[]time.Duration{0, 0, 0, 0, 0}, 15 * m, false},
		"five too slow":            {[]time.Duration{0, 4 * m, 8 * m, 12 * m, 15 * m}, 15 * m, false},
		"five just in the window":  {[]time.Duration{0, 4 * m, 8 * m, 12 * m, 15*m - 1}, 15 * m, true},
		"the window slides":        {[]time.Duration{0, 14 * m, 14 * m, 14 * m, 15 * m, 16 * m}, 16 * m, true},
		"going on is not counted":  {[]time.Duration{0, 0, 0, 0, 0, 14 * m, 14 * m}, 15 * m, false},
		"trying on does not open":  {[]time.Duration{0, 0, 0, 0, 0, m}, 14 * m, true},
		"after a lock all is anew": {[]time.Duration{0, 0, 0, 0, 0, 15 * m, 15 * m, 15 * m, 15 * m}, 15 * m, false},
		"a second lock":            {[]time.Duration{0, 0, 0, 0, 0, 15 * m, 15 * m, 15 * m, 15 * m, 16 * m}, 16 * m, true},
	} {
		t.Run(name, func(t *testing.T) {
			var l Lockout
			for _, d := range c.failures {
				l = l.Failed(start().Add(d))
			}
			if got := l.Locked(start().Add(c.at)); got != c.locked {
				t.Errorf("locked %v, want %v: %+v", got, c.locked, l)
			}
		})
	}
}

func TestNeverMoreThanFiveGuessesInFifteenMinutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Lockout
		var judged []time.Time
		now := start()
		for _, step := range rapid.SliceOfN(rapid.Int64Range(0, int64(8*time.Minute)), 1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(step))
			if l.Locked(now) {
				continue
			}
			judged = append(judged, now)
			l = l.Failed(now)
			if n := len(judged); n > LockoutFailures && now.Sub(judged[n-1-LockoutFailures]) < LockoutWindow {
				t.Fatalf("guess %d came %s after the one five before", n, now.Sub(judged[n-1-LockoutFailures]))
			}
			if len(l.Failures) >= LockoutFailures {
				t.Fatalf("%d failures are kept", len(l.Failures))
			}
		}
	})
}

func TestPaceOfAnAddress(t *testing.T) {
	var p Pace
	now := start()
	for n := range paceFree {
		if w := p.Wait(now); w != 0 {
			t.Fatalf("failure %d waits %s", n, w)
		}
		p = p.Failed(now)
	}
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		if w := p.Wait(now); w != want*time.Second {
			t.Fatalf("wait %d is %s, want %ds", n, w, want)
		}
		now = now.Add(want * time.Second)
		if w := p.Wait(now); w != 0 {
			t.Fatalf("wait %d does not end: %s", n, w)
		}
		p = p.Failed(now)
	}
	if p = p.Failed(now.Add(paceForget)); p.Failures != 1 {
		t.Errorf("not forgotten: %+v", p)
	}
}

func TestAddressesShareAPaceByNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "192.0.2.7:4711": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::9]:80": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "host": "", "@": "",
	} {
		if got := network(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestOneAddressSlowsItselfAndSuccessGivesBack(t *testing.T) {
	a := newAddresses()
	now := start()
	for range 100 {
		if w := a.take(now, "192.0.2.1"); w != 0 {
			t.Fatalf("a good address waits %s", w)
		}
		a.giveBack("192.0.2.1")
	}
	for range paceFree {
		a.take(now, "192.0.2.2")
	}
	if a.take(now, "192.0.2.2") == 0 {
		t.Error("the eleventh failure at once went through")
	}
	if a.take(now, "") != 0 || a.take(now, "pipe") != 0 {
		t.Error("what is no address waits")
	}
	slowed := 0
	for i := range 200 {
		if a.take(now, fmt.Sprintf("198.51.100.%d", i)) != 0 {
			slowed++
		}
	}
	if slowed > 0 {
		t.Errorf("%d others wait for one address", slowed)
	}
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.7", "[2001:db8::1]:80", "fe80::1%eth0", "", ":", "1.2.3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := network(s); len(n) > 64 {
			t.Errorf("%q gave %q", s, n)
		}
		a := Pace{}.Failed(start())
		if a.Failures != 1 {
			t.Error("a failure is not counted")
		}
	})
}
