package server

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/loop"
	"github.com/steward-rmm/steward/server/policy"
)

// list is the map of the process: everything that happens without being asked.
func (a *App) list() []loop.Loop {
	planned, _ := a.hub.Subscribe(deployment.PlanTopic())
	decided, _ := a.hub.Subscribe(policy.Topic())
	return []loop.Loop{
		{Name: "audit.seal", Every: time.Second, Run: func(ctx context.Context, now time.Time) error {
			_, err := a.base.audit.RunOnce(ctx, now)
			return err
		}},
		{Name: "audit.retain", Every: time.Hour, Run: a.base.audit.Retain},
		{Name: "deployment.plan", Every: 5 * time.Second, Wake: planned, Run: a.deploy.RunOnce},
		{Name: "policy.changed", Every: 5 * time.Minute, Wake: decided, Run: func(context.Context, time.Time) error {
			a.deploy.AllDirty()
			return nil
		}},
		{Name: "job.rescue", Every: 10 * time.Second, Run: a.jobs.RunOnce},
		{Name: "fleet.presence", Every: 30 * time.Second, Run: a.fleet.RunOnce},
		{Name: "session.away", Every: 10 * time.Second, Run: a.sessions.RunOnce},
		{Name: "telemetry.compact", Every: time.Minute, Run: func(ctx context.Context, now time.Time) error {
			_, err := a.samples.RunOnce(ctx, now)
			return err
		}},
		{Name: "telemetry.retain", Every: 24 * time.Hour, Run: func(ctx context.Context, now time.Time) error {
			_, err := a.samples.RetainOnce(ctx, now)
			return err
		}},
		{Name: "auth.prune", Every: 5 * time.Minute, Run: func(ctx context.Context, now time.Time) error {
			_, err := a.base.auth.Prune(ctx, now)
			return err
		}},
		{Name: "pki.maintain", Every: time.Hour, Run: func(_ context.Context, now time.Time) error {
			return a.base.keys.Maintain(now, a.agentAddresses())
		}},
	}
}
