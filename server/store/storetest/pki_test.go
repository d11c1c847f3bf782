package storetest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

// A token with three uses enrolls three keys, however many come at once, and
// the same key again takes nothing.
func TestAnEnrollmentGivesNoMoreThanItsUses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		enroll(t, s, "acme", "d1")
		e := pki.NewEnrollments(pki.EnrollmentOptions{Store: s.PKI(), Audit: record(t, s), Address: "127.0.0.1:7443"})
		by := ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya"}
		_, text, err := e.Create(ctx, "acme", by, pki.Draft{Site: ident.MainSite, Uses: 3, PerMinute: 1000, Lasts: time.Hour}, at)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := wire.ParseEnrollment(text)
		if err != nil {
			t.Fatal(err)
		}
		try := func(key byte) error {
			_, err := e.Redeem(ctx, at, pki.Attempt{Token: parsed.Token, KeyHash: [32]byte{key}, From: "192.0.2.1"},
				func(context.Context, pki.Enrollment, [32]byte) (ident.DeviceID, error) { return "d1", nil })
			return err
		}
		var good atomic.Int32
		var wg sync.WaitGroup
		for key := range byte(8) {
			wg.Go(func() {
				if try(key) == nil {
					good.Add(1)
				}
			})
		}
		wg.Wait()
		if good.Load() != 3 {
			t.Fatalf("%d keys enrolled", good.Load())
		}
		list, err := e.List(ctx, ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"main"}}))
		if err != nil || len(list) != 1 || list[0].Used != 3 {
			t.Errorf("%+v, %v", list, err)
		}
		if none, err := e.List(ctx, ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": {"lyon"}})); err != nil || len(none) != 0 {
			t.Errorf("another site sees %+v, %v", none, err)
		}
		if _, _, err := e.Create(ctx, "acme", by, pki.Draft{Site: "nosuch", Uses: 1, PerMinute: 1, Lasts: time.Hour}, at); !fault.Is(err, fault.NotFound) {
			t.Errorf("a site that is not there: %v", err)
		}
	})
}
