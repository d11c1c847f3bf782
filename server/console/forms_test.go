package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/console/consoletest"
)

func TestFormsFromElsewhereAreRefused(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	for name, change := range map[string]func(*http.Request){
		"another site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sister site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"no word of origin": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
		"a foreign origin": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		},
	} {
		if w := post(c, "owner", "/you/look", nil, change); w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", name, w.Code)
		}
	}
	if w := post(c, "owner", "/you/look", url.Values{"csrf": {auth.CSRF("viewer")}}, nil); w.Code != http.StatusForbidden {
		t.Errorf("another session's token: status %d, want 403", w.Code)
	}
	own := func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "http://steward.test")
	}
	if w := post(c, "owner", "/you/look", nil, own); w.Code != http.StatusSeeOther {
		t.Errorf("our own form: status %d, want 303", w.Code)
	}
}

func TestAnotherTenantsPageIsTheSameAsAMissingOne(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	missing := get(c, "viewer", "/t/nowhere/devices")
	for _, path := range []string{"/t/ashgrove", "/t/ashgrove/devices", device, device + "/software", device + "/samples?chart=cpu", "/t/calder/deployments/" + depID, "/t/*/policies/desktops-weekly/edit", "/t/*", "/t/nordlicht/devices/0199a1b2-0000-7000-8000-000000999999", "/t/nordlicht/devices/" + deviceID, "/t/UPPER/devices", "/nothing"} {
		w := get(c, "viewer", path)
		if strings.HasPrefix(path, "/t/*/") {
			if w.Code != http.StatusForbidden {
				t.Errorf("%s: status %d, want 403", path, w.Code)
			}
			continue
		}
		if w.Code != http.StatusNotFound || w.Body.String() != missing.Body.String() {
			t.Errorf("%s: status %d, want the same 404 as for a missing tenant", path, w.Code)
		}
	}
	if w := get(c, "viewer", "/t/nordlicht/devices"); w.Code != http.StatusOK {
		t.Errorf("their own tenant: status %d", w.Code)
	}
	if body := get(c, "viewer", "/devices").Body.String(); strings.Contains(body, "Ashgrove") || !strings.Contains(body, "Nordlicht") {
		t.Error("a list over all shows another tenant, or not the own one")
	}
}

func TestReadersGetNoButtonsAndMayNotPress(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	body := get(c, "viewer", "/t/nordlicht/deployments/"+depID).Body.String()
	if strings.Contains(body, "/halt") || strings.Contains(body, "/pause") {
		t.Error("a viewer is offered to halt")
	}
	if w := get(c, "viewer", "/t/nordlicht/deployments/"+depID+"/halt"); w.Code != http.StatusForbidden {
		t.Errorf("asking to halt: status %d, want 403", w.Code)
	}
	for path, form := range map[string]url.Values{
		"/t/nordlicht/deployments/" + depID + "/halt": {"why": {"x"}}, "/t/nordlicht/mode": {"mode": {"observe"}, "why": {"x"}}, "/devices/act": {"do": {"retire"}, "id": {"ashgrove/" + deviceID}, "why": {"x"}},
		"/updates/decide": {"tenant": {"nordlicht"}, "action": {"approve"}, "why": {"x"}}, "/people": {"where": {"*"}, "role": {"owner"}}, "/apply/save": {"yaml": {"kind: Tenant"}}, "/customers": {"slug": {"x"}},
	} {
		if w := post(c, "viewer", path, form, nil); w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, w.Code)
		}
	}
	if w := post(c, "tech", "/updates/decide", url.Values{"tenant": {"*"}, "action": {"approve"}, "package": {"x"}, "why": {"x"}}, nil); w.Code != http.StatusForbidden {
		t.Errorf("deciding for all with the right for one: status %d, want 403", w.Code)
	}
	if w := post(c, "tech", "/updates/decide", url.Values{"tenant": {"nordlicht"}, "action": {"approve"}, "package": {"x"}, "why": {"x"}}, nil); w.Code != http.StatusNotFound {
		t.Errorf("deciding for another tenant: status %d, want 404", w.Code)
	}
}

func TestFormsDoWhatTheySay(t *testing.T) {
	for _, kind := range []consoletest.Kind{consoletest.Full, consoletest.Hostile} {
		c := serve(t, kind, nil)
		why := url.Values{"why": {"the auditors are here"}}
		with := func(pairs ...string) url.Values {
			form := url.Values{"why": why["why"]}
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return form
		}
		yaml := "kind: PatchPolicy\ntenant: nordlicht\nname: x\nsources: [apt]\n"
		for _, one := range []struct {
			who, path string
			form      url.Values
			code      int
			part      string // of the page, or of the address that follows
		}{
			{"owner", "/t/nordlicht/add", with("site", "main", "uses", "3", "hours", "24"), 200, `id="waiting"`},
			{"owner", "/t/nordlicht/add", with("site", "main", "uses", "none", "hours", "24"), 422, "whole numbers"},
			{"owner", "/t/nordlicht/add/x/revoke", nil, 303, "/t/nordlicht/add"},
			{"owner", "/people", with("email", "new@example.net", "role", "viewer", "where", "nordlicht"), 200, "/link/"},
			{"owner", "/people", with("email", "not an address", "role", "viewer", "where", "nordlicht"), 422, "Nothing was saved"},
			{"owner", "/people", with("email", "new@example.net", "role", "king", "where", "nordlicht"), 422, "Choose a role"},
			{"owner", "/t/*/people/x/link", with("purpose", "reset"), 200, "/link/"},
			{"owner", "/t/*/people/x/disable", why, 303, "/people"},
			{"owner", "/t/*/people/x/unlock", nil, 422, "A reason is needed"},
			{"tech", "/tokens", with("name", "n", "role", "viewer", "where", "ashgrove", "days", "30"), 200, "shown this once"},
			{"tech", "/t/ashgrove/tokens/x/revoke", why, 303, "/people"},
			{"owner", "/updates/decide", with("tenant", "*", "action", "deny", "source", "apt", "package", "x", "back", "//evil.example"), 303, "/"},
			{"owner", "/updates/decide", with("tenant", "*", "action", "wait", "days", "0", "package", "x"), 422, "1 to 365"},
			{"owner", "/devices/act", with("do", "retire", "id", "ashgrove/"+deviceID), 303, device},
			{"owner", "/devices/act", with("do", "readmit", "id", "ashgrove/"+deviceID), 409, "active already"},
			{"owner", "/devices/act", with("do", "retire"), 422, "No device is selected"},
			{"owner", "/t/nordlicht/deployments/" + depID + "/pause", why, 303, depID},
			{"owner", "/t/nordlicht/deployments/" + depID + "/pause", nil, 422, "A reason is needed"},
			{"owner", "/t/nordlicht/deployments/" + depID + "/resume", why, 409, "running"},
			{"owner", "/t/nordlicht/deployments/" + halted + "/resume", why, 303, halted},
			{"owner", "/t/nordlicht/deployments/" + depID + "/explode", why, 404, "nothing here"},
			{"owner", "/t/nordlicht/jobs/0199a1b2-0000-7000-8000-000000005000/cancel", why, 303, "/jobs/"},
			{"owner", "/t/nordlicht/mode", with("mode", "observe"), 303, "/settings"},
			{"owner", "/t/nordlicht/settings", with("name", "N", "time_zone", "Europe/Berlin"), 303, "/settings"},
			{"owner", "/t/nordlicht/sites", with("slug", "Not One"), 422, "short name"},
			{"owner", "/t/nordlicht/sites", with("slug", "kiel", "time_zone", "Europe/Berlin"), 303, "/settings"},
			{"owner", "/customers", with("slug", "new", "name", "New", "time_zone", "Europe/Berlin"), 303, "/t/new"},
			{"owner", "/customers", with("slug", "Bad Slug", "name", "kept", "time_zone", "Europe/Berlin"), 422, `value="kept"`},
			{"owner", "/apply/preview", with("yaml", yaml), 200, "corner-down-right"},
			{"owner", "/apply/preview", with("yaml", "kind: PatchPolicy\nbad: 1\n"), 422, "At line"},
			{"owner", "/apply/save", with("yaml", yaml, "back", "/t/nordlicht/policies"), 303, "/t/nordlicht/policies"},
			{"tech", "/apply/save", with("yaml", yaml), 404, "nothing here"},
			{"owner", "/you/password", with("password", "a", "again", "b"), 422, "differ"},
			{"owner", "/you/look", with("theme", "dark", "keys", "on"), 303, "/you"},
			{"owner", "/sign-out", nil, 303, "/sign-in"},
		} {
			w := post(c, one.who, one.path, one.form, nil)
			got := w.Body.String()
			if w.Code == http.StatusSeeOther {
				got = w.Header().Get("Location")
			}
			if w.Code != one.code || !strings.Contains(got, one.part) || strings.Contains(got, "evil.example") {
				t.Errorf("%s POST %s: status %d, want %d with %q: %.200s", kind, one.path, w.Code, one.code, one.part, got)
			}
			if w.Code != http.StatusSeeOther {
				checkPage(t, one.path, w.Body.String())
			}
		}
	}
}

func TestSearchOpensWhatAnIDNames(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	for q, want := range map[string]string{deviceID: "/t/nordlicht/devices/" + deviceID, "ash sql": "/devices?filter=ash+sql", "": "/devices"} {
		if w := get(c, "owner", "/search?q="+url.QueryEscape(q)); w.Header().Get("Location") != want {
			t.Errorf("search %q goes to %q, want %q", q, w.Header().Get("Location"), want)
		}
	}
}
