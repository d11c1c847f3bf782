package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

// window to come, with what is known of its devices by number.
type coming struct {
	Planned
	devices []int32
	longest time.Duration // of one release
	tied    map[string]bool
}

// Forecast lists the windows of the next days in order of their opening, with
// the devices that they are for and how long the busiest of them is expected
// to work. Approvals that are waited for count once they are due, and what an
// earlier window of the same policy can do is not expected again.
func Forecast(now time.Time, w *World, days int) []Planned {
	steps := steps(now, w)
	until := now.Add(time.Duration(days) * 24 * time.Hour)
	type place struct {
		policy string
		site   ident.SiteID
		opens  int64
	}
	all := map[place]*coming{}
	occurrences := map[clock][]window.Occurrence{}
	for i := range w.Devices {
		d := &w.Devices[i]
		if !d.MayWork() {
			continue
		}
		for n := range w.Policies[d.Site] {
			eff := &w.Policies[d.Site][n]
			if !eff.Patch.Targets.Covers(d.Device) {
				continue
			}
			k := clock{eff, d.Zone, d.SiteZone}
			occs, ok := occurrences[k]
			if !ok {
				occs = window.Between(eff.Windows.Bind(d.Zone, d.SiteZone), nil, now, until)
				occurrences[k] = occs
			}
			before := time.Time{}
			for _, o := range occs {
				at := place{eff.Name, d.Site, o.Opens.Unix()}
				c := all[at]
				if c == nil {
					c = &coming{Planned: Planned{Policy: eff.Name, Site: d.Site, Opens: o.Opens, Closes: o.Closes}, tied: map[string]bool{}}
					all[at] = c
				}
				c.Devices = append(c.Devices, d.ID)
				c.devices = append(c.devices, int32(i))
				c.expect(steps[d.ID], before)
				before = o.Closes
			}
		}
	}
	list := make([]*coming, 0, len(all))
	for _, c := range all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *coming) int {
		return cmp.Or(a.Opens.Compare(b.Opens), strings.Compare(a.Policy, b.Policy), strings.Compare(string(a.Site), string(b.Site)))
	})
	conflicts(list)
	out := make([]Planned, len(list))
	for i, c := range list {
		out[i] = c.Planned
	}
	return out
}

// step is an open update with when it may be installed and how long it takes.
type step struct {
	policy string
	due    time.Time
	need   time.Duration
	ties   []string
	source string
}

// steps are the open updates of each device that will be installed unless
// somebody says otherwise.
func steps(now time.Time, w *World) map[ident.DeviceID][]step {
	out := map[ident.DeviceID][]step{}
	rollout.Decisions(now, w, func(u *patch.Update, name string, d policy.Decision, ties []string) {
		s := step{policy: name, due: now, need: w.Expected(u.Release), ties: ties, source: u.Source}
		switch {
		case u.Held || u.Phased:
			return
		case d.Action == policy.Wait:
			s.due = d.Until
		case d.Action != policy.Approve:
			return
		}
		out[u.Device] = append(out[u.Device], s)
	})
	return out
}

// expect adds what a device will do in a window: its updates that are approved
// by then, and were not by the end of the one before.
func (c *coming) expect(steps []step, before time.Time) {
	var sum time.Duration
	for _, s := range steps {
		if s.policy != c.Policy {
			continue
		}
		if len(s.ties) > 0 {
			c.tied[strings.Join(s.ties, ", ")+" claim "+s.source+" equally: nothing is scheduled"] = true
			continue
		}
		if !s.due.After(c.Closes) && (before.IsZero() || s.due.After(before)) {
			sum += s.need
			c.longest = max(c.longest, s.need)
		}
	}
	c.ExpectedMinutes = max(c.ExpectedMinutes, int((sum+time.Minute-1)/time.Minute))
}

// conflicts writes what will not go well: a window too short for a step, two
// policies that have a device at the same time, and ties.
func conflicts(list []*coming) {
	for i, c := range list {
		length := c.Closes.Sub(c.Opens)
		if c.longest > length {
			c.Conflicts = append(c.Conflicts, fmt.Sprintf("a step needs about %d min, the window has %d", int(c.longest/time.Minute), int(length/time.Minute)))
		}
		for _, o := range list[i+1:] {
			if !o.Opens.Before(c.Closes) {
				break
			}
			if o.Site != c.Site || o.Policy == c.Policy {
				continue
			}
			if n := shared(c.devices, o.devices); n > 0 {
				text := func(other string) string { return fmt.Sprintf("%d devices are also in a window of %s", n, other) }
				c.Conflicts = append(c.Conflicts, text(o.Policy))
				o.Conflicts = append(o.Conflicts, text(c.Policy))
			}
		}
	}
	for _, c := range list {
		c.Conflicts = append(c.Conflicts, slices.Sorted(maps.Keys(c.tied))...)
	}
}

// shared counts what two ascending lists have in common.
func shared(a, b []int32) (n int) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			n, i, j = n+1, i+1, j+1
		}
	}
	return n
}
