// Package api is the scripts' door: JSON over HTTP at /api/v1, described at
// /api/v1/openapi.json from the code. It does four things: parse, authorize,
// one service call, render. Each route declares the auth.Action that it needs;
// one middleware authenticates, authorizes and narrows.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/wake"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// Options are the services behind the door. All are needed but those that say
// otherwise.
type Options struct {
	Auth        Authenticator
	People      People
	Fleet       Fleet
	View        View
	Policies    Policies
	Apply       Applier
	Deployments Deployments // nil: not in this version
	Planner     Planner     // nil: not in this version
	Jobs        Jobs        // nil: not in this version
	Samples     Samples     // nil: not in this version
	Enrollments Enrollments
	Audit       Audit
	Wake        *wake.Hub // hints for event streams; nil: polling alone
	// Cookie is the name of the console's session cookie, which is good for
	// GET alone; "" for bearer tokens only.
	Cookie  string
	Version string // of the program, in the description
	// Link makes the address of a sign-in link of its secret; nil gives the
	// secret itself.
	Link func(secret string) string
	// Now is the door's clock; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger // nil discards
	// Heartbeat and Poll pace event streams; zero means 15 s and 2 s.
	Heartbeat, Poll time.Duration
}

// api is the door with its routes.
type api struct {
	o      Options
	huma   huma.API
	mux    *http.ServeMux
	routes []Route
	keys   *idempotency
	open   *openStreams
}

// New makes the handler of everything under Prefix.
func New(o Options) http.Handler { return build(o).handler() }

// Routes lists the routes with what each needs, for tests and documentation.
func Routes(o Options) []Route { return build(o).routes }

func build(o Options) *api {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Poll == 0 {
		o.Poll = 2 * time.Second
	}
	if o.Link == nil {
		o.Link = func(secret string) string { return secret }
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	a := &api{o: o, mux: http.NewServeMux(), keys: newIdempotency(maxKeys), open: &openStreams{by: map[ident.Actor]int{}}}
	format := huma.DefaultJSONFormat
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Steward", Version: o.Version},
			Servers: []*huma.Server{{URL: Prefix}},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{plainProblem},
	})
	a.tenants()
	a.devices()
	a.updates()
	a.policies()
	a.deployments()
	a.jobs()
	a.enrollments()
	a.people()
	a.audit()
	a.later()
	a.describe()
	return a
}

// fail turns a service's error into a problem; what is Steward's own failure
// is logged here, once.
func (a *api) fail(ctx context.Context, path string, err error) error {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		a.o.Log.Error("request failed", "path", path, "error", err)
	}
	return p
}
