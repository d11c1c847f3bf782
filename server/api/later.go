package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/steward-rmm/steward/server/auth"
)

// later answers for the nouns that the contract names and this version has
// not: after the caller was proved and authorized, 501.
func (a *api) later() {
	none := func(what string) func(context.Context, *caller, *anyIn) (*okOut, error) {
		return func(context.Context, *caller, *anyIn) (*okOut, error) { return nil, notYet(what) }
	}
	for _, n := range []struct {
		noun         string
		read, change auth.Action
	}{
		{"alerts", auth.AlertRead, auth.AlertManage},
		{"silences", auth.AlertRead, auth.AlertManage},
		{"channels", auth.ChannelRead, auth.ChannelManage},
		{"routes", auth.ChannelRead, auth.ChannelManage},
		{"deliveries", auth.ChannelRead, auth.ChannelManage},
		{"tasks", auth.TaskRead, auth.TaskManage},
	} {
		both(a, n.noun, n.read, false, "Not in this version", none(n.noun))
		register(a, Route{Method: "GET", Path: "/tenants/{tenant}/" + n.noun + "/{id}", Action: n.read, Summary: "Not in this version"}, none(n.noun))
		register(a, Route{Method: "POST", Path: "/tenants/{tenant}/" + n.noun, Action: n.change, Summary: "Not in this version"}, none(n.noun))
		register(a, Route{Method: "POST", Path: "/tenants/{tenant}/" + n.noun + "/{id}/{verb}", Action: n.change, Summary: "Not in this version"}, none(n.noun))
	}
	for _, n := range []struct {
		noun   string
		action auth.Action
	}{
		{"deployments", auth.DeploymentControl}, {"freeze", auth.FreezeManage}, {"unfreeze", auth.FreezeManage},
	} {
		register(a, Route{Method: "POST", Path: "/tenants/{tenant}/" + n.noun, Action: n.action, Summary: "Not in this version"}, none(n.noun))
		register(a, Route{Method: "POST", Path: "/" + n.noun, Action: n.action, Reach: Everywhere, Summary: "Not in this version"}, none(n.noun))
	}
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/deployments/{id}/agree", Action: auth.DeploymentControl, Summary: "Not in this version"}, none("agree"))
}

// anyIn takes any body and reads none of it.
type anyIn struct {
	Limit  string `query:"limit"`
	Cursor string `query:"cursor"`
	Count  string `query:"count"`
}

// describe serves the description that huma made from the routes.
func (a *api) describe() {
	text := sync.OnceValues(func() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) })
	a.mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := text()
		if err != nil {
			writeProblem(w, problemOf(a.fail(r.Context(), "openapi.json", err)))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(b) // the caller may be gone
	})
}
