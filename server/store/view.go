package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

// View reads what joins nouns: view.Store. It writes nothing.
type View struct{ s *Store }

// View returns the store of joined reading.
func (s *Store) View() *View { return &View{s} }

// conditions gathers the parts of a WHERE with their arguments.
type conditions struct {
	parts []string
	args  []any
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *conditions) add(part string) { c.parts = append(c.parts, part) }

// equal adds column = value unless the value is empty.
func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column + " = " + c.arg(value))
	}
}

// in adds column IN (values).
func in[T ~string](c *conditions, column string, values []T) {
	text, args := inList(len(c.args)+1, values)
	c.args = append(c.args, args...)
	c.add(column + " IN " + text)
}

// where is the text after FROM, never empty.
func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return " WHERE 1 = 1"
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// within narrows to the scope, and to its sites where it names some.
func (c *conditions) within(scope ident.Scope, tenant, site string) {
	if scope.All() {
		return
	}
	var whole []ident.TenantID
	var parts []string
	for _, t := range scope.Tenants() {
		sites := scope.Sites(t)
		if len(sites) == 0 {
			whole = append(whole, t)
			continue
		}
		one := conditions{args: c.args}
		one.add(tenant + " = " + one.arg(t))
		in(&one, site, sites)
		c.args = one.args
		parts = append(parts, "("+strings.Join(one.parts, " AND ")+")")
	}
	if len(whole) > 0 || len(parts) == 0 {
		text, args := inTenants(tenant, whole, len(c.args)+1)
		parts, c.args = append(parts, text), append(c.args, args...)
	}
	c.add("(" + strings.Join(parts, " OR ") + ")")
}

// Counts sums devices and updates by tenant.
func (v *View) Counts(ctx context.Context, scope ident.Scope, now time.Time) (map[ident.TenantID]view.Counts, error) {
	out := map[ident.TenantID]view.Counts{}
	if err := v.countDevices(ctx, scope, now, out); err != nil {
		return nil, err
	}
	return out, v.countStates(ctx, scope, now, out)
}

// present holds for devices that count: those that may come back.
const present = `d.state NOT IN ('retired', 'revoked')`

func (v *View) countDevices(ctx context.Context, scope ident.Scope, now time.Time, out map[ident.TenantID]view.Counts) error {
	c := conditions{}
	c.add(present)
	since := c.arg(ms(now.Add(-view.CheckedFor)))
	c.within(scope, "d.tenant_id", "d.site_id")
	lines, err := list(ctx, v.s.main, func(r *sql.Rows) (n struct {
		id ident.TenantID
		view.Counts
	}, err error) {
		err = r.Scan(&n.id, &n.Devices, &n.Online, &n.Pending, &n.Stale, &n.Conflict, &n.Checked, &n.Lacking)
		return n, err
	}, `SELECT d.tenant_id, COUNT(*), SUM(d.online), SUM(CASE d.state WHEN 'pending' THEN 1 ELSE 0 END),
			SUM(CASE d.state WHEN 'stale' THEN 1 ELSE 0 END), SUM(CASE d.state WHEN 'conflict' THEN 1 ELSE 0 END),
			SUM(CASE WHEN i.scanned_at >= `+since+` THEN 1 ELSE 0 END),
			SUM(CASE WHEN EXISTS (SELECT 1 FROM updates u WHERE u.tenant_id = d.tenant_id AND u.device_id = d.device_id AND u.open = 1) THEN 1 ELSE 0 END)
		FROM devices d LEFT JOIN inventory_sections i ON i.tenant_id = d.tenant_id AND i.device_id = d.device_id AND i.section = 'updates'`+
		c.where()+` GROUP BY d.tenant_id`, c.args...)
	for _, n := range lines {
		out[n.id] = n.Counts
	}
	return err
}

// counted narrows updates u to devices that count and that the scope covers,
// and says what they are read from: devices are joined only where the scope
// names sites, for an index on updates alone is many times quicker.
func (c *conditions) counted(scope ident.Scope) (from string) {
	for _, t := range scope.Tenants() {
		if len(scope.Sites(t)) > 0 {
			c.add(present)
			c.within(scope, "d.tenant_id", "d.site_id")
			return updatesAndDevices
		}
	}
	c.add(`u.device_id NOT IN (SELECT g.device_id FROM devices g WHERE g.state IN ('retired', 'revoked'))`)
	c.within(scope, "u.tenant_id", "")
	return " FROM updates u"
}

// stateLine is a number of updates of a tenant in one state.
type stateLine struct {
	id       ident.TenantID
	state    patch.State
	n        int
	releases int
	since    time.Time
}

func (v *View) stateLines(ctx context.Context, c conditions, text string) ([]stateLine, error) {
	return list(ctx, v.s.main, func(r *sql.Rows) (l stateLine, err error) {
		return l, r.Scan(&l.id, &l.state, &l.n, &l.releases, asTime(&l.since))
	}, text, c.args...)
}

// openLines counts open updates. They are counted by release first, in the
// order of an index, so that one pass gives the number of releases too.
func (v *View) openLines(ctx context.Context, scope ident.Scope) ([]stateLine, error) {
	c := conditions{}
	c.add(`u.open = 1`)
	from := c.counted(scope)
	return v.stateLines(ctx, c, `SELECT b.tenant_id, b.state, SUM(b.n), COUNT(*), MIN(b.since) FROM (
			SELECT u.source, u.package, u.version, u.state, u.tenant_id, COUNT(*) AS n, MIN(u.since) AS since`+from+c.where()+`
			GROUP BY u.source, u.package, u.version, u.state, u.tenant_id) b GROUP BY b.tenant_id, b.state`)
}

func (v *View) doneLines(ctx context.Context, scope ident.Scope, now time.Time) ([]stateLine, error) {
	c := conditions{}
	c.add(`u.state = 'verified' AND u.since >= ` + c.arg(ms(now.Add(-view.VerifiedFor))))
	from := c.counted(scope)
	// MATERIALIZED keeps SQLite from walking all updates in the order of the
	// group instead of the index of the verified ones.
	return v.stateLines(ctx, c, `WITH b AS MATERIALIZED (SELECT u.tenant_id`+from+c.where()+`)
		SELECT b.tenant_id, 'verified', COUNT(*), 0, 0 FROM b GROUP BY b.tenant_id`)
}

// failedLines counts devices, not updates.
func (v *View) failedLines(ctx context.Context, scope ident.Scope) ([]stateLine, error) {
	c := conditions{}
	c.add(`u.open = 1 AND u.state IN ('failed', 'unknown')`)
	from := c.counted(scope)
	return v.stateLines(ctx, c, `SELECT u.tenant_id, 'failed', COUNT(DISTINCT u.device_id), 0, 0`+from+c.where()+` GROUP BY u.tenant_id`)
}

func (v *View) countStates(ctx context.Context, scope ident.Scope, now time.Time, out map[ident.TenantID]view.Counts) error {
	open, err := v.openLines(ctx, scope)
	if err != nil {
		return err
	}
	done, err := v.doneLines(ctx, scope, now)
	if err != nil {
		return err
	}
	failed, err := v.failedLines(ctx, scope)
	if err != nil {
		return err
	}
	for _, l := range append(open, done...) {
		n := out[l.id]
		if n.States == nil {
			n.States, n.NeedSince = view.States{}, map[patch.State]time.Time{}
		}
		n.States[l.state] = l.n
		if view.WordOf(l.state) == view.WordNeeds {
			n.NeedSince[l.state] = l.since
		}
		if l.state == patch.Available {
			n.Undecided = l.releases
		}
		out[l.id] = n
	}
	for _, l := range failed {
		n := out[l.id]
		n.FailedOn = l.n
		out[l.id] = n
	}
	return nil
}

// findable is a table that Lookup knows; it has a tenant and, where sited, a
// site.
type findable struct {
	kind       view.Kind
	table, key string
	sited      bool
}

func findables() []findable {
	return []findable{
		{view.KindDevice, "devices", "device_id", true},
		{view.KindEnrollment, "enrollments", "enrollment_id", true},
		{view.KindDeployment, "deployments", "deployment_id", false},
		{view.KindRun, "runs", "run_id", true},
		{view.KindJob, "(SELECT j.tenant_id, j.job_id, r.site_id FROM jobs j JOIN runs r ON r.tenant_id = j.tenant_id AND r.run_id = j.run_id)", "job_id", true},
	}
}

// Find says what an id names and where.
func (v *View) Find(ctx context.Context, scope ident.Scope, id string) (view.Kind, ident.TenantID, error) {
	for _, f := range findables() {
		c := conditions{}
		c.add("x." + f.key + " = " + c.arg(id))
		if f.sited {
			c.within(scope, "x.tenant_id", "x.site_id")
		} else {
			text, args := inScope("x.tenant_id", scope, len(c.args)+1)
			c.args = append(c.args, args...)
			c.add(text)
		}
		var tenant ident.TenantID
		err := v.s.queryRow(ctx, `SELECT x.tenant_id FROM `+f.table+` x`+c.where(), c.args...).Scan(&tenant)
		if err == nil {
			return f.kind, tenant, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", "", fmt.Errorf("find %s: %w", f.kind, err)
		}
	}
	return "", "", nil
}

// before is a condition on (at, seq) for what comes after a mark, newest first.
func (c *conditions) before(m view.Mark, kind view.EventKind, seq string) {
	if m.At.IsZero() {
		return
	}
	bound := int64(1) << 62
	if text := m.Bound(kind); text == "" {
		bound = -1
	} else if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		bound = n
	}
	at := c.arg(ms(m.At))
	c.add("(h.at < " + at + " OR h.at = " + at + " AND " + seq + " < " + c.arg(bound) + ")")
}

// Events lists a device's histories after the mark, newest first within each.
func (v *View) Events(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, after view.Mark, limit int) ([]view.Event, error) {
	var all []view.Event
	for _, read := range []struct {
		kind              view.EventKind
		columns, from, id string
		scan              func(*sql.Rows) (view.Event, error)
	}{
		{view.EventUpdate, `h.seq, h.at, h.source, h.package, h.version, h.state_from, h.state_to, h.reason`, `update_history`, `h.seq`, scanUpdateEvent},
		{view.EventInventory, `h.seq, h.at, h.section, h.item, h.before, h.after`, `inventory_history`, `h.seq`, scanInventoryEvent},
		// One flip at a time: presence needs no number of its own.
		{view.EventPresence, `0, h.at, h.online`, `presence`, `CAST(0 AS BIGINT)`, scanPresenceEvent},
	} {
		c := conditions{}
		c.add("h.tenant_id = " + c.arg(tenant) + " AND h.device_id = " + c.arg(device))
		c.before(after, read.kind, read.id)
		events, err := list(ctx, v.s.main, read.scan, `SELECT `+read.columns+` FROM `+read.from+` h`+c.where()+
			` ORDER BY h.at DESC, `+read.id+` DESC LIMIT `+c.arg(limit+1), c.args...)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	jobs, err := v.jobEvents(ctx, tenant, device, after, limit)
	return append(all, jobs...), err
}

// jobEvents are the transitions of the device's jobs. Numbers rise per job, so
// an event's id is that of its job and the number.
func (v *View) jobEvents(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, after view.Mark, limit int) ([]view.Event, error) {
	c := conditions{}
	c.add("h.tenant_id = " + c.arg(tenant) + " AND h.device_id = " + c.arg(device) + " AND h.from_state <> h.to_state")
	if !after.At.IsZero() {
		job, number, _ := strings.Cut(after.Bound(view.EventJob), ".")
		seq, _ := strconv.ParseInt(number, 10, 64) // a bound without a number takes all or nothing
		at := c.arg(ms(after.At))
		c.add("(h.at < " + at + " OR h.at = " + at + " AND (h.job_id, h.seq) < (" + c.arg(job) + ", " + c.arg(seq) + "))")
	}
	return list(ctx, v.s.main, scanJobEvent, `SELECT h.seq, h.at, h.job_id, h.from_state, h.to_state, h.reason FROM job_history h`+c.where()+
		` ORDER BY h.at DESC, h.job_id DESC, h.seq DESC LIMIT `+c.arg(limit+1), c.args...)
}

func scanJobEvent(r *sql.Rows) (e view.Event, err error) {
	var seq int64
	var why string
	if err = r.Scan(&seq, asTime(&e.At), &e.Job, &e.From, &e.To, &why); err != nil {
		return e, err
	}
	e.Kind, e.ID = view.EventJob, string(e.Job)+"."+view.Number(seq)
	e.Reason, err = reason.Decode(why)
	return e, err
}

func scanUpdateEvent(r *sql.Rows) (e view.Event, err error) {
	var seq int64
	var why string
	err = r.Scan(&seq, asTime(&e.At), &e.Release.Source, &e.Release.Package, &e.Release.Version, &e.From, &e.To, &why)
	if err != nil {
		return e, err
	}
	e.Kind, e.ID = view.EventUpdate, view.Number(seq)
	e.Reason, err = reason.Decode(why)
	return e, err
}

func scanInventoryEvent(r *sql.Rows) (e view.Event, err error) {
	var seq int64
	err = r.Scan(&seq, asTime(&e.At), &e.Section, &e.Key, asJSON(&e.Before), asJSON(&e.After))
	e.Kind, e.ID = view.EventInventory, view.Number(seq)
	return e, err
}

func scanPresenceEvent(r *sql.Rows) (e view.Event, err error) {
	var seq, online int64
	err = r.Scan(&seq, asTime(&e.At), &online)
	e.Kind, e.ID, e.To = view.EventPresence, view.Number(seq), "offline"
	if online != 0 {
		e.To = "online"
	}
	return e, err
}
