package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
)

// reach says over what a route's action is asked.
type reach int

const (
	inTenant reach = iota // of the path's tenant
	some                  // anywhere at all; the scope then narrows
	signedIn              // no right beyond an account
	open                  // nobody needs to be signed in
)

// route is one line of the table. msp lets the reserved tenant stand in the
// path: its policies and its people.
type route struct {
	method, pattern string
	action          auth.Action
	reach           reach
	msp             bool
	do              func(f *frame) error
}

// maxForm bounds what a form may send.
const maxForm = 1 << 20

// guard is the one way to a handler: who asks, from where, and whether they
// may; then what the handler's error means.
func (c *Console) guard(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f := c.newFrame(w, req)
		if err := c.admit(r, f); err != nil {
			c.refuse(f, err)
			return
		}
		if err := r.do(f); err != nil {
			c.refuse(f, err)
		}
	})
}

func (c *Console) admit(r route, f *frame) error {
	if r.method == http.MethodPost {
		if err := c.sameOrigin(f.r); err != nil {
			return err
		}
		f.r.Body = http.MaxBytesReader(f.w, f.r.Body, maxForm)
		if err := f.r.ParseForm(); err != nil {
			return fault.Invalidf("", "the form is not readable or too large").WithCause(err)
		}
	}
	err := c.identify(f)
	if r.reach == open {
		return nil
	}
	if err != nil {
		return err
	}
	if r.method == http.MethodPost {
		if err := auth.CheckCSRF(f.session, f.r.PostForm.Get("csrf")); err != nil {
			return err
		}
	}
	return c.authorize(r, f)
}

func (c *Console) authorize(r route, f *frame) error {
	f.route = r
	tenant := ident.TenantID(f.r.PathValue("tenant"))
	switch r.reach {
	case signedIn:
		return nil
	case some:
		f.scope = auth.Scope(f.who, r.action)
		return auth.AuthorizeSome(f.who, r.action)
	}
	if tenant == ident.MSP && !r.msp || tenant != ident.MSP && !ident.ValidSlug(string(tenant)) {
		return auth.MissingTenant(tenant)
	}
	if err := auth.Authorize(f.who, r.action, tenant); err != nil {
		return err
	}
	f.scope = auth.Scope(f.who, r.action)
	if tenant == ident.MSP {
		f.tenant = fleet.Tenant{ID: ident.MSP, Name: "All customers"}
		return nil
	}
	f.scope = f.scope.Only(tenant)
	t, err := c.o.Customers.Tenant(f.ctx(), tenant)
	f.tenant = t
	return err
}

// sameOrigin refuses a form that another site made the browser send. Every
// browser of the last years sends one of the two headers with a POST.
func (c *Console) sameOrigin(r *http.Request) error {
	refused := fault.New(fault.Forbidden, "this form came from another site").WithNext("open the page here and try again")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return nil
	case "":
	default:
		return refused
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || origin.Host == "" || !strings.EqualFold(origin.Host, c.host) && !strings.EqualFold(origin.Host, r.Host) {
		return refused
	}
	return nil
}

// identify finds who holds the session's cookie.
func (c *Console) identify(f *frame) error {
	cookie, err := f.r.Cookie(c.cookieName(sessionCookie))
	if err != nil || cookie.Value == "" {
		return fault.New(fault.Unauthenticated, "sign in first")
	}
	who, _, err := c.o.SignIns.Session(f.ctx(), f.now, cookie.Value)
	if err != nil {
		return err
	}
	f.who, f.session = who, cookie.Value
	f.setZone()
	return nil
}

// Names of the cookies; with https they get the prefix that binds them to the
// host (RFC 6265bis, section 4.1.3.2).
const (
	sessionCookie = "steward"
	lookCookie    = "steward-look"
)

func (c *Console) cookieName(name string) string {
	if c.secure {
		return "__Host-" + name
	}
	return name
}

func (c *Console) setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(name), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode})
}

// refuse shows what an error means to a person: the sign-in page, a page of
// its own, or for our own failures a page that says it was logged.
func (c *Console) refuse(f *frame, err error) {
	if errors.Is(err, context.Canceled) || f.started {
		return
	}
	kind := fault.KindOf(err)
	if kind == fault.Unauthenticated {
		c.toSignIn(f)
		return
	}
	if kind == fault.Internal {
		// The pattern, not the path: a one-time link is in the path.
		c.o.Log.Error("console", "route", f.r.Pattern, "error", err)
	}
	c.showFault(f, statusOf(kind), err)
}

func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Invalid, fault.NotYet:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// toSignIn sends a page's reader to the sign-in page and back; whoever asked
// for a stream or for numbers only gets the status.
func (c *Console) toSignIn(f *frame) {
	if accept := f.r.Header.Get("Accept"); f.r.Method == http.MethodGet && (strings.Contains(accept, "event-stream") || strings.Contains(accept, "json")) {
		http.Error(f.w, "sign in first", http.StatusUnauthorized)
		return
	}
	to := "/sign-in"
	if f.r.Method == http.MethodGet && f.r.URL.Path != "/" {
		to += "?" + url.Values{"to": {f.r.URL.RequestURI()}}.Encode()
	}
	f.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(f.w, f.r, to, http.StatusSeeOther)
}

// ownPath keeps a way back inside the console: anything else is the overview.
func ownPath(to string) string {
	if u, err := url.Parse(to); err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\r\n\t") {
		return to
	}
	return "/"
}
