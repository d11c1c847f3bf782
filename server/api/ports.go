package api

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

// Authenticator proves who asks; *auth.Service is one.
type Authenticator interface {
	Token(ctx context.Context, now time.Time, bearer string) (auth.Principal, error)
	Session(ctx context.Context, now time.Time, token string) (auth.Principal, auth.Session, error)
}

// People keeps people and tokens; *auth.Service is one.
type People interface {
	List(ctx context.Context, scope ident.Scope) ([]auth.Person, error)
	Invite(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, n auth.NewPerson) (auth.Person, auth.Secret, error)
	Disable(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, why string) error
	Enable(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.PersonID, why string) error
	ListTokens(ctx context.Context, by auth.Principal) ([]auth.Token, error)
	CreateToken(ctx context.Context, now time.Time, by auth.Principal, n auth.NewToken) (auth.Token, auth.Secret, error)
	RevokeToken(ctx context.Context, tenant ident.TenantID, now time.Time, by auth.Principal, id ident.TokenID, why string) error
}

// Fleet keeps tenants, sites and devices; *fleet.Service is one.
type Fleet interface {
	Tenant(ctx context.Context, id ident.TenantID) (fleet.Tenant, error)
	CreateTenant(ctx context.Context, now time.Time, by ident.Actor, t fleet.Tenant) error
	SetMode(ctx context.Context, now time.Time, by ident.Actor, id ident.TenantID, mode fleet.Mode, why string) error
	PutSite(ctx context.Context, now time.Time, by ident.Actor, site fleet.Site) error
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Revoke(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
	Readmit(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
	Retire(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (fleet.Device, error)
}

// View reads what joins nouns; *view.Service is one.
type View interface {
	fleetView
	updateView
	Policies(ctx context.Context, scope ident.Scope, tenant ident.TenantID) (view.PolicyPage, error)
	Documents(ctx context.Context, scope ident.Scope, tenant ident.TenantID) ([]policy.Document, error)
	Lookup(ctx context.Context, scope ident.Scope, id string) (view.Kind, ident.TenantID, error)
}

type fleetView interface {
	Tenants(ctx context.Context, scope ident.Scope, now time.Time) ([]view.TenantRow, error)
	Sites(ctx context.Context, scope ident.Scope, tenant ident.TenantID) ([]fleet.Site, error)
	Devices(ctx context.Context, scope ident.Scope, q view.Query) ([]view.DeviceRow, string, error)
	CountDevices(ctx context.Context, scope ident.Scope, q view.Query) (int, error)
	Device(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID) (view.Device, error)
	Timeline(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID, page string, limit int) ([]view.Event, string, error)
}

type updateView interface {
	Updates(ctx context.Context, scope ident.Scope, q view.UpdateQuery) ([]view.UpdateRow, string, error)
	CountUpdates(ctx context.Context, scope ident.Scope, q view.UpdateQuery) (int, error)
	Releases(ctx context.Context, scope ident.Scope, q view.ReleaseQuery) ([]view.ReleaseRow, string, error)
}

// Policies takes decisions by hand; *policy.Service is one.
type Policies interface {
	Decide(ctx context.Context, now time.Time, by ident.Actor, m policy.Manually) error
}

// Applier takes documents; *apply.Service is one.
type Applier interface {
	Run(ctx context.Context, now time.Time, r apply.Request) ([]apply.Change, error)
}

// Deployments moves releases through rings; *deployment.Service is one.
type Deployments interface {
	Deployment(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) (deployment.Deployment, error)
	List(ctx context.Context, scope ident.Scope, f deployment.Filter, cursor string, limit int) ([]deployment.Deployment, string, error)
	Events(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error)
	Pause(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Resume(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Halt(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
	Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error
}

// Planner answers why and when; *deployment.Service is one.
type Planner interface {
	Why(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]deployment.Explained, error)
	Plan(ctx context.Context, now time.Time, tenant ident.TenantID, days int) ([]deployment.Planned, error)
}

// Jobs are the units of work; *job.Service is one.
type Jobs interface {
	Job(ctx context.Context, tenant ident.TenantID, id ident.JobID) (job.Job, error)
	List(ctx context.Context, scope ident.Scope, f job.Filter, cursor string, limit int) ([]job.Job, string, error)
	History(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.Transition, error)
	Log(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.LogPart, error)
	Runs(ctx context.Context, scope ident.Scope, cursor string, limit int) ([]job.Run, string, error)
	Run(ctx context.Context, tenant ident.TenantID, id ident.RunID) (job.Run, error)
	Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.JobID, why reason.Reason) error
}

// Samples reads what was measured; *telemetry.Service is one.
type Samples interface {
	Read(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, from, to time.Time, signals ...string) ([]telemetry.Series, error)
}

// Enrollments lets devices in; *pki.Enrollments is one.
type Enrollments interface {
	Create(ctx context.Context, tenant ident.TenantID, by ident.Actor, d pki.Draft, now time.Time) (pki.Enrollment, string, error)
	List(ctx context.Context, scope ident.Scope) ([]pki.Enrollment, error)
	Revoke(ctx context.Context, tenant ident.TenantID, by ident.Actor, id ident.EnrollmentID, now time.Time) error
}

// Audit reads the record; *audit.Service is one.
type Audit interface {
	List(ctx context.Context, scope ident.Scope, f audit.Filter, cursor ident.EntryID, limit int) ([]audit.Listed, ident.EntryID, error)
	Verify(ctx context.Context, tenant ident.TenantID, head *audit.Head) (audit.Report, error)
	Head(ctx context.Context, tenant ident.TenantID) (audit.SignedHead, bool, error)
}
