package api

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/view"
)

type updatesIn struct {
	ListIn
	Device   string   `query:"device" maxLength:"100"`
	State    []string `query:"state" maxItems:"20" enum:"available,approved,denied,waiting,scheduled,downloading,installing,reboot_pending,verified,failed,unknown,superseded,halted" doc:"left out: all that are open"`
	Source   string   `query:"source" maxLength:"100"`
	Package  string   `query:"package" maxLength:"300"`
	Version  string   `query:"version" maxLength:"300"`
	Kind     string   `query:"kind" maxLength:"50"`
	Severity string   `query:"severity" maxLength:"50"`
}

type updateRowJSON struct {
	Update
	Tenant   ident.TenantID `json:"tenant"`
	Device   ident.DeviceID `json:"device"`
	Hostname string         `json:"hostname"`
	Site     ident.SiteID   `json:"site"`
}

type releasesIn struct {
	ListIn
	Source    string `query:"source" maxLength:"100"`
	Package   string `query:"package" maxLength:"300" doc:"part of the name"`
	Kind      string `query:"kind" maxLength:"50"`
	Severity  string `query:"severity" maxLength:"50"`
	State     string `query:"state" maxLength:"50" doc:"on any device"`
	Undecided bool   `query:"undecided"`
}

type releaseJSON struct {
	Source    string              `json:"source"`
	Package   string              `json:"package"`
	Version   string              `json:"version"`
	Kind      inventory.Kind      `json:"kind"`
	Severity  string              `json:"severity"`
	FirstSeen *time.Time          `json:"first_seen"`
	Devices   int                 `json:"devices"`
	Tenants   int                 `json:"tenants"`
	States    map[patch.State]int `json:"states"`
	Decision  view.Choice         `json:"decision"`
}

// decisionBody is what a person decides of releases.
type decisionBody struct {
	Action  string   `json:"action" enum:"approve,deny,wait"`
	Source  string   `json:"source" maxLength:"100"`
	Package string   `json:"package" maxLength:"200" doc:"a name, or a pattern with * and ?"`
	Version string   `json:"version,omitempty" maxLength:"200" doc:"left out: every version"`
	Days    int      `json:"days,omitempty" doc:"of wait"`
	Reason  string   `json:"reason" maxLength:"1000"`
	Expires string   `json:"expires,omitempty" maxLength:"40" doc:"a duration such as 30d, or a time (RFC 3339); left out: never"`
	Except  []string `json:"except,omitempty" maxItems:"500" doc:"of a decision for all customers: those it is not for"`
}

type decisionIn struct{ Body decisionBody }

type decisionJSON struct {
	Tenant  ident.TenantID   `json:"tenant"`
	Action  policy.Action    `json:"action"`
	Source  string           `json:"source"`
	Package string           `json:"package"`
	Version string           `json:"version"`
	Days    int              `json:"days"`
	Reason  string           `json:"reason"`
	Expires *time.Time       `json:"expires"`
	Except  []ident.TenantID `json:"except"`
	By      actorJSON        `json:"by"`
	At      *time.Time       `json:"at"`
}

func renderDecision(m policy.Manually) decisionJSON {
	return decisionJSON{m.Tenant, m.Action, m.Source, m.Package, m.Version, m.Days, m.Reason, stamp(m.Expires), filled(m.Except), renderActor(m.By), stamp(m.At)}
}

func (a *api) updates() {
	both(a, "updates", auth.UpdateRead, false, "Updates on devices", a.listUpdates)
	both(a, "releases", auth.UpdateRead, false, "Releases with the devices that have them", a.listReleases)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/decisions", Action: auth.PolicyRead, MSP: true, Summary: "What people decided of releases"}, a.listDecisions)
	register(a, Route{Method: "POST", Path: "/tenants/{tenant}/decisions", Action: auth.UpdateDecide, Creates: true, Status: 201, Summary: "Decide of releases for a customer"}, a.decide)
	register(a, Route{Method: "POST", Path: "/decisions", Action: auth.UpdateDecide, Reach: Everywhere, Creates: true, Status: 201, Summary: "Decide of releases for all customers"}, a.decide)
}

func (a *api) listUpdates(ctx context.Context, c *caller, in *updatesIn) (*pageOut[updateRowJSON], error) {
	q := view.UpdateQuery{Tenant: c.tenant, Device: ident.DeviceID(in.Device), Source: in.Source, Package: in.Package, Version: in.Version,
		Kind: inventory.Kind(in.Kind), Severity: in.Severity, Cursor: in.Cursor, Limit: in.Limit}
	for _, s := range in.State {
		q.States = append(q.States, patch.State(s))
	}
	if in.Count != "" {
		n, err := a.o.View.CountUpdates(ctx, c.scope, q)
		return counted[updateRowJSON](n), err
	}
	list, next, err := a.o.View.Updates(ctx, c.scope, q)
	return rows(list, next, func(u view.UpdateRow) updateRowJSON {
		return updateRowJSON{renderUpdate(u.Update), u.Tenant, u.Device, u.Hostname, u.Site}
	}), err
}

func (a *api) listReleases(ctx context.Context, c *caller, in *releasesIn) (*pageOut[releaseJSON], error) {
	q := view.ReleaseQuery{Tenant: c.tenant, Source: in.Source, Package: in.Package, Kind: inventory.Kind(in.Kind), Severity: in.Severity,
		State: patch.State(in.State), Cursor: in.Cursor, Limit: in.Limit, Now: c.now}
	if in.Undecided {
		q.Choice = view.Undecided
	}
	if in.Count != "" {
		q.Limit = maxRecords
		return countPages[releaseJSON](func(cursor string) (int, string, error) {
			q.Cursor = cursor
			list, next, err := a.o.View.Releases(ctx, c.scope, q)
			return len(list), next, err
		})
	}
	list, next, err := a.o.View.Releases(ctx, c.scope, q)
	return rows(list, next, func(r view.ReleaseRow) releaseJSON {
		return releaseJSON{r.Source, r.Package, r.Version, r.Kind, r.Severity, stamp(r.FirstSeen), r.Devices, r.Tenants, r.States, r.Choice}
	}), err
}

func (a *api) listDecisions(ctx context.Context, c *caller, in *ListIn) (*pageOut[decisionJSON], error) {
	p, err := a.o.View.Policies(ctx, c.scope, c.tenant)
	if err != nil {
		return nil, err
	}
	return whole(in, p.Decisions, func(m policy.Manually) string { return m.ID }, renderDecision)
}

func (a *api) decide(ctx context.Context, c *caller, in *decisionIn) (*bodyOut[decisionJSON], error) {
	b := in.Body
	m := policy.Manually{Tenant: c.tenant, Action: policy.Action(b.Action), Source: b.Source, Package: b.Package, Version: b.Version, Days: b.Days, Reason: b.Reason, By: c.Actor, At: c.now}
	if c.tenant == "" {
		m.Tenant = ident.MSP
	} else if len(b.Except) > 0 {
		return nil, fault.Invalidf("except", "only a decision for all customers has exceptions")
	}
	for _, t := range b.Except {
		if !ident.ValidSlug(t) {
			return nil, fault.Invalidf("except", "one of them is no customer's name")
		}
		m.Except = append(m.Except, ident.TenantID(t))
	}
	var err error
	if m.Expires, err = moment("expires", b.Expires, c.now); err != nil {
		return nil, err
	}
	return &bodyOut[decisionJSON]{renderDecision(m)}, a.o.Policies.Decide(ctx, c.now, c.Actor, m)
}

// moment reads a duration from now, a day, or a time; "" is the zero time.
func moment(field, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := policy.ParseDuration(text); err == nil {
		return now.Add(time.Duration(d)), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.Invalidf(field, "this is neither a duration nor a time").WithNext("write 24h, 30d or 2026-11-24T22:00:00Z")
}
