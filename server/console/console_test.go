package console_test

import (
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/console"
	"github.com/steward-rmm/steward/server/console/consoletest"
)

const (
	deviceID = "0199a1b2-0000-7000-8000-000000000000"
	device   = "/t/ashgrove/devices/" + deviceID
	depID    = "0199a1b2-0000-7000-8000-000000000900"
	halted   = "0199a1b2-0000-7000-8000-000000000901"
)

// pagesOf are the pages that a person can open, with data.
func pagesOf() []string {
	return []string{
		"/", "/t/nordlicht", "/devices", "/t/nordlicht/devices", "/devices?filter=class%3Aserver+colour%3Ared&sort=updates&desc=1", device, device + "/updates", device + "/software?q=7",
		device + "/inventory", device + "/health?range=30+d", device + "/jobs", device + "/timeline", device + "/settings", "/devices/act?do=revoke&id=ashgrove%2F" + deviceID,
		"/t/nordlicht/jobs/0199a1b2-0000-7000-8000-000000005000", "/updates", "/updates?tab=all&source=chocolatey&package=firefox&version=158.0.1", "/t/nordlicht/updates",
		"/deployments", "/t/nordlicht/deployments?state=halted", "/t/nordlicht/deployments/" + depID, "/t/nordlicht/deployments/" + depID + "?show=failed&device=0199a1b2-0000-7000-8000-000000010073",
		"/t/nordlicht/deployments/" + halted, "/t/nordlicht/deployments/" + depID + "/halt", "/t/nordlicht/deployments/" + halted + "/resume", "/policies", "/t/nordlicht/policies",
		"/policies/new", "/t/nordlicht/policies/desktops-weekly", "/t/*/policies/desktops-weekly", "/t/nordlicht/policies/desktops-weekly/edit", "/audit", "/t/nordlicht/audit", "/add", "/t/nordlicht/add",
		"/customers", "/customers/new", "/t/nordlicht/settings", "/people", "/you",
	}
}

func serve(t testing.TB, kind consoletest.Kind, change func(*console.Options)) *console.Console {
	t.Helper()
	c, _, _, err := consoletest.New(kind, change)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(c http.Handler, who, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://steward.test"+path, nil)
	if who != "" {
		r.AddCookie(&http.Cookie{Name: "steward", Value: who})
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func post(c http.Handler, who, path string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	sent := url.Values{}
	maps.Copy(sent, form)
	form = sent
	if who != "" && form.Get("csrf") == "" {
		form.Set("csrf", auth.CSRF(who))
	}
	r := httptest.NewRequest(http.MethodPost, "http://steward.test"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if who != "" {
		r.AddCookie(&http.Cookie{Name: "steward", Value: who})
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestEveryPageRendersWithFullEmptyAndHostileData(t *testing.T) {
	for _, kind := range []consoletest.Kind{consoletest.Full, consoletest.Empty, consoletest.Hostile} {
		c := serve(t, kind, nil)
		for _, path := range pagesOf() {
			w := get(c, "owner", path)
			// With no data a page of one thing is not there; lists are.
			if kind == consoletest.Empty && strings.HasPrefix(path, "/t/") || kind == consoletest.Empty && strings.Contains(path, "id=ashgrove") || kind == consoletest.Empty && strings.Contains(path, "package=") {
				if w.Code != http.StatusNotFound {
					t.Errorf("%s %s: status %d, want 404", kind, path, w.Code)
				}
				continue
			}
			want := http.StatusOK
			if kind == consoletest.Hostile && strings.Contains(path, "package=firefox") {
				want = http.StatusNotFound // the hostile release has another name
			}
			if w.Code != want {
				t.Errorf("%s %s: status %d, want %d: %.300s", kind, path, w.Code, want, w.Body)
				continue
			}
			checkPage(t, string(kind)+" "+path, w.Body.String())
		}
	}
}

var (
	inlineScript  = regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]`)
	inlineHandler = regexp.MustCompile(`(?i)<[a-z][^>]*\son[a-z]+=`)
	inlineStyle   = regexp.MustCompile(`(?i)<[a-z][^>"]*(?:"[^"]*"[^>"]*)*\sstyle=`)
	postForm      = regexp.MustCompile(`(?s)<form[^>]*method="post".*?</form>`)
)

// checkPage holds what is true of every page: nothing broke out of its place,
// nothing is inline, each form carries its token, each page its landmarks.
func checkPage(t *testing.T, name, body string) {
	t.Helper()
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") {
		t.Errorf("%s: hostile text, or a filtered or missing value, reached the page", name)
	}
	for what, r := range map[string]*regexp.Regexp{"script": inlineScript, "style": inlineStyle} {
		if found := r.FindString(body); found != "" {
			t.Errorf("%s: inline %s: %.120s", name, what, found)
		}
	}
	if found := inlineHandler.FindString(strings.ReplaceAll(body, "&#34;", "")); found != "" && !strings.Contains(found, "&") {
		t.Errorf("%s: inline handler: %.120s", name, found)
	}
	for _, form := range postForm.FindAllString(body, -1) {
		if !strings.Contains(form, `name="csrf"`) && !strings.Contains(form, `action="/sign-in"`) && !strings.Contains(form, `action="/link/`) {
			t.Errorf("%s: a form without its token: %.120s", name, form)
		}
	}
	for _, part := range []string{`<main id="content"`, `href="#content"`, `<html lang="en"`, "<title>"} {
		if !strings.Contains(body, part) {
			t.Errorf("%s: %s is missing", name, part)
		}
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		t.Errorf("%s: %d main headings", name, n)
	}
}

func TestSignInAndLinksShowNoMoreThanTheyMust(t *testing.T) {
	c := serve(t, consoletest.Hostile, nil)
	for path, want := range map[string]int{"/sign-in?to=//evil.example/": 200, "/link/good": 200, "/link/dev": 200, "/link/used": 404} {
		w := get(c, "", path)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
		checkPage(t, path, w.Body.String())
		if strings.Contains(w.Body.String(), "evil.example") {
			t.Errorf("%s: keeps a way to another site", path)
		}
	}
	if w := post(c, "", "/sign-in", url.Values{"email": {"a@b.example"}, "password": {"x"}}, nil); w.Code != 422 || !strings.Contains(w.Body.String(), "wrong") || !strings.Contains(w.Body.String(), "a@b.example") {
		t.Errorf("a wrong password: status %d, want 422, with the reason and the address kept", w.Code)
	}
	if w := post(c, "", "/sign-in", url.Values{"email": {"broken@example.net"}}, nil); w.Code != 500 || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("our own failure: status %d, want 500 without its cause", w.Code)
	}
	if w := post(c, "", "/link/good", url.Values{"password": {"short"}, "again": {"short"}}, nil); w.Code != 422 || !strings.Contains(w.Body.String(), "at least 14") {
		t.Errorf("a short password: status %d, want 422 with the rule", w.Code)
	}
	if w := post(c, "", "/link/good", url.Values{"password": {"correct horse battery"}, "again": {"correct horse battery"}}, nil); w.Code != 303 || w.Header().Get("Location") != "/" {
		t.Errorf("a good password: status %d to %q, want 303 to /", w.Code, w.Header().Get("Location"))
	}
}

func TestCookiesAndHeadersAreStrict(t *testing.T) {
	c := serve(t, consoletest.Full, func(o *console.Options) { o.URL = "https://steward.test" })
	w := post(c, "", "/link/good", url.Values{"password": {"correct horse battery"}, "again": {"correct horse battery"}}, nil)
	cookie := w.Header().Get("Set-Cookie")
	for _, part := range []string{"__Host-steward=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %q has no %s", cookie, part)
		}
	}
	h := get(c, "", "/sign-in").Header()
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("content security policy %q", csp)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000"} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	if name := get(c, "owner", "/you").Header().Get("Location"); !strings.HasPrefix(name, "/sign-in") {
		t.Error("over https a cookie without the prefix signs nobody in")
	}
}

func TestFirstPageAndLaterPagesAreSmall(t *testing.T) {
	server := httptest.NewServer(serve(t, consoletest.Full, nil))
	defer server.Close()
	size := func(path string) int {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "steward", Value: "owner"})
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("%s: status %d, %v", path, answer.StatusCode, err)
		}
		return len(body)
	}
	page := get(serve(t, consoletest.Full, nil), "owner", device).Body.String()
	first := size(device)
	for _, asset := range regexp.MustCompile(`/assets/[0-9a-f]{12}/[a-z.0-9-]+`).FindAllString(page, -1) {
		if strings.HasSuffix(asset, "icons.svg") && strings.Count(page[:strings.Index(page, asset)], "icons.svg") > 0 {
			continue
		}
		if !strings.HasSuffix(asset, "icons.svg") {
			first += size(asset)
		}
	}
	prefix := regexp.MustCompile(`/assets/[0-9a-f]{12}/`).FindString(page)
	for _, name := range []string{"icons.svg", "live.js", "charts.js", "mono.woff2"} {
		first += size(prefix + name)
	}
	if first > 200_000 {
		t.Errorf("the first page is %d bytes with everything, more than 200 kB", first)
	}
	for _, path := range pagesOf() {
		if path == "/add" {
			continue
		}
		if n := size(path); n > 30_000 {
			t.Errorf("%s is %d bytes compressed, more than 30 kB", path, n)
		}
	}
}

func TestAssetsAreKeptForGoodUnderTheirHash(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	path := regexp.MustCompile(`/assets/[0-9a-f]{12}/console\.css`).FindString(get(c, "", "/sign-in").Body.String())
	r := httptest.NewRequest(http.MethodGet, "http://steward.test"+path, nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("%s: status %d, headers %v", path, w.Code, w.Header())
	}
	zip, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	style, err := io.ReadAll(zip)
	if err != nil || !strings.Contains(string(style), "--iris") || strings.Contains(string(style), "http://") || strings.Contains(string(style), "data:") {
		t.Errorf("the style sheet is not whole, or asks another origin: %v", err)
	}
	if w := get(c, "", "/assets/000000000000/console.css"); w.Code != 200 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("an older address: status %d, %q", w.Code, w.Header().Get("Cache-Control"))
	}
	if w := get(c, "", "/assets/x/../../render.go"); w.Code == 200 && strings.Contains(w.Body.String(), "package console") {
		t.Error("a file outside of the assets is served")
	}
}

// BenchmarkPages is the server's time for each page, lists with 50 rows.
func BenchmarkPages(b *testing.B) {
	c := serve(b, consoletest.Full, func(o *console.Options) { o.Now = func() time.Time { return consoletest.Now } })
	for _, path := range pagesOf() {
		b.Run(strings.ReplaceAll(strings.ReplaceAll(path, "/", "_"), deviceID, "D"), func(b *testing.B) {
			for b.Loop() {
				if w := get(c, "owner", path); w.Code != 200 {
					b.Fatalf("status %d", w.Code)
				}
			}
		})
	}
}
