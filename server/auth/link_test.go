package auth

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

func TestTheFirstOwnerComesInByTheLink(t *testing.T) {
	h := newHouse(t)
	link, err := h.FirstOwner(h.ctx, start(), "Boss@msp.example", Init)
	must(t, err)
	_, err = h.FirstOwner(h.ctx, start(), "other@msp.example", Init)
	wantKind(t, err, fault.Conflict)
	if len(h.read().people) != 1 {
		t.Fatal("a second owner was made")
	}
	p, l, err := h.PeekLink(h.ctx, start(), link.Reveal())
	must(t, err)
	if p.Email != "boss@msp.example" || l.Purpose != Init || p.State != Invited {
		t.Errorf("got %+v, %+v", p, l)
	}
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), "", "", "")
	wantKind(t, err, fault.Invalid) // a link of init asks for a password
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), "boss@msp.example 1", "", "")
	wantKind(t, err, fault.Invalid) // and stays good after a bad one
	token, _, err := h.RedeemLink(h.ctx, start().Add(24*time.Hour-1), link.Reveal(), good, "192.0.2.1", "B")
	must(t, err)
	who, _, err := h.Service.Session(h.ctx, start().Add(24*time.Hour), token.Reveal())
	must(t, err)
	must(t, AuthorizeAll(who, KeyManage))
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", "")
	wantKind(t, err, fault.Unauthenticated)
	_, _, err = h.SignIn(h.ctx, start(), "boss@msp.example", good, "", "")
	must(t, err)
}

func TestTheFirstOwnersAddressIsChecked(t *testing.T) {
	h := newHouse(t)
	for _, bad := range []string{"", "boss", "Boss <boss@msp.example>", "bo ss@x", "a@b\nc"} {
		_, err := h.FirstOwner(h.ctx, start(), bad, Init)
		wantKind(t, err, fault.Invalid)
	}
	if r := h.read(); len(r.people)+len(r.records) != 0 {
		t.Error("something was written")
	}
}

func TestALinkIsUsedOnce(t *testing.T) {
	h := newHouse(t)
	link, err := h.FirstOwner(h.ctx, start(), "boss@msp.example", Init)
	must(t, err)
	const n = 16
	results := make(chan error, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, _, err := h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", "")
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
			continue
		}
		wantKind(t, err, fault.Unauthenticated)
	}
	if won != 1 || len(h.read().sessions) != 1 || h.read().people[h.only(t).ID].PasswordNo != 1 {
		t.Errorf("%d of %d came in", won, n)
	}
}

// only returns the one person there is.
func (h *house) only(t *testing.T) Person {
	t.Helper()
	for _, p := range h.read().people {
		return p
	}
	t.Fatal("nobody is there")
	return Person{}
}

// lateLinks is a store where someone else always wins between read and use.
type lateLinks struct{ Links }

func (lateLinks) Use(context.Context, string, time.Time) (bool, error) { return false, nil }

func TestWhoLosesTheRaceForALinkChangesNothing(t *testing.T) {
	h := newHouse(t)
	link, err := h.FirstOwner(h.ctx, start(), "boss@msp.example", Init)
	must(t, err)
	h.links = lateLinks{h.links}
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", "")
	wantKind(t, err, fault.Unauthenticated)
	if p := h.only(t); p.State != Invited || p.PasswordHash != "" {
		t.Errorf("got %+v", p)
	}
}

func TestDevLinksSignInWithoutAPassword(t *testing.T) {
	h := newHouse(t)
	_, err := h.DevLink(h.ctx, start())
	wantKind(t, err, fault.NotFound)
	first, err := h.FirstOwner(h.ctx, start(), "boss@msp.example", Dev)
	must(t, err)
	link, err := h.DevLink(h.ctx, start())
	must(t, err)
	_, _, err = h.RedeemLink(h.ctx, start(), first.Reveal(), "", "", "")
	wantKind(t, err, fault.Unauthenticated) // voided by the newer
	_, _, err = h.PeekLink(h.ctx, start().Add(15*time.Minute), link.Reveal())
	wantKind(t, err, fault.Unauthenticated)
	token, _, err := h.RedeemLink(h.ctx, start().Add(15*time.Minute-1), link.Reveal(), "", "", "")
	must(t, err)
	who, session, err := h.Service.Session(h.ctx, start(), token.Reveal())
	must(t, err)
	_, _, err = h.SignIn(h.ctx, start(), "boss@msp.example", "", "", "")
	wantKind(t, err, fault.Unauthenticated) // no password is not an empty one

	must(t, h.SetPassword(h.ctx, start(), who, "", good)) // the first needs no old one
	if _, ok := h.read().sessions[session.ID]; !ok {
		t.Error("one's own session ended")
	}
	_, _, err = h.SignIn(h.ctx, start(), "boss@msp.example", good, "", "")
	must(t, err)
	again, err := h.DevLink(h.ctx, start())
	must(t, err)
	_, _, err = h.RedeemLink(h.ctx, start(), again.Reveal(), "", "", "")
	must(t, err)
	if h.only(t).PasswordNo != 1 {
		t.Error("the second link touched the password")
	}
}

func TestLinksAreMadeWithinOnesRights(t *testing.T) {
	h := newHouse(t)
	boss := h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner))
	local := h.person(t, "acme", "kim@acme.example", InTenant(Owner, "acme"))
	part := h.person(t, "acme", "lee@acme.example", InTenant(Owner, "acme", "north"))
	kim := h.as(t, local)
	for name, c := range map[string]struct {
		by      Principal
		tenant  ident.TenantID
		id      ident.PersonID
		purpose Purpose
		kind    fault.Kind
	}{
		"of a greater":         {kim, ident.MSP, boss.ID, Reset, fault.Forbidden},
		"of one with more":     {h.as(t, part), "acme", local.ID, Reset, fault.Forbidden},
		"by a wrong tenant":    {kim, "acme", boss.ID, Reset, fault.NotFound},
		"dev over the network": {h.as(t, boss), "acme", local.ID, Dev, fault.Forbidden},
		"init by an owner":     {h.as(t, boss), "acme", local.ID, Init, fault.Forbidden},
		"invited twice":        {kim, "acme", part.ID, Invitation, fault.Conflict},
		"of no purpose":        {Local(), "acme", local.ID, "fun", fault.Invalid},
	} {
		if link, err := h.CreateLink(h.ctx, c.tenant, start(), c.by, c.id, c.purpose); !fault.Is(err, c.kind) || link != (Secret{}) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	link, err := h.CreateLink(h.ctx, "acme", start(), kim, part.ID, Reset)
	must(t, err)
	for range LockoutFailures {
		_, _, _ = h.SignIn(h.ctx, start(), part.Email, "wrong", "", "")
	}
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), "quite another long phrase", "", "")
	must(t, err) // a link opens a locked account
	_, _, err = h.SignIn(h.ctx, start(), part.Email, good, "", "")
	wantKind(t, err, fault.Unauthenticated)
	_, _, err = h.SignIn(h.ctx, start(), part.Email, "quite another long phrase", "", "")
	must(t, err)

	link, err = h.CreateLink(h.ctx, "acme", start(), kim, part.ID, Reset)
	must(t, err)
	must(t, h.Disable(h.ctx, "acme", start(), kim, part.ID, "left"))
	_, _, err = h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", "")
	wantKind(t, err, fault.Unauthenticated)
	_, err = h.CreateLink(h.ctx, "acme", start(), kim, part.ID, Reset)
	wantKind(t, err, fault.Conflict)
	n, err := h.Prune(h.ctx, start().Add(48*time.Hour))
	must(t, err)
	if n == 0 || len(h.read().links) != 0 {
		t.Errorf("%d links are left", len(h.read().links))
	}
}

func TestSetPassword(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", nil)
	const next = "quite another long phrase"
	other := h.as(t, p)
	who := h.as(t, p)
	wantKind(t, h.SetPassword(h.ctx, start(), Local(), good, next), fault.Forbidden)
	wantKind(t, h.SetPassword(h.ctx, start(), who, good, "too short"), fault.Invalid)
	wantKind(t, h.SetPassword(h.ctx, start(), who, "wrong", next), fault.Invalid)
	if n := len(h.fetch(p.ID).Lockout.Failures); n != 1 {
		t.Errorf("%d failures are counted", n)
	}
	must(t, h.SetPassword(h.ctx, start(), who, good, next))
	r := h.read()
	if _, ok := r.sessions[other.Session]; ok || len(r.sessions) != 1 {
		t.Error("other sessions went on")
	}
	for range LockoutFailures {
		wantKind(t, h.SetPassword(h.ctx, start(), who, "wrong", next), fault.Invalid)
	}
	wantKind(t, h.SetPassword(h.ctx, start(), who, next, good), fault.Invalid) // locked
}
