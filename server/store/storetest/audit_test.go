package storetest_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

type signer struct{ key ed25519.PrivateKey }

func (s signer) SignAudit(m []byte) []byte { return ed25519.Sign(s.key, m) }
func (s signer) CheckAudit(m, sig []byte) bool {
	return ed25519.Verify(s.key.Public().(ed25519.PublicKey), m, sig)
}

func record(t *testing.T, s *store.Store) *audit.Service {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return audit.New(audit.Options{Store: s.Audit(), Archive: s.Audit(), Signer: signer{key}})
}

func entry(tenant ident.TenantID, i int) audit.Entry {
	return audit.Entry{Tenant: tenant, At: at.Add(time.Duration(i) * time.Second), Actor: ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya", Tenant: ident.MSP},
		Action: "update.deny", Object: audit.Object{Kind: "release", ID: "apt:bash"}, Reason: fmt.Sprint("reason ", i)}
}

func TestAuditIsSealedAndNoticesTampering(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, a := context.Background(), record(t, s)
		enroll(t, s, "acme", "d1")
		for i := range 10 {
			write(t, s, func(ctx context.Context) error { return a.Record(ctx, entry("acme", i)) })
			write(t, s, func(ctx context.Context) error { return a.Record(ctx, entry(ident.MSP, i)) })
		}
		if n, err := a.RunOnce(ctx, at.Add(time.Minute)); err != nil || n != 20 {
			t.Fatalf("sealed %d, %v", n, err)
		}
		report, err := a.Verify(ctx, "acme", nil)
		if err != nil || !report.Good() || report.Sealed != 10 || report.Unsealed != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		head, ok, err := a.Head(ctx, "acme")
		if err != nil || !ok || head.Seq != 10 {
			t.Fatalf("head %+v, %v, %v", head, ok, err)
		}
		rows, next, err := a.List(ctx, ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil}), audit.Filter{}, "", 4)
		if err != nil || len(rows) != 4 || next == "" || rows[0].Reason != "reason 9" {
			t.Fatalf("%d rows, next %q, %v", len(rows), next, err)
		}
		if err := a.Erase(ctx, "acme", rows[0].ID, ident.Steward("audit"), "asked for", at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.RunOnce(ctx, at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if report, err = a.Verify(ctx, "acme", nil); err != nil || !report.Good() {
			t.Errorf("an erased payload breaks the chain: %+v, %v", report, err)
		}
		chain, err := s.Audit().Chain(ctx, "acme", 4, 1)
		if err != nil || len(chain) != 1 {
			t.Fatal(err)
		}
		if err := s.Tx(ctx, func(ctx context.Context) error { return s.Audit().Seal(ctx, chain) }); err == nil {
			t.Error("a sealed entry was sealed again")
		}
	})
}

func TestAuditEraseOfAnothersEntryIsNotFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		enroll(t, s, "acme", "d1")
		err := s.Tx(context.Background(), func(ctx context.Context) error { return s.Audit().Erase(ctx, "acme", "nosuch") })
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}
