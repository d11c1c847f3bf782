package api

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
)

type tenantJSON struct {
	Slug      ident.TenantID      `json:"slug"`
	Name      string              `json:"name"`
	TimeZone  string              `json:"time_zone"`
	Mode      fleet.Mode          `json:"mode"`
	Changed   string              `json:"changed_per_hour"`
	CreatedAt *time.Time          `json:"created_at"`
	Devices   int                 `json:"devices"`
	Online    int                 `json:"online"`
	Stale     int                 `json:"stale"`
	Conflict  int                 `json:"conflict"`
	Available int                 `json:"updates_available"`
	States    map[patch.State]int `json:"update_states"`
	NeedsYou  int                 `json:"needs_you"`
	Verified  view.Share          `json:"verified" doc:"of what should be installed, the part that a scan has proved; of: 0 means unknown"`
}

func renderTenant(t view.TenantRow) tenantJSON {
	states := t.States
	if states == nil {
		states = view.States{}
	}
	return tenantJSON{Slug: t.ID, Name: t.Name, TimeZone: t.TimeZone, Mode: t.Mode, Changed: t.Changed, CreatedAt: stamp(t.CreatedAt),
		Devices: t.Devices, Online: t.Online, Stale: t.Stale, Conflict: t.Conflict, Available: states.Open(), States: states,
		NeedsYou: states.Word(view.WordNeeds), Verified: states.Verified()}
}

type siteJSON struct {
	Tenant    ident.TenantID `json:"tenant"`
	Slug      ident.SiteID   `json:"slug"`
	Name      string         `json:"name"`
	TimeZone  string         `json:"time_zone"`
	CreatedAt *time.Time     `json:"created_at"`
}

func renderSite(s fleet.Site) siteJSON {
	return siteJSON{s.Tenant, s.ID, s.Name, s.TimeZone, stamp(s.CreatedAt)}
}

type TenantIn struct {
	Body struct {
		Slug     string `json:"slug" maxLength:"63"`
		Name     string `json:"name,omitempty" maxLength:"200"`
		TimeZone string `json:"time_zone" maxLength:"100"`
		Mode     string `json:"mode,omitempty" maxLength:"20"`
		Changed  string `json:"changed_per_hour,omitempty" maxLength:"50"`
	}
}

type modeIn struct {
	Body struct {
		Mode   string `json:"mode" maxLength:"20"`
		Reason string `json:"reason,omitempty" maxLength:"1000"`
	}
}

type siteIn struct {
	Body struct {
		Slug     string `json:"slug" maxLength:"63"`
		Name     string `json:"name,omitempty" maxLength:"200"`
		TimeZone string `json:"time_zone,omitempty" maxLength:"100"`
	}
}

func (a *api) tenants() {
	register(a, Route{Method: "GET", Path: "/tenants", Action: auth.TenantRead, Reach: Anywhere, Summary: "Customers"}, a.listTenants)
	register(a, Route{Method: "POST", Path: "/tenants", Action: auth.TenantCreate, Reach: Everywhere, Creates: true, Status: 201, Summary: "Create a customer"}, a.createTenant)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}", Action: auth.TenantRead, Summary: "A customer"}, a.showTenant)
	register(a, Route{Method: "PUT", Path: "/tenants/{tenant}/mode", Action: auth.TenantManage, Summary: "Change how much is done for a customer"}, a.setMode)
	both(a, "sites", auth.TenantRead, false, "Sites", a.listSites)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/sites", Action: auth.SiteManage, Creates: true, Status: 201, Summary: "Create or change a site"}, a.putSite)
	register(a, Route{Method: "GET", Path: "/lookup/{id}", Action: auth.DeviceRead, Reach: Anywhere, Summary: "What an id names, and in which customer"}, a.lookup)
}

func (a *api) listTenants(ctx context.Context, c *caller, in *ListIn) (*pageOut[tenantJSON], error) {
	list, err := a.o.View.Tenants(ctx, c.scope, c.now)
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(t view.TenantRow) string { return string(t.ID) }, renderTenant)
}

func (a *api) showTenant(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[tenantJSON], error) {
	list, err := a.o.View.Tenants(ctx, c.scope, c.now)
	if err != nil || len(list) == 0 {
		if err == nil {
			err = missing()
		}
		return nil, err
	}
	return &bodyOut[tenantJSON]{renderTenant(list[0])}, nil
}

func (a *api) createTenant(ctx context.Context, c *caller, in *TenantIn) (*bodyOut[tenantJSON], error) {
	b := in.Body
	t := fleet.Tenant{ID: ident.TenantID(b.Slug), Name: b.Name, TimeZone: b.TimeZone, Mode: fleet.Mode(b.Mode), Changed: b.Changed}
	if err := a.o.Fleet.CreateTenant(ctx, c.now, c.Actor, t); err != nil {
		return nil, err
	}
	made, err := a.o.Fleet.Tenant(ctx, t.ID)
	return &bodyOut[tenantJSON]{renderTenant(view.TenantRow{Tenant: made})}, err
}

func (a *api) setMode(ctx context.Context, c *caller, in *modeIn) (*bodyOut[tenantJSON], error) {
	if err := a.o.Fleet.SetMode(ctx, c.now, c.Actor, c.tenant, fleet.Mode(in.Body.Mode), in.Body.Reason); err != nil {
		return nil, err
	}
	return a.showTenant(ctx, c, nil)
}

func (a *api) listSites(ctx context.Context, c *caller, in *ListIn) (*pageOut[siteJSON], error) {
	list, err := a.o.View.Sites(ctx, c.scope, c.tenant)
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(s fleet.Site) string { return string(s.Tenant) + "/" + string(s.ID) }, renderSite)
}

func (a *api) putSite(ctx context.Context, c *caller, in *siteIn) (*bodyOut[siteJSON], error) {
	s := fleet.Site{Tenant: c.tenant, ID: ident.SiteID(in.Body.Slug), Name: in.Body.Name, TimeZone: in.Body.TimeZone, CreatedAt: c.now}
	if s.Name == "" {
		s.Name = in.Body.Slug
	}
	return &bodyOut[siteJSON]{renderSite(s)}, a.o.Fleet.PutSite(ctx, c.now, c.Actor, s)
}

type lookupJSON struct {
	Kind   view.Kind      `json:"kind"`
	Tenant ident.TenantID `json:"tenant"`
}

func (a *api) lookup(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[lookupJSON], error) {
	kind, tenant, err := a.o.View.Lookup(ctx, c.scope, c.id)
	return &bodyOut[lookupJSON]{lookupJSON{kind, tenant}}, err
}
