package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func doc(tenant ident.TenantID, site ident.SiteID, name string, fields map[string]string, lock ...string) policy.Document {
	d := policy.Document{Tenant: tenant, Site: site, Name: name, Lock: lock, Fields: map[string]json.RawMessage{}}
	for k, v := range fields {
		d.Fields[k] = json.RawMessage(v)
	}
	return d
}

func TestCheckRefusesByField(t *testing.T) {
	cases := map[string]struct{ field, value, wantField string }{
		"unknown field":           {"windowz", `[]`, "windowz"},
		"unknown key in a match":  {"approvals", `[{"match":{"packge":"x"},"action":"approve"}]`, "approvals"},
		"unknown action":          {"approvals", `[{"match":{},"action":"aprove"}]`, "approvals[0].action"},
		"wait without a duration": {"approvals", `[{"match":{},"action":"wait"}]`, "approvals[0].for"},
		"approve with a duration": {"approvals", `[{"match":{},"action":"approve","for":"3d"}]`, "approvals[0].for"},
		"broken glob":             {"approvals", `[{"match":{"package":"[x"},"action":"approve"}]`, "approvals[0].match.package"},
		"unknown source":          {"sources", `["pacman"]`, "sources"},
		"no source":               {"sources", `[]`, "sources"},
		"falling shares":          {"rings", `[{"name":"a","share":"50%"},{"name":"b","share":"20%"}]`, "rings[1].share"},
		"last ring under 100 %":   {"rings", `[{"name":"a","share":"50%"}]`, "rings"},
		"ring named twice":        {"rings", `[{"name":"a","share":"5%"},{"name":"a","share":"100%"}]`, "rings[1].name"},
		"ring with both":          {"rings", `[{"name":"a","share":"100%","tags":["x"]}]`, "rings[0]"},
		"nothing in flight":       {"limits", `{"in_flight":"0%"}`, "limits.in_flight"},
		"a percentage of 101":     {"limits", `{"in_flight":"101%"}`, "limits"},
		"wrong zone":              {"windows", `[{"cron":"0 22 * * *","duration":"4h","time_zone":"Europe/Pariss"}]`, "windows[0].time_zone"},
		"never fires":             {"windows", `[{"cron":"0 0 30 2 *","duration":"4h"}]`, "windows[0].cron"},
		"every":                   {"windows", `[{"cron":"@every 1h","duration":"4h"}]`, "windows[0].cron"},
		"reboot not built":        {"reboot", `{"when":"if-required"}`, ""},
		"gate not built":          {"gate", `{}`, ""},
		"alone":                   {"alone", `"always"`, "alone"},
	}
	for name, c := range cases {
		err := policy.Check(doc("acme", "", "p", map[string]string{c.field: c.value}))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if c.wantField == "" {
			if !fault.Is(err, fault.NotYet) {
				t.Errorf("%s: %v, want not in this version", name, err)
			}
			continue
		}
		if f := err.(*fault.Error); f.Kind != fault.Invalid || f.Field != c.wantField {
			t.Errorf("%s: field %q, kind %d (%v), want field %q", name, f.Field, f.Kind, err, c.wantField)
		}
	}
	if err := policy.Check(doc(ident.MSP, "", "p", nil, "nosuch")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a lock on no field: %v", err)
	}
}

func TestLowerLevelHoldsOnlyDifferences(t *testing.T) {
	docs := []policy.Document{
		doc(ident.MSP, "", "base", map[string]string{"limits": `{"in_flight":"10%","failures":"3"}`, "sources": `["apt"]`, "alone": `"never"`}, "sources"),
		doc("acme", "", "base", map[string]string{"limits": `{"failures":"max(2, 5%)"}`, "sources": `["homebrew"]`}),
		doc("acme", "lyon", "base", map[string]string{"alone": `"last-ring"`}),
		doc("other", "", "base", map[string]string{"alone": `"last-ring"`}),
	}
	got, err := policy.Resolve("acme", "lyon", docs)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	e := got[0]
	if e.Patch.Limits != (policy.Limits{InFlight: 10, Failures: policy.Allowance{Count: 2, Share: 5}}) {
		t.Errorf("limits %+v", e.Patch.Limits)
	}
	if len(e.Patch.Sources) != 1 || e.Patch.Sources[0] != "apt" {
		t.Errorf("a locked field was changed below: %v", e.Patch.Sources)
	}
	if e.Patch.Alone != policy.AloneLastRing || e.Origins["alone"] != (policy.Level{Tenant: "acme", Site: "lyon"}) {
		t.Errorf("alone %v from %+v", e.Patch.Alone, e.Origins["alone"])
	}
	if o := e.Origins["sources"]; o.Tenant != ident.MSP || !o.Locked {
		t.Errorf("origin of sources %+v", o)
	}
	if elsewhere, _ := policy.Resolve("acme", "main", docs); elsewhere[0].Patch.Alone != policy.AloneNever {
		t.Error("the site's difference leaked to another site")
	}
	docs = append(docs, policy.Document{Tenant: "acme", Site: "main", Name: "base", Off: true})
	if off, _ := policy.Resolve("acme", "main", docs); len(off) != 0 {
		t.Error("switched off, and still there")
	}
}

func TestTheStrongerClaimWins(t *testing.T) {
	laptop := fleet.Device{Tenant: "acme", Site: "main", Class: fleet.Laptop, Tags: []string{"pilot"}}
	msp := doc(ident.MSP, "", "a-msp", map[string]string{"targets": `{"tags":["pilot"]}`})
	wide := doc("acme", "", "wide", nil)
	class := doc("acme", "", "class", map[string]string{"targets": `{"class":["laptop"]}`})
	tag := doc("acme", "", "tag", map[string]string{"targets": `{"tags":["pilot"]}`})
	tag2 := doc("acme", "", "tag2", map[string]string{"targets": `{"tags":["pilot"]}`})
	for _, c := range []struct {
		docs []policy.Document
		want string
		ties int
	}{
		{[]policy.Document{msp, wide}, "wide", 0},
		{[]policy.Document{wide, class}, "class", 0},
		{[]policy.Document{wide, class, tag}, "tag", 0},
		{[]policy.Document{tag, tag2, class}, "tag", 2},
		{[]policy.Document{msp}, "a-msp", 0},
	} {
		eff, err := policy.Resolve("acme", "main", c.docs)
		if err != nil {
			t.Fatal(err)
		}
		got, ties := policy.For(eff, laptop, "apt")
		if got == nil || got.Name != c.want || len(ties) != c.ties {
			t.Errorf("%d documents: got %v, ties %v, want %s", len(c.docs), got, ties, c.want)
		}
	}
	excluded := doc("acme", "", "x", map[string]string{"targets": `{"exclude_tags":["pilot"]}`})
	eff, _ := policy.Resolve("acme", "main", []policy.Document{excluded})
	if got, _ := policy.For(eff, laptop, "apt"); got != nil {
		t.Error("an excluded tag is covered")
	}
}

func release(kind inventory.Kind, seen time.Time) inventory.Release {
	return inventory.Release{Source: "apt", Package: "openssl", Version: "3.0", Kind: kind, FirstSeen: seen}
}

func TestEvaluateInOrder(t *testing.T) {
	eff, err := policy.Resolve("acme", "main", []policy.Document{doc("acme", "", "p", map[string]string{"approvals": `[
		{"match":{"package":"jre*"},"action":"deny","reason":"the X-ray viewer needs Java 8"},
		{"match":{"kind":"security"},"action":"approve"},
		{"match":{"source":"apt"},"action":"wait","for":"3d"}]`})})
	if err != nil {
		t.Fatal(err)
	}
	p := &eff[0]
	hand := func(a policy.Action, tenant ident.TenantID) policy.Manually {
		return policy.Manually{Tenant: tenant, Action: a, Source: "apt", Package: "open*", Days: 10, Reason: "r", By: ident.Actor{Name: "Priya"}}
	}
	excepted := hand(policy.Deny, ident.MSP)
	excepted.Except = []ident.TenantID{"acme"}
	expired := hand(policy.Deny, "acme")
	expired.Expires = now
	cases := []struct {
		name string
		rel  inventory.Release
		eff  *policy.Effective
		hand []policy.Manually
		want policy.Action
		code reason.Code
	}{
		{"no rule", release(inventory.Unknown, now), nil, nil, policy.Manual, reason.NoPolicy},
		{"waits", release(inventory.AppPatch, now.Add(-48*time.Hour)), p, nil, policy.Wait, reason.WaitingUntil},
		{"waited", release(inventory.AppPatch, now.Add(-72*time.Hour)), p, nil, policy.Approve, reason.ApprovedByRule},
		{"exploited is security", release(inventory.SecurityExploited, now), p, nil, policy.Approve, reason.ApprovedByRule},
		{"denied by hand beats all", release(inventory.Security, now), p, []policy.Manually{hand(policy.Approve, "acme"), hand(policy.Deny, ident.MSP)}, policy.Deny, reason.DeniedByHand},
		{"approved by hand beats rules", release(inventory.AppPatch, now), p, []policy.Manually{hand(policy.Approve, "acme")}, policy.Approve, reason.ApprovedByHand},
		{"another tenant's", release(inventory.Security, now), p, []policy.Manually{hand(policy.Deny, "other")}, policy.Approve, reason.ApprovedByRule},
		{"excepted", release(inventory.Security, now), p, []policy.Manually{excepted}, policy.Approve, reason.ApprovedByRule},
		{"expired", release(inventory.Security, now), p, []policy.Manually{expired}, policy.Approve, reason.ApprovedByRule},
		{"wait by hand", release(inventory.Security, now), p, []policy.Manually{hand(policy.Wait, "acme")}, policy.Wait, reason.WaitingUntil},
		{"denied by rule", inventory.Release{Source: "apt", Package: "jre8", Kind: inventory.Security}, p, nil, policy.Deny, reason.DeniedByRule},
	}
	for _, c := range cases {
		got, why := policy.Evaluate(now, c.rel, c.eff, c.hand, "acme")
		if got.Action != c.want || why.Code != c.code {
			t.Errorf("%s: %s (%s), want %s (%s)", c.name, got.Action, why.Code, c.want, c.code)
		}
	}
}

// A release denied by hand is never approved by whatever else is said.
func TestDeniedByHandIsNeverApproved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		actions := rapid.SliceOfN(rapid.SampledFrom([]policy.Action{policy.Approve, policy.Wait}), 0, 5).Draw(t, "others")
		hand := []policy.Manually{{Tenant: "acme", Action: policy.Deny, Source: "apt", Package: "*"}}
		for _, a := range actions {
			hand = append(hand, policy.Manually{Tenant: "acme", Action: a, Source: "apt", Package: "*", Days: 1})
		}
		shuffled := rapid.Permutation(hand).Draw(t, "order")
		if got, _ := policy.Evaluate(now, release(inventory.Security, now), nil, shuffled, "acme"); got.Action != policy.Deny {
			t.Fatalf("%s", got.Action)
		}
	})
}

func TestQuantitiesSurvive(t *testing.T) {
	for _, s := range []string{"0s", "30s", "10m", "24h", "3d"} {
		if _, err := policy.ParseDuration(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, of10 := range map[string]int{"2": 2, "10%": 1, "max(2, 10%)": 2, "max(0,50%)": 5} {
		a, err := policy.ParseAllowance(s)
		if err != nil || a.Of(10) != of10 {
			t.Errorf("%s of 10 is %d, %v", s, a.Of(10), err)
		}
		if b, err := policy.ParseAllowance(a.String()); err != nil || b != a {
			t.Errorf("%s became %s", s, a)
		}
	}
}

func FuzzQuantities(f *testing.F) {
	for _, s := range []string{"3d", "10%", "max(2, 10%)", "-1", "1e9%", "99999999d", "NaN%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := policy.ParseDuration(s); err == nil {
			if again, err := policy.ParseDuration(d.String()); err != nil || again != d {
				t.Fatalf("duration %q became %q", s, d)
			}
		}
		if p, err := policy.ParsePercent(s); err == nil && (p < 0 || p > 100) {
			t.Fatalf("share %q is %v", s, p)
		}
		if a, err := policy.ParseAllowance(s); err == nil && a.Of(1000) < 0 {
			t.Fatalf("allowance %q", s)
		}
	})
}

// Whatever a document says, Check ends in a fault or the document resolves.
func FuzzCheck(f *testing.F) {
	f.Add("rings", `[{"name":"a","share":"100%"}]`)
	f.Add("windows", `[{"weekday":"second tuesday","at":"22:00","duration":"4h"}]`)
	f.Add("approvals", `[{"match":{},"action":"approve"}]`)
	f.Add("limits", `{"failures":3}`)
	f.Fuzz(func(t *testing.T, field, value string) {
		d := doc("acme", "", "p", map[string]string{field: value})
		err := policy.Check(d)
		if err == nil {
			_, err = policy.Resolve("acme", "main", []policy.Document{d})
			if err != nil {
				t.Fatalf("checked, but does not resolve: %v", err)
			}
			return
		}
		if fault.KindOf(err) == fault.Internal || strings.Contains(err.Error(), "Go struct") {
			t.Fatalf("unclear error for %s: %v", field, err)
		}
	})
}
