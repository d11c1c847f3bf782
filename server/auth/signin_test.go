package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

func TestSignInOpensASession(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician))
	token, session, err := h.SignIn(h.ctx, start(), " Jane@MSP.example ", good, "192.0.2.1:99", "Browser\x1b[31m")
	must(t, err)
	if session.Person != p.ID || session.UserAgent != "Browser[31m" || !session.SteppedUpAt.IsZero() {
		t.Errorf("got %+v", session)
	}
	who, got, err := h.Service.Session(h.ctx, start(), token.Reveal())
	must(t, err)
	if who.Actor != p.actor() || who.Session != session.ID || got.ID != session.ID || who.Grants.text() != "technician: *" {
		t.Errorf("got %+v", who)
	}
	last := h.read().records[len(h.read().records)-1]
	if last.action != "session.started" || last.reason != "password" || last.detail["address"] != "192.0.2.1:99" {
		t.Errorf("recorded %+v", last)
	}
	for _, r := range h.read().records {
		if text := fmt.Sprintf("%+v", r); strings.Contains(text, token.Reveal()) || strings.Contains(text, good) {
			t.Errorf("a secret is in the record: %s", text)
		}
	}
	if out := fmt.Sprintf("%v %+v %#v %s", token, token, token, token); strings.Contains(out, token.Reveal()) {
		t.Errorf("a secret prints: %s", out)
	}
}

func TestEveryRefusalLooksAlikeAndCostsOneHash(t *testing.T) {
	h := newHouse(t)
	h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner))
	off := h.person(t, ident.MSP, "off@msp.example", nil)
	must(t, h.Disable(h.ctx, ident.MSP, start(), Local(), off.ID, "left"))
	_, _, err := h.Invite(h.ctx, ident.MSP, start(), Local(), NewPerson{Email: "new@msp.example"})
	must(t, err)
	h.person(t, ident.MSP, "locked@msp.example", nil)
	for range LockoutFailures {
		_, _, err := h.SignIn(h.ctx, start(), "locked@msp.example", "wrong", "", "")
		wantKind(t, err, fault.Unauthenticated)
	}
	h.runs()
	for name, c := range map[string]struct{ email, password, why, recorded string }{
		"wrong":          {"boss@msp.example", "wrong", whyWrong, "boss@msp.example"},
		"far too long":   {"boss@msp.example", strings.Repeat("x", 1<<16), whyWrong, "boss@msp.example"},
		"unknown":        {"who@msp.example", good, whyUnknown, "who@msp.example"},
		"no address":     {"my pass word by mistake", good, whyUnknown, ""},
		"disabled":       {"off@msp.example", good, "disabled", "off@msp.example"},
		"invited":        {"new@msp.example", "", "invited", "new@msp.example"},
		"locked, right":  {"locked@msp.example", good, whyLocked, "locked@msp.example"},
		"locked, wrong":  {"locked@msp.example", "wrong", whyLocked, "locked@msp.example"},
		"empty password": {"boss@msp.example", "", whyWrong, "boss@msp.example"},
	} {
		_, _, err := h.SignIn(h.ctx, start(), c.email, c.password, "", "")
		if err == nil || err.Error() != refused().Error() {
			t.Errorf("%s: got %v", name, err)
		}
		if n := h.runs(); n != 1 {
			t.Errorf("%s: %d hashes", name, n)
		}
		last := h.read().records[len(h.read().records)-1]
		if last.action != "session.refused" || last.reason != c.why || last.object.Name != c.recorded {
			t.Errorf("%s: recorded %+v", name, last)
		}
	}
}

func TestLockoutAndUnlock(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician))
	try := func(at time.Duration, password string) error {
		_, _, err := h.SignIn(h.ctx, start().Add(at), p.Email, password, "", "")
		return err
	}
	for range LockoutFailures - 1 {
		wantKind(t, try(0, "wrong"), fault.Unauthenticated)
	}
	must(t, try(0, good)) // a success clears the count
	for range LockoutFailures {
		wantKind(t, try(time.Minute, "wrong"), fault.Unauthenticated)
	}
	wantKind(t, try(16*time.Minute-1, good), fault.Unauthenticated)
	must(t, try(16*time.Minute, good))

	for range LockoutFailures {
		wantKind(t, try(20*time.Minute, "wrong"), fault.Unauthenticated)
	}
	must(t, h.Unlock(h.ctx, ident.MSP, start(), Local(), p.ID, "asked by phone"))
	must(t, try(20*time.Minute, good))
}

func TestManyGuessesAtOnceAreStillFive(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { _, _, _ = h.SignIn(h.ctx, start(), p.Email, "wrong", "", "") })
	}
	wg.Wait()
	judged := 0
	for _, r := range h.read().records {
		if r.reason == whyWrong {
			judged++
		}
	}
	if judged != LockoutFailures || !h.fetch(p.ID).Lockout.Locked(start()) {
		t.Errorf("%d guesses were judged", judged)
	}
}

func TestAnAddressIsSlowedBeforeAnythingIsTried(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	for i := range paceFree {
		_, _, err := h.SignIn(h.ctx, start(), fmt.Sprintf("guess%d@msp.example", i), "x", "192.0.2.1", "")
		wantKind(t, err, fault.Unauthenticated)
	}
	h.runs()
	_, _, err := h.SignIn(h.ctx, start(), p.Email, good, "192.0.2.1", "")
	wantKind(t, err, fault.TooMany)
	if h.runs() != 0 {
		t.Error("a hash was computed")
	}
	_, _, err = h.SignIn(h.ctx, start(), p.Email, good, "192.0.2.2", "")
	must(t, err)
	_, _, err = h.SignIn(h.ctx, start().Add(time.Second), p.Email, good, "192.0.2.1", "")
	must(t, err)
}

func TestSuccessesDoNotSlowAnAddress(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	for range 2 * paceFree {
		_, _, err := h.SignIn(h.ctx, start(), p.Email, good, "192.0.2.1", "")
		must(t, err)
	}
}

func TestAPasswordThatChangedMeanwhileDoesNotOpen(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	h.hasher.onRun = func() {
		must(t, h.Tx(h.ctx, func(ctx context.Context) error {
			p := h.fetch(p.ID)
			p.setPassword("another")
			return h.people.Save(ctx, p)
		}))
	}
	_, _, err := h.SignIn(h.ctx, start(), p.Email, good, "", "")
	wantKind(t, err, fault.Unauthenticated)
	if len(h.read().sessions) != 0 {
		t.Error("the old password opened a session")
	}
}

func TestOldHashesAreMadeAnew(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	before := h.fetch(p.ID)
	h.hasher.params = Params{Memory: 16, Passes: 1, Threads: 1}
	_, _, err := h.SignIn(h.ctx, start(), p.Email, good, "", "")
	must(t, err)
	after := h.fetch(p.ID)
	if h.runs() != 2 || !strings.Contains(after.PasswordHash, "m=16,") || after.PasswordNo != before.PasswordNo {
		t.Errorf("got %s, number %d", after.PasswordHash, after.PasswordNo)
	}
	_, _, err = h.SignIn(h.ctx, start(), p.Email, good, "", "")
	must(t, err)
	if h.runs() != 1 {
		t.Error("made anew twice")
	}
}

func TestSessionsLifeCycle(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	live := func(token Secret, at time.Duration) bool {
		_, _, err := h.Service.Session(h.ctx, start().Add(at), token.Reveal())
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			t.Fatal(err)
		}
		return err == nil
	}
	sign := func(at time.Duration) Secret {
		token, _, err := h.SignIn(h.ctx, start().Add(at), p.Email, good, "", "")
		must(t, err)
		return token
	}
	idle := sign(0)
	if !live(idle, SessionIdle-1) || !live(idle, 2*SessionIdle-2) || live(idle, 3*SessionIdle-2) {
		t.Error("idle time is wrong")
	}
	busy := sign(0)
	for at := time.Duration(0); at < SessionLife; at += SessionIdle / 2 {
		if !live(busy, at) {
			t.Fatalf("ended after %s in use", at)
		}
	}
	if live(busy, SessionLife) {
		t.Error("used for more than its life")
	}
	n, err := h.Prune(h.ctx, start().Add(SessionLife))
	must(t, err)
	if n == 0 || len(h.read().sessions) != 0 {
		t.Errorf("pruned %d, %d left", n, len(h.read().sessions))
	}

	var tokens []Secret
	for i := range SessionLimit + 1 {
		tokens = append(tokens, sign(time.Duration(i)*time.Second))
	}
	for i, token := range tokens {
		if live(token, time.Minute) != (i > 0) {
			t.Errorf("session %d: live %v", i, i == 0)
		}
	}
	must(t, h.SignOut(h.ctx, start(), tokens[1].Reveal()))
	must(t, h.SignOut(h.ctx, start(), tokens[1].Reveal()))
	must(t, h.SignOut(h.ctx, start(), "nonsense"))
	if live(tokens[1], time.Minute) || !live(tokens[2], time.Minute) {
		t.Error("signing out ended the wrong one")
	}
	must(t, h.Disable(h.ctx, ident.MSP, start(), Local(), p.ID, "left"))
	if live(tokens[2], time.Minute) {
		t.Error("a disabled person has a session")
	}
	for _, bad := range []string{"", "sws_", tokens[2].Reveal() + "a", strings.ToUpper(tokens[2].Reveal())} {
		_, _, err := h.Service.Session(h.ctx, start(), bad)
		wantKind(t, err, fault.Unauthenticated)
	}
}

func TestASessionSeesRightsAtOnceAndWritesOnceAMinute(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician))
	token, session, err := h.SignIn(h.ctx, start(), p.Email, good, "", "")
	must(t, err)
	must(t, h.SetGrants(h.ctx, ident.MSP, start(), Local(), p.ID, InTenant(Viewer, "acme"), "moved"))
	who, _, err := h.Service.Session(h.ctx, start(), token.Reveal())
	must(t, err)
	if who.Grants.text() != "viewer: acme" {
		t.Errorf("got %s", who.Grants.text())
	}
	_, _, err = h.Service.Session(h.ctx, start().Add(sessionStep-1), token.Reveal())
	must(t, err)
	if got := h.read().sessions[session.ID].SeenAt; !got.Equal(start()) {
		t.Errorf("written at %s", got)
	}
	h.readOnly = true // a full disk does not keep people out
	_, _, err = h.Service.Session(h.ctx, start().Add(sessionStep), token.Reveal())
	must(t, err)
	h.readOnly = false
	_, _, err = h.Service.Session(h.ctx, start().Add(sessionStep), token.Reveal())
	must(t, err)
	if got := h.read().sessions[session.ID].SeenAt; !got.Equal(start().Add(sessionStep)) {
		t.Errorf("seen at %s", got)
	}
}

func TestNeverMoreThanThreeSessions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start()
		var sessions []Session
		for i := range rapid.IntRange(0, 8).Draw(t, "n") {
			at := now.Add(-time.Duration(rapid.IntRange(0, 14*60).Draw(t, "age")) * time.Minute)
			sessions = append(sessions, Session{ID: ident.SessionID(fmt.Sprint(i)), CreatedAt: at, SeenAt: now})
		}
		gone := Surplus(now, sessions)
		left := 0
		for _, s := range sessions {
			if slices.Contains(gone, s) || !s.Live(now) {
				continue
			}
			left++
			for _, g := range gone {
				if g.CreatedAt.After(s.CreatedAt) {
					t.Fatalf("a newer session ended before an older")
				}
			}
		}
		if left >= SessionLimit || len(gone) > 0 && left != SessionLimit-1 {
			t.Fatalf("%d stay", left)
		}
	})
}

func TestCSRF(t *testing.T) {
	a, _ := newSecret(sessionPrefix)
	b, _ := newSecret(sessionPrefix)
	must(t, CheckCSRF(a.Reveal(), CSRF(a.Reveal())))
	for _, c := range [][2]string{{a.Reveal(), CSRF(b.Reveal())}, {a.Reveal(), ""}, {a.Reveal(), a.Reveal()}, {"", CSRF("")}, {"", ""}, {a.Reveal(), CSRF(a.Reveal()) + "="}} {
		wantKind(t, CheckCSRF(c[0], c[1]), fault.Forbidden)
	}
	if strings.Contains(CSRF(a.Reveal()), strings.TrimPrefix(a.Reveal(), sessionPrefix)) {
		t.Error("the form shows the session's secret")
	}
}

func FuzzParseSecret(f *testing.F) {
	s, _ := newSecret(tokenPrefix)
	l, _ := newSecret(linkPrefix)
	for _, seed := range []string{s.Reveal(), l.Reveal(), "", "stw_", s.Reveal() + "=", strings.ToUpper(s.Reveal()), "stw_" + strings.Repeat("\xff", 32)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sorts := 0
		for _, prefix := range []string{tokenPrefix, sessionPrefix, linkPrefix} {
			if d, ok := parseSecret(prefix, s); ok {
				sorts++
				if d == (Digest{}) || len(s) != len(prefix)+32 {
					t.Errorf("%q passed", s)
				}
			}
		}
		if sorts > 1 {
			t.Errorf("%q passes for two sorts of secret", s)
		}
	})
}
