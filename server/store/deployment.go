package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// Deployments keeps deployments: deployment.Store and deployment.Lists.
type Deployments struct{ s *Store }

// Deployments returns the store of deployments.
func (s *Store) Deployments() *Deployments { return &Deployments{s} }

const deploymentColumns = `tenant_id, deployment_id, policy, source, package, version, state, reason, since, seq, failures, in_flight, created_at, ended_at`

func scanDeployment(scan func(...any) error) (d deployment.Deployment, err error) {
	var why, failures, flight string
	err = scan(&d.Tenant, &d.ID, &d.Policy, &d.Release.Source, &d.Release.Package, &d.Release.Version, &d.State, &why, asTime(&d.Since), &d.Seq,
		&failures, &flight, asTime(&d.CreatedAt), asTime(&d.EndedAt))
	if err != nil {
		return d, err
	}
	if d.Reason, err = reason.Decode(why); err != nil {
		return d, err
	}
	if d.Failures, err = policy.ParseAllowance(failures); err != nil {
		return d, fmt.Errorf("deployment %s: %w", d.ID, err)
	}
	if d.InFlight, err = policy.ParsePercent(flight); err != nil {
		return d, fmt.Errorf("deployment %s: %w", d.ID, err)
	}
	return d, nil
}

func (d *Deployments) read(ctx context.Context, where string, args ...any) ([]deployment.Deployment, error) {
	return list(ctx, d.s.main, func(r *sql.Rows) (deployment.Deployment, error) { return scanDeployment(r.Scan) },
		`SELECT `+deploymentColumns+` FROM deployments WHERE `+where, args...)
}

// Running lists deployments that are not final, with rings and members.
func (d *Deployments) Running(ctx context.Context, tenant ident.TenantID) ([]deployment.Deployment, error) {
	heads, err := d.read(ctx, `tenant_id = $1 AND state IN ('running', 'paused', 'halted') ORDER BY deployment_id`, tenant)
	if err != nil {
		return nil, err
	}
	if err := d.rings(ctx, heads); err != nil {
		return nil, err
	}
	return heads, d.fill(ctx, heads, `m.verified_at >= 0`)
}

// Ended lists the final deployments of releases, with rings and those members
// that are not verified.
func (d *Deployments) Ended(ctx context.Context, tenant ident.TenantID, releases []patch.Release) ([]deployment.Deployment, error) {
	heads, err := d.Heads(ctx, tenant, releases)
	if err != nil {
		return nil, err
	}
	heads = slices.DeleteFunc(heads, func(h deployment.Deployment) bool { return !h.State.Final() })
	return heads, d.fill(ctx, heads, `m.verified_at = 0`)
}

// Heads lists all deployments of releases, with rings and without members.
func (d *Deployments) Heads(ctx context.Context, tenant ident.TenantID, releases []patch.Release) ([]deployment.Deployment, error) {
	var out []deployment.Deployment
	wanted := make(map[patch.Release]bool, len(releases))
	packages := make([]string, 0, len(releases))
	for _, r := range releases {
		wanted[r] = true
		packages = append(packages, r.Package)
	}
	slices.Sort(packages)
	for chunk := range slices.Chunk(slices.Compact(packages), maxIn) {
		in, args := inList(2, chunk)
		heads, err := d.read(ctx, `tenant_id = $1 AND package IN `+in+` ORDER BY deployment_id`, append([]any{tenant}, args...)...)
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(heads, func(h deployment.Deployment) bool { return !wanted[h.Release] })...)
	}
	return out, d.rings(ctx, out)
}

// Deployment finds one, with rings and without members.
func (d *Deployments) Deployment(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID) (deployment.Deployment, bool, error) {
	head, err := scanDeployment(d.s.queryRow(ctx, `SELECT `+deploymentColumns+` FROM deployments WHERE tenant_id = $1 AND deployment_id = $2`, tenant, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return deployment.Deployment{}, false, nil
	}
	if err != nil {
		return deployment.Deployment{}, false, err
	}
	one := []deployment.Deployment{head}
	err = d.rings(ctx, one)
	return one[0], err == nil, err
}

// fill adds the members that the condition selects.
func (d *Deployments) fill(ctx context.Context, heads []deployment.Deployment, members string) error {
	for i := range heads {
		var err error
		if heads[i].Members, err = d.members(ctx, members, heads[i].Tenant, heads[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// ringRow is a ring with whose it is.
type ringRow struct {
	of ident.DeploymentID
	deployment.Ring
}

// rings adds their rings to deployments, of any tenants.
func (d *Deployments) rings(ctx context.Context, heads []deployment.Deployment) error {
	at := make(map[ident.DeploymentID]int, len(heads))
	ids := make([]ident.DeploymentID, len(heads))
	for i := range heads {
		at[heads[i].ID], ids[i] = i, heads[i].ID
	}
	for chunk := range slices.Chunk(ids, maxIn) {
		in, args := inList(1, chunk)
		rows, err := list(ctx, d.s.main, func(r *sql.Rows) (row ringRow, err error) {
			var why, verified string
			var soak int64
			err = r.Scan(&row.of, &row.Index, &row.Name, &soak, &verified, &row.State, &why, asTime(&row.Since),
				&row.Counts.Devices, &row.Counts.Verified, &row.Counts.Failed, &row.Counts.Running, &row.Counts.Waiting, &row.Counts.Other)
			if err != nil {
				return row, err
			}
			row.Soak = time.Duration(soak) * time.Millisecond
			if row.MinVerified, err = policy.ParsePercent(verified); err != nil {
				return row, err
			}
			row.Reason, err = reason.Decode(why)
			return row, err
		}, `SELECT r.deployment_id, r.ring, r.name, r.soak, r.min_verified, r.state, r.reason, r.since, r.devices, r.verified, r.failed, r.running, r.waiting, r.other
			FROM deployments d JOIN deployment_rings r ON r.tenant_id = d.tenant_id AND r.deployment_id = d.deployment_id
			WHERE d.deployment_id IN `+in+` ORDER BY r.deployment_id, r.ring`, args...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			h := &heads[at[row.of]]
			h.Rings = append(h.Rings, row.Ring)
		}
	}
	return nil
}

func (d *Deployments) members(ctx context.Context, where string, args ...any) ([]deployment.Member, error) {
	return list(ctx, d.s.main, func(r *sql.Rows) (m deployment.Member, err error) {
		var late int64
		err = r.Scan(&m.Device, &m.Ring, &m.Result, &m.Job, asTime(&m.EndedAt), &late, asTime(&m.Verified))
		m.Late = late != 0
		return m, err
	}, `SELECT m.device_id, m.ring, m.result, m.job_id, m.ended_at, m.late, m.verified_at
		FROM deployment_members m WHERE m.tenant_id = $1 AND m.deployment_id = $2 AND `+where+` ORDER BY m.device_id`, args...)
}

// Members lists members in order of device: those of the devices, or all.
func (d *Deployments) Members(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, devices []ident.DeviceID) ([]deployment.Member, error) {
	if devices == nil {
		return d.members(ctx, `m.verified_at >= 0`, tenant, id)
	}
	sorted := slices.Sorted(slices.Values(devices))
	var out []deployment.Member
	for chunk := range slices.Chunk(slices.Compact(sorted), maxIn) {
		in, args := inList(3, chunk)
		part, err := d.members(ctx, `m.device_id IN `+in, append([]any{tenant, id}, args...)...)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

// Put inserts or changes a deployment and its rings; seq and members stay.
func (d *Deployments) Put(ctx context.Context, v deployment.Deployment) error {
	_, err := d.s.exec(ctx, `INSERT INTO deployments (`+deploymentColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13)
		ON CONFLICT (tenant_id, deployment_id) DO UPDATE SET state = excluded.state, reason = excluded.reason, since = excluded.since,
			ended_at = excluded.ended_at`,
		v.Tenant, v.ID, v.Policy, v.Release.Source, v.Release.Package, v.Release.Version, v.State, v.Reason.Encode(), ms(v.Since),
		v.Failures.String(), v.InFlight.String(), ms(v.CreatedAt), ms(v.EndedAt))
	if err != nil {
		return err
	}
	for _, r := range v.Rings {
		_, err := d.s.exec(ctx, `INSERT INTO deployment_rings (tenant_id, deployment_id, ring, name, soak, min_verified, state, reason, since,
				devices, verified, failed, running, waiting, other)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT (tenant_id, deployment_id, ring) DO UPDATE SET state = excluded.state, reason = excluded.reason, since = excluded.since,
				devices = excluded.devices, verified = excluded.verified, failed = excluded.failed, running = excluded.running,
				waiting = excluded.waiting, other = excluded.other`,
			v.Tenant, v.ID, r.Index, r.Name, r.Soak.Milliseconds(), r.MinVerified.String(), r.State, r.Reason.Encode(), ms(r.Since),
			r.Counts.Devices, r.Counts.Verified, r.Counts.Failed, r.Counts.Running, r.Counts.Waiting, r.Counts.Other)
		if err != nil {
			return err
		}
	}
	return nil
}

// PutMembers inserts or replaces members.
func (d *Deployments) PutMembers(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, members []deployment.Member) error {
	for _, m := range members {
		_, err := d.s.exec(ctx, `INSERT INTO deployment_members (tenant_id, deployment_id, device_id, ring, result, job_id, ended_at, late, verified_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (tenant_id, deployment_id, device_id) DO UPDATE SET ring = excluded.ring, result = excluded.result, job_id = excluded.job_id,
				ended_at = excluded.ended_at, late = excluded.late, verified_at = excluded.verified_at`,
			tenant, id, m.Device, m.Ring, m.Result, m.Job, ms(m.EndedAt), btoi(m.Late), ms(m.Verified))
		if err != nil {
			return err
		}
	}
	return nil
}

// Append adds rows to the history, numbered on from the deployment's seq,
// which it moves. fault.NotFound when there is no such deployment.
func (d *Deployments) Append(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, rows []deployment.Transition) error {
	n, err := d.s.exec(ctx, `UPDATE deployments SET seq = seq + $3 WHERE tenant_id = $1 AND deployment_id = $2`, tenant, id, len(rows))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.NotFoundf("there is no deployment %q", id)
	}
	var last int64
	if err := d.s.queryRow(ctx, `SELECT seq FROM deployments WHERE tenant_id = $1 AND deployment_id = $2`, tenant, id).Scan(&last); err != nil {
		return err
	}
	for i, r := range rows {
		_, err := d.s.exec(ctx, `INSERT INTO deployment_history (tenant_id, deployment_id, seq, at, subject, subject_id, device_id, from_state, to_state, reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			tenant, id, last-int64(len(rows)-1-i), ms(r.At), r.Subject, r.ID, r.Device, r.From, r.To, r.Reason.Encode())
		if err != nil {
			return err
		}
	}
	return nil
}

// List lists deployments below an id ("": all), newest first, with rings.
func (d *Deployments) List(ctx context.Context, scope ident.Scope, f deployment.Filter, below ident.DeploymentID, limit int) ([]deployment.Deployment, error) {
	var heads []deployment.Deployment
	collect := func(where string, args ...any) error {
		part, err := d.read(ctx, where+` AND ($1 = '' OR state = $1) AND ($2 = '' OR policy = $2) AND ($3 = '' OR package = $3)
			AND ($4 = '' OR deployment_id < $4) ORDER BY deployment_id DESC LIMIT $5`,
			append([]any{f.State, f.Policy, f.Package, below, limit}, args...)...)
		heads = append(heads, part...)
		return err
	}
	if scope.All() {
		if err := collect(`tenant_id <> ''`); err != nil {
			return nil, err
		}
	}
	for chunk := range slices.Chunk(scope.Tenants(), maxIn) {
		in, args := inList(6, chunk)
		if err := collect(`tenant_id IN `+in, args...); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(heads, func(a, b deployment.Deployment) int {
		if a.ID < b.ID {
			return 1
		}
		return -1
	})
	heads = heads[:min(len(heads), limit)]
	return heads, d.rings(ctx, heads)
}

// Events lists history after a number, oldest first.
func (d *Deployments) Events(ctx context.Context, tenant ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error) {
	return list(ctx, d.s.main, func(r *sql.Rows) (t deployment.Transition, err error) {
		var why string
		if err = r.Scan(&t.Seq, asTime(&t.At), &t.Subject, &t.ID, &t.Device, &t.From, &t.To, &why); err != nil {
			return t, err
		}
		t.Reason, err = reason.Decode(why)
		return t, err
	}, `SELECT seq, at, subject, subject_id, device_id, from_state, to_state, reason FROM deployment_history
		WHERE tenant_id = $1 AND deployment_id = $2 AND seq > $3 ORDER BY seq LIMIT $4`, tenant, id, after, limit)
}
