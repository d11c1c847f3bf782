package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/view"
)

//go:embed *.html
var templateFiles embed.FS

// pages are the parsed templates, one set for each page_NAME.html.
type pages struct {
	sets map[string]*template.Template
	pool sync.Pool
}

func loadPages(a *assets) (*pages, error) {
	base, err := template.New("base").Funcs(functions(a)).ParseFS(templateFiles, "layout.html", "parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	p := &pages{sets: map[string]*template.Template{}}
	files, err := templateFiles.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name, isPage := strings.CutPrefix(file.Name(), "page_")
		if !isPage {
			continue
		}
		set, err := base.Clone()
		if err == nil {
			set, err = set.ParseFS(templateFiles, file.Name())
		}
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", file.Name(), err)
		}
		p.sets[strings.TrimSuffix(name, ".html")] = set
	}
	return p, nil
}

// crumb is a step of the way above a page. The last has no address.
type crumb struct{ Text, Href string }

// page is what the layout shows around a body. Its methods are the frame's.
type page struct {
	*frame
	Title  string
	Crumbs []crumb
	Nav    string // the entry of the sidebar
	Live   string // address of the page's event stream; "" when it does not change by itself
	Charts bool
	Bare   bool // without sidebar and top bar
	Said   string
	Body   any
}

// show renders a page with status 200.
func (f *frame) show(name string, p page) error { return f.answer(http.StatusOK, name, p) }

func (f *frame) answer(status int, name string, p page) error {
	p.frame = f
	p.Said = f.said()
	if len(p.Crumbs) == 0 {
		p.Crumbs = []crumb{{Text: p.Title}}
	}
	var out bytes.Buffer
	if err := f.c.pages.sets[name].ExecuteTemplate(&out, "layout", p); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	h := f.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, Cookie")
	f.started = true
	return f.c.pages.write(f.w, f.r, status, out.Bytes())
}

// part renders one named piece of a page, for fragments.
func (f *frame) part(name, piece string, p page) ([]byte, error) {
	p.frame = f
	var out bytes.Buffer
	err := f.c.pages.sets[name].ExecuteTemplate(&out, piece, p)
	return out.Bytes(), err
}

func (p *pages) write(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	if !acceptsGzip(r) {
		w.WriteHeader(status)
		_, err := w.Write(body)
		return ignoreGone(err)
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	zip, ok := p.pool.Get().(*gzip.Writer)
	if !ok {
		zip = gzip.NewWriter(w)
	} else {
		zip.Reset(w)
	}
	defer p.pool.Put(zip)
	_, err := zip.Write(body)
	return ignoreGone(errors.Join(err, zip.Close()))
}

// ignoreGone drops the error of a reader who went away: nobody is left to tell.
func ignoreGone(error) error { return nil }

type faultBody struct {
	Status      int
	Title, Text string
	Next        string
	Field       string
}

// showFault is the page of an error. What another customer has and what is not
// there give the very same page.
func (c *Console) showFault(f *frame, status int, err error) {
	body := faultBody{Status: status, Text: "It was written to the server's log with the time of this page. Nothing you sent was kept.", Title: "Steward failed here"}
	var known *fault.Error
	if errors.As(err, &known) {
		body.Text, body.Next, body.Field = sentence(known.Message), sentence(known.Next), known.Field
		body.Title = map[int]string{
			http.StatusForbidden: "You may not do this", http.StatusConflict: "Not now", http.StatusTooManyRequests: "Too many tries",
			http.StatusServiceUnavailable: "Not available now", http.StatusUnprocessableEntity: "Something needs another value",
		}[status]
	}
	if status == http.StatusNotFound {
		body = faultBody{Status: status, Title: "There is nothing here", Text: "The address is wrong, or what it named is gone or not yours to see."}
		f.tenant.ID = ""
	}
	if err := f.answer(status, "fault", page{Title: body.Title, Bare: f.session == "", Body: body}); err != nil {
		c.o.Log.Error("console", "error", err)
		http.Error(f.w, "Steward failed here. It was logged.", http.StatusInternalServerError)
	}
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}

func (c *Console) missing(w http.ResponseWriter, r *http.Request) {
	f := c.newFrame(w, r)
	if err := c.identify(f); err != nil {
		c.refuse(f, err)
		return
	}
	c.refuse(f, fault.NotFoundf("no such page"))
}

// The sidebar and the top bar.

type navLink struct {
	Key, Text, Icon, Href string
	Count                 int
	Shown, Gap            bool
}

// Navigation is the sidebar: what the caller may see, with counters.
func (p page) Navigation() []navLink {
	devices, undecided, customers := 0, 0, 0
	for _, t := range p.customers() {
		customers++
		if p.tenant.ID == "" || p.tenant.ID == ident.MSP || p.tenant.ID == t.ID {
			devices, undecided = devices+t.Devices, undecided+t.Undecided
		}
	}
	home := p.At("")
	if home != "/" {
		home = strings.TrimSuffix(home, "/")
	}
	return []navLink{
		{"overview", "Overview", "house", home, 0, p.Can("view.read"), false},
		{"devices", "Devices", "monitor", p.At("devices"), devices, p.Can("device.read"), false},
		{"updates", "Updates", "package", p.At("updates"), undecided, p.Can("update.read"), false},
		{"deployments", "Deployments", "rocket", p.At("deployments"), 0, p.Can("deployment.read"), false},
		{"policies", "Policies", "calendar-cog", p.At("policies"), 0, p.Can("policy.read"), false},
		{"customers", "Customers", "building-2", "/customers", customers, p.Can("tenant.read"), true},
		{"audit", "Audit log", "scroll-text", p.At("audit"), 0, p.Can("audit.read"), false},
		{"people", "People and tokens", "users", "/people", 0, p.Can("token.create"), false},
	}
}

// Switch lists the customers for the switcher.
func (p page) Switch() []view.TenantRow { return p.customers() }

// Where is the customer in view, "" for all.
func (p page) Where() string {
	if p.tenant.ID == "" || p.tenant.ID == ident.MSP {
		return ""
	}
	return p.tenant.Name
}

// Theme is the chosen theme, "" for the system's.
func (p page) Theme() string { return p.look.Theme }

// Keys is "off" when single keys are switched off.
func (p page) Keys() string { return p.look.Keys }

// Name is who is signed in.
func (p page) Name() string { return p.who.Actor.Name }

// Initials stand in the round sign of who is signed in.
func (p page) Initials() string {
	out := []rune{}
	for _, word := range strings.FieldsFunc(p.who.Actor.Name, func(r rune) bool { return r == ' ' || r == '.' || r == '@' || r == '-' }) {
		if len(out) < 2 {
			out = append(out, []rune(strings.ToUpper(word))[0])
		}
	}
	return string(out)
}

// Version is the server's.
func (p page) Version() string { return p.c.o.Version }
