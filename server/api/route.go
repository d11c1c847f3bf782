package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Reach says where a caller must be allowed to do the route's action.
type Reach string

// The reaches.
const (
	InTenant   Reach = "tenant" // in the tenant of the path
	Anywhere   Reach = "some"   // somewhere; the scope says where
	Everywhere Reach = "all"    // in all tenants
	// PerDocument is for what is applied: the documents say what each needs,
	// and the handler authorizes every one before anything is read.
	PerDocument Reach = "document"
)

// Route is one route with what it needs.
type Route struct {
	Method  string
	Path    string // below Prefix
	Action  auth.Action
	Reach   Reach
	MSP     bool // the tenant may be *, for what belongs to the MSP itself
	Creates bool // honours Idempotency-Key
	MaxBody int64
	Status  int
	Summary string
}

// The bodies that are read at most, in bytes.
const (
	maxBody    = 64 << 10
	maxRecords = 500 // rows of one page
)

// caller is who asks, proved and authorized for the route.
type caller struct {
	auth.Principal
	scope  ident.Scope    // where the route's action is allowed, narrowed to the tenant of the path
	tenant ident.TenantID // of the path; "" over all
	id     string         // {id} of the path
	now    time.Time
	route  Route
}

type callerKey struct{}

// register adds a route. A nil h answers that this version has not got it.
func register[I, O any](a *api, r Route, h func(context.Context, *caller, *I) (*O, error)) {
	if r.MaxBody == 0 {
		r.MaxBody = maxBody
	}
	if strings.HasPrefix(r.Path, "/tenants/{tenant}") && r.Reach == "" {
		r.Reach = InTenant
	}
	a.routes = append(a.routes, r)
	op := huma.Operation{
		Method: r.Method, Path: Prefix + r.Path, OperationID: operationID(r), Summary: r.Summary, DefaultStatus: r.Status,
		MaxBodyBytes: r.MaxBody, BodyReadTimeout: 10 * time.Second, Parameters: pathParams(r.Path),
		Description: "Needs " + string(r.Action) + " (" + string(r.Reach) + ").",
		Middlewares: huma.Middlewares{a.guard(r)},
	}
	if r.Creates {
		op.Middlewares = append(op.Middlewares, a.once)
		op.Parameters = append(op.Parameters, &huma.Param{Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "the same key with the same request gives the same answer and acts once"})
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		c, _ := ctx.Value(callerKey{}).(*caller)
		if c == nil { // the guard always sets it
			return nil, newProblem(http.StatusInternalServerError, "")
		}
		out, err := h(ctx, c, in)
		if err != nil {
			return nil, a.fail(ctx, r.Method+" "+r.Path, err)
		}
		return out, nil
	})
}

var pathParam = regexp.MustCompile(`\{([a-z_]+)\}`)

func pathParams(path string) []*huma.Param {
	var out []*huma.Param
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		out = append(out, &huma.Param{Name: m[1], In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	return out
}

func operationID(r Route) string {
	return strings.ToLower(r.Method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(r.Path)
}

// guard authenticates, authorizes and narrows.
func (a *api) guard(r Route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c, err := a.admit(ctx, r)
		if err != nil {
			p := problemOf(a.fail(ctx.Context(), r.Method+" "+r.Path, err))
			_, w := humago.Unwrap(ctx)
			writeProblem(w, p)
			return
		}
		ctx.SetHeader("Cache-Control", "no-store")
		next(huma.WithValue(ctx, callerKey{}, c))
	}
}

func (a *api) admit(ctx huma.Context, r Route) (*caller, error) {
	now := a.o.Now()
	req, _ := humago.Unwrap(ctx)
	p, err := a.authenticate(req, now)
	if err != nil {
		return nil, err
	}
	c := &caller{Principal: p, now: now, route: r, id: ctx.Param("id"), tenant: ident.TenantID(ctx.Param("tenant"))}
	if !utf8.ValidString(c.id) || strings.ContainsRune(c.id, 0) || len(c.id) > 200 {
		return nil, missing()
	}
	if err := a.authorize(ctx.Context(), c); err != nil {
		return nil, err
	}
	c.scope = auth.Scope(p, r.Action)
	if r.Reach == InTenant {
		c.scope = c.scope.Only(c.tenant)
	}
	return c, nil
}

// authenticate takes a bearer token, or for GET the console's session.
func (a *api) authenticate(r *http.Request, now time.Time) (auth.Principal, error) {
	header := r.Header.Get("Authorization")
	if header == "" && a.o.Cookie != "" && r.Method == http.MethodGet {
		if cookie, err := r.Cookie(a.o.Cookie); err == nil {
			p, _, err := a.o.Auth.Session(r.Context(), now, cookie.Value)
			return p, err
		}
	}
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return auth.Principal{}, fault.New(fault.Unauthenticated, "a bearer token is needed").
			WithNext("make one with steward token create and send it as Authorization: Bearer …")
	}
	return a.o.Auth.Token(r.Context(), now, strings.TrimSpace(token))
}

// authorize asks for the route's action where it acts. A tenant that does not
// exist is answered as one that the caller may not see.
func (a *api) authorize(ctx context.Context, c *caller) error {
	switch c.route.Reach {
	case PerDocument:
		return nil
	case Everywhere:
		return auth.AuthorizeAll(c.Principal, c.route.Action)
	case Anywhere:
		return auth.AuthorizeSome(c.Principal, c.route.Action)
	}
	if c.tenant == ident.MSP {
		if !c.route.MSP {
			return missing()
		}
		return auth.AuthorizeAll(c.Principal, c.route.Action)
	}
	if !ident.ValidSlug(string(c.tenant)) {
		return missing()
	}
	if err := auth.Authorize(c.Principal, c.route.Action, c.tenant); err != nil {
		return err
	}
	_, err := a.o.Fleet.Tenant(ctx, c.tenant)
	return err
}

// handler serves the routes, and answers unknown paths and methods as problems.
func (a *api) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				a.o.Log.Error("request panicked", "path", r.URL.Path, "panic", p)
				writeProblem(w, problemOf(http.ErrAbortHandler))
			}
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if a.knows(r, r.Method) {
			a.mux.ServeHTTP(w, r)
			return
		}
		var allowed []string
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if a.knows(r, m) {
				allowed = append(allowed, m)
			}
		}
		if len(allowed) == 0 {
			writeProblem(w, newProblem(http.StatusNotFound, "there is no such path; "+Prefix+"/openapi.json lists all"))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "this path knows "+strings.Join(allowed, ", ")))
	})
}

// knows reports whether a route matches the path as it stands with the method.
func (a *api) knows(r *http.Request, method string) bool {
	probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
	_, pattern := a.mux.Handler(probe)
	_, path, ok := strings.Cut(pattern, " ")
	return ok && strings.Count(path, "/") == strings.Count(r.URL.EscapedPath(), "/")
}
