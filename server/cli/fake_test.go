package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	device1     = "019aa000-0000-7000-8000-000000000001"
	deployment1 = "019aa000-0000-7000-8000-000000000002"
	job1        = "019aa000-0000-7000-8000-000000000003"
	run1        = "019aa000-0000-7000-8000-000000000004"
	enrollment1 = "019aa000-0000-7000-8000-000000000005"
	person1     = "019aa000-0000-7000-8000-000000000006"
	nothing1    = "019aa000-0000-7000-8000-000000000009"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// asked is one request that the fake server took.
type asked struct {
	method, path, query, kind, body string
}

func (a asked) String() string {
	return strings.TrimSpace(a.method + " " + strings.TrimSuffix(a.path+"?"+a.query, "?") + " " + a.body)
}

// fake answers as the API does, from a table of paths.
type fake struct {
	*httptest.Server
	answers map[string]string // "GET /tenants": body
	status  map[string]int

	mu   sync.Mutex
	seen []asked
}

func newFake(t *testing.T) *fake {
	f := &fake{answers: map[string]string{}, status: map[string]int{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	kinds := map[string]string{device1: "device", deployment1: "deployment", job1: "job", run1: "run", enrollment1: "enrollment"}
	for id, kind := range kinds {
		f.answers["GET /lookup/"+id] = `{"kind":"` + kind + `","tenant":"acme"}`
	}
	for call, body := range contractAnswers() {
		f.answers[call] = body
	}
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	f.mu.Lock()
	f.seen = append(f.seen, asked{r.Method, path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(body)})
	answer, ok := f.answers[r.Method+" "+path]
	status := f.status[r.Method+" "+path]
	f.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer stw_secret":
		problemTo(w, 401, `{"title":"Unauthorized","status":401,"detail":"a bearer token is needed"}`)
	case !ok:
		problemTo(w, 404, `{"title":"Not Found","status":404,"detail":"there is nothing by this name or id, or it is not yours to see"}`)
	case status >= 400:
		problemTo(w, status, answer)
	case r.URL.Query().Get("count") == "only":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"count":7}`))
	default:
		w.Header().Set("Content-Type", "application/json")
		if status == 0 {
			status = 200
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}
}

func problemTo(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// calls are the requests so far but for look-ups.
func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, a := range f.seen {
		if !strings.HasPrefix(a.path, "/lookup/") {
			out = append(out, a.String())
		}
	}
	return out
}

// world is an Env against an address; env overrides variables.
func world(url string, out, errs io.Writer, env map[string]string) Env {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic(err)
	}
	return Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: errs, Now: func() time.Time { return noon }, Zone: zone, Version: "test",
		Getenv: func(name string) string {
			if v, ok := env[name]; ok {
				return v
			}
			return map[string]string{"STEWARD_URL": url, "STEWARD_TOKEN": "stw_secret"}[name]
		},
	}
}

// run runs one command line, not at a terminal.
func (f *fake) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, world(f.URL, &out, &errs, nil), nil)
	return out.String(), errs.String(), code
}

// must runs one that succeeds and says nothing on stderr.
func (f *fake) must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := f.run(t, args...)
	if code != 0 || errs != "" {
		t.Fatalf("steward %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// terminal runs one at a terminal of the width.
func (f *fake) terminal(t *testing.T, width int, colour bool, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	env := world(f.URL, &out, &errs, nil)
	env.Width, env.Colour = width, colour
	if code := Run(context.Background(), args, env, nil); code != 0 {
		t.Fatalf("steward %s: exit %d\n%s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// pages makes a list of n rows that comes in pages.
func (f *fake) pages(path string, n int) {
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1"+path {
			f.serve(w, r)
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		to, next := min(from+limit, n), ""
		if to < n {
			next = strconv.Itoa(to)
		}
		items := make([]json.RawMessage, 0, limit)
		for i := from; i < to; i++ {
			items = append(items, fmt.Appendf(nil, `{"id":"%d","hostname":"host-%d","extra":1.50}`, i, i))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "next_cursor": next})
	})
}

func items(rows ...string) string {
	return `{"items":[` + strings.Join(rows, ",") + `],"next_cursor":""}`
}

func contractAnswers() map[string]string {
	dev := `{"id":"` + device1 + `","tenant":"acme","site":"main","hostname":"front-desk","class":"workstation","tags":["pilot"],
		"os":{"family":"windows","name":"Windows 11","version":"23H2"},"state":"active","reason":"Sent its full inventory.","online":true,
		"last_seen":"2026-11-21T11:58:00Z","agent_version":"1.2","serial":"S1","time_zone":"Europe/Paris","updates_available":3}`
	update := `{"source":"chocolatey","package":"firefox","installed_version":"127","available_version":"128","kind":"security","state":"failed","word":"needs_you",
		"reason":"Failed: exit 1603.","reason_code":"install_failed","tenant":"acme","device":"` + device1 + `","hostname":"front-desk"}`
	job := `{"id":"` + job1 + `","tenant":"acme","run":"` + run1 + `","device":"` + device1 + `","kind":"install","state":"failed","reason":"Failed: exit 1603.","attempt":2,
		"started_at":"2026-11-20T21:00:00Z","finished_at":"2026-11-20T21:05:00Z","results":[{"source":"chocolatey","package":"firefox","from":"127","to":"127","state":"failed","reason":"Failed.","exit_code":1603}]}`
	dep := `{"id":"` + deployment1 + `","tenant":"acme","policy":"workstations","source":"chocolatey","package":"firefox","version":"128","state":"halted",
		"reason":"Ring pilots: 3 failed, 2 are allowed.","reason_code":"halted_failures","seq":9,
		"rings":[{"name":"pilots","state":"halted","reason":"Its deployment is halted.","devices":10,"verified":4,"failed":3,"running":0,"waiting":3}],"jobs":[` + job + `]}`
	run := `{"id":"` + run1 + `","tenant":"acme","policy":"workstations","site":"main","opens_at":"2026-11-20T21:00:00Z","closes_at":"2026-11-21T01:00:00Z","job_states":{"failed":1,"succeeded":9}`
	ok := `{"ok":true}`
	m := map[string]string{
		"GET /tenants": items(`{"slug":"acme","name":"Acme Dentists","time_zone":"Europe/Paris","mode":"live","devices":12,"online":9}`,
			`{"slug":"zen","name":"Zen","time_zone":"Asia/Tokyo","mode":"observe","devices":0,"online":0}`),
		"POST /tenants":           `{"slug":"newco"}`,
		"PUT /tenants/acme/mode":  ok,
		"GET /sites":              items(`{"tenant":"acme","slug":"main","name":"Main","time_zone":""}`, `{"tenant":"zen","slug":"lab","name":"Lab","time_zone":"America/New_York"}`),
		"GET /tenants/acme/sites": items(`{"tenant":"acme","slug":"main","name":"Main","time_zone":""}`), "POST /tenants/acme/sites": `{"slug":"annex"}`,
		"GET /people": items(`{"id":"`+person1+`","tenant":"*","email":"ann@msp.example","name":"Ann","state":"active","grants":[{"role":"owner","all":true}]}`,
			`{"id":"`+run1+`","tenant":"acme","email":"bob@acme.example","name":"Bob","state":"disabled","grants":[{"role":"viewer","tenants":[{"tenant":"acme","sites":["main"]}]}]}`),
		"POST /tenants/acme/people": `{"id":"` + person1 + `","email":"c@x.example","link":"https://steward.example/link/lnk_abc"}`, "POST /people/" + person1 + "/disable": ok,
		"GET /tokens":                         items(`{"id":"` + person1 + `","tenant":"*","name":"ci","grants":[{"role":"viewer","all":true}],"last_used_at":null}`),
		"POST /tokens/" + person1 + "/revoke": ok,
		"POST /tenants/acme/enrollments":      `{"id":"` + enrollment1 + `","string":"stwe1_THESTRING"}`,
		"GET /enrollments":                    items(`{"id":"` + enrollment1 + `","tenant":"acme","site":"main","class":"","tags":[],"uses":5,"used":2,"expires_at":"2026-11-22T12:00:00Z","created_by":{"name":"Ann"}}`),
		"POST /tenants/acme/enrollments/" + enrollment1 + "/revoke": ok,
		"GET /devices": items(dev), "GET /tenants/acme/devices": items(dev),
		"GET /tenants/acme/devices/" + device1: strings.TrimSuffix(dev, "}") + `,"updates":[` + update + `]}`,
		"GET /tenants/acme/devices/" + device1 + "/why": items(`{"source":"apt","package":"curl","available_version":"8","blockers":[
			{"code":"pinned_on_device","text":"Held on the device itself by apt.","until":null,"next_step":"Take the hold off on the device, or leave it."},
			{"code":"outside_window","text":"Outside its window.","until":"2026-11-24T21:00:00Z","next_step":"nothing to do: it happens Tue 24 Nov"}]}`,
			`{"source":"apt","package":"vim","available_version":"9","blockers":[]}`),
		"GET /tenants/acme/devices/" + device1 + "/samples": items(`{"time":"2026-11-21T11:59:00Z","value":0.25,"attributes":{"mountpoint":"/","device":"sda"}}`),
		"GET /updates": items(update), "GET /tenants/acme/updates": items(update),
		"POST /tenants/acme/decisions": `{"action":"approve"}`, "POST /decisions": `{"action":"deny"}`,
		"POST /apply": `{"changes":[{"kind":"PatchPolicy","tenant":"acme","name":"workstations","action":"create","effects":["12 devices are covered"]},
			{"kind":"Tenant","tenant":"acme","name":"acme","action":"unchanged","effects":[]}]}`,
		"GET /plan": items(`{"tenant":"zen","site":"lab","policy":"servers","opens_at":"2026-11-22T04:00:00Z","closes_at":"2026-11-22T06:00:00Z","devices":3,"expected_minutes":40,"conflicts":["needs 150 min, the window has 120"]}`,
			`{"tenant":"acme","site":"main","policy":"workstations","opens_at":"2026-11-21T21:00:00Z","closes_at":"2026-11-22T01:00:00Z","devices":12,"expected_minutes":25,"conflicts":[]}`),
		"GET /deployments": items(dep), "GET /tenants/acme/deployments/" + deployment1: dep,
		"GET /runs": items(run + "}"), "GET /tenants/acme/runs/" + run1: run + `,"jobs":[` + job + `]}`,
		"GET /jobs": items(job), "GET /tenants/acme/jobs/" + job1: job,
		"GET /tenants/acme/jobs/" + job1 + "/log":     items(`{"time":"2026-11-20T21:01:00Z","attempt":1,"source":"chocolatey","package":"firefox","part":1,"text":"Downloading 1%\rDownloading 100%\n\tERROR: 1603\n"}`),
		"POST /tenants/acme/jobs/" + job1 + "/cancel": ok,
		"GET /audit": items(`{"id":"x","tenant":"acme","seq":4,"at":"2026-11-21T10:00:00Z","actor":{"kind":"person","id":"p","name":"Ann"},"action":"deployment.halted","object":{"kind":"deployment","id":"d","name":"firefox 128"},"reason":"it crashes"}`),
	}
	for _, verb := range []string{"pause", "resume", "halt", "cancel"} {
		m["POST /tenants/acme/deployments/"+deployment1+"/"+verb] = ok
	}
	for _, verb := range []string{"revoke", "readmit", "retire"} {
		m["POST /tenants/acme/devices/"+device1+"/"+verb] = strings.Replace(dev, `"active"`, `"`+verb+`d"`, 1)
	}
	var reports, heads []string
	for _, t := range []string{"*", "acme", "zen"} {
		m["GET /tenants/"+t+"/audit/verify"] = `{"tenant":"` + t + `","good":true,"sealed":120,"unsealed":2,"pruned":0,"erased":0,"restored":[17],"heads":3,"head":"120:` + strings.Repeat("ab", 32) + `","first_bad":0,"problem":""}`
		m["GET /tenants/"+t+"/audit/head"] = `{"tenant":"` + t + `","head":"120:` + strings.Repeat("ab", 32) + `","at":"2026-11-21T11:00:00Z"}`
		reports, heads = append(reports, m["GET /tenants/"+t+"/audit/verify"]), append(heads, m["GET /tenants/"+t+"/audit/head"])
	}
	m["GET /audit/verify"], m["GET /audit/head"] = items(reports...), items(heads...)
	return m
}
