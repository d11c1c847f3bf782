package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
)

// concrete fills a route's path.
func concrete(r api.Route, tenant, id string) string {
	return api.Prefix + strings.NewReplacer("{tenant}", tenant, "{id}", id, "{verb}", "ack").Replace(r.Path)
}

func TestEveryRouteNeedsAnActionAndACaller(t *testing.T) {
	h := open(t)
	routes := api.Routes(h.options)
	if len(routes) < 60 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		if !slices.Contains(auth.Actions(), r.Action) || r.Reach == "" || r.Summary == "" {
			t.Errorf("%s declares %q, %q, %q", name, r.Action, r.Reach, r.Summary)
		}
		if strings.Contains(r.Path, "{tenant}") != (r.Reach == api.InTenant) {
			t.Errorf("%s reaches %s", name, r.Reach)
		}
		for _, who := range []string{"", "nonsense"} {
			a := h.do(who, r.Method, concrete(r, "acme", deploymentID), nil)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || !isProblem(a) {
				t.Errorf("%s as %q: %d %s", name, who, a.status, a.body)
			}
		}
	}
}

func isProblem(a answer) bool {
	var p api.Problem
	return a.header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(a.body, &p) == nil && p.Status == a.status && p.Title != ""
}

// TestAnotherTenantIsAsOneThatIsMissing walks all routes of a tenant.
func TestAnotherTenantIsAsOneThatIsMissing(t *testing.T) {
	h := open(t)
	for _, r := range api.Routes(h.options) {
		if r.Reach != api.InTenant {
			continue
		}
		var bodies []string
		for _, c := range []struct{ who, tenant, id string }{
			{"acme", "bolt", string(h.devices["pc-bolt"].ID)}, {"acme", "missing", string(h.devices["pc-bolt"].ID)}, {"acme", "NO SLUG", "x"},
			{"owner", "missing", deploymentID}, {"bolt", "acme", jobID},
		} {
			a := h.do(c.who, r.Method, concrete(r, strings.ReplaceAll(c.tenant, " ", "%20"), c.id), nil)
			if a.status != http.StatusNotFound || !isProblem(a) {
				t.Errorf("%s %s as %s in %s: %d %s", r.Method, r.Path, c.who, c.tenant, a.status, a.body)
			}
			bodies = append(bodies, string(a.body))
		}
		if len(slices.Compact(bodies)) != 1 {
			t.Errorf("%s %s: different answers: %q", r.Method, r.Path, bodies)
		}
	}
}

// TestAnotherTenantsIdIsAsOneThatIsMissing walks all routes with an id.
func TestAnotherTenantsIdIsAsOneThatIsMissing(t *testing.T) {
	h := open(t)
	query := map[string]string{"/tenants/{tenant}/devices/{id}/samples": "?signal=x"}
	for _, r := range api.Routes(h.options) {
		if !strings.Contains(r.Path, "{id}") || strings.Contains(r.Summary, "Not in this version") {
			continue
		}
		var bodies []string
		for _, id := range []string{string(h.devices["pc-bolt"].ID), "0195ffff-ffff-7fff-8fff-ffffffffffff", "x", "..%2F..", "%00", strings.Repeat("a", 300)} {
			body := any(nil)
			if r.Method == http.MethodPost {
				body = map[string]string{"reason": "because"}
			}
			if r.Reach == api.Anywhere && r.Method == http.MethodGet && id == string(h.devices["pc-bolt"].ID) {
				id = deploymentID // lookup, which the stand-in has not put into a table
			}
			a := h.do("owner", r.Method, concrete(r, "acme", id)+query[r.Path], body)
			if a.status != http.StatusNotFound || !isProblem(a) {
				t.Errorf("%s %s with %.40q: %d %s", r.Method, r.Path, id, a.status, a.body)
			}
			bodies = append(bodies, string(a.body))
		}
		if len(slices.Compact(bodies)) != 1 {
			t.Errorf("%s %s: different answers: %q", r.Method, r.Path, bodies)
		}
	}
}

func TestWhatARoleMayNot(t *testing.T) {
	h := open(t)
	pc := string(h.devices["pc-main"].ID)
	why := map[string]string{"reason": "because"}
	for _, c := range []struct {
		who, method, path string
		body              any
		status            int
	}{
		{"viewer", "POST", "/tenants/acme/devices/" + pc + "/revoke", why, 403},
		{"acme-viewer", "GET", "/tenants/acme/audit", nil, 403},
		{"acme-viewer", "GET", "/people", nil, 403},
		{"acme", "POST", "/tenants", map[string]string{"slug": "new", "time_zone": "UTC"}, 403},
		{"acme", "PUT", "/tenants/acme/mode", map[string]string{"mode": "live"}, 403},
		{"acme", "POST", "/decisions", map[string]string{}, 403},
		{"north", "POST", "/tenants/acme/devices/" + pc + "/revoke", why, 403},
		{"north", "GET", "/tenants/acme/devices/" + pc, nil, 404},
		{"north", "GET", "/tenants/acme/devices/" + pc + "/why", nil, 404},
		{"north", "GET", "/tenants/acme/devices/" + pc + "/samples?signal=x", nil, 404},
		{"north", "GET", "/tenants/acme/devices/" + pc + "/timeline", nil, 404},
		{"north", "GET", "/lookup/" + pc, nil, 404},
		{"north", "GET", "/tenants/acme/jobs/" + jobID, nil, 200},
		{"acme", "GET", "/tenants/*/policies", nil, 403},
		{"owner", "GET", "/tenants/*/policies", nil, 200},
		{"owner", "GET", "/tenants/*/devices", nil, 404},
		{"acme", "POST", "/tokens", map[string]string{"name": "x", "role": "viewer"}, 403},
		{"acme", "POST", "/tenants/acme/people", map[string]string{"email": "a@example.com", "role": "viewer"}, 403},
	} {
		if a := h.do(c.who, c.method, api.Prefix+c.path, c.body); a.status != c.status || c.status >= 400 && !isProblem(a) {
			t.Errorf("%s: %s %s: %d %s", c.who, c.method, c.path, a.status, a.body)
		}
	}
}

func TestListsShowWhatTheCallerMaySee(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		who, path string
		want      int
	}{
		{"owner", "/devices", 3}, {"acme", "/devices", 2}, {"north", "/devices", 1}, {"north", "/tenants/acme/devices", 1}, {"bolt", "/devices", 1},
		{"owner", "/tenants", 2}, {"acme", "/tenants", 1}, {"owner", "/sites", 4}, {"north", "/sites", 1}, {"owner", "/updates", 3}, {"north", "/updates", 1},
		{"owner", "/releases", 1}, {"bolt", "/runs", 0}, {"acme", "/jobs", 1}, {"bolt", "/deployments", 0}, {"acme", "/plan", 2}, {"north", "/plan", 1}, {"owner", "/plan", 4},
		{"owner", "/devices?filter=os:linux+name:north", 1}, {"owner", "/devices?sort=-last_seen&limit=2", 2}, {"owner", "/updates?state=failed,unknown", 0},
		{"owner", "/tenants/acme/jobs/" + jobID + "/log", 1}, {"owner", "/tenants/acme/jobs/" + jobID + "/history", 2}, {"owner", "/tokens", 6},
		{"owner", "/people", 0}, {"owner", "/policies", 0}, {"owner", "/tenants/acme/decisions", 0}, {"owner", "/enrollments", 0},
		{"owner", "/audit/verify", 3}, {"owner", "/audit/head", 3}, {"acme", "/audit/head", 1},
	} {
		a := h.do(c.who, "GET", api.Prefix+c.path, nil)
		if a.status != 200 || len(a.items(t)) != c.want {
			t.Errorf("%s %s: %d, want %d rows: %s", c.who, c.path, a.status, c.want, a.body)
			continue
		}
		if strings.Contains(c.path, "limit") {
			continue
		}
		sep := "?"
		if strings.Contains(c.path, "?") {
			sep = "&"
		}
		if a = h.do(c.who, "GET", api.Prefix+c.path+sep+"count=only", nil); a.status != 200 || strings.TrimSpace(string(a.body)) != fmt.Sprintf(`{"count":%d}`, c.want) {
			t.Errorf("%s %s: %s", c.who, c.path, a.body)
		}
	}
}

func TestPagesOfAListAreTheWhole(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/devices", "/sites", "/updates", "/tokens", "/audit", "/plan", "/tenants/acme/devices/" + string(h.devices["pc-main"].ID) + "/samples?signal=x&since=3m"} {
		whole := h.do("owner", "GET", api.Prefix+path, nil).items(t)
		var got []any
		for cursor, n := "", 0; ; n++ {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			a := h.do("owner", "GET", api.Prefix+path+sep+"limit=2&cursor="+cursor, nil)
			got = append(got, a.items(t)...)
			if cursor, _ = a.json(t)["next_cursor"].(string); cursor == "" || n > 100 {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(whole) || len(whole) < 3 {
			t.Errorf("%s: %d rows in pages, %d at once", path, len(got), len(whole))
		}
	}
}

func TestKeysOfTheContract(t *testing.T) {
	h := open(t)
	pc := string(h.devices["pc-main"].ID)
	for path, keys := range map[string]string{
		"/tenants/acme/devices":                                      "id tenant site hostname class tags os state online last_seen agent_version serial time_zone updates_available",
		"/tenants/acme/devices/" + pc:                                "id tenant site hostname class tags os state online last_seen agent_version serial time_zone updates",
		"/tenants/acme/updates":                                      "source package installed_version available_version kind severity state reason reason_code since",
		"/tenants/acme/deployments":                                  "id tenant policy source package version state reason reason_code rings",
		"/tenants/acme/deployments/" + deploymentID:                  "id tenant policy source package version state reason reason_code rings jobs",
		"/tenants/acme/jobs/" + jobID:                                "id run device kind state reason reason_code attempt not_before deadline started_at finished_at results",
		"/tenants/acme/devices/" + pc + "/why":                       "source package available_version blockers",
		"/tenants/acme/devices/" + pc + "/samples?signal=s&since=1m": "time value attributes",
		"/tenants/acme/plan":                                         "policy opens_at closes_at devices expected_minutes conflicts",
		"/lookup/" + pc:                                              "kind tenant",
	} {
		a := h.do("owner", "GET", api.Prefix+path, nil)
		m := a.json(t)
		if list, ok := m["items"].([]any); ok && len(list) > 0 {
			m, _ = list[0].(map[string]any)
		}
		for _, key := range strings.Fields(keys) {
			if _, ok := m[key]; !ok {
				t.Errorf("%s: no %s in %s", path, key, a.body)
			}
		}
	}
	results, _ := h.do("owner", "GET", api.Prefix+"/tenants/acme/jobs/"+jobID, nil).json(t)["results"].([]any)
	if r, _ := results[0].(map[string]any); r["state"] != "failed" || r["to"] != "8.1" || r["exit_code"] != 100.0 || r["reason_code"] != "install_failed" {
		t.Errorf("%v", results)
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/v1/nothing", 404, ""}, {"GET", "/api/v1/", 404, ""}, {"GET", "/api/v1", 404, ""}, {"GET", "/api/v1/devices/", 404, ""}, {"GET", "/api/v1//devices", 404, ""},
		{"GET", "/api/v1/tenants/acme/../bolt/devices", 404, ""}, {"DELETE", "/api/v1/devices", 405, "GET"}, {"POST", "/api/v1/lookup/x", 405, "GET"}, {"PUT", "/api/v1/tenants", 405, "GET, POST"},
	} {
		a := h.do("owner", c.method, c.path, nil)
		if a.status != c.status || !isProblem(a) || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %q %s", c.method, c.path, a.status, a.header.Get("Allow"), a.body)
		}
	}
}

func TestNounsOfLaterVersionsSaySo(t *testing.T) {
	h := open(t)
	for _, c := range [][2]string{{"GET", "/alerts"}, {"GET", "/tenants/acme/silences"}, {"POST", "/tenants/acme/channels"}, {"GET", "/routes"}, {"POST", "/tenants/acme/alerts/x/ack"},
		{"GET", "/tenants/acme/deliveries"}, {"POST", "/tenants/acme/deployments"}, {"POST", "/freeze"}, {"POST", "/tenants/acme/deployments/x/agree"}} {
		a := h.do("owner", c[0], api.Prefix+c[1], map[string]any{"anything": 1})
		if a.status != 501 || !isProblem(a) || !strings.Contains(string(a.body), "not in this version") {
			t.Errorf("%v: %d %s", c, a.status, a.body)
		}
	}
}

func TestBadInputNamesTheFieldAndNeverRepeatsTheValue(t *testing.T) {
	h := open(t)
	pc := string(h.devices["pc-main"].ID)
	for _, c := range []struct {
		method, path string
		body         any
		says         string
	}{
		{"GET", "/devices?limit=501", nil, "query.limit"}, {"GET", "/devices?limit=hunter2", nil, "query.limit"}, {"GET", "/devices?hunter2=1&x=hunter2", nil, "unknown query parameter"},
		{"GET", "/devices?cursor=hunter2", nil, "cursor"}, {"GET", "/devices?sort=hunter2", nil, "query.sort"}, {"GET", "/devices?filter=os:hunter2", nil, "position 1"},
		{"GET", "/jobs?state=hunter2", nil, "query.state"}, {"GET", "/deployments?cursor=hunter2", nil, "cursor"}, {"GET", "/audit?cursor=hunter2", nil, "cursor"},
		{"GET", "/audit?from=hunter2", nil, "from"}, {"GET", "/tenants/acme/audit/verify?head=hunter2", nil, "head"},
		{"GET", "/tenants/acme/devices/" + pc + "/samples?signal=x&since=hunter2", nil, "since"}, {"GET", "/tenants/acme/devices/" + pc + "/samples", nil, "query.signal"},
		{"GET", "/tenants/acme/devices/" + pc + "/samples?signal=x&since=60d", nil, "31 days"}, {"GET", "/tenants/acme/devices/" + pc + "/samples?signal=x&cursor=hunter2", nil, "cursor"},
		{"POST", "/tenants/acme/devices/" + pc + "/revoke", map[string]string{}, "reason"}, {"POST", "/tenants/acme/devices/" + pc + "/revoke", map[string]string{"reason": "x", "secret": "hunter2"}, "unexpected property"},
		{"POST", "/tenants/acme/devices/" + pc + "/revoke", nil, "body"}, {"POST", "/tenants/acme/enrollments", map[string]any{"uses": "hunter2"}, "body.uses"},
		{"POST", "/tenants/acme/enrollments", map[string]any{"expires": "hunter2"}, "expires"}, {"POST", "/tenants/acme/enrollments", map[string]any{"site": "nowhere"}, "no such site"},
		{"POST", "/tenants/acme/decisions", map[string]any{"action": "hunter2", "source": "apt", "package": "x", "reason": "y"}, "body.action"},
		{"POST", "/tenants/acme/decisions", map[string]any{"action": "approve", "source": "apt", "package": "x", "reason": "y", "expires": "hunter2"}, "expires"},
		{"POST", "/tenants/acme/decisions", map[string]any{"action": "approve", "source": "apt", "package": "x", "reason": "y", "except": []string{"bolt"}}, "except"},
		{"POST", "/decisions", map[string]any{"action": "approve", "source": "apt", "package": "x", "reason": "y", "except": []string{"HUNTER2"}}, "except"},
		{"POST", "/apply", "kind: hunter2", "line 1, column 1"}, {"POST", "/apply", "kind: Channel\npassword: hunter2", "line 1, column 1"}, {"POST", "/apply", "# nothing", "no document"}, {"POST", "/apply", "", "body"},
		{"POST", "/apply", "kind: Tenant\nslug: x\nslug: hunter2", "line 3"}, {"POST", "/apply", "a: [hunter2", "line"},
	} {
		a := h.do("owner", c.method, api.Prefix+c.path, c.body)
		if a.status < 400 || a.status >= 500 && a.status != 501 || !isProblem(a) || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
		if strings.Contains(strings.ToLower(string(a.body)), "hunter2") && !strings.Contains(c.path, "hunter2=1") {
			t.Errorf("%s %s repeats the value: %s", c.method, c.path, a.body)
		}
	}
}

func TestABodyTooLargeIsRefused(t *testing.T) {
	h := open(t)
	for path, size := range map[string]int{"/apply": 1<<20 + 1, "/tenants": 70 << 10} {
		if a := h.do("owner", "POST", api.Prefix+path, strings.Repeat("# ", size/2+1)); a.status != 413 || !isProblem(a) {
			t.Errorf("%s: %d %.200s", path, a.status, a.body)
		}
	}
}

func TestAFailureInsideIsNotShown(t *testing.T) {
	h := open(t)
	h.rollout.failing = true
	a := h.do("owner", "GET", api.Prefix+"/deployments", nil)
	if a.status != 500 || !isProblem(a) || strings.Contains(string(a.body), "EOF") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestActionsReachTheNouns(t *testing.T) {
	h := open(t)
	pc := h.devices["pc-main"]
	at := api.Prefix + "/tenants/acme"
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"POST", "/devices/" + string(pc.ID) + "/revoke", map[string]string{"reason": "lost"}, 200, `"state":"revoked"`},
		{"POST", "/devices/" + string(pc.ID) + "/readmit", map[string]string{"reason": "found"}, 200, `"state":"active"`},
		{"POST", "/devices/" + string(pc.ID) + "/retire", map[string]string{"reason": "sold"}, 200, `"state":"retired"`},
		{"POST", "/devices/" + string(pc.ID) + "/readmit", map[string]string{"reason": "back"}, 409, "cannot become"},
		{"POST", "/jobs/" + jobID + "/cancel", map[string]string{"reason": "x"}, 409, "cannot be stopped"},
		{"POST", "/deployments/" + deploymentID + "/pause", map[string]string{"reason": "lunch"}, 200, "true"},
		{"POST", "/deployments/" + deploymentID + "/resume", map[string]string{"reason": "fed"}, 200, "true"},
		{"POST", "/deployments/" + deploymentID + "/halt", map[string]string{"reason": "smoke"}, 200, "true"},
		{"POST", "/deployments/" + deploymentID + "/cancel", map[string]string{"reason": "fire"}, 200, "true"},
		{"POST", "/decisions", map[string]any{"action": "wait", "source": "apt", "package": "curl*", "days": 3, "reason": "let others try", "expires": "30d"}, 201, `"action":"wait"`},
		{"GET", "/decisions", nil, 200, "let others try"},
		{"POST", "/sites", map[string]string{"slug": "south", "time_zone": "Europe/Rome"}, 201, `"slug":"south"`},
		{"POST", "/enrollments", map[string]any{"site": "south", "tags": []string{"a"}, "uses": 5, "expires": "2h"}, 201, `"string":"`},
		{"GET", "/enrollments", nil, 200, `"site":"south"`},
		{"PUT", "/mode", map[string]string{"mode": "observe", "reason": "audit"}, 200, `"mode":"observe"`},
		{"PUT", "/mode", map[string]string{"mode": "pilot"}, 501, "not in this version"},
		{"POST", "/people", map[string]string{"email": "a@example.com", "role": "viewer"}, 201, `"link":"`},
		{"GET", "/devices/" + string(pc.ID) + "/timeline", nil, 200, `"device.retired"`},
		{"GET", "/audit?object=" + string(pc.ID) + "&action=device.retired", nil, 200, "sold"},
		{"GET", "/audit/verify", nil, 200, `"good":true`},
		{"GET", "/runs/" + runID, nil, 200, `"counts":{"failed":1}`},
		{"GET", "/policies/effective", nil, 200, `"items":[]`},
	} {
		a := h.do("owner", c.method, at+c.path, c.body)
		if a.status != c.status || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if want := []string{"pause: lunch", "resume: fed", "halt: smoke", "cancel: fire"}; !slices.Equal(h.rollout.did, want) {
		t.Errorf("%q", h.rollout.did)
	}
	if a := h.do("owner", "POST", api.Prefix+"/tenants", map[string]string{"slug": "crab", "name": "Crab", "time_zone": "UTC"}); a.status != 201 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestADeploymentShowsDevicesOfTheCallersSitesAlone(t *testing.T) {
	h := open(t)
	h.rollout.deployment = deployment.Deployment{Tenant: "acme", ID: deploymentID, State: deployment.Completed, Seq: 3, Rings: []deployment.Ring{{Name: "pilots"}},
		Members: []deployment.Member{{Device: h.devices["pc-main"].ID}, {Device: h.devices["pc-north"].ID}}}
	for n, name := range []string{"pc-main", "pc-north", ""} {
		h.rollout.events = append(h.rollout.events, deployment.Transition{Seq: int64(n + 1), Subject: deployment.OfJob, Device: h.devices[name].ID, At: noon})
	}
	for who, want := range map[string]int{"acme": 2, "north": 1} {
		a := h.do(who, "GET", api.Prefix+"/tenants/acme/deployments/"+deploymentID, nil)
		if members, _ := a.json(t)["members"].([]any); len(members) != want {
			t.Errorf("%s: %d members: %s", who, len(members), a.body)
		}
		a = h.do(who, "GET", api.Prefix+"/tenants/acme/deployments/"+deploymentID+"/events", nil)
		if n := strings.Count(string(a.body), "event: transition"); n != want+1 {
			t.Errorf("%s: %d events: %s", who, n, a.body)
		}
	}
}

func TestPeopleAreInvitedDisabledAndEnabled(t *testing.T) {
	h := open(t)
	a := h.do("owner", "POST", api.Prefix+"/people", map[string]any{"email": "t@example.com", "role": "technician", "tenant": "acme", "sites": []string{"main"}})
	id, _ := a.json(t)["id"].(string)
	if a.status != 201 || id == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, c := range []struct {
		verb, state string
	}{{"disable", "disabled"}, {"enable", "invited"}} {
		if a := h.do("owner", "POST", api.Prefix+"/people/"+id+"/"+c.verb, map[string]string{"reason": "x"}); a.status != 200 {
			t.Errorf("%s: %d %s", c.verb, a.status, a.body)
		}
		if a := h.do("owner", "GET", api.Prefix+"/people", nil); !strings.Contains(string(a.body), `"state":"`+c.state+`"`) {
			t.Errorf("%s: %s", c.verb, a.body)
		}
	}
	if a := h.do("bolt", "POST", api.Prefix+"/people/"+id+"/disable", map[string]string{"reason": "x"}); a.status != 404 {
		t.Errorf("another tenant's owner: %d", a.status)
	}
}

func TestRevokedTokensEnd(t *testing.T) {
	h := open(t)
	list := h.do("owner", "GET", api.Prefix+"/tokens", nil).items(t)
	for _, v := range list {
		token, _ := v.(map[string]any)
		if token["name"] == "viewer" {
			if a := h.do("owner", "POST", api.Prefix+"/tokens/"+fmt.Sprint(token["id"])+"/revoke", map[string]string{"reason": "leaked"}); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
	if a := h.do("viewer", "GET", api.Prefix+"/devices", nil); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTheSameKeyActsOnce(t *testing.T) {
	h := open(t)
	path, body := api.Prefix+"/tenants/acme/enrollments", map[string]any{"uses": 2}
	first := h.do("owner", "POST", path, body, "Idempotency-Key", "k1")
	again := h.do("owner", "POST", path, body, "Idempotency-Key", "k1")
	if first.status != 201 || again.status != 201 || string(first.body) != string(again.body) {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	if a := h.do("owner", "POST", path, map[string]any{"uses": 3}, "Idempotency-Key", "k1"); a.status != 422 {
		t.Errorf("another request with the key: %d", a.status)
	}
	if a := h.do("acme", "POST", path, body, "Idempotency-Key", "k1"); a.status != 201 || string(a.body) == string(first.body) {
		t.Errorf("another caller with the key: %d %s", a.status, a.body)
	}
	if a := h.do("owner", "POST", path, body, "Idempotency-Key", "k2"); string(a.body) == string(first.body) {
		t.Error("another key gave the same answer")
	}
	if a := h.do("acme-viewer", "POST", path, body, "Idempotency-Key", "k1"); a.status != 403 {
		t.Errorf("without the right: %d", a.status)
	}
	if n := len(h.do("owner", "GET", path, nil).items(t)); n != 3 {
		t.Errorf("%d enrollments", n)
	}
}

func TestApplyIsAuthorizedWholeAndChangesNothingWhenOneIsWrong(t *testing.T) {
	h := open(t)
	const good = "kind: PatchPolicy\ntenant: acme\nname: nightly\nwindows:\n  - {cron: \"0 22 * * *\", duration: 4h, time_zone: device}\napprovals:\n  - {match: {kind: security}, action: approve}\n"
	for _, c := range []struct {
		who, text, query string
		status           int
		says             string
	}{
		{"acme", good, "?dry_run=true", 200, `"action":"create"`},
		{"acme", good, "?dry_run=true", 200, `"targets 2 devices"`},
		{"acme", good + "---\nkind: PatchPolicy\ntenant: bolt\nname: x\n", "", 404, "not yours"},
		{"acme", good + "---\nkind: PatchPolicy\ntenant: \"*\"\nname: x\n", "", 403, "all tenants"},
		{"acme", good + "---\nkind: PatchPolicy\ntenant: acme\nname: x\nrings: [{name: a, share: 50%}]\n", "", 422, "line 12"},
		{"acme", good + "---\nkind: PatchPolicy\ntenant: acme\nsite: mars\nname: x\n", "", 422, "no such site"},
		{"north", good, "", 403, ""},
		{"north", strings.Replace(good, "name:", "site: north\nname:", 1), "?dry_run=true", 200, `"targets 1 device"`},
		{"acme", "kind: Tenant\nslug: acme\nname: Mine\ntime_zone: UTC\n", "", 403, ""},
		{"acme", good, "", 200, `approves 2 updates now on 2 devices`},
		{"acme", good, "", 200, `"action":"unchanged"`},
		{"owner", "kind: Tenant\nslug: crab\nname: Crab\ntime_zone: UTC\n---\nkind: PatchPolicy\ntenant: crab\nname: n\n", "", 200, `"action":"create"`},
		{"bolt", "kind: Tenant\nslug: bolt\nname: New name\ntime_zone: UTC\n", "", 200, `"name The bolt becomes New name"`},
	} {
		a := h.do(c.who, "POST", api.Prefix+"/apply"+c.query, c.text)
		if a.status != c.status || !strings.Contains(string(a.body), c.says) {
			t.Errorf("%s: %q: %d %s", c.who, c.text, a.status, a.body)
		}
		if names := h.do("owner", "GET", api.Prefix+"/tenants/acme/policies", nil); c.status >= 400 && len(names.items(t)) != 0 {
			t.Errorf("%q changed something: %s", c.text, names.body)
		}
	}
	if t1, err := h.fleet.Tenant(context.Background(), "bolt"); err != nil || t1.Mode != fleet.Live {
		t.Errorf("an omitted mode changed: %+v, %v", t1, err)
	}
}

func TestTheDescriptionNamesEveryRoute(t *testing.T) {
	h := open(t)
	a := h.do("", "GET", api.Prefix+"/openapi.json", nil)
	paths, _ := a.json(t)["paths"].(map[string]any)
	for _, r := range api.Routes(h.options) {
		methods, _ := paths[api.Prefix+r.Path].(map[string]any)
		if _, ok := methods[strings.ToLower(r.Method)]; !ok {
			t.Errorf("%s %s is not described", r.Method, r.Path)
		}
	}
}

func TestTheConsolesSessionIsGoodForGetAlone(t *testing.T) {
	h := open(t)
	ctx := context.Background()
	link, err := h.auth.FirstOwner(ctx, noon, "owner@example.com", auth.Init)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := h.auth.RedeemLink(ctx, noon, link.Reveal(), "a long enough passphrase", "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	o := h.options
	o.Cookie = "steward"
	h.handler = api.New(o)
	cookie := "steward=" + secret.Reveal()
	if a := h.do("", "GET", api.Prefix+"/devices", nil, "Cookie", cookie); a.status != 200 {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
	if a := h.do("", "POST", api.Prefix+"/tenants", map[string]string{"slug": "x", "time_zone": "UTC"}, "Cookie", cookie); a.status != 401 {
		t.Errorf("POST: %d %s", a.status, a.body)
	}
}
