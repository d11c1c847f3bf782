package auth

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

func (h *house) token(t testing.TB, by Principal, g Grants) (Token, string) {
	t.Helper()
	tok, secret, err := h.CreateToken(h.ctx, start(), by, NewToken{Name: "script", Grants: g})
	must(t, err)
	return tok, secret.Reveal()
}

func TestATokenActsForItsMaker(t *testing.T) {
	h := newHouse(t)
	p := h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician))
	tok, bearer := h.token(t, h.as(t, p), InTenant(Technician, "acme"))
	if tok.Maker != p.ID || tok.Tenant != ident.MSP || !tok.ExpiresAt.Equal(start().Add(TokenLife)) || bearer[:4] != "stw_" {
		t.Errorf("got %+v", tok)
	}
	at := start()
	ask := func() (Principal, error) {
		at = at.Add(cacheFor)
		return h.Service.Token(h.ctx, at, bearer)
	}
	who, err := ask()
	must(t, err)
	if who.Actor.Kind != ident.Token || who.Actor.ID != string(tok.ID) || Authorize(who, PolicyApply, "acme") != nil || Authorize(who, DeviceRead, "beta") == nil {
		t.Errorf("got %+v", who)
	}
	must(t, h.SetGrants(h.ctx, ident.MSP, at, Local(), p.ID, Everywhere(Viewer), "moved"))
	who, err = ask()
	must(t, err)
	if who.Grants.text() != "viewer: acme" {
		t.Errorf("more than its maker: %s", who.Grants.text())
	}
	must(t, h.Disable(h.ctx, ident.MSP, at, Local(), p.ID, "left"))
	_, err = ask()
	wantKind(t, err, fault.Unauthenticated)
	must(t, h.Enable(h.ctx, ident.MSP, at, Local(), p.ID, "back"))
	_, err = ask()
	must(t, err)
}

func TestTheLocalTokenNeedsNoPerson(t *testing.T) {
	h := newHouse(t)
	tok, bearer := h.token(t, Local(), Everywhere(Owner))
	who, err := h.Service.Token(h.ctx, start(), bearer)
	must(t, err)
	must(t, AuthorizeAll(who, PeopleManage))
	if tok.Maker != LocalMaker {
		t.Errorf("made by %s", tok.Maker)
	}
	_, _, err = h.CreateToken(h.ctx, start(), who, NewToken{Name: "child", Grants: Everywhere(Viewer)})
	wantKind(t, err, fault.Forbidden) // a token makes no tokens
	_, err = h.FirstOwner(h.ctx, start(), "boss@msp.example", Init)
	must(t, err) // a token is not a person
	_, err = h.CreateLink(h.ctx, ident.MSP, start(), who, h.only(t).ID, Dev)
	wantKind(t, err, fault.Forbidden)
}

func TestTokensAreChecked(t *testing.T) {
	h := newHouse(t)
	kim := h.as(t, h.person(t, "acme", "kim@acme.example", InTenant(Technician, "acme")))
	for name, c := range map[string]struct {
		n    NewToken
		kind fault.Kind
	}{
		"no name":        {NewToken{Grants: InTenant(Viewer, "acme")}, fault.Invalid},
		"hidden in name": {NewToken{Name: "a\u202eb", Grants: InTenant(Viewer, "acme")}, fault.Invalid},
		"no grants":      {NewToken{Name: "n"}, fault.Invalid},
		"higher role":    {NewToken{Name: "n", Grants: InTenant(Owner, "acme")}, fault.Forbidden},
		"elsewhere":      {NewToken{Name: "n", Grants: InTenant(Viewer, "beta")}, fault.Invalid},
		"everywhere":     {NewToken{Name: "n", Grants: Everywhere(Viewer)}, fault.Invalid},
		"too long":       {NewToken{Name: "n", Grants: InTenant(Viewer, "acme"), Life: TokenLifeMax + 1}, fault.Invalid},
		"in the past":    {NewToken{Name: "n", Grants: InTenant(Viewer, "acme"), Life: -time.Hour}, fault.Invalid},
	} {
		if _, _, err := h.CreateToken(h.ctx, start(), kim, c.n); !fault.Is(err, c.kind) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(h.read().tokens) != 0 {
		t.Error("a token was made")
	}
}

func TestRevocationActsAtOnceAndElsewhereWithinASecond(t *testing.T) {
	h := newHouse(t)
	tok, bearer := h.token(t, Local(), Everywhere(Viewer))
	_, err := h.Service.Token(h.ctx, start(), bearer)
	must(t, err)
	// Another process revokes: this one's cache does not know.
	must(t, h.Tx(h.ctx, func(ctx context.Context) error { return h.tokens.Revoke(ctx, tok.ID, start()) }))
	_, err = h.Service.Token(h.ctx, start().Add(cacheFor-1), bearer)
	must(t, err)
	for _, at := range []time.Duration{cacheFor, -time.Second} {
		_, err = h.Service.Token(h.ctx, start().Add(at), bearer)
		wantKind(t, err, fault.Unauthenticated)
	}
	tok, bearer = h.token(t, Local(), Everywhere(Viewer))
	_, err = h.Service.Token(h.ctx, start(), bearer)
	must(t, err)
	must(t, h.RevokeToken(h.ctx, ident.MSP, start(), Local(), tok.ID, "leaked"))
	_, err = h.Service.Token(h.ctx, start(), bearer)
	wantKind(t, err, fault.Unauthenticated)
	n := len(h.told())
	must(t, h.RevokeToken(h.ctx, ident.MSP, start(), Local(), tok.ID, "leaked"))
	if len(h.told()) != n {
		t.Error("revoking twice is recorded twice")
	}
}

func TestATokenEndsAtItsTimeEvenWhenCached(t *testing.T) {
	h := newHouse(t)
	tok, bearer := h.token(t, Local(), Everywhere(Viewer))
	for _, c := range []struct {
		at time.Time
		ok bool
	}{{tok.ExpiresAt.Add(-time.Millisecond), true}, {tok.ExpiresAt, false}, {tok.ExpiresAt.Add(time.Hour), false}} {
		if _, err := h.Service.Token(h.ctx, c.at, bearer); (err == nil) != c.ok {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
}

func TestLastUseIsKeptToTheMinute(t *testing.T) {
	h := newHouse(t)
	tok, bearer := h.token(t, Local(), Everywhere(Viewer))
	used := func() time.Time { return h.read().tokens[tok.ID].LastUsedAt }
	for _, c := range []struct{ at, want time.Duration }{{30 * time.Second, 0}, {45 * time.Second, 0}, {90 * time.Second, time.Minute}} {
		_, err := h.Service.Token(h.ctx, start().Add(c.at), bearer)
		must(t, err)
		if !used().Equal(start().Add(c.want)) {
			t.Errorf("after %s: %s", c.at, used())
		}
	}
	h.readOnly = true
	_, err := h.Service.Token(h.ctx, start().Add(time.Hour), bearer)
	must(t, err)
}

func TestTheCacheStaysSmall(t *testing.T) {
	c := newTokenCache()
	for i := range 3 * cacheSize {
		c.put(Digest{byte(i), byte(i >> 8)}, Principal{}, start(), start().Add(time.Hour))
	}
	if len(c.entries) > cacheSize {
		t.Errorf("%d entries", len(c.entries))
	}
}

func TestWhoSeesAndRevokesWhichTokens(t *testing.T) {
	h := newHouse(t)
	boss := h.as(t, h.person(t, ident.MSP, "boss@msp.example", Everywhere(Owner)))
	jane := h.as(t, h.person(t, ident.MSP, "jane@msp.example", Everywhere(Technician)))
	kim := h.as(t, h.person(t, "acme", "kim@acme.example", InTenant(Owner, "acme")))
	lee := h.as(t, h.person(t, "acme", "lee@acme.example", InTenant(Technician, "acme")))
	made := map[string]Token{}
	for name, c := range map[string]struct {
		by Principal
		g  Grants
	}{"boss": {boss, Everywhere(Viewer)}, "jane": {jane, Everywhere(Viewer)}, "kim": {kim, InTenant(Viewer, "acme")}, "lee": {lee, InTenant(Viewer, "acme")}} {
		made[name], _ = h.token(t, c.by, c.g)
	}
	bearer := Principal{Actor: ident.Actor{Kind: ident.Token, ID: "x", Tenant: ident.MSP}, Grants: Everywhere(Technician)}
	for name, c := range map[string]struct {
		by   Principal
		sees string
	}{"boss": {boss, "boss jane kim lee"}, "jane": {jane, "jane"}, "kim": {kim, "kim lee"}, "lee": {lee, "lee"}, "local": {Local(), "boss jane kim lee"}, "a token": {bearer, ""}} {
		list, err := h.ListTokens(h.ctx, c.by)
		must(t, err)
		seen := map[ident.TokenID]bool{}
		for _, tok := range list {
			seen[tok.ID] = true
		}
		for owner, tok := range made {
			if want := slices.Contains(strings.Fields(c.sees), owner); seen[tok.ID] != want {
				t.Errorf("%s sees %s's token: %v", name, owner, !want)
			} else if !want {
				wantKind(t, h.RevokeToken(h.ctx, tok.Tenant, start(), c.by, tok.ID, ""), fault.NotFound)
			}
		}
	}
	must(t, h.RevokeToken(h.ctx, "acme", start(), kim, made["lee"].ID, ""))
	must(t, h.RevokeToken(h.ctx, ident.MSP, start(), jane, made["jane"].ID, ""))
	wantKind(t, h.RevokeToken(h.ctx, "acme", start(), boss, made["boss"].ID, ""), fault.NotFound)
}

func TestALiveTokenNeverExceedsItsMakersLiveRights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHouse(t)
		maker := Person{ID: "m", Tenant: ident.MSP, State: rapid.SampledFrom([]State{Active, Disabled, Invited}).Draw(t, "state"), Grants: genGrants(ident.MSP).Draw(t, "maker")}
		secret, digest := newSecret(tokenPrefix)
		tok := Token{ID: "t", Tenant: ident.MSP, Maker: "m", Hash: digest, Grants: genGrants(ident.MSP).Draw(t, "token"), ExpiresAt: start().Add(time.Hour)}
		h.tables.people["m"], h.tables.tokens["t"] = maker, tok
		who, err := h.Service.Token(h.ctx, start(), secret.Reveal())
		if (err == nil) != (maker.State == Active) || err == nil && (!who.Grants.Within(maker.Grants) || !who.Grants.Within(tok.Grants)) {
			t.Fatalf("maker %s %s, token %s: %s, %v", maker.State, maker.Grants.text(), tok.Grants.text(), who.Grants.text(), err)
		}
	})
}
