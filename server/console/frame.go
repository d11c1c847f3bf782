package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/view"
)

// frame is one request: who asks, of which customer, when, in which zone.
type frame struct {
	c       *Console
	w       http.ResponseWriter
	r       *http.Request
	who     auth.Principal
	session string
	route   route
	scope   ident.Scope  // of the route's action, narrowed to the path's tenant
	tenant  fleet.Tenant // zero: all that the scope has
	now     time.Time
	loc     *time.Location
	look    look
	started bool // the answer has begun: too late for another page
}

// look is what a person chose for this browser.
type look struct {
	Theme string // "", light, dark
	Keys  string // "off": no single keys
}

func (c *Console) newFrame(w http.ResponseWriter, r *http.Request) *frame {
	f := &frame{c: c, w: w, r: r, now: c.o.Now(), loc: time.UTC}
	if cookie, err := r.Cookie(c.cookieName(lookCookie)); err == nil {
		theme, keys, _ := strings.Cut(cookie.Value, ".")
		if theme == "light" || theme == "dark" {
			f.look.Theme = theme
		}
		if keys == "off" {
			f.look.Keys = keys
		}
	}
	return f
}

func (f *frame) ctx() context.Context { return f.r.Context() }

func (f *frame) setZone() {
	if f.who.TimeZone == "" {
		return
	}
	if loc, err := time.LoadLocation(f.who.TimeZone); err == nil && f.who.TimeZone != "Local" {
		f.loc = loc
	}
}

// scopeOf is where the caller may do an action, inside the path's tenant.
func (f *frame) scopeOf(a auth.Action) ident.Scope {
	s := auth.Scope(f.who, a)
	if f.tenant.ID != "" && f.tenant.ID != ident.MSP {
		return s.Only(f.tenant.ID)
	}
	return s
}

// Can reports whether the caller may do the action here.
func (f *frame) Can(action string) bool {
	if f.tenant.ID == "" {
		return auth.AuthorizeSome(f.who, auth.Action(action)) == nil
	}
	return auth.Authorize(f.who, auth.Action(action), f.tenant.ID) == nil
}

// CanAll reports whether the caller may do the action for all customers.
func (f *frame) CanAll(action string) bool {
	return auth.AuthorizeAll(f.who, auth.Action(action)) == nil
}

// At is a path of the customer in view, or of all.
func (f *frame) At(rest string) string {
	if f.tenant.ID == "" || f.tenant.ID == ident.MSP {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return tenantPath(f.tenant.ID, rest)
}

func tenantPath(t ident.TenantID, parts ...string) string {
	path := "/t/" + string(t)
	for _, p := range parts {
		if p != "" {
			path += "/" + strings.TrimPrefix(p, "/")
		}
	}
	return path
}

func devicePath(t ident.TenantID, id ident.DeviceID) string {
	return tenantPath(t, "devices/"+url.PathEscape(string(id)))
}

// Form is the hidden field that every form carries.
func (f *frame) Form() template.HTML {
	return template.HTML(`<input type="hidden" name="csrf" value="` + auth.CSRF(f.session) + `">`)
}

// field is a form's value without space around it.
func (f *frame) field(name string) string { return strings.TrimSpace(f.r.PostForm.Get(name)) }

// why is the reason a person must give; the audit record keeps it.
func (f *frame) why() (string, error) {
	why := f.field("why")
	if why == "" {
		return "", fault.Invalidf("why", "a reason is needed: the audit log keeps it")
	}
	return why, nil
}

// to sends the browser to a page after a form, with a word about what happened.
func (f *frame) to(path, said string) error {
	if said != "" {
		f.c.setCookie(f.w, "steward-said", url.QueryEscape(said), 30)
	}
	http.Redirect(f.w, f.r, path, http.StatusSeeOther)
	return nil
}

// said takes the word that the last form left.
func (f *frame) said() string {
	cookie, err := f.r.Cookie(f.c.cookieName("steward-said"))
	if err != nil || cookie.Value == "" {
		return ""
	}
	f.c.setCookie(f.w, "steward-said", "", -1)
	text, _ := url.QueryUnescape(cookie.Value)
	return text
}

// navCache keeps the customers and counters of the sidebar for a moment, so
// that a page does not pay for them.
type navCache struct {
	mu   sync.Mutex
	rows map[string]navRow
}

type navRow struct {
	at   time.Time
	rows []view.TenantRow
}

// navFor is how old the sidebar's counters may be.
const navFor = 5 * time.Second

func newNavCache() *navCache { return &navCache{rows: map[string]navRow{}} }

func (f *frame) customers() []view.TenantRow {
	scope := auth.Scope(f.who, auth.TenantRead)
	key := fmt.Sprint(scope.All())
	for _, t := range scope.Tenants() {
		key += fmt.Sprint("\x00", t, scope.Sites(t))
	}
	n := f.c.nav
	n.mu.Lock()
	got, ok := n.rows[key]
	n.mu.Unlock()
	if ok && f.now.Sub(got.at) < navFor && !f.now.Before(got.at) {
		return got.rows
	}
	rows, err := f.c.o.Views.Tenants(f.ctx(), scope, f.now)
	if err != nil {
		f.c.o.Log.Warn("console: sidebar", "error", err)
		return got.rows
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rows) > 1000 {
		clear(n.rows)
	}
	n.rows[key] = navRow{at: f.now, rows: rows}
	return rows
}

func (n *navCache) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rows)
}
