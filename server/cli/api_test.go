package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
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
