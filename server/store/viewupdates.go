package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

func updatesOf(scope ident.Scope, q view.UpdateQuery) conditions {
	c := conditions{}
	c.within(scope, "d.tenant_id", "d.site_id")
	c.equal("u.device_id", string(q.Device))
	c.equal("u.source", q.Source)
	c.equal("u.package", q.Package)
	c.equal("u.version", q.Version)
	c.equal("u.kind", string(q.Kind))
	c.equal("u.severity", q.Severity)
	if len(q.States) > 0 {
		in(&c, "u.state", q.States)
	} else {
		c.add("u.open = 1")
	}
	if q.Device == "" {
		c.add(present)
	}
	return c
}

const updatesAndDevices = ` FROM updates u JOIN devices d ON d.tenant_id = u.tenant_id AND d.device_id = u.device_id`

// Updates lists updates with the name of their device.
func (v *View) Updates(ctx context.Context, scope ident.Scope, q view.UpdateQuery, after []string) ([]view.UpdateRow, error) {
	c := updatesOf(scope, q)
	if after != nil {
		marks := make([]string, len(after))
		for i, field := range after {
			marks[i] = c.arg(field)
		}
		c.add("(u.tenant_id, u.device_id, u.source, u.package, u.version) > (" + strings.Join(marks, ", ") + ")")
	}
	columns := "u." + strings.Join(strings.FieldsFunc(updateColumns, func(r rune) bool { return strings.ContainsRune(", \n\t", r) }), ", u.")
	return list(ctx, v.s.main, func(r *sql.Rows) (row view.UpdateRow, err error) {
		var why string
		var held, phased, offered int64
		u := &row.Update
		err = r.Scan(&u.Tenant, &u.Device, &u.Source, &u.Package, &u.Version, &u.Installed, &u.Kind, &u.Severity, &held, &phased, &offered,
			&u.State, &why, asTime(&u.Since), asTime(&u.FirstSeen), &u.Tries, &u.LastError, asTime(&u.LastTry), &u.Job, &u.Seq,
			&row.Hostname, &row.Site, &row.TimeZone)
		if err != nil {
			return row, err
		}
		u.Held, u.Phased, u.Offered = held != 0, phased != 0, offered != 0
		u.Reason, err = reason.Decode(why)
		return row, err
	}, `SELECT `+columns+`, d.hostname, d.site_id, d.time_zone`+updatesAndDevices+c.where()+
		` ORDER BY u.tenant_id, u.device_id, u.source, u.package, u.version LIMIT `+c.arg(q.Limit+1), c.args...)
}

// CountUpdates counts what Updates lists.
func (v *View) CountUpdates(ctx context.Context, scope ident.Scope, q view.UpdateQuery) (n int, err error) {
	c := updatesOf(scope, q)
	err = v.s.queryRow(ctx, `SELECT COUNT(*)`+updatesAndDevices+c.where(), c.args...).Scan(&n)
	return n, err
}

// releaseStates are the states that a release's row counts, in the order of
// its columns.
func releaseStates() []patch.State {
	return append(view.StatesBySeverity(), patch.Denied, patch.Verified)
}

// Releases lists releases with their devices by state, newest first seen first.
// Updates are counted by release, state and tenant first, in the order of an
// index; what is left is small.
func (v *View) Releases(ctx context.Context, scope ident.Scope, q view.ReleaseQuery, after *view.Place) ([]view.ReleaseRow, error) {
	c := conditions{}
	c.equal("u.source", q.Source)
	c.equal("u.version", q.Version)
	if q.Package != "" {
		c.add("LOWER(u.package) LIKE " + c.arg(like(q.Package)) + ` ESCAPE '\'`)
	}
	from := c.counted(scope)
	const columns = `SELECT u.source, u.package, u.version, u.state, u.tenant_id, COUNT(*) AS n`
	const group = ` GROUP BY u.source, u.package, u.version, u.state, u.tenant_id`
	since := c.arg(ms(q.Now.Add(-view.VerifiedFor)))
	counts := columns + from + c.where() + ` AND u.open = 1` + group + ` UNION ALL ` +
		columns + from + c.where() + ` AND u.state = 'verified' AND u.since >= ` + since + group

	outer := conditions{args: c.args}
	outer.equal("g.kind", string(q.Kind))
	outer.equal("g.severity", q.Severity)
	if after != nil {
		seen := outer.arg(after.Number)
		outer.add("(g.seen < " + seen + " OR g.seen = " + seen + " AND g.id > " + outer.arg(after.ID) + ")")
	}
	wanted := q.State
	if q.Choice == view.Undecided {
		wanted = patch.Available
	}
	states := releaseStates()
	sums := make([]string, len(states))
	for i, state := range states {
		sums[i] = "SUM(CASE b.state WHEN '" + string(state) + "' THEN b.n ELSE 0 END) AS in_" + string(state)
		if state == wanted {
			outer.add("g.in_" + string(state) + " > 0")
		}
	}
	return list(ctx, v.s.main, func(r *sql.Rows) (view.ReleaseRow, error) { return scanReleaseRow(r, states) },
		`SELECT g.* FROM (
			SELECT b.source, b.package, b.version, COALESCE(MIN(r.kind), 'unknown') AS kind, COALESCE(MIN(r.severity), '') AS severity,
				COALESCE(MIN(r.first_seen), 0) AS seen, b.source || ' ' || b.package || ' ' || b.version AS id,
				COUNT(DISTINCT b.tenant_id) AS tenants, `+strings.Join(sums, ", ")+`
			FROM (`+counts+`) b LEFT JOIN releases r ON r.source = b.source AND r.package = b.package AND r.version = b.version
			GROUP BY b.source, b.package, b.version) g`+outer.where()+` ORDER BY g.seen DESC, g.id LIMIT `+outer.arg(q.Limit+1), outer.args...)
}

func scanReleaseRow(r *sql.Rows, states []patch.State) (row view.ReleaseRow, err error) {
	counts := make([]int, len(states))
	targets := []any{&row.Source, &row.Package, &row.Version, &row.Kind, &row.Severity, &row.Place.Number, &row.Place.ID, &row.Tenants}
	for i := range counts {
		targets = append(targets, &counts[i])
	}
	if err = r.Scan(targets...); err != nil {
		return row, err
	}
	err = asTime(&row.FirstSeen).Scan(row.Place.Number)
	row.States = view.States{}
	for i, n := range counts {
		if n > 0 {
			row.States[states[i]] = n
		}
	}
	return row, err
}
