package apply_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// contract is the example of the documents that this version knows.
const contract = `# customers
kind: Tenant
slug: acme
name: Acme Dentists
time_zone: Europe/Paris
mode: live                     # observe (default) | live
changed_per_hour: "max(25, 50%)"
---
kind: Site
tenant: acme
slug: north
time_zone: Europe/London
---
kind: PatchPolicy
tenant: acme                   # or "*"
name: workstations
targets: {class: [workstation, laptop], tags: [], exclude_tags: [fragile]}
sources: [chocolatey, homebrew, apt]
approvals:
  - {match: {package: "jre8"}, action: deny, reason: "the X-ray viewer needs Java 8"}
  - {match: {kind: security}, action: approve}
  - {match: {source: chocolatey}, action: wait, for: 3d}
windows:
  - {cron: "0 22 * * 1-5", duration: 4h, time_zone: device, blackout: ["2026-12-24/2027-01-02"]}
  - {weekday: "second tuesday", offset_days: 3, at: "22:00", duration: 4h, time_zone: Europe/Paris}
rings:
  - {name: pilots, share: 5%, soak: 24h}
  - {name: everyone, share: 100%}
limits: {in_flight: 20%, failures: "max(2, 10%)"}
jitter: 10m
reboot: {when: never}
catch_up: never
lock: [windows, reboot]
---
kind: PatchPolicy
tenant: "*"
name: servers
state: off
---
`

func TestDecodesTheContractsDocuments(t *testing.T) {
	for name, text := range map[string]string{"unix": contract, "windows": strings.ReplaceAll(contract, "\n", "\r\n")} {
		docs, err := apply.Decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(docs) != 4 || docs[0].Customer.Changed != "max(25, 50%)" || docs[1].Place.TimeZone != "Europe/London" || docs[1].Place.Name != "north" || docs[2].Line != 14 {
			t.Fatalf("%s: %+v", name, docs)
		}
		p := docs[2].Policy
		if got := string(p.Fields["rings"]); got != `[{"name":"pilots","share":"5%","soak":"24h"},{"name":"everyone","share":"100%"}]` {
			t.Errorf("%s: %s", name, got)
		}
		if len(p.Fields) != 9 || len(p.Lock) != 2 || p.Lock[0] != "reboot" || docs[3].State != apply.Off || !docs[3].Policy.Off || docs[3].Tenant != ident.MSP {
			t.Errorf("%s: %+v, %+v", name, p, docs[3])
		}
		want := []apply.Need{{Action: auth.TenantManage, Tenant: "acme"}, {Action: auth.SiteManage, Tenant: "acme"}, {Action: auth.PolicyApply, Tenant: "acme"}, {Action: auth.PolicyApply, Tenant: ident.MSP}}
		if got := apply.Needs(docs); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: needs %v", name, got)
		}
	}
}

func TestWrongDocumentsNameTheirLine(t *testing.T) {
	deep := strings.Repeat("{a: ", 40) + "1" + strings.Repeat("}", 40)
	for _, c := range []struct {
		text, field, says string
		kind              fault.Kind
	}{
		{"kind: Tenant\nslug: acme\nname: A\ntime_zone: UTC\ncolour: red", "line 5, column 1", "no such key", fault.Invalid},
		{"kind: Tenant\nslug: acme\ntime_zone: Mars/Dome", "line 3, column 1", "time_zone", fault.Invalid},
		{"kind: Tenant\nslug: acme", "line 1, column 1", "time zone", fault.Invalid},
		{"kind: Tenant\ntime_zone: UTC", "line 1, column 1", "slug", fault.Invalid},
		{"kind: Tenant\nslug: Acme Dentists\ntime_zone: UTC", "line 2, column 1", "slug", fault.Invalid},
		{"kind: Tenant\nslug: \"*\"\ntime_zone: UTC", "line 2, column 1", "slug", fault.Invalid},
		{"kind: Tenant\nslug: acme\ntime_zone: UTC\nmode: pilot", "line 4, column 1", "not in this version", fault.NotYet},
		{"kind: Tenant\nslug: acme\ntime_zone: UTC\nmode: on", "line 4, column 1", "mode", fault.Invalid},
		{"kind: Tenant\nslug: acme\ntime_zone: UTC\nchanged_per_hour: many", "line 4, column 1", "allowance", fault.Invalid},
		{"kind: Tenant\nslug: 7\ntime_zone: UTC", "line 2, column 1", "must be a text", fault.Invalid},
		{"kind: Site\nslug: x", "line 1, column 1", "tenant: is missing", fault.Invalid},
		{"kind: Site\nslug: x\ntenant: \"*\"", "line 3, column 1", "one customer", fault.Invalid},
		{"kind: Site\ntenant: acme\nslug: ../x", "line 3, column 1", "slug", fault.Invalid},
		{"kind: PatchPolicy\nname: x", "line 1, column 1", "tenant: is missing", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme", "line 1, column 1", "name: is missing", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nstate: gone", "line 4, column 1", "state", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nsite: A B", "line 4, column 1", "site", fault.Invalid},
		{"kind: PatchPolicy\ntenant: \"*\"\nname: x\nsite: main", "line 4, column 1", "no site", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nlock: windows", "line 4, column 1", "list of fields", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nlock: [colour]", "line 4, column 1", "no field", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nwindows:\n- {cron: \"0 22 * * *\", duration: 4h}\n- {cron: \"61 22 * * *\", duration: 4h}", "line 6", "cron", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\napprovals:\n- match: {kind: security}\n  action: approve\n- match:\n    kind: nice\n  action: deny", "line 8, column 5", "no kind", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nrings: [{name: a, share: 50%}]", "line 4, column 1", "last ring", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nlimits:\n  in_flight: 0%", "line 5, column 3", "never start", fault.Invalid},
		{"kind: PatchPolicy\ntenant: acme\nname: x\nreboot: {when: if-required}", "line 4", "not in this version", fault.NotYet},
		{"kind: PatchPolicy\ntenant: acme\nname: x\ngate: {unjudged: pass}", "line 4", "not in this version", fault.NotYet},
		{"kind: PatchPolicy\ntenant: acme\nname: x\n---\nkind: AlertRule\ntenant: acme", "line 5, column 1", "AlertRule", fault.NotYet},
		{"kind: Channel\nsecret: x", "line 1, column 1", "Channel", fault.NotYet},
		{"kind: Nonsense", "line 1, column 1", "no such kind", fault.Invalid},
		{"name: x", "line 1, column 1", "kind: is missing", fault.Invalid},
		{"kind: Tenant\nslug: a\nslug: b", "line 3, column 1", "twice", fault.Invalid},
		{"kind: Tenant\nslug: &x a", "line 2", "anchors", fault.Invalid},
		{"kind: Tenant\nslug: *x", "line 2", "anchors", fault.Invalid},
		{"kind: Tenant\nslug: !!str a", "line 2", "tags", fault.Invalid},
		{"kind: Tenant\n<<: {a: b}", "line 2", "merge", fault.Invalid},
		{"? kind\n: Tenant", "line 1", "?", fault.Invalid},
		{"- kind: Tenant", "line 1", "mapping", fault.Invalid},
		{"just text", "line 1", "mapping", fault.Invalid},
		{"kind: Tenant\n1: x", "line 2, column 1", "key must be a text", fault.Invalid},
		{"kind: Tenant\nslug: .inf", "line 2", "", fault.Invalid},
		{"kind: " + deep, "line 1", "levels", fault.Invalid},
		{strings.Repeat("- ", 100) + "x", "line 1", "levels", fault.Invalid},
		{"kind: Tenant\nslug: \x01", "line 2", "UTF-8", fault.Invalid},
		{"kind: \xff", "line 1", "UTF-8", fault.Invalid},
		{"", "body", "no document", fault.Invalid},
		{"---\n---\n# nothing\n", "body", "no document", fault.Invalid},
		{"kind: [", "line 1", "", fault.Invalid},
		{"kind: \"x", "line 1", "", fault.Invalid},
		{strings.Repeat("#", apply.MaxBytes+1), "body", "larger", fault.Invalid},
		{strings.Repeat("kind: Tenant\nslug: a\ntime_zone: UTC\n---\n", 2), "line 5, column 1", "twice", fault.Invalid},
	} {
		_, err := apply.Decode([]byte(c.text))
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Errorf("%.60q was taken: %v", c.text, err)
			continue
		}
		if f.Kind != c.kind || !strings.HasPrefix(f.Field, c.field) || !strings.Contains(f.Message, c.says) {
			t.Errorf("%.60q: kind %d, %s: %s", c.text, f.Kind, f.Field, f.Message)
		}
	}
}

// TestHostileTextsAreCheapToRefuse holds that no text within the limit takes
// long or much: nesting, repeats and many documents.
func TestHostileTextsAreCheapToRefuse(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, (apply.MaxBytes-100)/len(unit)) }
	for name, text := range map[string]string{
		"lists": fill("["), "mappings": fill("{a: "), "dashes": fill("- "), "marks": fill("? "), "quotes": "a: \"" + fill("\\\""), "one word": "a: " + fill("x"),
		"keys": func() string {
			var b strings.Builder
			for i := 0; b.Len() < apply.MaxBytes-100; i++ {
				fmt.Fprintf(&b, "k%d: v\n", i)
			}
			return b.String()
		}(),
		"documents": fill("kind: x\n---\n"), "steps": func() string {
			var b strings.Builder
			for i := 0; b.Len() < apply.MaxBytes/2; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "comments": fill("# x\n"), "block": "a: |\n" + fill("  x\n"), "spaces": "a:" + fill(" "), "lines": "a:" + fill("\n"),
	} {
		began := time.Now()
		if _, err := apply.Decode([]byte(text)); err == nil {
			t.Errorf("%s were taken", name)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s took %v", name, took)
		} else {
			t.Logf("%s: %v", name, took)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(contract))
	for _, seed := range []string{"kind: Tenant\nslug: a\ntime_zone: UTC", "kind: Site\ntenant: a\nslug: b", "a: [1, {b: c}]", "kind: PatchPolicy\ntenant: a\nname: |\n  x\nrings: []", "? a", "&a *a", "%YAML 1.2\n---\na: b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, err := apply.Decode(text)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.Kind != fault.Invalid && e.Kind != fault.NotYet || e.Field == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(apply.Needs(docs)) != len(docs) {
			t.Fatal("a document needs nothing")
		}
		for _, d := range docs {
			if d.Name == "" || d.Tenant == "" || d.Line < 1 || (d.Customer == nil) == (d.Kind == apply.Tenant) {
				t.Fatalf("%q: %+v", text, d)
			}
		}
	})
}
