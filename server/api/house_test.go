package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/apply"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/wake"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// house is the door before real services on a real store; deployments, jobs
// and samples are stand-ins.
type house struct {
	t       *testing.T
	store   *store.Store
	fleet   *fleet.Service
	auth    *auth.Service
	hub     *wake.Hub
	rollout *rollouts
	options api.Options
	handler http.Handler
	tokens  map[string]string
	devices map[string]fleet.Device
}

type recorder struct{ record *audit.Service }

func (r recorder) Record(ctx context.Context, now time.Time, actor ident.Actor, action string, o auth.Object, why string, detail map[string]string) error {
	return r.record.Record(ctx, audit.Entry{Tenant: o.Tenant, At: now, Actor: actor, Action: action,
		Object: audit.Object{Kind: o.Kind, ID: o.ID, Name: o.Name}, Reason: why, Detail: detail})
}

type signer struct{}

func (signer) SignAudit([]byte) []byte       { return []byte("signed") }
func (signer) CheckAudit(_, sig []byte) bool { return string(sig) == "signed" }

// open builds the house with the tenants acme and bolt, a device in each of
// acme's sites and one in bolt.
func open(t *testing.T) *house {
	t.Helper()
	s := storetest.Open(t)
	h := &house{t: t, store: s, hub: &wake.Hub{}, rollout: &rollouts{}, tokens: map[string]string{}, devices: map[string]fleet.Device{}}
	record := audit.New(audit.Options{Store: s.Audit(), Archive: s.Audit(), Signer: signer{}})
	h.fleet = fleet.New(fleet.Options{Tenants: s.Fleet(), Devices: s.Fleet(), Tx: s.Tx, After: s.After, Audit: record, Wake: h.hub})
	pictures := inventory.New(inventory.Options{Store: s.Inventory(), Catalogue: s.Inventory(), Tx: s.Tx})
	policies := policy.New(policy.Options{Store: s.Policy(), Tx: s.Tx, After: s.After, Audit: record, Wake: h.hub})
	patches := patch.New(patch.Options{Store: s.Patch(), Scans: pictures, Policies: policies, Devices: h.fleet, Tx: s.Tx, After: s.After, Wake: h.hub})
	var err error
	h.auth, err = auth.New(auth.Options{People: s.People(), Sessions: s.SignIns(), Tokens: s.Tokens(), Links: s.Links(), Recorder: recorder{record}, Tx: s.Tx,
		Params: auth.Params{Memory: 8, Passes: 1, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	h.options = api.Options{
		Auth: h.auth, People: h.auth, Fleet: h.fleet, Policies: policies, Deployments: h.rollout, Planner: h.rollout, Jobs: works{}, Samples: meter{}, Audit: record, Wake: h.hub,
		View:        view.New(view.Options{Store: s.View(), Fleet: h.fleet, Inventory: pictures, Policies: policies, Updates: patches, Record: record}),
		Apply:       apply.New(apply.Options{Fleet: h.fleet, Policies: policies, Updates: patches, Catalogue: pictures, Tx: s.Tx}),
		Enrollments: pki.NewEnrollments(pki.EnrollmentOptions{Store: s.PKI(), Audit: record, Address: "agents.example.com:7443", RootSPKI: [32]byte{1}}),
		Now:         func() time.Time { return noon }, Poll: 5 * time.Millisecond, Heartbeat: 20 * time.Millisecond,
	}
	h.handler = api.New(h.options)
	h.fill()
	return h
}

func (h *house) fill() {
	ctx := context.Background()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	by := ident.Steward("test")
	for _, id := range []ident.TenantID{"acme", "bolt"} {
		must(h.fleet.CreateTenant(ctx, noon, by, fleet.Tenant{ID: id, Name: "The " + string(id), TimeZone: "Europe/Paris", Mode: fleet.Live}))
		must(h.fleet.PutSite(ctx, noon, by, fleet.Site{Tenant: id, ID: "north", Name: "North"}))
	}
	for name, at := range map[string]struct {
		tenant ident.TenantID
		site   ident.SiteID
	}{"pc-main": {"acme", "main"}, "pc-north": {"acme", "north"}, "pc-bolt": {"bolt", "main"}} {
		must(h.store.Tx(ctx, func(ctx context.Context) error {
			d, err := h.fleet.Enroll(ctx, noon, fleet.Device{Tenant: at.tenant, Site: at.site, Hostname: name, Class: fleet.Workstation,
				OS: fleet.OS{Family: "linux", Name: "Debian", Version: "12"}, KeyHash: [32]byte{1, byte(len(name)), at.tenant[0]}})
			if err != nil {
				return err
			}
			h.devices[name] = d
			return h.store.Patch().Put(ctx, patch.Update{Tenant: d.Tenant, Device: d.ID, Release: patch.Release{Source: "apt", Package: "curl", Version: "8.2"}, Installed: "8.1",
				Kind: inventory.Security, State: patch.Available, Reason: reason.New(reason.NotApproved), Since: noon, FirstSeen: noon, Offered: true}, nil)
		}))
		_, err := h.fleet.Transition(ctx, noon, at.tenant, h.devices[name].ID, fleet.Active, reason.New(reason.DeviceInventory), by)
		must(err)
	}
	for name, g := range map[string]auth.Grants{
		"owner": auth.Everywhere(auth.Owner), "viewer": auth.Everywhere(auth.Viewer), "acme": auth.InTenant(auth.Technician, "acme"),
		"acme-viewer": auth.InTenant(auth.Viewer, "acme"), "north": auth.InTenant(auth.Technician, "acme", "north"), "bolt": auth.InTenant(auth.Owner, "bolt"),
	} {
		_, secret, err := h.auth.CreateToken(ctx, noon, auth.Local(), auth.NewToken{Name: name, Grants: g})
		must(err)
		h.tokens[name] = secret.Reveal()
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json decodes the body into a map.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%d: %s: %v", a.status, a.body, err)
	}
	return m
}

func (a answer) items(t *testing.T) []any {
	t.Helper()
	list, ok := a.json(t)["items"].([]any)
	if !ok {
		t.Fatalf("%d: no items in %s", a.status, a.body)
	}
	return list
}

// do sends a request as the named token ("" as nobody); body is sent as it is
// when it is a text, else as JSON.
func (h *house) do(who, method, path string, body any, headers ...string) answer {
	h.t.Helper()
	var r io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		r, kind = strings.NewReader(b), "application/yaml"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req := httptest.NewRequest(method, "http://steward.test"+path, r)
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+h.tokens[who])
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, req)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// rollouts stands in for deployment.Service.
type rollouts struct {
	deployment deployment.Deployment
	events     []deployment.Transition
	did        []string
	failing    bool
}

const deploymentID = "01933333-3333-7333-8333-333333333333"

func (r *rollouts) Deployment(_ context.Context, t ident.TenantID, id ident.DeploymentID) (deployment.Deployment, error) {
	if t != "acme" || id != deploymentID {
		return deployment.Deployment{}, fault.NotFoundf("there is no deployment %q", id)
	}
	return r.deployment, nil
}

func (r *rollouts) List(_ context.Context, s ident.Scope, _ deployment.Filter, _ string, _ int) ([]deployment.Deployment, string, error) {
	if r.failing {
		return nil, "", io.ErrUnexpectedEOF
	}
	if !s.Has("acme") {
		return nil, "", nil
	}
	return []deployment.Deployment{r.deployment}, "", nil
}

func (r *rollouts) Events(_ context.Context, _ ident.TenantID, _ ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error) {
	var out []deployment.Transition
	for _, e := range r.events {
		if e.Seq > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (r *rollouts) act(t ident.TenantID, id ident.DeploymentID, what, why string) error {
	if t != "acme" || id != deploymentID {
		return fault.NotFoundf("there is no deployment %q", id)
	}
	r.did = append(r.did, what+": "+why)
	return nil
}

func (r *rollouts) Pause(_ context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeploymentID, why string) error {
	return r.act(t, id, "pause", why)
}

func (r *rollouts) Resume(_ context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeploymentID, why string) error {
	return r.act(t, id, "resume", why)
}

func (r *rollouts) Halt(_ context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeploymentID, why string) error {
	return r.act(t, id, "halt", why)
}

func (r *rollouts) Cancel(_ context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.DeploymentID, why string) error {
	return r.act(t, id, "cancel", why)
}

func (r *rollouts) Why(_ context.Context, _ time.Time, t ident.TenantID, id ident.DeviceID) ([]deployment.Explained, error) {
	return []deployment.Explained{{Update: patch.Update{Tenant: t, Device: id, Release: patch.Release{Source: "apt", Package: "curl", Version: "8.2"}, State: patch.Available},
		Blockers: []deployment.Blocker{{Reason: reason.New(reason.NotApproved)}, {Reason: reason.New(reason.OutsideWindow, "until", reason.Time(noon.Add(time.Hour))), Until: noon.Add(time.Hour)}},
		Checks:   []deployment.Check{{About: "approval", Reason: reason.New(reason.NotApproved)}}}}, nil
}

func (r *rollouts) Plan(_ context.Context, now time.Time, t ident.TenantID, _ int) ([]deployment.Planned, error) {
	return []deployment.Planned{{Policy: "nightly", Site: "main", Opens: now.Add(time.Hour), Closes: now.Add(2 * time.Hour), Devices: []ident.DeviceID{"a", "b"}, ExpectedMinutes: 12},
		{Policy: "nightly", Site: "north", Opens: now.Add(time.Hour), Closes: now.Add(2 * time.Hour)}}, nil
}

// works stands in for job.Service: one job and one run at acme's site north.
type works struct{}

const (
	jobID = "01944444-4444-7444-8444-444444444444"
	runID = "01955555-5555-7555-8555-555555555555"
)

func theJob() job.Job {
	return job.Job{Tenant: "acme", ID: jobID, Run: runID, Site: "north", Device: "d", Kind: job.Install, State: job.Failed, Reason: reason.New(reason.JobFailed, "error", "1603"), Attempt: 1,
		Releases: []job.Release{{Source: "apt", Package: "curl", From: "8.1", Version: "8.2", Result: "failed", To: "8.1", ExitCode: 100, Reason: reason.New(reason.InstallFailed, "error", "x")}}}
}

func (works) Job(_ context.Context, t ident.TenantID, id ident.JobID) (job.Job, error) {
	if t != "acme" || id != jobID {
		return job.Job{}, fault.NotFoundf("there is no job %q", id)
	}
	return theJob(), nil
}

func (works) List(_ context.Context, s ident.Scope, _ job.Filter, _ string, _ int) ([]job.Job, string, error) {
	if !s.HasSite("acme", "north") {
		return nil, "", nil
	}
	return []job.Job{theJob()}, "", nil
}

func (works) History(context.Context, ident.TenantID, ident.JobID) ([]job.Transition, error) {
	return []job.Transition{{Seq: 1, To: job.Queued, At: noon, Reason: reason.New(reason.JobSubmitted)}, {Seq: 2, From: job.Queued, To: job.Failed, At: noon}}, nil
}

func (works) Log(context.Context, ident.TenantID, ident.JobID) ([]job.LogPart, error) {
	return []job.LogPart{{Attempt: 1, Source: "apt", Package: "curl", Part: 1, Text: "E: broken", At: noon}}, nil
}

func (works) Runs(_ context.Context, s ident.Scope, _ string, _ int) ([]job.Run, string, error) {
	if !s.HasSite("acme", "north") {
		return nil, "", nil
	}
	return []job.Run{{Tenant: "acme", ID: runID, Site: "north", Policy: "nightly", Opens: noon, Closes: noon.Add(time.Hour), Counts: map[job.State]int{job.Failed: 1}}}, "", nil
}

func (w works) Run(_ context.Context, t ident.TenantID, id ident.RunID) (job.Run, error) {
	if t != "acme" || id != runID {
		return job.Run{}, fault.NotFoundf("there is no run %q", id)
	}
	runs, _, err := w.Runs(context.Background(), ident.NewScopeAll(), "", 1)
	return runs[0], err
}

func (works) Cancel(_ context.Context, _ time.Time, _ ident.Actor, t ident.TenantID, id ident.JobID, _ reason.Reason) error {
	if t != "acme" || id != jobID {
		return fault.NotFoundf("there is no job %q", id)
	}
	return fault.Conflictf("the job is running and cannot be stopped")
}

// meter stands in for telemetry.Service: two mounts, one value a minute.
type meter struct{}

func (meter) Read(_ context.Context, _ ident.TenantID, _ ident.DeviceID, from, to time.Time, signals ...string) ([]telemetry.Series, error) {
	var out []telemetry.Series
	for _, mount := range []string{"/", "/var"} {
		s := telemetry.Series{Signal: signals[0], Attributes: map[string]string{"mountpoint": mount}}
		for at := from; !at.After(to); at = at.Add(time.Minute) {
			s.Points = append(s.Points, telemetry.Point{At: at, V: 0.5})
		}
		out = append(out, s)
	}
	return out, nil
}
