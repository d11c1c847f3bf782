package console

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/auth"
)

// TestEveryRouteDeclaresItsAction walks the table: an action of the list for
// all but what needs none, a tenant in the path exactly where it is asked, and
// nothing but GET and POST.
func TestEveryRouteDeclaresItsAction(t *testing.T) {
	c := &Console{}
	noAction := []string{"/sign-in", "/link/{token}", "/sign-out", "/you", "/you/look", "/you/password"}
	for _, r := range c.routes() {
		if r.do == nil {
			t.Errorf("%s %s does nothing", r.method, r.pattern)
		}
		if r.method != http.MethodGet && r.method != http.MethodPost {
			t.Errorf("%s %s: a page knows GET and POST alone", r.method, r.pattern)
		}
		if slices.Contains(noAction, r.pattern) {
			if r.action != "" || r.reach != open && r.reach != signedIn {
				t.Errorf("%s declares an action that nobody asks", r.pattern)
			}
			continue
		}
		if !slices.Contains(auth.Actions(), r.action) {
			t.Errorf("%s %s declares no action", r.method, r.pattern)
		}
		if r.reach == inTenant && !strings.HasPrefix(r.pattern, "/t/{tenant}") {
			t.Errorf("%s asks in a tenant that its path does not name", r.pattern)
		}
		if r.method == http.MethodPost && !changes(r.action) {
			t.Errorf("POST %s declares %s, which a reader has", r.pattern, r.action)
		}
	}
}

func changes(a auth.Action) bool { return !auth.Viewer.Allows(a) }

// TestEveryPageSendsStrangersToSignIn walks the table without a cookie.
func TestEveryPageSendsStrangersToSignIn(t *testing.T) {
	c := &Console{mux: http.NewServeMux()}
	c.o.Now = time.Now
	for _, r := range c.routes() {
		if r.reach == open {
			continue
		}
		path := strings.NewReplacer("{tenant}", "acme", "{device}", "d", "{$}", "", "{job}", "j", "{deployment}", "d", "{verb}", "halt", "{policy}", "p", "{tab}", "jobs", "{enrollment}", "e", "{person}", "p", "{token}", "t").Replace(r.pattern)
		req := httptest.NewRequest(r.method, "http://steward.test"+path, nil)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		w := httptest.NewRecorder()
		c.guard(r).ServeHTTP(w, req)
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/sign-in") {
			t.Errorf("%s %s: status %d to %q, want the sign-in page", r.method, path, w.Code, w.Header().Get("Location"))
		}
	}
}
