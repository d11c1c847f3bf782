package storetest_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func TestPolicyDocumentsOfOthersAreNotSeen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, p := context.Background(), s.Policy()
		enroll(t, s, "acme", "d1")
		enroll(t, s, "other", "d2")
		for _, d := range []policy.Document{{Tenant: "other", Name: "x"}, {Tenant: "acme", Site: "main", Name: "a"}, {Tenant: "acme", Name: "b"}, {Tenant: ident.MSP, Name: "z"}} {
			d.Fields, d.UpdatedAt = map[string]json.RawMessage{"alone": json.RawMessage(`"never"`)}, at
			write(t, s, func(ctx context.Context) error { return p.PutDocument(ctx, d) })
		}
		got, err := p.Documents(ctx, "acme")
		if err != nil || len(got) != 3 || got[0].Name != "z" || got[1].Name != "b" || got[2].Name != "a" {
			t.Fatalf("%+v, %v", got, err)
		}
		if string(got[0].Fields["alone"]) != `"never"` {
			t.Errorf("fields %v", got[0].Fields)
		}
		write(t, s, func(ctx context.Context) error {
			if found, err := p.RemoveDocument(ctx, "acme", "", "x"); found || err != nil {
				t.Errorf("removed another tenant's document: %v, %v", found, err)
			}
			return nil
		})
	})
}

func TestADecisionReplacesTheOneBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, p := context.Background(), s.Policy()
		enroll(t, s, "acme", "d1")
		for i, a := range []policy.Action{policy.Deny, policy.Approve} {
			m := policy.Manually{Tenant: "acme", ID: string(rune('a' + i)), Action: a, Source: "apt", Package: "bash", Reason: "r", At: at}
			write(t, s, func(ctx context.Context) error { return p.PutDecision(ctx, m) })
			write(t, s, func(ctx context.Context) error { return p.Bump(ctx, "acme") })
		}
		got, err := p.Decisions(ctx, "acme")
		if err != nil || len(got) != 1 || got[0].Action != policy.Approve || !got[0].Expires.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		if own, msp, err := p.Revision(ctx, "acme"); own != 2 || msp != 0 || err != nil {
			t.Errorf("revision %d, %d, %v", own, msp, err)
		}
	})
}
