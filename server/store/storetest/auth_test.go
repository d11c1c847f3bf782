package storetest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func person(id ident.PersonID, email string) auth.Person {
	return auth.Person{ID: id, Tenant: ident.MSP, Email: email, Name: string(id), Grants: auth.Everywhere(auth.Owner), State: auth.Active,
		StateSince: at, CreatedAt: at, Lockout: auth.Lockout{Failures: []time.Time{at}}}
}

func TestPeopleAreFoundByAddressOverAllTenants(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		write(t, s, func(ctx context.Context) error { return s.People().Add(ctx, person("p1", "a@example.test")) })
		err := s.Tx(ctx, func(ctx context.Context) error { return s.People().Add(ctx, person("p2", "a@example.test")) })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("a taken address: %v", err)
		}
		got, err := s.People().ByEmail(ctx, "a@example.test")
		if err != nil || got.ID != "p1" || len(got.Lockout.Failures) != 1 || len(got.Grants) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.People().ByID(ctx, "acme", "p1"); !fault.Is(err, fault.NotFound) {
			t.Errorf("found in another tenant: %v", err)
		}
		if list, err := s.People().List(ctx, ident.NewScope(map[ident.TenantID][]ident.SiteID{"acme": nil})); err != nil || len(list) != 0 {
			t.Errorf("a customer sees %+v, %v", list, err)
		}
	})
}

func TestThereIsOneFirstPerson(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		taken := errors.New("taken")
		var made atomic.Int32
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				err := s.Tx(context.Background(), func(ctx context.Context) error {
					n, err := s.People().Count(ctx)
					if err != nil {
						return err
					}
					if n > 0 {
						return taken
					}
					return s.People().Add(ctx, person(ident.PersonID(rune('a'+i)), string(rune('a'+i))+"@example.test"))
				})
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, taken):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Fatalf("%d first persons", made.Load())
		}
	})
}

func TestSessionsTokensAndLinksEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		write(t, s, func(ctx context.Context) error { return s.People().Add(ctx, person("p1", "a@example.test")) })
		session := auth.Session{ID: "s1", Tenant: ident.MSP, Person: "p1", Hash: auth.Digest{1}, CreatedAt: at, SeenAt: at}
		token := auth.Token{ID: "t1", Tenant: ident.MSP, Name: "ci", Hash: auth.Digest{2}, Maker: "p1", Grants: auth.Everywhere(auth.Viewer), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
		link := auth.Link{ID: "l1", Tenant: ident.MSP, Person: "p1", Purpose: auth.Init, Hash: auth.Digest{3}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
		write(t, s, func(ctx context.Context) error {
			return errors.Join(s.SignIns().Add(ctx, session), s.Tokens().Add(ctx, token), s.Links().Add(ctx, link))
		})
		write(t, s, func(ctx context.Context) error {
			return errors.Join(s.SignIns().Touch(ctx, "s1", at.Add(time.Minute)), s.SignIns().Touch(ctx, "s1", at), s.Tokens().Touch(ctx, "t1", at.Add(time.Minute)))
		})
		if got, err := s.SignIns().ByHash(ctx, auth.Digest{1}); err != nil || !got.SeenAt.Equal(at.Add(time.Minute)) {
			t.Errorf("%+v, %v", got, err)
		}
		for i, want := range []bool{true, false} {
			write(t, s, func(ctx context.Context) error {
				used, err := s.Links().Use(ctx, "l1", at)
				if used != want {
					t.Errorf("use %d: %v", i, used)
				}
				return err
			})
		}
		write(t, s, func(ctx context.Context) error { return s.Tokens().Revoke(ctx, "t1", at.Add(time.Minute)) })
		if got, err := s.Tokens().ByHash(ctx, auth.Digest{2}); err != nil || got.Live(at.Add(2*time.Minute)) || got.Grants[0].Role != auth.Viewer {
			t.Errorf("%+v, %v", got, err)
		}
		if mine, err := s.Tokens().List(ctx, ident.Scope{}, "p1"); err != nil || len(mine) != 1 {
			t.Errorf("own tokens %+v, %v", mine, err)
		}
		write(t, s, func(ctx context.Context) error {
			n, err := s.SignIns().Prune(ctx, at.Add(-time.Hour), at.Add(time.Minute))
			if n != 1 {
				t.Errorf("pruned %d", n)
			}
			return err
		})
		if _, err := s.SignIns().ByHash(ctx, auth.Digest{1}); !fault.Is(err, fault.NotFound) {
			t.Errorf("a pruned session: %v", err)
		}
	})
}
