package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

// lacking counts a device's open updates.
const lacking = `(SELECT COUNT(*) FROM updates n WHERE n.tenant_id = d.tenant_id AND n.device_id = d.device_id AND n.open = 1)`

// orderOf is the sort key of an order, and whether it is a number. Names sort
// by the search column, which is lower case.
func orderOf(s view.Sort) (key string, number bool) {
	switch s {
	case view.ByTenant:
		return `d.tenant_id || ' ' || d.search`, false
	case view.BySite:
		return `d.tenant_id || ' ' || d.site_id || ' ' || d.search`, false
	case view.ByState:
		return `d.state || ' ' || d.search`, false
	case view.ByOS:
		return `d.os_family || ' ' || d.os_version || ' ' || d.search`, false
	case view.ByLastSeen:
		return `d.last_seen`, true
	case view.ByUpdates:
		return lacking, true
	}
	return `d.search`, false
}

// Devices lists devices that match, one line for each state of their updates
// in one statement.
func (v *View) Devices(ctx context.Context, scope ident.Scope, q view.Query, after *view.Place) ([]view.DeviceRow, error) {
	c := matching(scope, q)
	key, number := orderOf(q.Sort)
	direction, compare := "", " > "
	if q.Descending {
		direction, compare = " DESC", " < "
	}
	if after != nil {
		var place any = after.Text
		if number {
			place = after.Number
		}
		c.add("(" + key + ", d.device_id)" + compare + "(" + c.arg(place) + ", " + c.arg(after.ID) + ")")
	}
	// The page is found on what it is sorted by alone; names and counts are
	// read for its rows only. CROSS JOIN makes SQLite go from the page to the
	// updates and never the other way; to PostgreSQL it is a plain join.
	text := `WITH page AS (
		SELECT d.tenant_id, d.device_id, ` + key + ` AS place FROM devices d` + c.where() + `
		ORDER BY place` + direction + `, d.device_id` + direction + ` LIMIT ` + c.arg(q.Limit+1) + `
	), counted AS (
		SELECT u.tenant_id, u.device_id, u.state, COUNT(*) AS n, MIN(u.reason) AS reason
		FROM page p CROSS JOIN updates u
		WHERE u.tenant_id = p.tenant_id AND u.device_id = p.device_id
			AND (u.open = 1 OR u.state = 'verified' AND u.since >= ` + c.arg(ms(q.Now.Add(-view.DoneFor))) + `)
		GROUP BY u.tenant_id, u.device_id, u.state
	)
	SELECT d.tenant_id, t.name, d.device_id, d.site_id, s.name, d.hostname, d.class, d.tags,
		d.os_family, d.os_name, d.os_version, d.state, d.reason, d.since, d.online, d.online_since, d.last_seen, d.agent_version, d.serial,
		COALESCE(NULLIF(d.time_zone, ''), NULLIF(s.time_zone, ''), t.time_zone), p.place,
		COALESCE(c.state, ''), COALESCE(c.n, 0), COALESCE(c.reason, '')
	FROM page p
	JOIN devices d ON d.tenant_id = p.tenant_id AND d.device_id = p.device_id
	JOIN tenants t ON t.tenant_id = p.tenant_id
	JOIN sites s ON s.tenant_id = d.tenant_id AND s.site_id = d.site_id
	LEFT JOIN counted c ON c.tenant_id = p.tenant_id AND c.device_id = p.device_id
	ORDER BY p.place` + direction + `, p.device_id` + direction
	lines, err := list(ctx, v.s.main, func(r *sql.Rows) (deviceLine, error) { return scanDeviceLine(r, number) }, text, c.args...)
	if err != nil {
		return nil, err
	}
	return gatherDevices(lines)
}

// deviceLine is a device with one state of its updates.
type deviceLine struct {
	row   view.DeviceRow
	state patch.State
	n     int
	why   string
}

func scanDeviceLine(r *sql.Rows, number bool) (l deviceLine, err error) {
	d := &l.row
	var why string
	var online int64
	var place any = &d.Place.Text
	if number {
		place = &d.Place.Number
	}
	err = r.Scan(&d.Tenant, &d.TenantName, &d.ID, &d.Site, &d.SiteName, &d.Hostname, &d.Class, asJSON(&d.Tags),
		&d.OS.Family, &d.OS.Name, &d.OS.Version, &d.State, &why, asTime(&d.Since), &online, asTime(&d.OnlineSince), asTime(&d.LastSeen),
		&d.AgentVersion, &d.Serial, &d.TimeZone, place, &l.state, &l.n, &l.why)
	if err != nil {
		return l, err
	}
	d.Online, d.Place.ID = online != 0, string(d.ID)
	d.Reason, err = reason.Decode(why)
	return l, err
}

// gatherDevices folds the lines of each device, which stand together.
func gatherDevices(lines []deviceLine) ([]view.DeviceRow, error) {
	var rows []view.DeviceRow
	whys := map[patch.State]string{}
	finish := func() (err error) {
		if len(rows) == 0 {
			return nil
		}
		last := &rows[len(rows)-1]
		last.Available, last.Worst = last.States.Open(), last.States.Worst()
		last.WorstReason, err = reason.Decode(whys[last.Worst])
		clear(whys)
		return err
	}
	for _, l := range lines {
		if len(rows) == 0 || rows[len(rows)-1].ID != l.row.ID {
			if err := finish(); err != nil {
				return nil, err
			}
			l.row.States = view.States{}
			rows = append(rows, l.row)
		}
		if l.n > 0 {
			rows[len(rows)-1].States[l.state] = l.n
			whys[l.state] = l.why
		}
	}
	return rows, finish()
}

// CountDevices counts devices that match.
func (v *View) CountDevices(ctx context.Context, scope ident.Scope, q view.Query) (n int, err error) {
	c := matching(scope, q)
	err = v.s.queryRow(ctx, `SELECT COUNT(*) FROM devices d`+c.where(), c.args...).Scan(&n)
	return n, err
}

// matching turns scope and filter into conditions on devices d.
func matching(scope ident.Scope, q view.Query) conditions {
	c := conditions{}
	c.within(scope, "d.tenant_id", "d.site_id")
	if !q.Filter.Has(view.FieldState) {
		c.add(`d.state <> 'retired'`)
	}
	for _, t := range q.Filter.Terms {
		one := conditions{args: c.args}
		one.term(t, q)
		c.args = one.args
		part := "(" + strings.Join(one.parts, " OR ") + ")"
		if t.Not {
			part = "NOT " + part
		}
		c.add(part)
	}
	return c
}

// term adds the alternatives of one term.
func (c *conditions) term(t view.Term, q view.Query) {
	switch t.Field {
	case view.FieldOS:
		in(c, "d.os_family", t.Values)
	case view.FieldClass:
		in(c, "d.class", t.Values)
	case view.FieldState:
		in(c, "d.state", t.Values)
	case view.FieldSite:
		in(c, "d.site_id", t.Values)
	case view.FieldTenant:
		in(c, "d.tenant_id", t.Values)
	case view.FieldOnline:
		c.add("d.online = " + c.arg(btoi(t.Flag)))
	case view.FieldOffline:
		c.add("d.online = 0 AND d.last_seen <= " + c.arg(ms(q.Now.Add(-t.For))))
	case view.FieldUpdates:
		c.lacks(t)
	case view.FieldUpdate:
		c.hasUpdate("h.state", t.Values)
	case view.FieldPackage:
		c.hasUpdate("h.package", t.Values)
	case view.FieldSource:
		c.hasUpdate("h.source", t.Values)
	case view.FieldTag:
		for _, tag := range t.Values {
			b, _ := json.Marshal(tag) // a string: cannot fail
			c.add("REPLACE(d.tags, " + c.arg(string(b)) + ", '') <> d.tags")
		}
	case view.FieldName:
		for _, name := range t.Values {
			c.add("LOWER(d.hostname) LIKE " + c.arg(like(name)) + ` ESCAPE '\'`)
		}
	default:
		for _, word := range t.Values {
			c.add("d.search LIKE " + c.arg(like(word)) + ` ESCAPE '\' OR LOWER(d.serial) = ` + c.arg(strings.ToLower(word)))
		}
	}
}

// lacks compares the number of open updates; whether there is any at all needs
// no counting.
func (c *conditions) lacks(t view.Term) {
	const any = `EXISTS (SELECT 1 FROM updates n WHERE n.tenant_id = d.tenant_id AND n.device_id = d.device_id AND n.open = 1)`
	switch {
	case t.Op == view.More && t.Number == 0, t.Op == view.AtLeast && t.Number == 1:
		c.add(any)
	case t.Op == view.EqualOnly && t.Number == 0, t.Op == view.Less && t.Number == 1:
		c.add("NOT " + any)
	default:
		c.add(lacking + " " + string(t.Op) + " " + c.arg(t.Number))
	}
}

func (c *conditions) hasUpdate(column string, values []string) {
	one := conditions{args: c.args}
	in(&one, column, values)
	c.args = one.args
	c.add("EXISTS (SELECT 1 FROM updates h WHERE h.tenant_id = d.tenant_id AND h.device_id = d.device_id AND h.open = 1 AND " + one.parts[0] + ")")
}

// like is the pattern of LIKE for texts that hold the word, in lower case.
func like(word string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(word)) + "%"
}
