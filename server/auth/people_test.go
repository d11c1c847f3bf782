package auth

import (
	"reflect"
	"slices"
	"testing"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

func TestNobodyGivesAwayMoreThanTheyHave(t *testing.T) {
	h := newHouse(t)
	boss := h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner))
	kim := h.as(t, h.person(t, "acme", "kim@acme.example", InTenant(Owner, "acme")))
	lee := h.person(t, "acme", "lee@acme.example", InTenant(Technician, "acme"))
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"invite above":     {second(h.CreatePerson(h.ctx, ident.MSP, start(), kim, NewPerson{Email: "x@msp.example", Grants: Everywhere(Owner)})), fault.Forbidden},
		"invite elsewhere": {second(h.CreatePerson(h.ctx, "beta", start(), kim, NewPerson{Email: "x@beta.example", Grants: InTenant(Viewer, "beta")})), fault.Forbidden},
		"customer for all": {second(h.CreatePerson(h.ctx, "acme", start(), Local(), NewPerson{Email: "x@acme.example", Grants: Everywhere(Viewer)})), fault.Invalid},
		"taken address":    {second(h.CreatePerson(h.ctx, "acme", start(), kim, NewPerson{Email: "LEE@acme.example"})), fault.Conflict},
		"bad zone":         {second(h.CreatePerson(h.ctx, "acme", start(), kim, NewPerson{Email: "x@acme.example", TimeZone: "Local"})), fault.Invalid},
		"bad name":         {second(h.CreatePerson(h.ctx, "acme", start(), kim, NewPerson{Email: "x@acme.example", Name: "a\nb"})), fault.Invalid},
		"raise":            {h.SetGrants(h.ctx, "acme", start(), h.as(t, lee), lee.ID, InTenant(Owner, "acme"), ""), fault.Forbidden},
		"lower a greater":  {h.SetGrants(h.ctx, ident.MSP, start(), kim, boss.ID, nil, ""), fault.Forbidden},
		"disable greater":  {h.Disable(h.ctx, ident.MSP, start(), kim, boss.ID, ""), fault.Forbidden},
		"unlock greater":   {h.Unlock(h.ctx, ident.MSP, start(), kim, boss.ID, ""), fault.Forbidden},
		"wrong tenant":     {h.Disable(h.ctx, "acme", start(), kim, boss.ID, ""), fault.NotFound},
		"twice enabled":    {h.Enable(h.ctx, "acme", start(), kim, lee.ID, ""), fault.Conflict},
	} {
		if !fault.Is(c.err, c.kind) {
			t.Errorf("%s: got %v", name, c.err)
		}
	}
	must(t, h.Disable(h.ctx, "acme", start(), kim, lee.ID, "left"))
	wantKind(t, h.Disable(h.ctx, "acme", start(), kim, lee.ID, "left"), fault.Conflict)
	must(t, h.Enable(h.ctx, "acme", start(), kim, lee.ID, "back"))
	if got := h.fetch(lee.ID); got.State != Active || got.StateReason != "back" {
		t.Errorf("got %+v", got)
	}
	list, err := h.List(h.ctx, Scope(kim, PeopleRead))
	must(t, err)
	if len(list) != 2 {
		t.Errorf("an owner of acme sees %d people", len(list))
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnOwnerOfEverythingRemains(t *testing.T) {
	h := newHouse(t)
	boss := h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner))
	_, _, err := h.Invite(h.ctx, ident.MSP, start(), Local(), NewPerson{Email: "new@msp.example", Grants: Everywhere(Owner)})
	must(t, err) // invited only, so not yet one
	me := h.as(t, boss)
	wantKind(t, h.Disable(h.ctx, ident.MSP, start(), me, boss.ID, ""), fault.Conflict)
	wantKind(t, h.SetGrants(h.ctx, ident.MSP, start(), me, boss.ID, Everywhere(Technician), ""), fault.Conflict)
	if got := h.fetch(boss.ID); !got.ownsAll() || len(h.read().sessions) == 0 {
		t.Error("a refused change left something behind")
	}
	h.person(t, ident.MSP, "two@msp.example", Everywhere(Owner))
	must(t, h.Disable(h.ctx, ident.MSP, start(), me, boss.ID, ""))
}

func TestPersonTransitions(t *testing.T) {
	legal := map[State][]State{"": {Invited}, Invited: {Active, Disabled}, Active: {Disabled}, Disabled: {Active, Invited}}
	for _, from := range []State{"", Invited, Active, Disabled} {
		for _, to := range []State{"", Invited, Active, Disabled, "gone"} {
			p := Person{State: from}
			err := p.Transition(to, "why", start())
			if want := slices.Contains(legal[from], to); (err == nil) != want || want && (p.State != to || p.StateReason != "why" || !p.StateSince.Equal(start())) || !want && p.State != from {
				t.Errorf("%q to %q: %v, %+v", from, to, err, p)
			}
		}
	}
}

// TestAChangeThatCannotBeRecordedIsNotMade tries each use case with a record
// that fails, and sees that nothing else stayed.
func TestAChangeThatCannotBeRecordedIsNotMade(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician))
	h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner))
	off := h.person(t, ident.MSP, "off@msp.example", nil)
	must(t, h.Disable(h.ctx, ident.MSP, start(), Local(), off.ID, ""))
	token, _, err := h.SignIn(h.ctx, start(), p.Email, good, "", "")
	must(t, err)
	who, _, err := h.Service.Session(h.ctx, start(), token.Reveal())
	must(t, err)
	_, link, err := h.Invite(h.ctx, ident.MSP, start(), Local(), NewPerson{Email: "new@msp.example"})
	must(t, err)
	tok, _ := h.token(t, who, Everywhere(Viewer))
	empty := newHouse(t)

	for action, f := range map[string]func() error{
		"session.started": func() error { _, _, err := h.SignIn(h.ctx, start(), p.Email, good, "", ""); return err },
		"session.refused": func() error { _, _, err := h.SignIn(h.ctx, start(), p.Email, "wrong", "", ""); return err },
		"session.ended":   func() error { return h.SignOut(h.ctx, start(), token.Reveal()) },
		"person.created": func() error {
			_, _, err := h.Invite(h.ctx, ident.MSP, start(), Local(), NewPerson{Email: "z@z"})
			return err
		},
		"person.disabled":         func() error { return h.Disable(h.ctx, ident.MSP, start(), Local(), p.ID, "") },
		"person.enabled":          func() error { return h.Enable(h.ctx, ident.MSP, start(), Local(), off.ID, "") },
		"person.unlocked":         func() error { return h.Unlock(h.ctx, ident.MSP, start(), Local(), p.ID, "") },
		"person.granted":          func() error { return h.SetGrants(h.ctx, ident.MSP, start(), Local(), p.ID, nil, "") },
		"person.password_set":     func() error { return h.SetPassword(h.ctx, start(), who, good, "quite another long phrase") },
		"person.password_refused": func() error { return h.SetPassword(h.ctx, start(), who, "wrong", "quite another long phrase") },
		"link.created":            func() error { _, err := h.CreateLink(h.ctx, ident.MSP, start(), Local(), p.ID, Reset); return err },
		"link.redeemed":           func() error { _, _, err := h.RedeemLink(h.ctx, start(), link.Reveal(), good, "", ""); return err },
		"token.created": func() error {
			_, _, err := h.CreateToken(h.ctx, start(), who, NewToken{Name: "n", Grants: Everywhere(Viewer)})
			return err
		},
		"token.revoked": func() error { return h.RevokeToken(h.ctx, ident.MSP, start(), who, tok.ID, "") },
	} {
		h.deaf = func(a string) bool { return a == action }
		before := h.read()
		err := f()
		if err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: got %v", action, err)
		}
		if !reflect.DeepEqual(before, h.read()) {
			t.Errorf("%s: something was changed without its record", action)
		}
	}
	empty.deaf = func(a string) bool { return a == "link.created" }
	if link, err := empty.FirstOwner(empty.ctx, start(), "boss@msp.example", Init); err == nil || link != (Secret{}) || len(empty.read().people) != 0 {
		t.Errorf("the first owner stayed without a link: %v", err)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a service without stores")
	}
	h := newHouse(t)
	o := Options{People: h.people, Sessions: h.sessions, Tokens: h.tokens, Links: h.links, Recorder: h.memory, Tx: h.Tx}
	s, err := New(o)
	must(t, err)
	if s.hasher.params != DefaultParams() {
		t.Errorf("got %+v", s.hasher.params)
	}
	o.Params = Params{Memory: 1}
	if _, err := New(o); err == nil {
		t.Error("bad costs passed")
	}
}
