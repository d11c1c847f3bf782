package storetest_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

var (
	_ deployment.Store = (*store.Deployments)(nil)
	_ deployment.Lists = (*store.Deployments)(nil)
)

// rollout puts a deployment with two rings and the given members.
func rollout(t *testing.T, s *store.Store, tenant ident.TenantID, id ident.DeploymentID, version string, members ...deployment.Member) deployment.Deployment {
	t.Helper()
	d := deployment.Deployment{Tenant: tenant, ID: id, Policy: "p", Release: patch.Release{Source: "apt", Package: "curl", Version: version},
		State: deployment.Running, Reason: reason.New(reason.Started, "policy", "p"), Since: at, CreatedAt: at,
		Failures: policy.Allowance{Count: 2, Share: 10}, InFlight: 12.5,
		Rings: []deployment.Ring{
			{Index: 0, Name: "pilots", Soak: time.Hour, MinVerified: 60, State: deployment.RingActive, Reason: reason.New(reason.RingOpened), Since: at, Counts: deployment.Counts{Devices: 1, Waiting: 1}},
			{Index: 1, Name: "everyone", MinVerified: 60, State: deployment.RingWaiting, Reason: reason.New(reason.RingBefore, "ring", "pilots"), Since: at},
		}}
	write(t, s, func(ctx context.Context) error {
		if err := s.Deployments().Put(ctx, d); err != nil {
			return err
		}
		return s.Deployments().PutMembers(ctx, tenant, id, members)
	})
	return d
}

func TestADeploymentIsReadAsItWasPut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		enroll(t, s, "acme", "d1")
		enroll(t, s, "acme", "d2")
		enroll(t, s, "other", "d3")
		members := []deployment.Member{
			{Device: "d1", Job: "j", Result: wire.ResultVerified, EndedAt: at, Verified: at.Add(time.Second)},
			{Device: "d2", Ring: 1, Late: true},
		}
		want := rollout(t, s, "acme", "dep1", "2", members...)
		want.Members = members
		got, err := s.Deployments().Running(ctx, "acme")
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
		if _, found, err := s.Deployments().Deployment(ctx, "other", "dep1"); found || err != nil {
			t.Errorf("another tenant sees it: %v, %v", found, err)
		}
		if got, err := s.Deployments().Members(ctx, "acme", "dep1", []ident.DeviceID{"d2", "d9", "d2"}); err != nil || len(got) != 1 || got[0] != members[1] {
			t.Errorf("members %+v, %v", got, err)
		}
		if got, err := s.Deployments().Members(ctx, "other", "dep1", nil); err != nil || len(got) != 0 {
			t.Errorf("another tenant sees members: %+v, %v", got, err)
		}
	})
}

func TestOneDeploymentOfAReleaseRunsAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, d := context.Background(), s.Deployments()
		enroll(t, s, "acme", "d1")
		old := rollout(t, s, "acme", "dep1", "2", deployment.Member{Device: "d1"})
		second := old
		second.ID = "dep2"
		if err := s.Tx(ctx, func(ctx context.Context) error { return d.Put(ctx, second) }); err == nil {
			t.Fatal("two deployments of one release run under one policy")
		}
		old.State, old.EndedAt = deployment.Superseded, at.Add(time.Hour)
		write(t, s, func(ctx context.Context) error { return d.Put(ctx, old) })
		write(t, s, func(ctx context.Context) error { return d.Put(ctx, second) })
		ended, err := d.Ended(ctx, "acme", []patch.Release{old.Release, {Source: "apt", Package: "vim", Version: "1"}})
		if err != nil || len(ended) != 1 || ended[0].ID != "dep1" || len(ended[0].Rings) != 2 || len(ended[0].Members) != 1 || !ended[0].EndedAt.Equal(at.Add(time.Hour)) {
			t.Errorf("ended %+v, %v", ended, err)
		}
		heads, err := d.Heads(ctx, "acme", []patch.Release{old.Release})
		if err != nil || len(heads) != 2 || heads[0].Members != nil {
			t.Errorf("heads %+v, %v", heads, err)
		}
		if none, err := d.Heads(ctx, "acme", []patch.Release{{Source: "apt", Package: "curl", Version: "3"}}); err != nil || len(none) != 0 {
			t.Errorf("heads of another version %+v, %v", none, err)
		}
	})
}

func TestHistoryIsNumberedWithoutGaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, d := context.Background(), s.Deployments()
		enroll(t, s, "acme", "d1")
		head := rollout(t, s, "acme", "dep1", "2")
		row := deployment.Transition{At: at, Subject: deployment.OfJob, ID: "j", Device: "d1", From: "queued", To: "leased", Reason: reason.New(reason.RingOpened)}
		for range 3 {
			write(t, s, func(ctx context.Context) error {
				return d.Append(ctx, "acme", "dep1", []deployment.Transition{row, row})
			})
			write(t, s, func(ctx context.Context) error { return d.Put(ctx, head) }) // leaves the number alone
		}
		got, err := d.Events(ctx, "acme", "dep1", 1, 10)
		if err != nil || len(got) != 5 {
			t.Fatalf("%+v, %v", got, err)
		}
		for i, e := range got {
			if e.Seq != int64(i+2) {
				t.Errorf("row %d has number %d", i, e.Seq)
			}
			if e.Seq = 0; !reflect.DeepEqual(e, row) {
				t.Errorf("got %+v, want %+v", e, row)
			}
		}
		if h, _, err := d.Deployment(ctx, "acme", "dep1"); h.Seq != 6 || err != nil {
			t.Errorf("seq %d, %v", h.Seq, err)
		}
		err = s.Tx(ctx, func(ctx context.Context) error { return d.Append(ctx, "other", "dep1", []deployment.Transition{row}) })
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("another tenant's history took a row: %v", err)
		}
	})
}

func TestListsShowTheScopeNewestFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, d := context.Background(), s.Deployments()
		enroll(t, s, "acme", "d1")
		enroll(t, s, "other", "d2")
		for i := range 4 {
			tenant := ident.TenantID("acme")
			if i == 2 {
				tenant = "other"
			}
			rollout(t, s, tenant, ident.DeploymentID(fmt.Sprintf("dep%d", i)), fmt.Sprint(i))
		}
		all, err := d.List(ctx, ident.NewScopeAll(), deployment.Filter{}, "", 3)
		if err != nil || len(all) != 3 || all[0].ID != "dep3" || all[1].Tenant != "other" || len(all[0].Rings) != 2 {
			t.Errorf("all %+v, %v", all, err)
		}
		scope := ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil})
		own, err := d.List(ctx, scope, deployment.Filter{Package: "curl", State: deployment.Running}, "dep3", 10)
		if err != nil || len(own) != 2 || own[0].ID != "dep1" {
			t.Errorf("own %+v, %v", own, err)
		}
		if none, err := d.List(ctx, ident.Scope{}, deployment.Filter{}, "", 10); err != nil || len(none) != 0 {
			t.Errorf("nobody sees %+v, %v", none, err)
		}
	})
}
