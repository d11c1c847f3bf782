package console

import (
	"net/http"

	"github.com/steward-rmm/steward/server/auth"
)

// routes is the table of pages and forms: each line declares its action, and
// where it is asked. What stands in no line is not there.
func (c *Console) routes() []route {
	get := func(pattern string, a auth.Action, where reach, do func(*frame) error) route {
		return route{method: http.MethodGet, pattern: pattern, action: a, reach: where, do: do}
	}
	post := func(pattern string, a auth.Action, where reach, do func(*frame) error) route {
		return route{method: http.MethodPost, pattern: pattern, action: a, reach: where, do: do}
	}
	return []route{
		get("/sign-in", "", open, c.signInForm),
		post("/sign-in", "", open, c.signIn),
		get("/link/{token}", "", open, c.linkForm),
		post("/link/{token}", "", open, c.redeemLink),
		post("/sign-out", "", signedIn, c.signOut),
		get("/you", "", signedIn, c.you),
		post("/you/look", "", signedIn, c.setLook),
		post("/you/password", "", signedIn, c.setPassword),

		get("/{$}", auth.ViewRead, some, c.overview),
		get("/live", auth.ViewRead, some, c.overviewLive),
		get("/t/{tenant}", auth.ViewRead, inTenant, c.overview),
		get("/t/{tenant}/live", auth.ViewRead, inTenant, c.overviewLive),

		get("/devices", auth.DeviceRead, some, c.devices),
		get("/devices/live", auth.DeviceRead, some, c.devicesLive),
		get("/t/{tenant}/devices", auth.DeviceRead, inTenant, c.devices),
		get("/t/{tenant}/devices/live", auth.DeviceRead, inTenant, c.devicesLive),
		get("/devices/act", auth.DeviceManage, some, c.askDevices),
		post("/devices/act", auth.DeviceManage, some, c.actDevices),
		get("/t/{tenant}/devices/{device}", auth.DeviceRead, inTenant, c.device),
		get("/t/{tenant}/devices/{device}/live", auth.DeviceRead, inTenant, c.deviceLive),
		get("/t/{tenant}/devices/{device}/samples", auth.SampleRead, inTenant, c.samples),
		get("/t/{tenant}/devices/{device}/{tab}", auth.DeviceRead, inTenant, c.device),
		get("/t/{tenant}/jobs/{job}", auth.JobRead, inTenant, c.job),
		post("/t/{tenant}/jobs/{job}/cancel", auth.JobCancel, inTenant, c.cancelJob),

		get("/updates", auth.UpdateRead, some, c.updates),
		get("/t/{tenant}/updates", auth.UpdateRead, inTenant, c.updates),
		post("/updates/decide", auth.UpdateDecide, some, c.decide),

		get("/customers", auth.TenantRead, some, c.customers),
		get("/customers/new", auth.TenantCreate, some, c.newCustomer),
		post("/customers", auth.TenantCreate, some, c.createCustomer),
		get("/t/{tenant}/settings", auth.TenantRead, inTenant, c.customerSettings),
		post("/t/{tenant}/settings", auth.TenantManage, inTenant, c.putCustomer),
		post("/t/{tenant}/mode", auth.TenantManage, inTenant, c.setMode),
		post("/t/{tenant}/sites", auth.SiteManage, inTenant, c.putSite),
	}
}
