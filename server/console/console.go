// Package console is the people's door: pages made on the server, changed in
// place by server-sent events, and whole without either. A route declares its
// action; the handler parses, calls one service, and renders.
package console

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/wake"
)

// Options are what a Console needs. All services are required but Applier,
// Samples and Plans: what they tell is then left out, or said to be not there.
type Options struct {
	SignIns     SignIns
	People      People
	Tokens      Tokens
	Customers   Customers
	Devices     Devices
	Views       Views
	Rows        Rows
	Policies    Policies
	Jobs        Jobs
	Deployments Deployments
	Control     Control
	Answers     Answers
	Samples     Samples
	Record      Record
	Enrollments Enrollments
	Applier     Applier

	Wake *wake.Hub
	Now  func() time.Time
	Log  *slog.Logger // nil discards

	// URL is the console's own address, "https://steward.example.net". With
	// https its cookies are bound to the host and sent encrypted only.
	URL string
	// Agents is where agents reach the server, shown on the page that adds a
	// device. The enrollment string holds it anyway.
	Agents  string
	Version string
	// Client names the address a request came from, behind a proxy too. nil
	// takes the connection's.
	Client func(*http.Request) string
	// Poll is how often a live page looks without a hint; 15 s.
	Poll time.Duration
}

// Console serves the pages.
type Console struct {
	o      Options
	secure bool
	host   string
	mux    *http.ServeMux
	assets *assets
	pages  *pages
	frags  *fragments
	nav    *navCache
}

// New makes the console: it parses all templates, so that a wrong one is found
// at the start.
func New(o Options) (*Console, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	address, err := url.Parse(o.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, fmt.Errorf("console address %q: want http://HOST or https://HOST", o.URL)
	}
	c := &Console{o: o, secure: address.Scheme == "https", host: address.Host, mux: http.NewServeMux(), frags: newFragments(), nav: newNavCache()}
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = loadPages(c.assets); err != nil {
		return nil, err
	}
	for _, r := range c.routes() {
		c.mux.Handle(r.method+" "+r.pattern, c.guard(r))
	}
	c.mux.HandleFunc("GET /assets/", c.assets.serve)
	c.mux.HandleFunc("/", c.missing)
	return c, nil
}

func (o *Options) check() error {
	missing := []string{}
	for name, part := range map[string]any{
		"SignIns": o.SignIns, "People": o.People, "Tokens": o.Tokens, "Customers": o.Customers, "Devices": o.Devices,
		"Views": o.Views, "Rows": o.Rows, "Policies": o.Policies, "Jobs": o.Jobs, "Deployments": o.Deployments,
		"Control": o.Control, "Answers": o.Answers, "Record": o.Record, "Enrollments": o.Enrollments,
	} {
		if part == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("console: services are missing: %s", strings.Join(missing, ", "))
	}
	if o.Wake == nil || o.Now == nil {
		return errors.New("console: Wake and Now are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = func(r *http.Request) string { return r.RemoteAddr }
	}
	if o.Poll <= 0 {
		o.Poll = 15 * time.Second
	}
	return nil
}

// ServeHTTP answers a request of a browser.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	if c.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	c.mux.ServeHTTP(w, r)
}
