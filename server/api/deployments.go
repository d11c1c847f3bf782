package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

type deploymentsIn struct {
	ListIn
	State   string `query:"state" enum:"running,paused,halted,completed,cancelled,superseded"`
	Policy  string `query:"policy" maxLength:"200"`
	Package string `query:"package" maxLength:"300"`
}

type ringJSON struct {
	Name        string               `json:"name"`
	State       deployment.RingState `json:"state"`
	Reason      string               `json:"reason"`
	ReasonCode  reason.Code          `json:"reason_code"`
	Since       *time.Time           `json:"since"`
	SoakSeconds int                  `json:"soak_seconds"`
	MinVerified string               `json:"min_verified"`
	Devices     int                  `json:"devices"`
	Verified    int                  `json:"verified"`
	Failed      int                  `json:"failed"`
	Running     int                  `json:"running"`
	Waiting     int                  `json:"waiting"`
	Other       int                  `json:"other"`
}

// Deployment is a deployment with its rings.
type Deployment struct {
	ID         ident.DeploymentID `json:"id"`
	Tenant     ident.TenantID     `json:"tenant"`
	Policy     string             `json:"policy"`
	Source     string             `json:"source"`
	Package    string             `json:"package"`
	Version    string             `json:"version"`
	State      deployment.State   `json:"state"`
	Reason     string             `json:"reason"`
	ReasonCode reason.Code        `json:"reason_code"`
	Since      *time.Time         `json:"since"`
	Seq        int64              `json:"seq"`
	CreatedAt  *time.Time         `json:"created_at"`
	EndedAt    *time.Time         `json:"ended_at"`
	Rings      []ringJSON         `json:"rings"`
}

type deploymentShowJSON struct {
	Deployment
	Jobs    []jobJSON    `json:"jobs"`
	Members []memberJSON `json:"members"`
}

type memberJSON struct {
	Device   ident.DeviceID `json:"device"`
	Ring     string         `json:"ring"`
	Result   string         `json:"result"`
	Job      ident.JobID    `json:"job"`
	Late     bool           `json:"late"`
	Verified *time.Time     `json:"verified_at"`
}

func renderDeployment(d deployment.Deployment) Deployment {
	out := Deployment{ID: d.ID, Tenant: d.Tenant, Policy: d.Policy, Source: d.Release.Source, Package: d.Release.Package, Version: d.Release.Version,
		State: d.State, Reason: words(d.Reason), ReasonCode: d.Reason.Code, Since: stamp(d.Since), Seq: d.Seq, CreatedAt: stamp(d.CreatedAt), EndedAt: stamp(d.EndedAt),
		Rings: make([]ringJSON, 0, len(d.Rings))}
	for _, r := range d.Rings {
		out.Rings = append(out.Rings, ringJSON{r.Name, r.State, words(r.Reason), r.Reason.Code, stamp(r.Since), int(r.Soak.Seconds()), r.MinVerified.String(),
			r.Counts.Devices, r.Counts.Verified, r.Counts.Failed, r.Counts.Running, r.Counts.Waiting, r.Counts.Other})
	}
	return out
}

func (a *api) deployments() {
	both(a, "deployments", auth.DeploymentRead, false, "Deployments, newest first", a.listDeployments)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/deployments/{id}", Action: auth.DeploymentRead, Summary: "A deployment with its rings and jobs"}, a.showDeployment)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/deployments/{id}/events", Action: auth.DeploymentRead, Summary: "What happens to a deployment, as server-sent events; Last-Event-ID resumes"}, a.events)
	if a.o.Deployments == nil {
		return
	}
	for _, act := range []struct {
		name, summary string
		do            func(context.Context, time.Time, ident.Actor, ident.TenantID, ident.DeploymentID, string) error
	}{
		{"pause", "Hold a deployment", a.o.Deployments.Pause},
		{"resume", "Let a paused or halted deployment go on", a.o.Deployments.Resume},
		{"halt", "Stop a deployment and hold its release", a.o.Deployments.Halt},
		{"cancel", "End a deployment for good", a.o.Deployments.Cancel},
	} {
		register(a, Route{Method: "POST", Path: "/tenants/{tenant}/deployments/{id}/" + act.name, Action: auth.DeploymentControl, Summary: act.summary},
			func(ctx context.Context, c *caller, in *whyIn) (*okOut, error) {
				return okay(), act.do(ctx, c.now, c.Actor, c.tenant, ident.DeploymentID(c.id), in.Body.Reason)
			})
	}
}

func (a *api) listDeployments(ctx context.Context, c *caller, in *deploymentsIn) (*pageOut[Deployment], error) {
	if a.o.Deployments == nil {
		return nil, notYet("deployments")
	}
	f := deployment.Filter{State: deployment.State(in.State), Policy: in.Policy, Package: in.Package}
	if in.Count != "" {
		return countPages[Deployment](func(cursor string) (int, string, error) {
			list, next, err := a.o.Deployments.List(ctx, c.scope, f, cursor, maxRecords)
			return len(list), next, err
		})
	}
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	list, next, err := a.o.Deployments.List(ctx, c.scope, f, in.Cursor, in.Limit)
	return rows(list, next, renderDeployment), err
}

func (a *api) showDeployment(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[deploymentShowJSON], error) {
	if a.o.Deployments == nil {
		return nil, notYet("deployments")
	}
	d, err := a.o.Deployments.Deployment(ctx, c.tenant, ident.DeploymentID(c.id))
	if err != nil {
		return nil, err
	}
	sees, err := a.sight(ctx, c)
	if err != nil {
		return nil, err
	}
	out := deploymentShowJSON{Deployment: renderDeployment(d), Jobs: []jobJSON{}, Members: []memberJSON{}}
	for _, m := range d.Members {
		if !sees(m.Device) {
			continue
		}
		row := memberJSON{Device: m.Device, Result: string(m.Result), Job: m.Job, Late: m.Late, Verified: stamp(m.Verified)}
		if m.Ring >= 0 && m.Ring < len(d.Rings) {
			row.Ring = d.Rings[m.Ring].Name
		}
		out.Members = append(out.Members, row)
	}
	out.Jobs, err = a.allJobs(ctx, c, job.Filter{Tenant: c.tenant, Deployment: d.ID})
	return &bodyOut[deploymentShowJSON]{out}, err
}

// transitionJSON is one event of a deployment.
type transitionJSON struct {
	Seq        int64              `json:"seq"`
	At         time.Time          `json:"at"`
	Subject    deployment.Subject `json:"subject"`
	ID         string             `json:"id"`
	Device     ident.DeviceID     `json:"device"`
	From       string             `json:"from"`
	To         string             `json:"to"`
	Reason     string             `json:"reason"`
	ReasonCode reason.Code        `json:"reason_code"`
}

func renderTransition(t deployment.Transition) transitionJSON {
	return transitionJSON{t.Seq, t.At.UTC(), t.Subject, t.ID, t.Device, t.From, t.To, words(t.Reason), t.Reason.Code}
}

type eventsIn struct {
	After int64 `header:"Last-Event-ID" minimum:"0" doc:"the number of the last event that was received"`
}

func (a *api) events(ctx context.Context, c *caller, in *eventsIn) (*huma.StreamResponse, error) {
	if a.o.Deployments == nil {
		return nil, notYet("deployments")
	}
	id := ident.DeploymentID(c.id)
	if _, err := a.o.Deployments.Deployment(ctx, c.tenant, id); err != nil {
		return nil, err
	}
	sees, err := a.sight(ctx, c)
	if err != nil {
		return nil, err
	}
	leave, ok := a.open.enter(c.Actor)
	if !ok {
		return nil, fault.New(fault.TooMany, "%d event streams are open already", MaxStreams).WithNext("close one that nobody reads")
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		a.stream(hc, c, id, in.After, sees)
	}}, nil
}

// sight says which devices of the tenant the caller may see: who may see some
// sites only sees a deployment's counts, and single devices of these sites.
func (a *api) sight(ctx context.Context, c *caller) (func(ident.DeviceID) bool, error) {
	if len(c.scope.Sites(c.tenant)) == 0 {
		return func(ident.DeviceID) bool { return true }, nil
	}
	f, err := view.ParseFilter("state:pending,active,stale,conflict,revoked,retired")
	if err != nil {
		return nil, err
	}
	seen := map[ident.DeviceID]bool{}
	for q := (view.Query{Tenant: c.tenant, Filter: f, Limit: maxRecords, Now: c.now}); ; {
		list, next, err := a.o.View.Devices(ctx, c.scope, q)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			seen[d.ID] = true
		}
		if q.Cursor = next; next == "" {
			return func(id ident.DeviceID) bool { return id == "" || seen[id] }, nil
		}
	}
}
