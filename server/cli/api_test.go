package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/view"
)

// The services behind the door do nothing here: what reaches one has passed
// the door's own checks of path, query and body.
type (
	doorAuth  struct{ api.Authenticator }
	doorFleet struct{ api.Fleet }
	people    struct{ api.People }
	views     struct{ api.View }
	policies  struct{ api.Policies }
	applier   struct{ api.Applier }
	deploys   struct{ api.Deployments }
	planner   struct{ api.Planner }
	jobs      struct{ api.Jobs }
	samples   struct{ api.Samples }
	enrolls   struct{ api.Enrollments }
	record    struct{ api.Audit }
)

func (doorAuth) Token(context.Context, time.Time, string) (auth.Principal, error) {
	return auth.Principal{Actor: ident.Actor{Kind: ident.Token, ID: "t", Name: "t"}, Grants: auth.Everywhere(auth.Owner)}, nil
}

func (doorFleet) Tenant(context.Context, ident.TenantID) (fleet.Tenant, error) {
	return fleet.Tenant{}, nil
}

// Every request of every command is one that the API knows: the path and the
// method, each parameter, each field of the body.
func TestTheAPIKnowsEveryRequest(t *testing.T) {
	door := api.New(api.Options{
		Auth: doorAuth{}, People: people{}, Fleet: doorFleet{}, View: views{}, Policies: policies{}, Apply: applier{}, Deployments: deploys{},
		Planner: planner{}, Jobs: jobs{}, Samples: samples{}, Enrollments: enrolls{}, Audit: record{},
	})
	f := newFake(t)
	for _, c := range everyCommand(documents(t, "kind: Tenant\nslug: acme\nname: Acme\ntime_zone: Europe/Paris\n")) {
		f.must(t, strings.Fields(c.args)...)
	}
	for _, args := range []string{"devices list --count", "updates list --device x --package p --kind security --tenant acme", "deployments list --policy p --package q", "jobs list --device d --deployment e", "audit list --actor a --object o"} {
		f.must(t, strings.Fields(args)...)
	}
	known := 0
	for _, a := range f.seen {
		r := httptest.NewRequest(a.method, "/api/v1"+a.path+"?"+a.query, strings.NewReader(a.body))
		r.Header.Set("Authorization", "Bearer x")
		if a.kind != "" {
			r.Header.Set("Content-Type", a.kind)
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		// 500 is one of the services that are not there.
		if w.Code != http.StatusInternalServerError && w.Code/100 != 2 {
			t.Errorf("%s: HTTP %d %s", a, w.Code, w.Body)
		}
		known++
	}
	if known < 60 {
		t.Errorf("only %d requests", known)
	}
}

// tailed is a deployment that moves by one transition each time that the door
// looks for more.
type tailed struct {
	api.Deployments
	mu      sync.Mutex
	history []deployment.Transition
	steps   []string
	broken  bool // in the middle the door fails once, and its stream ends
}

func (d *tailed) Deployment(context.Context, ident.TenantID, ident.DeploymentID) (deployment.Deployment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := deployment.Running
	if len(d.steps) == 0 {
		state = deployment.Completed
	}
	return deployment.Deployment{Tenant: "acme", ID: deployment1, State: state, Seq: int64(len(d.history))}, nil
}

func (d *tailed) Events(_ context.Context, _ ident.TenantID, _ ident.DeploymentID, after int64, _ int) ([]deployment.Transition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.steps) == 2 && !d.broken {
		d.broken = true
		return nil, errors.New("the database is away")
	}
	if int(after) == len(d.history) && len(d.steps) > 0 {
		t := deployment.Transition{Seq: after + 1, At: noon, Subject: deployment.OfRing, ID: "all", To: d.steps[0], Reason: reason.New(reason.RingOpened)}
		if len(d.steps) == 1 {
			t.Subject = deployment.OfDeployment
		}
		d.history, d.steps = append(d.history, t), d.steps[1:]
	}
	return d.history[after:], nil
}

// lookup finds the deployment, and answers nothing else.
type lookup struct{ api.View }

func (lookup) Lookup(context.Context, ident.Scope, string) (view.Kind, ident.TenantID, error) {
	return view.KindDeployment, "acme", nil
}

// Watching the API's own stream, over a connection that is cut on the way.
func TestWatchOverTheRealDoor(t *testing.T) {
	d := &tailed{steps: []string{"waiting", "active", "soaking", "passed", "completed"}}
	server := httptest.NewServer(api.New(api.Options{
		Auth: doorAuth{}, People: people{}, Fleet: doorFleet{}, View: lookup{}, Policies: policies{}, Apply: applier{}, Deployments: d,
		Planner: planner{}, Jobs: nil, Samples: samples{}, Enrollments: enrolls{}, Audit: record{}, Poll: time.Millisecond,
	}))
	t.Cleanup(server.Close)
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"deployments", "watch", deployment1}, world(server.URL, &out, &errs, nil), nil)
	if code != 0 || !d.broken {
		t.Fatalf("exit %d %s\n%s", code, errs.String(), out.String())
	}
	for _, step := range []string{"ring all  waiting", "ring all  active", "ring all  soaking", "ring all  passed", "deployment  completed"} {
		if strings.Count(out.String(), step) != 1 {
			t.Errorf("%q is told %d times:\n%s", step, strings.Count(out.String(), step), out.String())
		}
	}
}
