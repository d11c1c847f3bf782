package console

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

func TestNumbersAndTimesInWords(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 10114: "10,114", 1234567: "1,234,567", -4812: "−4,812"} {
		if got := num(n); got != want {
			t.Errorf("num(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", 42 * time.Second: "42 s", 160 * time.Second: "2 min 40 s", 25 * time.Minute: "25 min", 200 * time.Minute: "3 h 20 min", 25 * time.Hour: "25 h", 9 * 24 * time.Hour: "9 d"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 12, 21, 47, 0, 0, time.UTC)
	s := stamps{now, berlin}
	for _, c := range []struct{ got, want string }{
		{string(s.Ago(now.Add(-12 * time.Minute))), `<time datetime="2026-11-12T21:35:00Z" title="Thu 12 Nov, 22:35 CET">12 min</time>`},
		{string(s.Since(now.Add(-3 * time.Hour))), `<time datetime="2026-11-12T18:47:00Z" title="Thu 12 Nov, 19:47 CET">3 h ago</time>`},
		{string(s.In(now.Add(25 * time.Hour))), `<time datetime="2026-11-13T22:47:00Z" title="Fri 13 Nov, 23:47 CET">in 25 h</time>`},
		{string(s.Full(time.Date(2027, 1, 2, 3, 4, 0, 0, time.UTC))), `<time datetime="2027-01-02T03:04:00Z" title="Sat 2 Jan 2027, 04:04 CET">Sat 2 Jan 2027, 04:04 CET</time>`},
		{string(s.Ago(time.Time{})), `<span class="dim">never</span>`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestOnlyKnownGoodStatesAreGreen(t *testing.T) {
	if m := deviceMark("new_state"); m.Tone != "unknown" || m.Word != "new state" {
		t.Errorf("a state that this page does not know: %+v", m)
	}
	green := 0
	for _, m := range []mark{updateMark(patch.Unknown), updateMark(patch.Available), stateWord(patch.Unknown), stateWord(patch.Available), deviceMark(fleet.Stale), deviceMark(fleet.Pending), deploymentMark(deployment.Halted), resultMark(""), onlineMark(false)} {
		if m.Icon == "" || m.Word == "" {
			t.Errorf("a mark without icon or word: %+v", m)
		}
		if m.Tone == "good" {
			green++
		}
	}
	if green > 0 {
		t.Errorf("%d states that are not good are green", green)
	}
	if s := shareOf(view.Share{}); s.Known || s.Text != "–" {
		t.Errorf("a share of nothing: %+v, want no number", s)
	}
	if s := shareOf(view.Share{Part: 9999, Of: 10000}); s.Text != "99.9" {
		t.Errorf("not all is never 100: %q", s.Text)
	}
}

// TestTheYAMLOfADocumentIsTheDocument: what the page shows can be applied and
// gives the same document again.
func TestTheYAMLOfADocumentIsTheDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		why := rapid.StringMatching(`[ -~äöü“”]{0,40}`).Draw(t, "why")
		name := rapid.SampledFrom([]string{"workstations", "servers-3-nights", "on", "true", "x1"}).Draw(t, "name")
		share := rapid.IntRange(1, 99).Draw(t, "share")
		quoted, err := json.Marshal(strings.TrimSpace(why))
		if err != nil {
			t.Fatal(err)
		}
		d := policy.Document{Tenant: ident.MSP, Name: name, Lock: []string{"limits"}, Fields: map[string]json.RawMessage{
			"targets":   json.RawMessage(`{"class":["laptop"],"exclude_tags":["fragile"]}`),
			"approvals": json.RawMessage(`[{"match":{"package":"jre*"},"action":"deny","reason":` + string(quoted) + `},{"match":{},"action":"wait","for":"3d"}]`),
			"windows":   json.RawMessage(`[{"cron":"0 22 * * 1-5","duration":"4h","time_zone":"device","blackout":["2026-12-24/2027-01-02"]}]`),
			"rings":     json.RawMessage(`[{"name":"pilots","share":"` + policy.Percent(share).String() + `","soak":"24h"},{"name":"everyone","share":"100%"}]`),
			"limits":    json.RawMessage(`{"in_flight":"20%","failures":"max(2, 10%)"}`),
		}}
		if err := policy.Check(d); err != nil {
			t.Fatalf("the drawn document is wrong: %v", err)
		}
		text := policyYAML(d)
		docs, err := apply.Decode([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(docs) != 1 || docs[0].Policy == nil || docs[0].Policy.Name != name || docs[0].Tenant != ident.MSP {
			t.Fatalf("another document came back from\n%s", text)
		}
		for field, raw := range d.Fields {
			var before, after any
			if err := json.Unmarshal(raw, &before); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(docs[0].Policy.Fields[field], &after); err != nil {
				t.Fatalf("%s: %v", field, err)
			}
			b, _ := json.Marshal(before)
			a, _ := json.Marshal(after)
			if string(a) != string(b) {
				t.Errorf("%s: %s became %s", field, b, a)
			}
		}
	})
}

func FuzzOwnPath(f *testing.F) {
	for _, s := range []string{"/", "//evil.example", "/\\evil", "https://evil.example/", "/devices?filter=a", "/%2f/evil", "javascript:alert(1)", "/a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, to string) {
		got := ownPath(to)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, "/\\") || strings.ContainsAny(got, "\r\n\t") {
			t.Errorf("ownPath(%q) = %q leaves the console", to, got)
		}
	})
}

func FuzzFlow(f *testing.F) {
	f.Add(`{"a":[1,true,null,"x: y"]}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, raw string) {
		if out := flow(json.RawMessage(raw)); json.Valid([]byte(raw)) && out == "" {
			t.Errorf("nothing is left of %q", raw)
		}
	})
}

// TestTheFirstBlockerIsTheAnswer: what stands in order comes first, then each
// blocker once in its order, the first of them as what stops here.
func TestTheFirstBlockerIsTheAnswer(t *testing.T) {
	now := time.Date(2026, 11, 12, 21, 47, 0, 0, time.UTC)
	until := reason.Time(now.Add(25 * time.Hour))
	e := deployment.Explained{
		Checks: []deployment.Check{
			{About: "approval", Passed: true, At: now, Reason: reason.New(reason.ApprovedByRule, "rule", "1", "policy", "p")},
			{About: "window", Reason: reason.New(reason.ScheduledFor, "until", until)},
			{About: "ring", Passed: true, Reason: reason.New(reason.RingOpened)},
		},
		Blockers: []deployment.Blocker{{Reason: reason.New(reason.OutsideWindow, "until", until)}, {Reason: reason.New(reason.RebootFirst)}, {Reason: reason.New(reason.RebootFirst)}},
	}
	var got []string
	for _, l := range checkLines(e, stamps{now, time.UTC}) {
		got = append(got, l.Text+"|"+l.End)
	}
	want := []string{"Approved by rule 1 of p.|", "Ring: Opened.|", "Outside its window: opens Fri 13 Nov, 22:47 UTC.|stops here", "A restart is pending from earlier changes.|stops next"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w := whyOf(e, stamps{now, time.UTC}); !strings.HasPrefix(w.Verdict, "Outside its window") || w.Tone == "good" {
		t.Errorf("the verdict is %q (%s), want the first blocker", w.Verdict, w.Tone)
	}
	if w := whyOf(deployment.Explained{}, stamps{now, time.UTC}); w.Tone != "good" {
		t.Errorf("without a blocker: %q (%s)", w.Verdict, w.Tone)
	}
}
