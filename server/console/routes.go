package console

import (
	"net/http"

	"github.com/steward-rmm/steward/server/auth"
)

// forMSP lets the reserved tenant stand in the path.
func forMSP(r route) route {
	r.msp = true
	return r
}

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

		get("/deployments", auth.DeploymentRead, some, c.deployments),
		get("/t/{tenant}/deployments", auth.DeploymentRead, inTenant, c.deployments),
		get("/t/{tenant}/deployments/{deployment}", auth.DeploymentRead, inTenant, c.deployment),
		get("/t/{tenant}/deployments/{deployment}/live", auth.DeploymentRead, inTenant, c.deploymentLive),
		get("/t/{tenant}/deployments/{deployment}/{verb}", auth.DeploymentControl, inTenant, c.askMove),
		post("/t/{tenant}/deployments/{deployment}/{verb}", auth.DeploymentControl, inTenant, c.moveDeployment),

		get("/policies", auth.PolicyRead, some, c.policies),
		get("/policies/new", auth.PolicyApply, some, c.newPolicy),
		get("/t/{tenant}/policies", auth.PolicyRead, inTenant, c.policies),
		get("/t/{tenant}/policies/new", auth.PolicyApply, inTenant, c.newPolicy),
		forMSP(get("/t/{tenant}/policies/{policy}", auth.PolicyRead, inTenant, c.policy)),
		forMSP(get("/t/{tenant}/policies/{policy}/edit", auth.PolicyApply, inTenant, c.editPolicy)),
		post("/apply/preview", auth.PolicyApply, some, c.previewPolicy),
		post("/apply/save", auth.PolicyApply, some, c.savePolicy),

		get("/audit", auth.AuditRead, some, c.audit),
		get("/t/{tenant}/audit", auth.AuditRead, inTenant, c.audit),

		get("/add", auth.EnrollmentCreate, some, c.add),
		get("/t/{tenant}/add", auth.EnrollmentCreate, inTenant, c.add),
		post("/t/{tenant}/add", auth.EnrollmentCreate, inTenant, c.createEnrollment),
		get("/t/{tenant}/add/{enrollment}/live", auth.EnrollmentRead, inTenant, c.addLive),
		post("/t/{tenant}/add/{enrollment}/revoke", auth.EnrollmentCreate, inTenant, c.revokeEnrollment),

		get("/search", auth.ViewRead, some, c.search),
		get("/t/{tenant}/search", auth.ViewRead, inTenant, c.search),

		get("/people", auth.TokenCreate, some, c.people),
		post("/people", auth.PeopleManage, some, c.invite),
		forMSP(post("/t/{tenant}/people/{person}/{verb}", auth.PeopleManage, inTenant, c.changePerson)),
		post("/tokens", auth.TokenCreate, some, c.createToken),
		// One's own token may lie in a tenant that one may not manage: the
		// service asks whose it is.
		post("/t/{tenant}/tokens/{token}/revoke", auth.TokenCreate, some, c.revokeToken),

		get("/customers", auth.TenantRead, some, c.customers),
		get("/customers/new", auth.TenantCreate, some, c.newCustomer),
		post("/customers", auth.TenantCreate, some, c.createCustomer),
		get("/t/{tenant}/settings", auth.TenantRead, inTenant, c.customerSettings),
		post("/t/{tenant}/settings", auth.TenantManage, inTenant, c.putCustomer),
		post("/t/{tenant}/mode", auth.TenantManage, inTenant, c.setMode),
		post("/t/{tenant}/sites", auth.SiteManage, inTenant, c.putSite),
	}
}
