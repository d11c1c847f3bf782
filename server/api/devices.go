package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

type devicesIn struct {
	ListIn
	Filter string `query:"filter" maxLength:"2000" example:"os:windows tag:x updates>0 online:true offline:1h"`
	Sort   string `query:"sort" enum:"name,tenant,site,state,os,last_seen,updates,-name,-tenant,-site,-state,-os,-last_seen,-updates" doc:"a leading minus turns the order round"`
}

// deviceShowJSON is everything of one device.
type deviceShowJSON struct {
	Device
	TenantName string             `json:"tenant_name"`
	SiteName   string             `json:"site_name"`
	Arch       string             `json:"arch"`
	BoardUUID  string             `json:"board_uuid"`
	EnrolledAt *time.Time         `json:"enrolled_at"`
	Enrollment ident.EnrollmentID `json:"enrollment"`
	Available  int                `json:"updates_available"`
	Updates    []deviceUpdateJSON `json:"updates"`
	Policies   []devicePolicyJSON `json:"policies"`
	Sections   map[string]section `json:"inventory"`
	Latest     []latestJSON       `json:"latest"`
}

type deviceUpdateJSON struct {
	Update
	Policy string   `json:"policy"`
	Ties   []string `json:"ties"`
}

type devicePolicyJSON struct {
	Name    string                  `json:"name"`
	Tenant  ident.TenantID          `json:"tenant"`
	Rules   []string                `json:"rules" doc:"sources that it rules here"`
	Patch   policy.Patch            `json:"patch"`
	Origins map[string]policy.Level `json:"origins" doc:"field to the level that it comes from; absent: the default"`
}

type section struct {
	Hash      string     `json:"hash"`
	UpdatedAt *time.Time `json:"updated_at"`
	ScannedAt *time.Time `json:"scanned_at"`
	Items     []itemJSON `json:"items"`
}

type itemJSON struct {
	Key   string            `json:"key"`
	Facts map[string]string `json:"facts"`
}

type latestJSON struct {
	Signal     string            `json:"signal"`
	Attributes map[string]string `json:"attributes"`
	Unit       string            `json:"unit"`
	Time       time.Time         `json:"time"`
	Value      float64           `json:"value"`
}

func (a *api) devices() {
	both(a, "devices", auth.DeviceRead, false, "Devices", a.listDevices)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/devices/{id}", Action: auth.DeviceRead, Summary: "A device with its updates and inventory"}, a.showDevice)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/devices/{id}/why", Action: auth.UpdateRead, Summary: "Why each update is not installed now"}, a.why)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/devices/{id}/samples", Action: auth.SampleRead, Summary: "What was measured"}, a.samples)
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/devices/{id}/timeline", Action: auth.DeviceRead, Summary: "What happened on a device, newest first"}, a.timeline)
	for _, act := range []struct {
		name, summary string
		do            func(context.Context, time.Time, ident.Actor, ident.TenantID, ident.DeviceID, string) (fleet.Device, error)
	}{
		{"revoke", "Cut a device off until it is readmitted", a.o.Fleet.Revoke},
		{"readmit", "Let a revoked device connect again", a.o.Fleet.Readmit},
		{"retire", "End a device for good", a.o.Fleet.Retire},
	} {
		register(a, Route{Method: "POST", Path: "/tenants/{tenant}/devices/{id}/" + act.name, Action: auth.DeviceManage, Summary: act.summary},
			func(ctx context.Context, c *caller, in *whyIn) (*bodyOut[Device], error) {
				d, err := act.do(ctx, c.now, c.Actor, c.tenant, ident.DeviceID(c.id), in.Body.Reason)
				return &bodyOut[Device]{renderDevice(d, d.TimeZone)}, err
			})
	}
}

func (in *devicesIn) query(c *caller) (view.Query, error) {
	q := view.Query{Tenant: c.tenant, Sort: view.Sort(in.Sort), Cursor: in.Cursor, Limit: in.Limit, Now: c.now}
	if in.Sort != "" && in.Sort[0] == '-' {
		q.Sort, q.Descending = view.Sort(in.Sort[1:]), true
	}
	var err error
	q.Filter, err = view.ParseFilter(in.Filter)
	return q, err
}

func (a *api) listDevices(ctx context.Context, c *caller, in *devicesIn) (*pageOut[deviceRowJSON], error) {
	q, err := in.query(c)
	if err != nil {
		return nil, err
	}
	if in.Count != "" {
		n, err := a.o.View.CountDevices(ctx, c.scope, q)
		return counted[deviceRowJSON](n), err
	}
	list, next, err := a.o.View.Devices(ctx, c.scope, q)
	return rows(list, next, renderDeviceRow), err
}

func (a *api) showDevice(ctx context.Context, c *caller, _ *noneIn) (*bodyOut[deviceShowJSON], error) {
	d, err := a.o.View.Device(ctx, c.scope, c.tenant, ident.DeviceID(c.id))
	if err != nil {
		return nil, err
	}
	out := deviceShowJSON{Device: renderDevice(d.Device, d.Location.String()), TenantName: d.TenantName, SiteName: d.SiteName, Arch: d.Arch, BoardUUID: d.BoardUUID,
		EnrolledAt: stamp(d.EnrolledAt), Enrollment: d.Enrollment, Available: d.States.Open(), Updates: []deviceUpdateJSON{}, Policies: []devicePolicyJSON{},
		Sections: map[string]section{}, Latest: []latestJSON{}}
	for _, u := range d.Updates {
		out.Updates = append(out.Updates, deviceUpdateJSON{renderUpdate(u.Update), u.Policy, filled(u.Ties)})
	}
	for _, p := range d.Policies {
		out.Policies = append(out.Policies, devicePolicyJSON{p.Name, p.Tenant, filled(p.Rules), p.Patch, p.Origins})
	}
	for _, s := range d.Sections {
		sec := section{Hash: hex.EncodeToString(s.Hash[:]), UpdatedAt: stamp(s.UpdatedAt), ScannedAt: stamp(s.ScannedAt), Items: make([]itemJSON, 0, len(s.Items))}
		for _, it := range s.Items {
			sec.Items = append(sec.Items, itemJSON{it.Key, it.Facts})
		}
		out.Sections[string(s.Name)] = sec
	}
	for _, r := range d.Latest {
		out.Latest = append(out.Latest, latestJSON{r.Signal, r.Attributes, r.Unit, r.At.UTC(), r.V})
	}
	return &bodyOut[deviceShowJSON]{out}, nil
}

// device finds a device that the scope covers, for what is read beside it.
func (a *api) device(ctx context.Context, c *caller) (fleet.Device, error) {
	d, err := a.o.Fleet.Device(ctx, c.tenant, ident.DeviceID(c.id))
	if err == nil && !c.scope.HasSite(c.tenant, d.Site) {
		err = missing()
	}
	return d, err
}

type samplesIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"500"`
	Cursor string `query:"cursor" maxLength:"100"`
	Count  string `query:"count" enum:"only"`
	Signal string `query:"signal" required:"true" minLength:"1" maxLength:"200" example:"system.cpu.utilization"`
	Since  string `query:"since" maxLength:"40" default:"1h" doc:"a duration such as 1h or 3d, or a time (RFC 3339)"`
	Until  string `query:"until" maxLength:"40" doc:"a time (RFC 3339); now when left out"`
}

type sampleJSON struct {
	Time       time.Time         `json:"time"`
	Value      float64           `json:"value"`
	Attributes map[string]string `json:"attributes"`
}

// maxSpan is the longest stretch of samples that one request reads.
const maxSpan = 31 * 24 * time.Hour

// span reads since and until, or what the cursor of the page before says.
func (in *samplesIn) span(now time.Time) (from, to time.Time, skip int, err error) {
	if in.Cursor == "" {
		from, to, err = in.stretch(now)
		return from, to, 0, err
	}
	var since, until int64
	if n, err := fmt.Sscanf(in.Cursor, "%d.%d.%d", &since, &until, &skip); err != nil || n != 3 || skip < 0 || until < since || until-since > maxSpan.Milliseconds() {
		return from, to, 0, fault.Invalidf("cursor", "not a cursor of this list").WithNext("begin again without one")
	}
	return time.UnixMilli(since), time.UnixMilli(until), skip, nil
}

func (in *samplesIn) stretch(now time.Time) (from, to time.Time, err error) {
	to = now
	if in.Until != "" {
		if to, err = time.Parse(time.RFC3339, in.Until); err != nil {
			return from, to, fault.Invalidf("until", "this is no time").WithNext("write it as 2026-11-24T22:00:00Z")
		}
	}
	if d, bad := policy.ParseDuration(in.Since); bad == nil {
		from = to.Add(-time.Duration(d))
	} else if from, err = time.Parse(time.RFC3339, in.Since); err != nil {
		return from, to, fault.Invalidf("since", "this is neither a duration nor a time").WithNext("write 1h, 3d or 2026-11-24T22:00:00Z")
	}
	if from.After(to) || to.Sub(from) > maxSpan {
		return from, to, fault.Invalidf("since", "the stretch must be between 0 and 31 days")
	}
	return from, to, nil
}

func (a *api) samples(ctx context.Context, c *caller, in *samplesIn) (*pageOut[sampleJSON], error) {
	if a.o.Samples == nil {
		return nil, notYet("samples")
	}
	if _, err := a.device(ctx, c); err != nil {
		return nil, err
	}
	from, to, skip, err := in.span(c.now)
	if err != nil {
		return nil, err
	}
	series, err := a.o.Samples.Read(ctx, c.tenant, ident.DeviceID(c.id), from, to, in.Signal)
	if err != nil {
		return nil, err
	}
	var out []sampleJSON
	for _, s := range series {
		for _, p := range s.Points {
			out = append(out, sampleJSON{p.At.UTC(), p.V, s.Attributes})
		}
	}
	slices.SortStableFunc(out, func(x, y sampleJSON) int { return x.Time.Compare(y.Time) })
	if in.Count != "" {
		return counted[sampleJSON](len(out)), nil
	}
	next := ""
	out = out[min(skip, len(out)):]
	if len(out) > in.Limit {
		out = out[:in.Limit]
		next = fmt.Sprintf("%d.%d.%d", from.UnixMilli(), to.UnixMilli(), skip+in.Limit)
	}
	return rows(out, next, same), nil
}

type eventJSON struct {
	Time       time.Time         `json:"time"`
	Kind       view.EventKind    `json:"kind"`
	From       string            `json:"from"`
	To         string            `json:"to"`
	Reason     string            `json:"reason"`
	ReasonCode reason.Code       `json:"reason_code"`
	Source     string            `json:"source,omitempty"`
	Package    string            `json:"package,omitempty"`
	Version    string            `json:"version,omitempty"`
	Job        ident.JobID       `json:"job,omitempty"`
	Section    string            `json:"section,omitempty"`
	Key        string            `json:"key,omitempty"`
	Before     map[string]string `json:"before,omitempty"`
	After      map[string]string `json:"after,omitempty"`
	Action     string            `json:"action,omitempty"`
	By         *actorJSON        `json:"by,omitempty"`
}

func renderEvent(e view.Event) eventJSON {
	out := eventJSON{Time: e.At.UTC(), Kind: e.Kind, From: e.From, To: e.To, Reason: cmp.Or(words(e.Reason), e.Why), ReasonCode: e.Reason.Code,
		Source: e.Release.Source, Package: e.Release.Package, Version: e.Release.Version, Job: e.Job, Section: e.Section, Key: e.Key,
		Before: e.Before, After: e.After, Action: e.Action}
	if e.By.Kind != "" {
		by := renderActor(e.By)
		out.By = &by
	}
	return out
}

func (a *api) timeline(ctx context.Context, c *caller, in *ListIn) (*pageOut[eventJSON], error) {
	read := func(cursor string, limit int) ([]view.Event, string, error) {
		return a.o.View.Timeline(ctx, c.scope, c.tenant, ident.DeviceID(c.id), cursor, limit)
	}
	if in.Count != "" {
		return countPages[eventJSON](func(cursor string) (int, string, error) {
			list, next, err := read(cursor, maxRecords)
			return len(list), next, err
		})
	}
	list, next, err := read(in.Cursor, in.Limit)
	return rows(list, next, renderEvent), err
}

type whyJSON struct {
	Source    string        `json:"source"`
	Package   string        `json:"package"`
	Available string        `json:"available_version"`
	State     patch.State   `json:"state"`
	Policy    string        `json:"policy"`
	Blockers  []blockerJSON `json:"blockers" doc:"in the closed order; the first is the answer"`
	Checks    []checkJSON   `json:"checks" doc:"what was asked on the way"`
}

type checkJSON struct {
	About  string      `json:"about"`
	Passed bool        `json:"passed"`
	Time   *time.Time  `json:"time"`
	Code   reason.Code `json:"code"`
	Text   string      `json:"text"`
}

func renderWhy(e deployment.Explained) whyJSON {
	out := whyJSON{Source: e.Update.Source, Package: e.Update.Package, Available: e.Update.Version, State: e.Update.State, Policy: e.Policy,
		Blockers: []blockerJSON{}, Checks: []checkJSON{}}
	for _, b := range e.Blockers {
		out.Blockers = append(out.Blockers, renderBlocker(b))
	}
	for _, k := range e.Checks {
		out.Checks = append(out.Checks, checkJSON{k.About, k.Passed, stamp(k.At), k.Reason.Code, words(k.Reason)})
	}
	return out
}

type blockerJSON struct {
	Code     reason.Code `json:"code"`
	Text     string      `json:"text"`
	Until    *time.Time  `json:"until"`
	NextStep string      `json:"next_step"`
}

func renderBlocker(b deployment.Blocker) blockerJSON {
	return blockerJSON{b.Reason.Code, words(b.Reason), stamp(b.Until), b.Reason.NextStep(time.UTC)}
}

func (a *api) why(ctx context.Context, c *caller, in *ListIn) (*pageOut[whyJSON], error) {
	if a.o.Planner == nil {
		return nil, notYet("why")
	}
	if _, err := a.device(ctx, c); err != nil {
		return nil, err
	}
	list, err := a.o.Planner.Why(ctx, c.now, c.tenant, ident.DeviceID(c.id))
	if err != nil {
		return nil, err
	}
	return whole(in, list, func(e deployment.Explained) string {
		return e.Update.Source + " " + e.Update.Package + " " + e.Update.Version
	}, renderWhy)
}
