package api

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

type jobsIn struct {
	ListIn
	Device     string `query:"device" maxLength:"100"`
	Run        string `query:"run" maxLength:"100"`
	State      string `query:"state" enum:"queued,needs_agreement,leased,running,cancelling,succeeded,failed,deferred,expired,cancelled,unknown"`
	Deployment string `query:"deployment" maxLength:"100"`
}

type resultJSON struct {
	Source     string             `json:"source"`
	Package    string             `json:"package"`
	From       string             `json:"from"`
	To         string             `json:"to" doc:"installed afterwards; the version that is wanted while it is open"`
	Version    string             `json:"version" doc:"that is wanted"`
	State      string             `json:"state" doc:"empty while it is open"`
	Reason     string             `json:"reason"`
	ReasonCode reason.Code        `json:"reason_code"`
	ExitCode   int                `json:"exit_code"`
	Deployment ident.DeploymentID `json:"deployment"`
}

type jobJSON struct {
	ID         ident.JobID    `json:"id"`
	Tenant     ident.TenantID `json:"tenant"`
	Run        ident.RunID    `json:"run"`
	Policy     string         `json:"policy"`
	Site       ident.SiteID   `json:"site"`
	Device     ident.DeviceID `json:"device"`
	Kind       job.Kind       `json:"kind"`
	State      job.State      `json:"state"`
	Reason     string         `json:"reason"`
	ReasonCode reason.Code    `json:"reason_code"`
	Since      *time.Time     `json:"since"`
	Attempt    int            `json:"attempt"`
	NotBefore  *time.Time     `json:"not_before"`
	StartBy    *time.Time     `json:"start_by"`
	Deadline   *time.Time     `json:"deadline"`
	CreatedAt  *time.Time     `json:"created_at"`
	StartedAt  *time.Time     `json:"started_at"`
	FinishedAt *time.Time     `json:"finished_at"`
	Results    []resultJSON   `json:"results"`
}

func renderJob(j job.Job) jobJSON {
	out := jobJSON{ID: j.ID, Tenant: j.Tenant, Run: j.Run, Policy: j.Policy, Site: j.Site, Device: j.Device, Kind: j.Kind, State: j.State,
		Reason: words(j.Reason), ReasonCode: j.Reason.Code, Since: stamp(j.Since), Attempt: j.Attempt, NotBefore: stamp(j.NotBefore), StartBy: stamp(j.StartBy),
		Deadline: stamp(j.Deadline), CreatedAt: stamp(j.CreatedAt), StartedAt: stamp(j.StartedAt), FinishedAt: stamp(j.FinishedAt), Results: []resultJSON{}}
	for _, r := range j.Releases {
		res := resultJSON{r.Source, r.Package, r.From, r.To, r.Version, string(r.Result), words(r.Reason), r.Reason.Code, r.ExitCode, r.Deployment}
		if r.Result == "" {
			res.To = r.Version
		}
		out.Results = append(out.Results, res)
	}
	return out
}

// Run is one opening of a window at a site.
type Run struct {
	ID        ident.RunID       `json:"id"`
	Tenant    ident.TenantID    `json:"tenant"`
	Policy    string            `json:"policy"`
	Site      ident.SiteID      `json:"site"`
	LocalDate string            `json:"local_date"`
	OpensAt   *time.Time        `json:"opens_at"`
	ClosesAt  *time.Time        `json:"closes_at"`
	Counts    map[job.State]int `json:"counts" doc:"jobs by state"`
}

func renderRun(r job.Run) Run {
	return Run{r.ID, r.Tenant, r.Policy, r.Site, r.LocalDate, stamp(r.Opens), stamp(r.Closes), r.Counts}
}

type runShowJSON struct {
	Run
	Jobs []jobJSON `json:"jobs"`
}

func (a *api) jobs() {
	both(a, "runs", auth.RunRead, false, "Runs, newest first", a.listRuns)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/runs/{id}", Action: auth.RunRead, Summary: "A run with its jobs"}, a.showRun)
	both(a, "jobs", auth.JobRead, false, "Jobs, newest first", a.listJobs)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/jobs/{id}", Action: auth.JobRead, Summary: "A job"}, a.showJob)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/jobs/{id}/log", Action: auth.JobRead, Summary: "What a job's sources printed"}, a.jobLog)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/jobs/{id}/history", Action: auth.JobRead, Summary: "A job's transitions, oldest first"}, a.jobHistory)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/jobs/{id}/cancel", Action: auth.JobCancel, Summary: "Withdraw a job that has not started"}, a.cancelJob)
}

// checkCursor refuses what no list of ids gave.
func checkCursor(cursor string) error {
	if cursor != "" && !ident.ValidID(cursor) {
		return fault.Invalidf("cursor", "not a cursor of this list").WithNext("begin again without one")
	}
	return nil
}

func (a *api) listJobs(ctx context.Context, c *caller, in *jobsIn) (*pageOut[jobJSON], error) {
	if a.o.Jobs == nil {
		return nil, notYet("jobs")
	}
	f := job.Filter{Tenant: c.tenant, Device: ident.DeviceID(in.Device), Run: ident.RunID(in.Run), State: job.State(in.State), Deployment: ident.DeploymentID(in.Deployment)}
	if in.Count != "" {
		return countPages[jobJSON](func(cursor string) (int, string, error) {
			list, next, err := a.o.Jobs.List(ctx, c.scope, f, cursor, maxRecords)
			return len(list), next, err
		})
	}
	list, next, err := a.o.Jobs.List(ctx, c.scope, f, in.Cursor, in.Limit)
	return rows(list, next, renderJob), err
}

// maxJobs bounds the jobs that a deployment or a run shows; the list has all.
const maxJobs = 20 * maxRecords

func (a *api) allJobs(ctx context.Context, c *caller, f job.Filter) ([]jobJSON, error) {
	out := []jobJSON{}
	if a.o.Jobs == nil {
		return out, nil
	}
	for cursor := ""; len(out) < maxJobs; {
		list, next, err := a.o.Jobs.List(ctx, c.scope, f, cursor, maxRecords)
		if err != nil {
			return nil, err
		}
		for _, j := range list {
			out = append(out, renderJob(j))
		}
		if cursor = next; next == "" {
			break
		}
	}
	return out, nil
}

// job finds a job that the scope covers.
func (a *api) job(ctx context.Context, c *caller) (job.Job, error) {
	if a.o.Jobs == nil {
		return job.Job{}, notYet("jobs")
	}
	j, err := a.o.Jobs.Job(ctx, c.tenant, ident.JobID(c.id))
	if err == nil && !c.scope.HasSite(c.tenant, j.Site) {
		err = missing()
	}
	return j, err
}

func (a *api) showJob(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[jobJSON], error) {
	j, err := a.job(ctx, c)
	return &bodyOut[jobJSON]{renderJob(j)}, err
}

type logJSON struct {
	Time    *time.Time `json:"time"`
	Attempt int        `json:"attempt"`
	Source  string     `json:"source"`
	Package string     `json:"package"`
	Part    int        `json:"part"`
	Text    string     `json:"text"`
}

func (a *api) jobLog(ctx context.Context, c *caller, in *ListIn) (*pageOut[logJSON], error) {
	if _, err := a.job(ctx, c); err != nil {
		return nil, err
	}
	parts, err := a.o.Jobs.Log(ctx, c.tenant, ident.JobID(c.id))
	if err != nil {
		return nil, err
	}
	return whole(in, parts, func(p job.LogPart) string { return fmt.Sprint(p.Attempt, " ", p.Part, " ", p.Source, " ", p.Package) },
		func(p job.LogPart) logJSON {
			return logJSON{stamp(p.At), p.Attempt, p.Source, p.Package, p.Part, p.Text}
		})
}

type jobMoveJSON struct {
	Seq        int64       `json:"seq"`
	At         time.Time   `json:"at"`
	From       job.State   `json:"from"`
	To         job.State   `json:"to"`
	Reason     string      `json:"reason"`
	ReasonCode reason.Code `json:"reason_code"`
}

func (a *api) jobHistory(ctx context.Context, c *caller, in *ListIn) (*pageOut[jobMoveJSON], error) {
	if _, err := a.job(ctx, c); err != nil {
		return nil, err
	}
	list, err := a.o.Jobs.History(ctx, c.tenant, ident.JobID(c.id))
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(t job.Transition) string { return fmt.Sprint(t.Seq) }, func(t job.Transition) jobMoveJSON {
		return jobMoveJSON{t.Seq, t.At.UTC(), t.From, t.To, words(t.Reason), t.Reason.Code}
	})
}

func (a *api) cancelJob(ctx context.Context, c *caller, in *whyIn) (*okOut, error) {
	if a.o.Jobs == nil {
		return nil, notYet("jobs")
	}
	why := reason.New(reason.JobWithdrawn, "why", c.Actor.Name+": "+in.Body.Reason)
	return okay(), a.o.Jobs.Cancel(ctx, c.now, c.Actor, c.tenant, ident.JobID(c.id), why)
}

func (a *api) listRuns(ctx context.Context, c *caller, in *ListIn) (*pageOut[Run], error) {
	if a.o.Jobs == nil {
		return nil, notYet("runs")
	}
	if in.Count != "" {
		return countPages[Run](func(cursor string) (int, string, error) {
			list, next, err := a.o.Jobs.Runs(ctx, c.scope, cursor, maxRecords)
			return len(list), next, err
		})
	}
	list, next, err := a.o.Jobs.Runs(ctx, c.scope, in.Cursor, in.Limit)
	return rows(list, next, renderRun), err
}

func (a *api) showRun(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[runShowJSON], error) {
	if a.o.Jobs == nil {
		return nil, notYet("runs")
	}
	r, err := a.o.Jobs.Run(ctx, c.tenant, ident.RunID(c.id))
	if err == nil && !c.scope.HasSite(c.tenant, r.Site) {
		err = missing()
	}
	if err != nil {
		return nil, err
	}
	jobs, err := a.allJobs(ctx, c, job.Filter{Tenant: c.tenant, Run: r.ID})
	return &bodyOut[runShowJSON]{runShowJSON{renderRun(r), jobs}}, err
}
