package job

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
)

// Ref names a job.
type Ref struct {
	Tenant ident.TenantID
	Job    ident.JobID
}

// Store keeps jobs. All but Due are called inside a transaction or may be.
type Store interface {
	// Job finds a job with its releases; whole: with bytes and deny list too.
	Job(ctx context.Context, tenant ident.TenantID, id ident.JobID, whole bool) (Job, bool, error)
	// OfDevice lists a device's jobs that have not ended, whole but for their
	// releases unless asked, in order of NotBefore and id.
	OfDevice(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, releases bool) ([]Job, error)
	// OfRun finds the job of a device in a run that has not ended.
	OfRun(ctx context.Context, tenant ident.TenantID, run ident.RunID, device ident.DeviceID) (Job, bool, error)
	// Insert adds a job with its releases; false when the run has one of the
	// device that has not ended.
	Insert(ctx context.Context, j Job) (bool, error)
	// Save writes what j has unlike was and the releases at the given places, if
	// the job's row still has j.Version, and raises the version; false when
	// another was quicker. Bytes are written when j has any, else they stay.
	Save(ctx context.Context, was, j Job, releases []int) (bool, error)
	// AddHistory appends a line to a job's history.
	AddHistory(ctx context.Context, tenant ident.TenantID, t Transition, attempt int) error
	// Due lists jobs of all tenants whose DueAt has passed, earliest first.
	Due(ctx context.Context, now time.Time, limit int) ([]Ref, error)
	// LockGrants makes the transaction the only one that leases or grants
	// until it ends, so that limits are counted right.
	LockGrants(ctx context.Context) error
}

// RunStore keeps runs.
type RunStore interface {
	// EnsureRun returns the run of (tenant, policy, site, opens), made from r when there is none.
	EnsureRun(ctx context.Context, r Run) (Run, error)
	Run(ctx context.Context, tenant ident.TenantID, id ident.RunID) (Run, bool, error)
	// Runs lists runs below an id ("": all), newest first, with counts.
	Runs(ctx context.Context, scope ident.Scope, below ident.RunID, limit int) ([]Run, error)
}

// LogStore keeps what sources printed.
type LogStore interface {
	// LogSize returns whether the part is there already, and how many bytes and
	// parts its step and its job have.
	LogSize(ctx context.Context, tenant ident.TenantID, id ident.JobID, p LogPart) (LogSize, error)
	AddLog(ctx context.Context, tenant ident.TenantID, id ident.JobID, p LogPart) error
	Log(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]LogPart, error)
}

// LogSize is how much of a log is there.
type LogSize struct {
	Known bool // this part is there
	Step  int  // bytes of the same release in the same attempt
	Job   int  // bytes of the job
	Parts int  // of the job
}

// Reads answers what people, the planner and limits ask.
type Reads interface {
	// List lists jobs below an id ("": all), newest first, without bytes and deny lists.
	List(ctx context.Context, scope ident.Scope, f Filter, below ident.JobID, limit int) ([]Job, error)
	// Open lists a tenant's jobs that have not ended or did since the given
	// time, in order of id, without bytes and deny lists.
	Open(ctx context.Context, tenant ident.TenantID, since time.Time) ([]Job, error)
	// Busy lists a deployment's open jobs that were leased, without bytes and
	// deny lists.
	Busy(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) ([]Job, error)
	History(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]Transition, error)
	// Changed counts distinct devices of install jobs with ChangedAt at or
	// after since, or with an alone lease out whose grace ended at or after since.
	Changed(ctx context.Context, tenant ident.TenantID, since time.Time) (int, error)
}

// Scans tells when a device last scanned; *inventory.Service is one.
type Scans interface {
	Scan(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (inventory.Scan, error)
}
