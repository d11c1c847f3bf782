package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

type policyJSON struct {
	Kind      string                     `json:"kind"`
	Tenant    ident.TenantID             `json:"tenant"`
	Site      ident.SiteID               `json:"site"`
	Name      string                     `json:"name"`
	State     apply.State                `json:"state"`
	Lock      []string                   `json:"lock"`
	Fields    map[string]json.RawMessage `json:"fields" doc:"as written"`
	Version   int64                      `json:"version"`
	UpdatedAt *time.Time                 `json:"updated_at"`
	UpdatedBy actorJSON                  `json:"updated_by"`
}

func renderPolicy(d policy.Document) policyJSON {
	out := policyJSON{string(apply.PatchPolicy), d.Tenant, d.Site, d.Name, apply.On, filled(d.Lock), d.Fields, d.Version, stamp(d.UpdatedAt), renderActor(d.UpdatedBy)}
	if d.Off {
		out.State = apply.Off
	}
	if out.Fields == nil {
		out.Fields = map[string]json.RawMessage{}
	}
	return out
}

// effectiveJSON is a policy as it holds at a level.
type effectiveJSON struct {
	Name    string                  `json:"name"`
	Tenant  ident.TenantID          `json:"tenant"`
	Site    ident.SiteID            `json:"site" doc:"empty: at the customer's level"`
	Devices int                     `json:"devices" doc:"of the customer that it rules"`
	Windows []string                `json:"windows" doc:"in words"`
	Patch   policy.Patch            `json:"patch"`
	Origins map[string]policy.Level `json:"origins"`
}

func (a *api) policies() {
	both(a, "policies", auth.PolicyRead, true, "Policy documents", a.listPolicies)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/policies/effective", Action: auth.PolicyRead, Summary: "Policies as they hold, with where each value comes from"}, a.effective)
	both(a, "plan", auth.PolicyRead, false, "Windows to come", a.plan)
	register(a, Route{Method: "POST", Path: "/apply", Action: auth.PolicyApply, Reach: PerDocument, MaxBody: apply.MaxBytes, Creates: true, Summary: "Apply YAML documents, or see what they would change"}, a.apply)
}

func (a *api) listPolicies(ctx context.Context, c *caller, in *ListIn) (*pageOut[policyJSON], error) {
	docs, err := a.o.View.Documents(ctx, c.scope, c.tenant)
	if err != nil {
		return nil, err
	}
	return whole(in, docs, func(d policy.Document) string { return string(d.Tenant) + "/" + string(d.Site) + "/" + d.Name }, renderPolicy)
}

func (a *api) effective(ctx context.Context, c *caller, in *ListIn) (*pageOut[effectiveJSON], error) {
	p, err := a.o.View.Policies(ctx, c.scope, c.tenant)
	if err != nil {
		return nil, err
	}
	var out []effectiveJSON
	add := func(site ident.SiteID, list []policy.Effective) {
		for _, e := range list {
			j := effectiveJSON{Name: e.Name, Tenant: e.Tenant, Site: site, Devices: p.Targets[e.Name], Windows: []string{}, Patch: e.Patch, Origins: e.Origins}
			for _, w := range e.Patch.Windows {
				j.Windows = append(j.Windows, window.Describe(w))
			}
			out = append(out, j)
		}
	}
	add("", p.Effective)
	for _, d := range p.Documents {
		if list, ok := p.Sites[d.Site]; ok && d.Site != "" {
			add(d.Site, list)
			delete(p.Sites, d.Site)
		}
	}
	return whole(in, out, func(e effectiveJSON) string { return string(e.Site) + "/" + e.Name }, same)
}

type planIn struct {
	ListIn
	Days int `query:"days" minimum:"1" maximum:"90" default:"30"`
}

type plannedJSON struct {
	Tenant    ident.TenantID `json:"tenant"`
	Site      ident.SiteID   `json:"site"`
	Policy    string         `json:"policy"`
	OpensAt   time.Time      `json:"opens_at"`
	ClosesAt  time.Time      `json:"closes_at"`
	Devices   int            `json:"devices"`
	Expected  int            `json:"expected_minutes"`
	Conflicts []string       `json:"conflicts"`
}

func (a *api) plan(ctx context.Context, c *caller, in *planIn) (*pageOut[plannedJSON], error) {
	if a.o.Planner == nil {
		return nil, notYet("plan")
	}
	tenants, err := a.reached(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []plannedJSON
	for _, t := range tenants {
		list, err := a.o.Planner.Plan(ctx, c.now, t, in.Days)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if !c.scope.HasSite(t, p.Site) {
				continue
			}
			out = append(out, plannedJSON{t, p.Site, p.Policy, p.Opens.UTC(), p.Closes.UTC(), len(p.Devices), p.ExpectedMinutes, filled(p.Conflicts)})
		}
	}
	return whole(&in.ListIn, out, func(p plannedJSON) string {
		return string(p.Tenant) + "/" + string(p.Site) + "/" + p.Policy + "/" + p.OpensAt.Format(time.RFC3339)
	}, same)
}

// reached are the tenants that the request is about.
func (a *api) reached(ctx context.Context, c *caller) ([]ident.TenantID, error) {
	if c.tenant != "" {
		return []ident.TenantID{c.tenant}, nil
	}
	list, err := a.o.View.Tenants(ctx, c.scope, c.now)
	ids := make([]ident.TenantID, 0, len(list))
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	return ids, err
}

type applyIn struct {
	DryRun  bool   `query:"dry_run" doc:"say what would change and change nothing"`
	RawBody []byte `contentType:"application/yaml"`
}

type applyJSON struct {
	Changes []apply.Change `json:"changes"`
}

// apply authorizes every document before anything is read.
func (a *api) apply(ctx context.Context, c *caller, in *applyIn) (*bodyOut[applyJSON], error) {
	docs, err := apply.Decode(in.RawBody)
	if err != nil {
		return nil, err
	}
	for _, n := range apply.Needs(docs) {
		if err := auth.AuthorizeSite(c.Principal, n.Action, n.Tenant, n.Site); err != nil {
			return nil, err
		}
	}
	changes, err := a.o.Apply.Run(ctx, c.now, apply.Request{By: c.Actor, Documents: docs, DryRun: in.DryRun,
		MayCreate: auth.AuthorizeAll(c.Principal, auth.TenantCreate) == nil})
	if err != nil {
		return nil, err
	}
	return &bodyOut[applyJSON]{applyJSON{changes}}, nil
}
