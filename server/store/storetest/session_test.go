package storetest_test

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func TestSessionRecordIsReadAsItWasWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, p := context.Background(), s.Session()
		enroll(t, s, "acme", "d1")
		enroll(t, s, "other", "d2")
		if _, found, err := p.Record(ctx, "acme", "d1"); found || err != nil {
			t.Fatalf("before the first session: %v, %v", found, err)
		}
		want := session.Record{Tenant: "acme", Device: "d1", Journal: "j1", Number: 7, Through: 40, Epoch: 1<<63 + 1, OpenedAt: at,
			ReportsThrough: at.Add(-time.Minute), Desired: 3, DesiredHash: []byte{1, 2}, Acknowledged: 2, Wants: []wire.Section{wire.SectionOS}}
		write(t, s, func(ctx context.Context) error { return p.PutRecord(ctx, want) })
		got, found, err := p.Record(ctx, "acme", "d1")
		if err != nil || !found || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v\n%v, %v", got, want, found, err)
		}
		if _, found, _ := p.Record(ctx, "other", "d1"); found {
			t.Error("another tenant finds the record")
		}
		want.Desired, want.DesiredHash, want.Acknowledged, want.ReportsThrough, want.Wants = 4, []byte{9}, 4, at, nil
		write(t, s, func(ctx context.Context) error {
			if err := p.PutDesired(ctx, want); err != nil {
				return err
			}
			return p.PutProgress(ctx, want)
		})
		if got, _, err = p.Record(ctx, "acme", "d1"); err != nil || got.Desired != 4 || got.Acknowledged != 4 || !bytes.Equal(got.DesiredHash, []byte{9}) ||
			!got.ReportsThrough.Equal(at) || len(got.Wants) != 0 || got.Through != 40 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestAdvanceIsFencedByJournalNumberAndPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := s.Session()
		enroll(t, s, "acme", "d1")
		r := session.Record{Tenant: "acme", Device: "d1", Journal: "j1", Number: 7, Through: 40}
		write(t, s, func(ctx context.Context) error { return p.PutRecord(ctx, r) })
		older, other, foreign := r, r, r
		older.Number, other.Journal, foreign.Tenant = 6, "j2", "other"
		cases := []struct {
			name string
			r    session.Record
			from uint64
			ok   bool
		}{
			{"an older session", older, 40, false},
			{"another journal", other, 40, false},
			{"another tenant", foreign, 40, false},
			{"a place before", r, 39, false},
			{"the next", r, 40, true},
			{"the same again", r, 40, false},
			{"the one after", r, 41, true},
		}
		for _, c := range cases {
			write(t, s, func(ctx context.Context) error {
				ok, err := p.Advance(ctx, c.r, c.from)
				if ok != c.ok {
					t.Errorf("%s: %v", c.name, ok)
				}
				return err
			})
		}
	})
}

func TestSecretsBelongToTheirKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, p := context.Background(), s.Session()
		enroll(t, s, "acme", "d1")
		old, renewed := [32]byte{1}, [32]byte{2}
		want := session.Secret{Clone: pki.Clone{Confirmed: []byte("a"), Offered: []byte("b"), Epoch: 5}, ConflictAt: at}
		write(t, s, func(ctx context.Context) error {
			if err := p.PutSecret(ctx, "acme", "d1", old, session.Secret{Clone: pki.Clone{Offered: []byte("x")}}); err != nil {
				return err
			}
			return p.PutSecret(ctx, "acme", "d1", renewed, want)
		})
		if got, err := p.Secret(ctx, "acme", "d1", renewed); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		write(t, s, func(ctx context.Context) error { return p.DropSecrets(ctx, "acme", "d1", renewed) })
		if got, err := p.Secret(ctx, "acme", "d1", old); err != nil || got.Offered != nil {
			t.Errorf("the old key's secret is still there: %+v, %v", got, err)
		}
		if got, err := p.Secret(ctx, "acme", "d1", renewed); err != nil || got.Offered == nil {
			t.Errorf("the new key's secret is gone: %+v, %v", got, err)
		}
	})
}
