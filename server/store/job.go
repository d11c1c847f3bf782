package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// Job keeps runs, jobs, their history and logs: job.Store, job.RunStore,
// job.LogStore and job.Reads.
type Job struct{ s *Store }

// Job returns the store of jobs.
func (s *Store) Job() *Job { return &Job{s} }

// LockGrants makes the transaction the only one that leases or grants until it
// ends. On SQLite every write transaction is alone already.
func (b *Job) LockGrants(ctx context.Context) error { return b.s.alone(ctx, "grants") }

const jobColumns = `j.tenant_id, j.job_id, j.run_id, j.policy, j.site_id, j.device_id, j.kind, j.state, j.reason, j.since, j.seq, j.version,
	j.attempt, j.attempts, j.not_before, j.start_by, j.deadline, j.alone, j.may_reboot, j.key_version, j.created_at, j.leased_at,
	j.granted_at, j.started_at, j.finished_at, j.heard_at, j.changed_at`

const jobBulk = `, j.denied, j.encoded, j.signature`

func scanJob(scan func(...any) error, bulk bool) (j job.Job, err error) {
	var why string
	var alone, reboot int64
	into := []any{&j.Tenant, &j.ID, &j.Run, &j.Policy, &j.Site, &j.Device, &j.Kind, &j.State, &why, asTime(&j.Since), &j.Seq, &j.Version,
		&j.Attempt, &j.Attempts, asTime(&j.NotBefore), asTime(&j.StartBy), asTime(&j.Deadline), &alone, &reboot, &j.KeyVersion,
		asTime(&j.CreatedAt), asTime(&j.LeasedAt), asTime(&j.GrantedAt), asTime(&j.StartedAt), asTime(&j.FinishedAt), asTime(&j.HeardAt),
		asTime(&j.ChangedAt)}
	if bulk {
		into = append(into, asJSON(&j.Denied), &j.Encoded, &j.Signature)
	}
	if err = scan(into...); err != nil {
		return j, err
	}
	j.Alone, j.MayReboot = alone != 0, reboot != 0
	if j.LeasedAt.IsZero() { // bytes of an earlier attempt
		j.Encoded, j.Signature = nil, nil
	}
	j.Reason, err = reason.Decode(why)
	return j, err
}

// jobs reads jobs and their releases.
func (b *Job) jobs(ctx context.Context, bulk bool, rest string, args ...any) ([]job.Job, error) {
	jobs, err := b.bare(ctx, bulk, rest, args...)
	if err != nil {
		return nil, err
	}
	return jobs, b.fill(ctx, jobs)
}

// bare reads jobs without their releases.
func (b *Job) bare(ctx context.Context, bulk bool, rest string, args ...any) ([]job.Job, error) {
	columns := jobColumns
	if bulk {
		columns += jobBulk
	}
	return list(ctx, b.s.main, func(r *sql.Rows) (job.Job, error) { return scanJob(r.Scan, bulk) }, `SELECT `+columns+` FROM jobs j `+rest, args...)
}

// fill reads the releases of jobs, tenant by tenant.
func (b *Job) fill(ctx context.Context, jobs []job.Job) error {
	places := make(map[ident.TenantID]map[ident.JobID]int)
	for i, j := range jobs {
		if places[j.Tenant] == nil {
			places[j.Tenant] = map[ident.JobID]int{}
		}
		places[j.Tenant][j.ID] = i
	}
	for tenant, of := range places {
		ids := make([]ident.JobID, 0, len(of))
		for id := range of {
			ids = append(ids, id)
		}
		for chunk := range slices.Chunk(ids, maxIn) {
			in, args := inList(2, chunk)
			rows, err := list(ctx, b.s.main, scanRelease, `SELECT job_id, deployment_id, source, package, from_version, version, expected_ms,
				result, to_version, reason, exit_code, ended_at, took_ms FROM job_releases
				WHERE tenant_id = $1 AND job_id IN `+in+` ORDER BY job_id, place`, append([]any{tenant}, args...)...)
			if err != nil {
				return err
			}
			for _, r := range rows {
				j := &jobs[of[r.id]]
				j.Releases = append(j.Releases, r.Release)
			}
		}
	}
	return nil
}

type jobRelease struct {
	id ident.JobID
	job.Release
}

func scanRelease(r *sql.Rows) (out jobRelease, err error) {
	var why string
	var expected, took int64
	err = r.Scan(&out.id, &out.Deployment, &out.Source, &out.Package, &out.From, &out.Version, &expected,
		&out.Result, &out.To, &why, &out.ExitCode, asTime(&out.EndedAt), &took)
	if err != nil {
		return out, err
	}
	out.Expected, out.Took = time.Duration(expected)*time.Millisecond, time.Duration(took)*time.Millisecond
	out.Reason, err = reason.Decode(why)
	return out, err
}

func (b *Job) one(ctx context.Context, bulk bool, rest string, args ...any) (job.Job, bool, error) {
	jobs, err := b.jobs(ctx, bulk, rest+` LIMIT 1`, args...)
	if err != nil || len(jobs) == 0 {
		return job.Job{}, false, err
	}
	return jobs[0], true, nil
}

// Job finds a job with its releases; whole: with bytes and deny list too.
func (b *Job) Job(ctx context.Context, tenant ident.TenantID, id ident.JobID, whole bool) (job.Job, bool, error) {
	return b.one(ctx, whole, `WHERE j.tenant_id = $1 AND j.job_id = $2`, tenant, id)
}

// OfDevice lists a device's jobs that have not ended.
func (b *Job) OfDevice(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, releases bool) ([]job.Job, error) {
	read := b.bare
	if releases {
		read = b.jobs
	}
	return read(ctx, true, `WHERE j.tenant_id = $1 AND j.device_id = $2 AND j.is_open = 1 ORDER BY j.not_before, j.job_id`, tenant, device)
}

// Busy lists a deployment's open jobs that were leased.
func (b *Job) Busy(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) ([]job.Job, error) {
	return b.jobs(ctx, false, `WHERE j.tenant_id = $1 AND j.is_open = 1 AND j.state <> 'queued' AND EXISTS (SELECT 1 FROM job_releases x
		WHERE x.tenant_id = j.tenant_id AND x.job_id = j.job_id AND x.deployment_id = $2) ORDER BY j.job_id`, tenant, id)
}

// OfRun finds the job of a device in a run that has not ended.
func (b *Job) OfRun(ctx context.Context, tenant ident.TenantID, run ident.RunID, device ident.DeviceID) (job.Job, bool, error) {
	return b.one(ctx, true, `WHERE j.tenant_id = $1 AND j.run_id = $2 AND j.device_id = $3 AND j.is_open = 1`, tenant, run, device)
}

// Insert adds a job; false when the run has one of the device that has not ended.
func (b *Job) Insert(ctx context.Context, j job.Job) (bool, error) {
	denied := j.Denied
	if denied == nil {
		denied = []wire.Denied{}
	}
	n, err := b.s.exec(ctx, `INSERT INTO jobs (tenant_id, job_id, run_id, policy, site_id, device_id, kind, state, is_open, due_at, reason, since, seq, version,
		attempt, attempts, not_before, start_by, deadline, alone, may_reboot, denied, encoded, signature, key_version,
		created_at, leased_at, granted_at, started_at, finished_at, heard_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, NULL, NULL, 0, $23, 0, 0, 0, 0, 0, 0)
		ON CONFLICT DO NOTHING`,
		j.Tenant, j.ID, j.Run, j.Policy, j.Site, j.Device, j.Kind, j.State, btoi(!j.State.Final()), ms(j.DueAt()), j.Reason.Encode(), ms(j.Since), j.Seq, j.Version,
		j.Attempt, j.Attempts, ms(j.NotBefore), ms(j.StartBy), ms(j.Deadline), btoi(j.Alone), btoi(j.MayReboot), asJSON(denied), ms(j.CreatedAt))
	if err != nil || n == 0 {
		return false, err
	}
	return true, b.insertReleases(ctx, j)
}

// insertRows is how many releases go into one statement.
const insertRows = 8

func (b *Job) insertReleases(ctx context.Context, j job.Job) error {
	for from := 0; from < len(j.Releases); from += insertRows {
		var text strings.Builder
		text.WriteString(`INSERT INTO job_releases (tenant_id, job_id, place, deployment_id, source, package, from_version, version, expected_ms,
			result, to_version, reason, exit_code, ended_at, took_ms) VALUES `)
		args := []any{j.Tenant, j.ID}
		for i, r := range j.Releases[from:min(from+insertRows, len(j.Releases))] {
			if i > 0 {
				text.WriteString(", ")
			}
			text.WriteString("($1, $2")
			for n := range 7 {
				text.WriteString(", $" + strconv.Itoa(len(args)+n+1))
			}
			text.WriteString(", '', '', '', 0, 0, 0)")
			args = append(args, from+i, r.Deployment, r.Source, r.Package, r.From, r.Version, r.Expected.Milliseconds())
		}
		if _, err := b.s.exec(ctx, text.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// Save writes what has changed of a job whose row still has its version, and
// some of its releases. Its bytes are written when it has any. A column that is
// not named in an UPDATE costs nothing, neither in the row's indexes.
func (b *Job) Save(ctx context.Context, was, j job.Job, releases []int) (bool, error) {
	u := update{args: []any{j.Tenant, j.ID, j.Version}}
	if was.State != j.State {
		u.set("state", j.State)
	}
	if was.State.Final() != j.State.Final() {
		u.set("is_open", btoi(!j.State.Final()))
	}
	if was.Reason.Code != j.Reason.Code || !maps.Equal(was.Reason.Args, j.Reason.Args) {
		u.set("reason", j.Reason.Encode())
	}
	u.number("seq", was.Seq, j.Seq)
	u.number("attempt", int64(was.Attempt), int64(j.Attempt))
	u.number("key_version", int64(was.KeyVersion), int64(j.KeyVersion))
	u.time("due_at", was.DueAt(), j.DueAt())
	u.time("since", was.Since, j.Since)
	u.time("leased_at", was.LeasedAt, j.LeasedAt)
	u.time("granted_at", was.GrantedAt, j.GrantedAt)
	u.time("started_at", was.StartedAt, j.StartedAt)
	u.time("finished_at", was.FinishedAt, j.FinishedAt)
	u.time("heard_at", was.HeardAt, j.HeardAt)
	u.time("changed_at", was.ChangedAt, j.ChangedAt)
	if len(j.Encoded) > 0 {
		u.set("encoded", j.Encoded)
		u.set("signature", j.Signature)
	}
	n, err := b.s.exec(ctx, `UPDATE jobs SET version = version + 1`+u.String()+` WHERE tenant_id = $1 AND job_id = $2 AND version = $3`, u.args...)
	if err != nil || n == 0 {
		return false, err
	}
	for _, i := range releases {
		r := j.Releases[i]
		if _, err := b.s.exec(ctx, `UPDATE job_releases SET result = $4, to_version = $5, reason = $6, exit_code = $7, ended_at = $8, took_ms = $9
			WHERE tenant_id = $1 AND job_id = $2 AND place = $3`,
			j.Tenant, j.ID, i, r.Result, r.To, r.Reason.Encode(), r.ExitCode, ms(r.EndedAt), r.Took.Milliseconds()); err != nil {
			return false, err
		}
	}
	return true, nil
}

// AddHistory appends a line to a job's history.
func (b *Job) AddHistory(ctx context.Context, tenant ident.TenantID, t job.Transition, attempt int) error {
	_, err := b.s.exec(ctx, `INSERT INTO job_history (tenant_id, job_id, seq, device_id, attempt, from_state, to_state, reason, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tenant, t.Job, t.Seq, t.Device, attempt, t.From, t.To, t.Reason.Encode(), ms(t.At))
	return err
}

// Due lists jobs of all tenants whose time has passed, earliest first.
func (b *Job) Due(ctx context.Context, now time.Time, limit int) ([]job.Ref, error) {
	return list(ctx, b.s.main, func(r *sql.Rows) (ref job.Ref, err error) {
		err = r.Scan(&ref.Tenant, &ref.Job)
		return ref, err
	}, `SELECT tenant_id, job_id FROM jobs WHERE is_open = 1 AND due_at > 0 AND due_at < $1 ORDER BY due_at LIMIT $2`, ms(now), limit)
}

// EnsureRun finds the run of an opening, or makes it.
func (b *Job) EnsureRun(ctx context.Context, r job.Run) (job.Run, error) {
	known, err := b.opening(ctx, r)
	if !errors.Is(err, sql.ErrNoRows) { // but the first job of a run finds it
		return known, err
	}
	if _, err := b.s.exec(ctx, `INSERT INTO runs (tenant_id, run_id, policy, site_id, local_date, opens, closes, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, policy, site_id, opens) DO NOTHING`,
		r.Tenant, r.ID, r.Policy, r.Site, r.LocalDate, ms(r.Opens), ms(r.Closes), ms(r.CreatedAt)); err != nil {
		return job.Run{}, err
	}
	return b.opening(ctx, r)
}

// opening finds the run of r's policy, site and window.
func (b *Job) opening(ctx context.Context, r job.Run) (job.Run, error) {
	return scanRun(b.s.queryRow(ctx, `SELECT `+runColumns+` FROM runs WHERE tenant_id = $1 AND policy = $2 AND site_id = $3 AND opens = $4`,
		r.Tenant, r.Policy, r.Site, ms(r.Opens)).Scan)
}

const runColumns = `tenant_id, run_id, policy, site_id, local_date, opens, closes, created_at`

func scanRun(scan func(...any) error) (r job.Run, err error) {
	err = scan(&r.Tenant, &r.ID, &r.Policy, &r.Site, &r.LocalDate, asTime(&r.Opens), asTime(&r.Closes), asTime(&r.CreatedAt))
	return r, err
}

// Run finds a run with its counts.
func (b *Job) Run(ctx context.Context, tenant ident.TenantID, id ident.RunID) (job.Run, bool, error) {
	r, err := scanRun(b.s.queryRow(ctx, `SELECT `+runColumns+` FROM runs WHERE tenant_id = $1 AND run_id = $2`, tenant, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return job.Run{}, false, nil
	}
	if err != nil {
		return job.Run{}, false, err
	}
	runs := []job.Run{r}
	err = b.count(ctx, runs)
	return runs[0], err == nil, err
}

// Runs lists runs below an id, newest first, with their counts.
func (b *Job) Runs(ctx context.Context, scope ident.Scope, below ident.RunID, limit int) ([]job.Run, error) {
	where := within(scope, "tenant_id", "site_id")
	if below != "" {
		where.and("run_id < ", below)
	}
	runs, err := list(ctx, b.s.main, func(r *sql.Rows) (job.Run, error) { return scanRun(r.Scan) },
		`SELECT `+runColumns+` FROM runs WHERE `+where.String()+` ORDER BY run_id DESC LIMIT `+strconv.Itoa(limit), where.args...)
	if err != nil {
		return nil, err
	}
	return runs, b.count(ctx, runs)
}

// count fills in the number of jobs by state.
func (b *Job) count(ctx context.Context, runs []job.Run) error {
	for i := range runs {
		counts, err := list(ctx, b.s.main, func(r *sql.Rows) (c stateCount, err error) {
			err = r.Scan(&c.state, &c.n)
			return c, err
		}, `SELECT state, COUNT(*) FROM jobs WHERE tenant_id = $1 AND run_id = $2 GROUP BY state`, runs[i].Tenant, runs[i].ID)
		if err != nil {
			return err
		}
		runs[i].Counts = make(map[job.State]int, len(counts))
		for _, c := range counts {
			runs[i].Counts[c.state] = c.n
		}
	}
	return nil
}

type stateCount struct {
	state job.State
	n     int
}

// LogSize returns how much of a log is there.
func (b *Job) LogSize(ctx context.Context, tenant ident.TenantID, id ident.JobID, p job.LogPart) (size job.LogSize, err error) {
	var known int
	err = b.s.queryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(bytes), 0),
		COALESCE(SUM(CASE WHEN attempt = $3 AND source = $4 AND package = $5 THEN bytes ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN attempt = $3 AND source = $4 AND package = $5 AND part = $6 THEN 1 ELSE 0 END), 0)
		FROM job_log WHERE tenant_id = $1 AND job_id = $2`, tenant, id, p.Attempt, p.Source, p.Package, p.Part).Scan(&size.Parts, &size.Job, &size.Step, &known)
	size.Known = known > 0
	return size, err
}

// AddLog adds a part of a log.
func (b *Job) AddLog(ctx context.Context, tenant ident.TenantID, id ident.JobID, p job.LogPart) error {
	_, err := b.s.exec(ctx, `INSERT INTO job_log (tenant_id, job_id, attempt, source, package, part, bytes, text, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tenant, id, p.Attempt, p.Source, p.Package, p.Part, len(p.Text), p.Text, ms(p.At))
	return err
}

// Log lists the parts of a job's log in the order of time.
func (b *Job) Log(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.LogPart, error) {
	return list(ctx, b.s.main, func(r *sql.Rows) (p job.LogPart, err error) {
		err = r.Scan(&p.Attempt, &p.Source, &p.Package, &p.Part, &p.Text, asTime(&p.At))
		return p, err
	}, `SELECT attempt, source, package, part, text, at FROM job_log WHERE tenant_id = $1 AND job_id = $2
		ORDER BY attempt, at, source, package, part`, tenant, id)
}

// List lists jobs below an id, newest first.
func (b *Job) List(ctx context.Context, scope ident.Scope, f job.Filter, below ident.JobID, limit int) ([]job.Job, error) {
	where := within(scope, "j.tenant_id", "j.site_id")
	if f.Tenant != "" {
		where.and("j.tenant_id = ", f.Tenant)
	}
	if f.Device != "" {
		where.and("j.device_id = ", f.Device)
	}
	if f.Run != "" {
		where.and("j.run_id = ", f.Run)
	}
	if f.State != "" {
		where.and("j.state = ", f.State)
	}
	if f.Deployment != "" {
		where.and("EXISTS (SELECT 1 FROM job_releases d WHERE d.tenant_id = j.tenant_id AND d.job_id = j.job_id AND d.deployment_id = ", f.Deployment)
		where.WriteString(")")
	}
	if below != "" {
		where.and("j.job_id < ", below)
	}
	return b.jobs(ctx, false, `WHERE `+where.String()+` ORDER BY j.job_id DESC LIMIT `+strconv.Itoa(limit), where.args...)
}

// Open lists a tenant's jobs that have not ended, or did since, in order of id.
func (b *Job) Open(ctx context.Context, tenant ident.TenantID, since time.Time) ([]job.Job, error) {
	// Each half has its index; with OR all jobs that ever were would be read.
	return b.jobs(ctx, false, `WHERE j.tenant_id = $1 AND j.is_open = 1 UNION ALL SELECT `+jobColumns+` FROM jobs j
		WHERE j.tenant_id = $1 AND j.is_open = 0 AND j.since >= $2 ORDER BY job_id`, tenant, ms(since))
}

// History lists a job's transitions, oldest first.
func (b *Job) History(ctx context.Context, tenant ident.TenantID, id ident.JobID) ([]job.Transition, error) {
	return list(ctx, b.s.main, func(r *sql.Rows) (t job.Transition, err error) {
		var why string
		if err = r.Scan(&t.Seq, &t.Job, &t.Device, &t.From, &t.To, &why, asTime(&t.At)); err == nil {
			t.Reason, err = reason.Decode(why)
		}
		return t, err
	}, `SELECT seq, job_id, device_id, from_state, to_state, reason, at FROM job_history WHERE tenant_id = $1 AND job_id = $2 ORDER BY seq`, tenant, id)
}

// Changed counts devices that were let start or started since, or may by an
// alone lease.
func (b *Job) Changed(ctx context.Context, tenant ident.TenantID, since time.Time) (n int, err error) {
	one := ""
	args := []any{ms(since), ms(since.Add(-wire.LeaseGrace))}
	if tenant != "" {
		one = ` AND tenant_id || '' = $3` // by the times: a tenant has jobs of all years
		args = append(args, tenant)
	}
	err = b.s.queryRow(ctx, `SELECT COUNT(*) FROM (
		SELECT tenant_id, device_id FROM jobs WHERE changed_at > 0 AND changed_at >= $1`+one+`
		UNION
		SELECT tenant_id, device_id FROM jobs WHERE is_open = 1 AND alone = 1 AND kind = 'install' AND leased_at > 0
			AND state IN ('leased', 'cancelling') AND deadline >= $2`+one+`) AS devices`, args...).Scan(&n)
	return n, err
}

// update is what follows the first column of a SET in the making.
type update struct {
	strings.Builder
	args []any
}

// set adds ", column = $n" with its value.
func (u *update) set(column string, value any) {
	u.args = append(u.args, value)
	u.WriteString(", " + column + " = $" + strconv.Itoa(len(u.args)))
}

func (u *update) number(column string, was, is int64) {
	if was != is {
		u.set(column, is)
	}
}

func (u *update) time(column string, was, is time.Time) {
	u.number(column, ms(was), ms(is))
}

// condition is a WHERE in the making.
type condition struct {
	strings.Builder
	args []any
}

// and adds "AND text$n" with its value.
func (c *condition) and(text string, value any) {
	c.args = append(c.args, value)
	fmt.Fprintf(c, " AND %s$%d", text, len(c.args))
}

// within is the condition of a scope down to its sites, by the columns given.
func within(scope ident.Scope, tenant, site string) *condition {
	where, args := inScope(tenant, scope, 1)
	c := &condition{args: args}
	c.WriteString(where)
	for _, t := range scope.Tenants() {
		if sites := scope.Sites(t); len(sites) > 0 {
			in, values := inList(len(c.args)+2, sites[:min(len(sites), maxIn)])
			c.and("("+tenant+" <> ", t)
			c.args = append(c.args, values...)
			c.WriteString(" OR " + site + " IN " + in + ")")
		}
	}
	return c
}
