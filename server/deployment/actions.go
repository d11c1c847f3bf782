package deployment

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// maxWhy bounds what a person writes as a reason, in bytes.
const maxWhy = 1000

// Pause holds a deployment until a person resumes it: nothing more of it is
// leased or started. why is required (fault.Invalid).
func (s *Service) Pause(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, rollout.Pause(), why)
}

// Resume lets a paused or halted deployment go on. why is required.
func (s *Service) Resume(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, rollout.Resume(), why)
}

// Halt stops a deployment and holds its release for the whole tenant. why is
// required.
func (s *Service) Halt(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, rollout.Halt(), why)
}

// Cancel ends a deployment for good; its release is not offered again under
// its policy. why is required.
func (s *Service) Cancel(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, why string) error {
	return s.act(ctx, now, by, tenant, id, rollout.Cancel(), why)
}

func (s *Service) act(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeploymentID, a rollout.Action, why string) error {
	if why == "" || len(why) > maxWhy {
		return fault.Invalidf("reason", "say why, in 1 to %d bytes", maxWhy)
	}
	return s.o.Tx(ctx, func(ctx context.Context) error {
		d, err := s.Deployment(ctx, tenant, id)
		if err != nil {
			return err
		}
		up, err := rollout.Act(now, d, a, by, why)
		if err != nil {
			return err
		}
		if err := s.write(ctx, now, d, up); err != nil {
			return err
		}
		return s.o.Audit.Record(ctx, audit.Entry{Tenant: tenant, At: now, Actor: by, Action: "deployment." + a.Name, Reason: why,
			Object: audit.Object{Kind: "deployment", ID: string(id), Name: d.Title()},
			Detail: map[string]string{"from": string(d.State), "to": string(a.To), "policy": d.Policy}})
	})
}
