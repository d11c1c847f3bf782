package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/steward-rmm/steward/server/ident"
)

func TestATenantHasAtMostAQuarterOfTheQueueWhenOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(8)
		ctx := t.Context()
		enter := func(tenant ident.TenantID) func() {
			leave, err := q.enter(ctx, tenant)
			if err != nil {
				t.Error(err)
			}
			return leave
		}
		var first []func()
		for range 8 { // alone it may have all of it
			first = append(first, enter("loud"))
		}
		got := make(chan ident.TenantID, 20)
		release := make(chan struct{})
		wait := func(tenant ident.TenantID) {
			go func() {
				leave := enter(tenant)
				got <- tenant
				<-release
				leave()
			}()
			synctest.Wait()
		}
		for range 4 {
			wait("loud")
		}
		wait("quiet")
		wait("other")
		first[0]() // 7 of loud remain: the next places are for the others
		synctest.Wait()
		first[1]()
		synctest.Wait()
		if a, b := <-got, <-got; a != "quiet" || b != "other" {
			t.Errorf("let in: %s, %s", a, b)
		}
		if len(got) != 0 {
			t.Errorf("%d more were let in", len(got))
		}
		for _, leave := range first[2:] {
			leave()
		}
		synctest.Wait()
		if len(got) != 4 {
			t.Errorf("%d of 4 waiting were let in when nobody else waited", len(got))
		}
		close(release)
		synctest.Wait()
		if q.used != 0 || len(q.by) != 0 || len(q.waiting) != 0 {
			t.Errorf("left over: %d used, %v, %d waiting", q.used, q.by, len(q.waiting))
		}
	})
}

func TestWhoGivesUpWaitingHoldsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		leave, err := q.enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := q.enter(ctx, "b")
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		leave()
		if leave, err = q.enter(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		leave()
	})
}
