package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/view"
)

// tab is a saved view, or a part of a page, as a link.
type tab struct {
	Text, Href string
	Count      int
	Counted    bool
	On         bool
}

// chip is one condition of a filter. A word that is not understood is marked
// and changes nothing.
type chip struct {
	Field, Op, Value, Without string
	Bad                       string
}

type column struct {
	Text, Href, Class string
	On                bool
}

type devicesBody struct {
	Tabs       []tab
	Chips      []chip
	Filter     string
	Columns    []column
	Rows       []deviceRow
	Total      int
	First      bool // no filter, and still nothing: the first run
	Across     bool // over several customers
	Pager      pager
	CanManage  bool
	CanEnroll  bool
	Hidden     map[string]string
	SortedInfo string
}

type pager struct{ Text, First, Next string }

type deviceRow struct {
	view.DeviceRow
	Href, Icon string
	State      mark
	Worst      mark
	Why        string
	Across     bool
	frame      *frame
}

// Seen is the last contact.
func (r deviceRow) Seen() any { return r.frame.Ago(r.LastSeen) }

func views() []struct{ name, filter string } {
	return []struct{ name, filter string }{
		{"All", ""}, {"Needs you", "update:failed,unknown,halted,available"}, {"Restart needed", "update:reboot_pending"},
		{"Stale", "state:stale"}, {"Offline 7 days", "offline:7d"}, {"Servers", "class:server"},
	}
}

// deviceQuery reads the page's address: it is the whole view.
func (f *frame) deviceQuery() (q view.Query, chips []chip, text string) {
	v := f.r.URL.Query()
	text = strings.Join(strings.Fields(v.Get("filter")), " ")
	filter, chips := f.parseFilter(text)
	q = view.Query{Tenant: f.tenant.ID, Filter: filter, Sort: view.Sort(v.Get("sort")), Descending: v.Get("desc") != "", Cursor: v.Get("cursor"), Limit: 50, Now: f.now}
	if !slices.Contains(view.Sorts(), q.Sort) {
		q.Sort = view.ByName
	}
	return q, chips, text
}

func (f *frame) parseFilter(text string) (view.Filter, []chip) {
	words := strings.Fields(text)
	if filter, err := view.ParseFilter(text); err == nil {
		chips := make([]chip, 0, len(filter.Terms))
		for i, t := range filter.Terms {
			rest := slices.Delete(slices.Clone(filter.Terms), i, i+1)
			chips = append(chips, termChip(t, f.withFilter(view.Filter{Terms: rest}.String())))
		}
		return filter, chips
	}
	var good view.Filter
	var chips []chip
	for i, word := range words {
		rest := f.withFilter(strings.Join(slices.Delete(slices.Clone(words), i, i+1), " "))
		one, err := view.ParseFilter(word)
		if err != nil {
			var problem *view.Problem
			what := "not understood"
			if errors.As(err, &problem) {
				what = problem.What
			}
			chips = append(chips, chip{Value: word, Bad: what, Without: rest})
			continue
		}
		good.Terms = append(good.Terms, one.Terms...)
		for _, t := range one.Terms {
			chips = append(chips, termChip(t, rest))
		}
	}
	return good, chips
}

func termChip(t view.Term, without string) chip {
	text := t.String()
	c := chip{Field: string(t.Field), Op: "is", Without: without}
	if t.Not {
		c.Op = "is not"
	}
	_, c.Value, _ = strings.Cut(text, string(t.Op))
	if t.Op != view.Is {
		c.Op = string(t.Op)
	}
	if t.Field == view.FieldText {
		c.Field, c.Op, c.Value = "text", "has", strings.Join(t.Values, ", ")
	}
	c.Value = strings.ReplaceAll(c.Value, ",", ", ")
	return c
}

func (f *frame) withFilter(text string) string {
	v := f.r.URL.Query()
	v.Del("cursor")
	v.Del("add")
	if v.Set("filter", text); text == "" {
		v.Del("filter")
	}
	return address(f.At("devices"), v)
}

func address(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

func (c *Console) devices(f *frame) error {
	if add := strings.TrimSpace(f.r.URL.Query().Get("add")); add != "" {
		http.Redirect(f.w, f.r, f.withFilter(strings.TrimSpace(f.r.URL.Query().Get("filter")+" "+add)), http.StatusSeeOther)
		return nil
	}
	q, chips, text := f.deviceQuery()
	rows, next, err := c.o.Rows.Devices(f.ctx(), f.scope, q)
	if err != nil {
		return err
	}
	total, err := f.countDevices(q.Filter)
	if err != nil {
		return err
	}
	b := devicesBody{Chips: chips, Filter: text, Total: total, First: total == 0 && text == "", Across: f.tenant.ID == "", Rows: f.deviceRows(rows),
		CanManage: f.Can("device.manage"), CanEnroll: f.Can("enrollment.create"), Columns: f.deviceColumns(q), Hidden: map[string]string{}}
	for _, key := range []string{"filter", "sort", "desc"} {
		if value := f.r.URL.Query().Get(key); value != "" {
			b.Hidden[key] = value
		}
	}
	if b.Tabs, err = f.deviceTabs(text); err != nil {
		return err
	}
	v := f.r.URL.Query()
	b.Pager.Text = plural(len(rows), "device", "devices") + " of " + num(total)
	if q.Cursor != "" {
		v.Del("cursor")
		b.Pager.First = address(f.At("devices"), v)
	}
	if next != "" {
		v.Set("cursor", next)
		b.Pager.Next = address(f.At("devices"), v)
	}
	live := address(f.At("devices/live"), f.r.URL.Query())
	return f.show("devices", page{Title: "Devices", Nav: "devices", Live: live, Body: b})
}

func (f *frame) deviceTabs(text string) ([]tab, error) {
	var out []tab
	for _, v := range views() {
		filter, err := view.ParseFilter(v.filter)
		if err != nil {
			return nil, err
		}
		n, err := f.countDevices(filter)
		if err != nil {
			return nil, err
		}
		values := url.Values{}
		if v.filter != "" {
			values.Set("filter", v.filter)
		}
		out = append(out, tab{Text: v.name, Href: address(f.At("devices"), values), Count: n, Counted: true, On: text == v.filter})
	}
	return out, nil
}

// countDevices counts what a filter finds.
func (f *frame) countDevices(filter view.Filter) (int, error) {
	return f.c.o.Rows.CountDevices(f.ctx(), f.scope, view.Query{Tenant: f.tenant.ID, Filter: filter, Now: f.now})
}

func (f *frame) deviceColumns(q view.Query) []column {
	var out []column
	for _, one := range []struct {
		text, class string
		sort        view.Sort
	}{
		{"Device", "w18", view.ByName}, {"Customer · site", "p3 w22", view.ByTenant}, {"System", "p2 w14", view.ByOS}, {"State", "w8", view.ByState},
		{"Updates", "", ""}, {"Open", "r p2 w6", view.ByUpdates}, {"Agent", "p4 w8", ""}, {"Seen", "r w6", view.ByLastSeen},
	} {
		c := column{Text: one.text, Class: one.class}
		if f.tenant.ID != "" && one.sort == view.ByTenant {
			c.Text, one.sort = "Site", view.BySite
		}
		if one.sort != "" {
			v := f.r.URL.Query()
			v.Del("cursor")
			v.Set("sort", string(one.sort))
			v.Del("desc")
			if c.On = q.Sort == one.sort; c.On && !q.Descending {
				v.Set("desc", "1")
			}
			c.Href = address(f.At("devices"), v)
		}
		out = append(out, c)
	}
	return out
}

func (f *frame) deviceRows(rows []view.DeviceRow) []deviceRow {
	out := make([]deviceRow, 0, len(rows))
	for _, d := range rows {
		r := deviceRow{DeviceRow: d, Href: devicePath(d.Tenant, d.ID), Icon: classIcon(d.Class), Across: f.tenant.ID == "", frame: f}
		r.State = deviceMark(d.State)
		if d.State == fleet.Active {
			r.State = onlineMark(d.Online)
		}
		switch {
		case d.Worst != "":
			r.Worst, r.Why = stateWord(d.Worst), d.WorstReason.Text(f.loc)
		case d.State == fleet.Pending:
			r.Worst = mark{"circle-question-mark", "not known yet", "unknown"}
		case d.State == fleet.Stale:
			r.Worst = mark{"circle-question-mark", "not known now", "unknown"}
		default:
			r.Worst = mark{"check", "nothing open", "idle"}
		}
		out = append(out, r)
	}
	return out
}

// devicesLive changes the rows that the page shows, in place.
func (c *Console) devicesLive(f *frame) error {
	topics := []string{}
	for _, t := range f.customers() {
		if f.tenant.ID == "" || f.tenant.ID == t.ID {
			topics = append(topics, fleet.DevicesTopic(t.ID))
		}
	}
	return f.stream(feed{topics: topics, every: 2 * time.Second, next: differences(func(ctx context.Context) (pieces, error) {
		q, _, _ := f.deviceQuery()
		rows, _, err := c.o.Rows.Devices(ctx, f.scopeOf(auth.DeviceRead), q)
		if err != nil {
			return nil, err
		}
		out := pieces{}
		for _, r := range f.deviceRows(rows) {
			var b bytes.Buffer
			if err := c.pages.sets["devices"].ExecuteTemplate(&b, "row", list(r, f.Can("device.manage"))); err != nil {
				return nil, err
			}
			out["d-"+string(r.ID)] = b.Bytes()
		}
		return out, nil
	})})
}

func list(v ...any) []any { return v }
