package console

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
)

// SignIns lets people in and out; *auth.Service is it.
type SignIns interface {
	SignIn(ctx context.Context, now time.Time, email, password, addr, userAgent string) (auth.Secret, auth.Session, error)
	SignOut(ctx context.Context, now time.Time, token string) error
	Session(ctx context.Context, now time.Time, token string) (auth.Principal, auth.Session, error)
	PeekLink(ctx context.Context, now time.Time, plain string) (auth.Person, auth.Link, error)
	RedeemLink(ctx context.Context, now time.Time, plain, password, addr, userAgent string) (auth.Secret, auth.Session, error)
	SetPassword(ctx context.Context, now time.Time, by auth.Principal, old, next string) error
}

// People keeps who may sign in; *auth.Service is it.
type People interface {
	List(ctx context.Context, scope ident.Scope) ([]auth.Person, error)
	Invite(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, n auth.NewPerson) (auth.Person, auth.Secret, error)
	Disable(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, why string) error
	Enable(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, why string) error
	Unlock(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, why string) error
	CreateLink(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, purpose auth.Purpose) (auth.Secret, error)
}

// Tokens keeps API tokens; *auth.Service is it.
type Tokens interface {
	ListTokens(ctx context.Context, by auth.Principal) ([]auth.Token, error)
	CreateToken(ctx context.Context, now time.Time, by auth.Principal, n auth.NewToken) (auth.Token, auth.Secret, error)
	RevokeToken(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.TokenID, why string) error
}

// Customers keeps tenants and sites; *fleet.Service is it.
type Customers interface {
	Tenant(ctx context.Context, id ident.TenantID) (fleet.Tenant, error)
	Sites(ctx context.Context, tenant ident.TenantID) ([]fleet.Site, error)
	CreateTenant(ctx context.Context, now time.Time, by ident.Actor, t fleet.Tenant) error
	PutTenant(ctx context.Context, now time.Time, by ident.Actor, t fleet.Tenant) error
	SetMode(ctx context.Context, now time.Time, by ident.Actor, id ident.TenantID, mode fleet.Mode, why string) error
	PutSite(ctx context.Context, now time.Time, by ident.Actor, site fleet.Site) error
}

// Devices keeps devices; *fleet.Service is it.
type Devices interface {
	Devices(ctx context.Context, tenant ident.TenantID) ([]fleet.Device, error)
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Revoke(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
	Readmit(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
	Retire(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
}

// Views answers what a page shows at once; *view.Service is it.
type Views interface {
	Overview(ctx context.Context, scope ident.Scope, now time.Time) (view.Overview, error)
	Device(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID) (view.Device, error)
	Tenants(ctx context.Context, scope ident.Scope, now time.Time) ([]view.TenantRow, error)
	Policies(ctx context.Context, scope ident.Scope, tenant ident.TenantID) (view.PolicyPage, error)
	Timeline(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID, page string, limit int) ([]view.Event, string, error)
	Documents(ctx context.Context, scope ident.Scope, tenant ident.TenantID) ([]policy.Document, error)
	Lookup(ctx context.Context, scope ident.Scope, id string) (view.Kind, ident.TenantID, error)
}

// Rows lists; *view.Service is it.
type Rows interface {
	Devices(ctx context.Context, scope ident.Scope, q view.Query) ([]view.DeviceRow, string, error)
	CountDevices(ctx context.Context, scope ident.Scope, q view.Query) (int, error)
	Releases(ctx context.Context, scope ident.Scope, q view.ReleaseQuery) ([]view.ReleaseRow, string, error)
	Updates(ctx context.Context, scope ident.Scope, q view.UpdateQuery) ([]view.UpdateRow, string, error)
}

// Policies keeps what people decided; *policy.Service is it.
type Policies interface {
	Decide(ctx context.Context, now time.Time, by ident.Actor, m policy.Manually) error
}

// Jobs answers what a device was asked to do; *job.Service is it.
type Jobs interface {
	Job(ctx context.Context, tenant ident.TenantID, id ident.JobID) (job.Job, error)
	List(ctx context.Context, scope ident.Scope, f job.Filter, cursor string, limit int) ([]job.Job, string, error)
	History(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.Transition, error)
	Log(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.LogPart, error)
	Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.JobID, why reason.Reason) error
}

// Deployments answers how far releases are; *deployment.Service is it.
type Deployments interface {
	Deployment(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) (deployment.Deployment, error)
	List(ctx context.Context, scope ident.Scope, f deployment.Filter, cursor string, limit int) ([]deployment.Deployment, string, error)
	Events(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error)
}

// Control moves a deployment by hand; *deployment.Service is it.
type Control interface {
	Pause(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Resume(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Halt(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
}

// Answers says why not, and what is to come; *deployment.Service is it.
type Answers interface {
	Why(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]deployment.Explained, error)
	Plan(ctx context.Context, now time.Time, tenant ident.TenantID, days int) ([]deployment.Planned, error)
}

// Samples answers what was measured; *telemetry.Service is it.
type Samples interface {
	Read(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, from, to time.Time, signals ...string) ([]telemetry.Series, error)
}

// Record answers what was done; *audit.Service is it.
type Record interface {
	List(ctx context.Context, scope ident.Scope, f audit.Filter, cursor ident.EntryID, limit int) ([]audit.Listed, ident.EntryID, error)
}

// Enrollments lets devices in; *pki.Enrollments is it.
type Enrollments interface {
	Create(ctx context.Context, tenant ident.TenantID, by ident.Actor, d pki.Draft, now time.Time) (pki.Enrollment, string, error)
	List(ctx context.Context, scope ident.Scope) ([]pki.Enrollment, error)
	Revoke(ctx context.Context, tenant ident.TenantID, by ident.Actor, id ident.EnrollmentID, now time.Time) error
}

// Applier plans and applies documents that the door decoded and authorized;
// *apply.Service is it.
type Applier interface {
	Run(ctx context.Context, now time.Time, r apply.Request) ([]apply.Change, error)
}
