package apply

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/window"
)

const planAhead = 30 * 24 * time.Hour

// outcome is a tenant's policies before and after, by device.
type outcome struct {
	h       *Holding
	devices []standing
}

// standing is a device with the policies of its site.
type standing struct {
	fleet.Device
	zone          *time.Location
	before, after []policy.Effective
}

// outcome works a tenant out once for all documents.
func (p *planner) outcome(id ident.TenantID) (*outcome, error) {
	if o, ok := p.outcomes[id]; ok {
		return o, nil
	}
	o := &outcome{h: p.current.Tenants[id]}
	p.outcomes[id] = o
	if o.h == nil {
		return o, nil
	}
	tenant := o.h.Tenant
	sites := map[ident.SiteID]fleet.Site{}
	for _, s := range o.h.Sites {
		sites[s.ID] = s
	}
	before, after := p.documentsOf(id, false), p.documentsOf(id, true)
	type pair struct{ before, after []policy.Effective }
	bySite := map[ident.SiteID]pair{}
	for _, d := range o.h.Devices {
		if d.State == fleet.Retired || d.State == fleet.Revoked {
			continue
		}
		at, known := bySite[d.Site]
		if !known {
			var err error
			// What was stored before and cannot be read any more is no reason
			// to refuse its replacement.
			at.before, _ = policy.Resolve(id, d.Site, before)
			if at.after, err = policy.Resolve(id, d.Site, after); err != nil {
				return nil, fault.New(fault.Invalid, "the policies of %s would not fit together", id).WithCause(err)
			}
			bySite[d.Site] = at
		}
		o.devices = append(o.devices, standing{Device: d, zone: fleet.Location(tenant, sites[d.Site], d), before: at.before, after: at.after})
	}
	return o, nil
}

// newTie names a device that the policy claims equally with another, where it
// did not before.
func (o *outcome) newTie(name string) string {
	for _, d := range o.devices {
		for _, source := range policy.Sources() {
			_, was := policy.For(d.before, d.Device, source)
			_, is := policy.For(d.after, d.Device, source)
			if slices.Contains(is, name) && !slices.Equal(was, is) {
				return fmt.Sprintf("%s on %s would be claimed equally by %s", source, d.Hostname, strings.Join(is, " and "))
			}
		}
	}
	return ""
}

// tally is what a policy does, summed over tenants.
type tally struct {
	devices     int
	gone        int // devices that it ruled and rules no more
	observed    map[ident.TenantID]bool
	sources     map[string]bool
	first       window.Occurrence
	zone        *time.Location
	windows     int // openings to come, at the place that has the most
	never       bool
	approves    int
	approvesOn  map[ident.DeviceID]bool
	withdraws   int
	withdrawsOn map[ident.DeviceID]bool
}

func (p *planner) policyEffects(d Document) ([]string, error) {
	t := tally{observed: map[ident.TenantID]bool{}, sources: map[string]bool{}, approvesOn: map[ident.DeviceID]bool{}, withdrawsOn: map[ident.DeviceID]bool{}}
	for _, id := range p.concerned(d) {
		o, err := p.outcome(id)
		if err != nil {
			return nil, err
		}
		if o.h != nil {
			t.add(p, o, d)
		}
	}
	return t.words(p.now, d), nil
}

// rules reports which sources of the device the named policy rules.
func rules(effective []policy.Effective, d fleet.Device, name string) (eff *policy.Effective, sources map[string]bool) {
	sources = map[string]bool{}
	for _, source := range policy.Sources() {
		if e, ties := policy.For(effective, d, source); e != nil && e.Name == name && len(ties) == 0 {
			eff, sources[source] = e, true
		}
	}
	return eff, sources
}

func (t *tally) add(p *planner, o *outcome, doc Document) {
	open := map[ident.DeviceID][]patch.Update{}
	for _, u := range o.h.Open {
		open[u.Device] = append(open[u.Device], u)
	}
	opens := map[string]bool{}
	for _, d := range o.devices {
		if doc.Site != "" && d.Site != doc.Site {
			continue
		}
		was, before := rules(d.before, d.Device, doc.Name)
		is, after := rules(d.after, d.Device, doc.Name)
		switch {
		case is != nil:
			t.devices++
			if o.h.Tenant.Mode == fleet.Observe {
				t.observed[o.h.Tenant.ID] = true
			}
			if !opens[d.zone.String()+string(d.Site)] {
				opens[d.zone.String()+string(d.Site)] = true
				t.opening(p.now, is, d.zone)
			}
		case was != nil:
			t.gone++
		}
		for source := range after {
			t.sources[source] = true
		}
		for _, u := range open[d.ID] {
			if before[u.Source] || after[u.Source] {
				t.decision(p, o, d, u)
			}
		}
	}
}

func (t *tally) opening(now time.Time, eff *policy.Effective, zone *time.Location) {
	list := window.Between(eff.Windows, zone, now, now.Add(planAhead))
	next, found := window.Next(eff.Windows, zone, now)
	if open, ok := window.Contains(eff.Windows, zone, now); ok {
		next, found = open, true
	}
	if !found {
		t.never = true
		return
	}
	t.windows = max(t.windows, len(list))
	if t.first.Opens.IsZero() || next.Opens.Before(t.first.Opens) {
		t.first, t.zone = next, zone
	}
}

// decision compares what holds of one update before and after.
func (t *tally) decision(p *planner, o *outcome, d standing, u patch.Update) {
	rel, ok := p.current.Releases[u.Release]
	if !ok {
		rel = inventory.Release{Source: u.Source, Package: u.Package, Version: u.Version, FirstSeen: u.FirstSeen}
	}
	rel = rel.As(u.Kind, u.Severity)
	approved := func(effective []policy.Effective) bool {
		eff, ties := policy.For(effective, d.Device, u.Source)
		decision, _ := policy.Evaluate(p.now, rel, eff, o.h.Decisions, d.Tenant)
		return decision.Action == policy.Approve && eff != nil && len(ties) == 0
	}
	was, is := approved(d.before), approved(d.after)
	switch {
	case is && !was:
		t.approves++
		t.approvesOn[d.ID] = true
	case was && !is:
		t.withdraws++
		t.withdrawsOn[d.ID] = true
	}
}

// words says the effects in sentences with numbers.
func (t *tally) words(now time.Time, d Document) []string {
	var out []string
	switch {
	case d.State == Absent || d.State == Off:
		out = append(out, "no longer rules "+count(t.gone, "device"))
	default:
		out = append(out, "targets "+count(t.devices, "device"))
		if t.gone > 0 {
			out = append(out, "no longer rules "+count(t.gone, "device"))
		}
	}
	if t.devices > 0 && !t.first.Opens.IsZero() {
		out = append(out, t.opens(now))
	}
	if t.never {
		out = append(out, "never opens: it has no window")
	}
	if t.approves > 0 {
		out = append(out, fmt.Sprintf("approves %s now on %s", count(t.approves, "update"), count(len(t.approvesOn), "device")))
	}
	if t.withdraws > 0 {
		out = append(out, fmt.Sprintf("withdraws the approval of %s on %s", count(t.withdraws, "update"), count(len(t.withdrawsOn), "device")))
	}
	if len(t.observed) > 0 {
		out = append(out, "installs nothing for "+count(len(t.observed), "customer")+" in mode observe")
	}
	return out
}

func (t *tally) opens(now time.Time) string {
	what := "opens " + t.first.Opens.In(t.zone).Format("Mon 2 Jan, 15:04 MST")
	if !t.first.Opens.After(now) {
		what = "is open since " + t.first.Opens.In(t.zone).Format("Mon 2 Jan, 15:04 MST")
	}
	return fmt.Sprintf("%s for %s, %s in the next 30 days", what, length(t.first.Closes.Sub(t.first.Opens)), count(t.windows, "window"))
}

func length(d time.Duration) string {
	h, m := int(d.Hours()), int(d.Minutes())%60
	switch {
	case h == 0:
		return fmt.Sprintf("%d min", m)
	case m == 0:
		return fmt.Sprintf("%d h", h)
	}
	return fmt.Sprintf("%d h %d min", h, m)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func tenantEffects(h *Holding, want fleet.Tenant) []string {
	var out []string
	devices := count(len(h.Devices), "device")
	if old := h.Tenant; old.Mode != want.Mode {
		effect := fmt.Sprintf("mode %s becomes %s for %s", old.Mode, want.Mode, devices)
		if want.Mode == fleet.Observe {
			effect += ": nothing new installs"
		}
		out = append(out, effect)
	}
	for _, f := range []struct{ what, was, is string }{
		{"name", h.Tenant.Name, want.Name}, {"time zone", h.Tenant.TimeZone, want.TimeZone}, {"changed_per_hour", h.Tenant.Changed, want.Changed},
	} {
		if f.was != f.is {
			out = append(out, fmt.Sprintf("%s %s becomes %s", f.what, orDefault(f.was), orDefault(f.is)))
		}
	}
	return out
}

func siteEffects(h *Holding, was, is fleet.Site) []string {
	var out []string
	if was.Name != is.Name {
		out = append(out, fmt.Sprintf("name %s becomes %s", was.Name, is.Name))
	}
	if was.TimeZone != is.TimeZone {
		n := 0
		for _, d := range h.Devices {
			if d.Site == was.ID && d.TimeZone == "" {
				n++
			}
		}
		out = append(out, fmt.Sprintf("time zone %s becomes %s for %s that report none", orDefault(was.TimeZone), orDefault(is.TimeZone), count(n, "device")))
	}
	return out
}

func orDefault(s string) string {
	if s == "" {
		return "(default)"
	}
	return s
}
