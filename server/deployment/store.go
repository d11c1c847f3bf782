package deployment

import (
	"context"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
)

// Store keeps deployments.
type Store interface {
	// Running lists a tenant's deployments that are not final, with rings and
	// members.
	Running(ctx context.Context, tenant ident.TenantID) ([]Deployment, error)
	// Ended lists the final deployments of releases, with rings and those
	// members that are not verified.
	Ended(ctx context.Context, tenant ident.TenantID, releases []patch.Release) ([]Deployment, error)
	// Deployment finds one, with rings and without members.
	Deployment(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) (d Deployment, found bool, err error)
	// Heads lists all deployments of releases, with rings and without members.
	Heads(ctx context.Context, tenant ident.TenantID, releases []patch.Release) ([]Deployment, error)
	// Members lists members in order of device: those of the devices, or all
	// for nil.
	Members(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, devices []ident.DeviceID) ([]Member, error)
	// Put inserts or changes a deployment and its rings; Seq and members are
	// not touched. Of one that is not final (tenant, policy, release) is unique.
	Put(ctx context.Context, d Deployment) error
	// PutMembers inserts or replaces members.
	PutMembers(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, members []Member) error
	// Append adds rows to the history: it numbers them on from the
	// deployment's Seq, which it moves.
	Append(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, rows []Transition) error
}

// Filter narrows a list; empty fields do not.
type Filter struct {
	State   State
	Policy  string
	Package string
}

// Lists answers what people look at.
type Lists interface {
	// List lists deployments below an id ("": all), newest first, with rings.
	List(ctx context.Context, scope ident.Scope, f Filter, below ident.DeploymentID, limit int) ([]Deployment, error)
	// Events lists history after a number, oldest first.
	Events(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]Transition, error)
}
