package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A list is printed whole, over all its pages, with the API's own rows.
func TestHugeLists(t *testing.T) {
	f := newFake(t)
	const n = 12_345
	f.pages("/devices", n)
	var rows []struct{ ID, Hostname string }
	out := f.must(t, "devices", "list", "-o", "json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != n || rows[n-1].Hostname != "host-12344" {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if !strings.Contains(out, `"extra":1.50`) {
		t.Error("rows are not kept as they are")
	}
	if got := strings.Count(f.must(t, "devices", "list"), "\n"); got != n+1 {
		t.Errorf("a table of %d lines", got)
	}
	for limit, want := range map[string]int{"1": 1, "500": 500, "501": 501, "99999": n} {
		if err := json.Unmarshal([]byte(f.must(t, "devices", "list", "-o", "json", "--limit", limit)), &rows); err != nil || len(rows) != want {
			t.Errorf("--limit %s: %d rows, %v", limit, len(rows), err)
		}
	}
}

func TestEmptyAndCount(t *testing.T) {
	f := newFake(t)
	f.answers["GET /devices"] = items()
	for args, want := range map[string]string{
		"devices list": "No devices.\n", "devices list -o json": "[]\n", "devices list --count": "7\n", "devices list --count -o json": "{\"count\": 7}\n",
	} {
		if got := f.must(t, strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func TestAListThatDoesNotEnd(t *testing.T) {
	f := newFake(t)
	f.answers["GET /devices"] = `{"items":[{"id":"x"}],"next_cursor":"same"}`
	if _, errs, code := f.run(t, "devices", "list"); code != 1 || !strings.Contains(errs, "does not end") {
		t.Errorf("%d %q", code, errs)
	}
}

// What a server, or something between, may answer.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   int
		want   string
	}{
		"invalid":       {422, `{"title":"Unprocessable Entity","status":422,"detail":"no field is called os2","field":"filter","next_step":"write os:windows"}`, 2, "steward devices list: filter: no field is called os2 (write os:windows)\n"},
		"bad request":   {400, `{"title":"Bad Request","detail":"bad","errors":[{"location":"query.limit","message":"bad"},{"location":"query.x","message":"unknown"}]}`, 2, "steward devices list: bad; query.x unknown\n"},
		"not yet":       {501, `{"title":"Not Implemented","detail":"plan: not in this version"}`, 2, "not in this version\n"},
		"forbidden":     {403, `{"title":"Forbidden","detail":"a viewer may not"}`, 1, "a viewer may not (use a token that may do this)\n"},
		"missing":       {404, `{"title":"Not Found","detail":"there is nothing"}`, 1, "there is nothing\n"},
		"conflict":      {409, `{"title":"Conflict","detail":"it has ended"}`, 1, "it has ended\n"},
		"standby":       {503, `{"title":"Service Unavailable","detail":"standby"}`, 1, "standby (try again in a moment)\n"},
		"inside":        {500, `{"title":"Internal Server Error"}`, 1, "Internal Server Error (the server's log has the cause)\n"},
		"a proxy":       {502, `<html>Bad gateway</html>`, 1, "answers HTTP 502"},
		"another site":  {404, `<html>`, 1, "does not answer as Steward"},
		"hostile":       {409, `{"title":"x","detail":"\u001b[2Jgone\nsteward: fine"}`, 1, "steward devices list: gone steward: fine\n"},
		"a redirect":    {302, ``, 1, "a redirect to"},
		"html, success": {200, `<html>`, 1, "does not answer as Steward"},
		"no list":       {200, `{"a":1}`, 1, "is no list"},
		"rows of text":  {200, `["x"]`, 1, "is no object"},
	} {
		f := newFake(t)
		f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.status == 302 {
				w.Header().Set("Location", "https://elsewhere.example/")
			}
			problemTo(w, c.status, c.body)
		})
		out, errs, code := f.run(t, "devices", "list")
		if code != c.code || !strings.HasSuffix(errs, c.want) && !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: %d %q %q", name, code, out, errs)
		}
	}
}

func TestNoServer(t *testing.T) {
	f := newFake(t)
	f.Close()
	if _, errs, code := f.run(t, "devices", "list"); code != 1 || !strings.Contains(errs, "no answer from 127.0.0.1") || !strings.Contains(errs, "refused") {
		t.Errorf("%d %q", code, errs)
	}
}

func TestUnknownIDs(t *testing.T) {
	f := newFake(t)
	for _, args := range []string{
		"devices show " + nothing1, "devices why " + nothing1, "deployments show " + nothing1, "deployments watch " + nothing1, "jobs cancel " + nothing1 + " --reason x",
		"runs show nonsense", "devices show ../../tenants", "people disable " + nothing1 + " --reason x", "devices show " + job1, "enrollments revoke " + nothing1,
	} {
		if out, errs, code := f.run(t, strings.Fields(args)...); code != 1 || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: %d %q %q", args, code, out, errs)
		}
	}
	if _, errs, _ := f.run(t, "devices", "show", job1); !strings.Contains(errs, "it is a job") {
		t.Errorf("%q", errs)
	}
}

// Text of devices and people cannot act on the terminal, in tables or in JSON.
func TestHostileText(t *testing.T) {
	f := newFake(t)
	evil := `\u001b]0;pwned\u0007\u001b[2Jhost\u202e\u009b31m\r\nfake`
	f.answers["GET /devices"] = items(`{"id":"1","hostname":"` + evil + `","state":"act\u001b[2Jive","tenant":"a\u001bcme","os":{"name":"\u0007"},"last_seen":"\u001b[1m"}`)
	for _, args := range [][]string{{"devices", "list"}, {"devices", "list", "-o", "json"}} {
		out := f.terminal(t, 150, false, args...)
		for l := range strings.Lines(out) {
			if dangerous(strings.TrimRight(l, "\n")) {
				t.Errorf("%v: %q", args, l)
			}
		}
	}
	if out := f.must(t, "devices", "list"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "host fake") {
		t.Errorf("%q", out)
	}
}

func TestWrongYAMLNamesFileAndLine(t *testing.T) {
	f := newFake(t)
	f.answers["POST /apply"] = `{"title":"Unprocessable Entity","detail":"no key is called windos","field":"line 7, column 1","next_step":"windows?"}`
	f.status["POST /apply"] = 422
	file := documents(t, "kind: PatchPolicy\n")
	_, errs, code := f.run(t, "apply", "-f", file)
	if want := "steward apply: " + file + ", line 7, column 1: no key is called windos (windows?)\n"; code != 2 || errs != want {
		t.Errorf("%d %q, want %q", code, errs, want)
	}
}

func TestAuditVerifyOfABadRecord(t *testing.T) {
	f := newFake(t)
	bad := `{"tenant":"zen","good":false,"sealed":16,"unsealed":0,"pruned":0,"first_bad":17,"problem":"the entry was changed"}`
	f.answers["GET /tenants/zen/audit/verify"], f.answers["GET /audit/verify"] = bad, items(f.answers["GET /tenants/acme/audit/verify"], bad)
	for _, args := range []string{"audit verify", "audit verify --tenant zen", "audit verify -o json"} {
		out, errs, code := f.run(t, strings.Fields(args)...)
		if code != 1 || !strings.Contains(errs, "17") || !strings.Contains(out, "17") {
			t.Errorf("%s: %d %q %q", args, code, out, errs)
		}
	}
}

// A list that breaks off is a failure, and its JSON is not taken for whole.
func TestAListThatBreaksOff(t *testing.T) {
	f := newFake(t)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			problemTo(w, 503, `{"title":"Service Unavailable","detail":"standby"}`)
			return
		}
		_, _ = w.Write([]byte(`{"items":[{"id":"1"}],"next_cursor":"2"}`))
	})
	out, errs, code := f.run(t, "devices", "list", "-o", "json")
	if code != 1 || !strings.Contains(errs, "standby") || json.Valid([]byte(out)) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// What the answers of tests elsewhere do not show.
func TestWordsOfUpdatesAndOtherCorners(t *testing.T) {
	f := newFake(t)
	f.answers["GET /updates"] = items(`{"state":"verified","word":"done"}`, `{"state":"scheduled","word":"tonight"}`, `{"state":"reboot_pending","word":"restart_needed"}`,
		`{"state":"approved","word":"waiting"}`, `{"state":"denied","word":""}`)
	out := f.must(t, "updates", "list")
	for _, want := range []string{"done", "tonight", "restart needed", "waiting", "denied"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	f.answers["GET /tenants/acme/audit/head"] = `{"tenant":"acme","head":"","at":null}`
	if _, errs, code := f.run(t, "audit", "head", "--tenant", "acme"); code != 1 || !strings.Contains(errs, "no head of acme") {
		t.Errorf("%d %q", code, errs)
	}
	f.answers["POST /people"] = `{"link":"swl_x"}`
	if got, want := f.must(t, "people", "invite", "a@b.example"), f.URL+"/link/swl_x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	delete(f.answers, "GET /tenants/acme/jobs/"+job1+"/log")
	if out := f.must(t, "jobs", "show", job1); strings.Contains(out, "LOG") {
		t.Errorf("a log that is not there:\n%s", out)
	}
	f.answers["GET /tenants/acme/devices/"+device1+"/why"] = items()
	if out := f.must(t, "devices", "why", device1); !strings.HasPrefix(out, "Nothing to do") {
		t.Error(out)
	}
	f.answers["GET /plan"] = items()
	if out := f.must(t, "plan"); out != "No window opens in the next 30 days.\n" {
		t.Error(out)
	}
}

func TestApplyFromStdin(t *testing.T) {
	f := newFake(t)
	var out, errs bytes.Buffer
	env := world(f.URL, &out, &errs, nil)
	env.Stdin = strings.NewReader("kind: Tenant\n")
	if code := Run(t.Context(), []string{"apply", "-f", "-"}, env, nil); code != 0 || !strings.HasSuffix(out.String(), "1 created, 1 unchanged.\n") {
		t.Errorf("%d %q %q", code, out.String(), errs.String())
	}
	if a := f.seen[len(f.seen)-1]; a.body != "kind: Tenant\n" || a.kind != "application/yaml" || a.query != "dry_run=false" {
		t.Errorf("%+v", a)
	}
}
