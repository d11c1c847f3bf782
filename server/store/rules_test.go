package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

// table makes a table for a test; in SQLite's words COLLATE "C" and bytea are
// left out.
func table(t testing.TB, s *store.Store, text string) {
	t.Helper()
	if !s.Postgres() {
		text = strings.NewReplacer(` COLLATE "C"`, "", "bytea", "BLOB", "bigint", "INTEGER", "boolean", "INTEGER", "text", "TEXT", "double precision", "REAL").Replace(text) + " STRICT"
	}
	if err := s.Plain(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, s *store.Store, text string, args ...any) {
	t.Helper()
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		_, err := s.Exec(ctx, text, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAConditionalUpdateLeasesEachJobOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		table(t, s, `CREATE TABLE work (id bigint PRIMARY KEY, state text COLLATE "C" NOT NULL, owner bigint)`)
		const jobs, workers = 120, 12
		for i := range jobs {
			write(t, s, `INSERT INTO work (id, state) VALUES ($1, 'queued')`, i)
		}
		var mu sync.Mutex
		leased := map[int64]int{}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for {
					var got []int64
					err := s.Tx(t.Context(), func(ctx context.Context) error {
						got = nil
						rows, err := s.Query(ctx, `UPDATE work SET state = 'leased', owner = $1
							WHERE id IN (SELECT id FROM work WHERE state = 'queued' ORDER BY id LIMIT 3) AND state = 'queued' RETURNING id`, w)
						if err != nil {
							return err
						}
						defer func() { _ = rows.Close() }()
						for rows.Next() {
							var id int64
							if err := rows.Scan(&id); err != nil {
								return err
							}
							got = append(got, id)
						}
						return rows.Err()
					})
					if err != nil {
						t.Error(err)
						return
					}
					var left int
					if err := s.QueryRow(t.Context(), `SELECT count(*) FROM work WHERE state = 'queued'`).Scan(&left); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, id := range got {
						leased[id]++
					}
					mu.Unlock()
					if len(got) == 0 && left == 0 {
						return
					}
				}
			})
		}
		wg.Wait()
		if len(leased) != jobs {
			t.Errorf("%d jobs leased, want %d", len(leased), jobs)
		}
		for id, n := range leased {
			if n != 1 {
				t.Errorf("job %d leased %d times", id, n)
			}
		}
	})
}

func TestPagesByKeyComeInTheOrderOfBytes(t *testing.T) {
	names := []string{"a", "B", "b", "ab", "a b", "a-b", "ä", "z", "Z", "é", "e\u0301", "10", "9", "_", "~", "ß", "文", "\U0001F600", ""}
	want := slices.Sorted(slices.Values(names))
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		table(t, s, `CREATE TABLE named (name text COLLATE "C" PRIMARY KEY)`)
		for _, n := range names {
			write(t, s, `INSERT INTO named (name) VALUES ($1)`, n)
		}
		var got []string
		last, first := "", true
		for {
			page, err := store.Strings(t.Context(), s, `SELECT name FROM named WHERE name > $1 OR $2 ORDER BY name LIMIT 4`, last, first)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got, last, first = append(got, page...), page[len(page)-1], false
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages give %q, want %q", got, want)
		}
	})
}

func TestValuesComeBackAsTheyWent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		table(t, s, `CREATE TABLE val (id bigint PRIMARY KEY, at bigint, n bigint, f double precision, ok boolean, name text COLLATE "C", doc text COLLATE "C", raw bytea)`)
		at := time.Date(2026, 2, 3, 4, 5, 6, 7_000_000, time.FixedZone("x", 3600))
		doc := map[string]int{"a": 1}
		write(t, s, `INSERT INTO val (id, at, n, f, ok, name, doc, raw) VALUES ($1, $3, $4, $5, $6, $2, $7, $8)`,
			1, ident.DeviceID("out of order"), at, time.Minute, 0.1, true, store.AsJSON(doc), []byte{0, 255})
		write(t, s, `INSERT INTO val (id, at) VALUES ($1, $2)`, 2, time.Time{})
		write(t, s, `INSERT INTO val (id, at) VALUES ($1, $2)`, 3, store.MS(time.Time{}))
		var gotAt time.Time
		var n time.Duration
		var f float64
		var ok bool
		var name ident.DeviceID
		var gotDoc map[string]int
		var raw []byte
		err := s.QueryRow(t.Context(), `SELECT at, n, f, ok, name, doc, raw FROM val WHERE id = $1`, 1).
			Scan(store.AsTime(&gotAt), &n, &f, &ok, &name, store.AsJSON(&gotDoc), &raw)
		if err != nil {
			t.Fatal(err)
		}
		if !gotAt.Equal(at) || gotAt.Location() != time.UTC || n != time.Minute || f != 0.1 || !ok || name != "out of order" || gotDoc["a"] != 1 || string(raw) != "\x00\xff" {
			t.Errorf("got %v %v %v %v %q %v %v", gotAt, n, f, ok, name, gotDoc, raw)
		}
		for id := 2; id <= 3; id++ {
			gotAt = at
			if err := s.QueryRow(t.Context(), `SELECT at FROM val WHERE id = $1`, id).Scan(store.AsTime(&gotAt)); err != nil || !gotAt.IsZero() {
				t.Errorf("zero time %d = %v, %v", id, gotAt, err)
			}
		}
	})
}

func TestListsOfAnyLengthMatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, n := range []int{0, 1, 2, 3, 100, 257, 500} {
			var values []string
			for i := range n {
				values = append(values, fmt.Sprint(i))
			}
			text, args := store.InList(2, values)
			var got int
			err := s.QueryRow(t.Context(), `SELECT CASE WHEN CAST($1 AS text) IN `+text+` THEN 1 ELSE 0 END`,
				append([]any{fmt.Sprint(n - 1)}, args...)...).Scan(&got)
			if err != nil || got != min(n, 1) {
				t.Errorf("the last of %d: %d, %v", n, got, err)
			}
		}
	})
}

func TestViolationsAreToldApart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		table(t, s, `CREATE TABLE parent (tenant_id text COLLATE "C", id bigint, PRIMARY KEY (tenant_id, id))`)
		table(t, s, `CREATE TABLE child (tenant_id text COLLATE "C", id bigint, FOREIGN KEY (tenant_id, id) REFERENCES parent (tenant_id, id))`)
		write(t, s, `INSERT INTO parent (tenant_id, id) VALUES ('a', 1)`)
		try := func(text string) error {
			return s.Tx(t.Context(), func(ctx context.Context) error {
				_, err := s.Exec(ctx, text)
				return err
			})
		}
		if err := try(`INSERT INTO parent (tenant_id, id) VALUES ('a', 1)`); !store.IsUnique(err) || store.IsForeignKey(err) {
			t.Errorf("twice: %v", err)
		}
		if err := try(`INSERT INTO child (tenant_id, id) VALUES ('b', 1)`); !store.IsForeignKey(err) || store.IsUnique(err) {
			t.Errorf("another tenant's: %v", err)
		}
		if err := try(`INSERT INTO child (tenant_id, id) VALUES ('a', 1)`); err != nil {
			t.Error(err)
		}
	})
}

func TestReadsOutsideTxCannotWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		write(t, s, `INSERT INTO meta (key, value) VALUES ('a', '1')`)
		var v string
		if err := s.QueryRow(t.Context(), `DELETE FROM meta WHERE key = 'a' RETURNING value`).Scan(&v); err == nil {
			t.Error("the read pool deleted")
		}
		if _, ok, err := s.Meta(t.Context(), "a"); !ok || err != nil {
			t.Errorf("the row is gone (%v)", err)
		}
	})
}

func TestAWriteOutsideTxFailsWhenNotStrict(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: storetest.Dir(t), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.SetMeta(t.Context(), "a", "1"); err == nil || !strings.Contains(err.Error(), "outside Tx") {
		t.Errorf("error = %v", err)
	}
}

func TestAFailedCommitFailsItsUnits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		table(t, s, `CREATE TABLE parent (id bigint PRIMARY KEY)`)
		table(t, s, `CREATE TABLE child (id bigint REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`)
		err := s.Tx(t.Context(), func(ctx context.Context) error {
			_, err := s.Exec(ctx, `INSERT INTO child (id) VALUES (1)`)
			return err
		})
		if !store.IsForeignKey(err) {
			t.Errorf("error = %v", err)
		}
		if err := s.Tx(t.Context(), func(ctx context.Context) error { return s.SetMeta(ctx, "a", "1") }); err != nil {
			t.Errorf("after a failed commit: %v", err)
		}
	})
}

func TestAnotherServerIsRefusedAndACommandIsNot(t *testing.T) {
	open := func(t *testing.T, opts store.Options) {
		opts.Reserve = -1
		first := storetest.OpenOptions(t, opts)
		opts.Exclusive = true
		second, err := store.Open(t.Context(), opts)
		if !fault.Is(err, fault.Conflict) {
			t.Fatalf("a second server: %v, %v", second, err)
		}
		opts.Exclusive = false
		beside, err := store.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, s := range []*store.Store{first, beside} {
			wg.Go(func() {
				for n := range 50 {
					if err := s.Tx(t.Context(), func(ctx context.Context) error {
						return s.SetMeta(ctx, fmt.Sprintf("k%d-%d", i, n), "1")
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := beside.Close(); err != nil {
			t.Error(err)
		}
		if got, err := store.Strings(t.Context(), first, `SELECT key FROM meta WHERE key LIKE 'k%'`); err != nil || len(got) != 100 {
			t.Errorf("%d values of 100, %v", len(got), err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		next := storetest.OpenOptions(t, opts)
		if next.Term() <= first.Term() {
			t.Errorf("term %d after %d", next.Term(), first.Term())
		}
	}
	t.Run("sqlite", func(t *testing.T) { open(t, store.Options{Dir: storetest.Dir(t)}) })
	if postgres() {
		t.Run("postgres", func(t *testing.T) { open(t, store.Options{Database: storetest.Database(t)}) })
	}
}

func TestAServerThatWasReplacedWritesNoMore(t *testing.T) {
	if !postgres() {
		return
	}
	s := storetest.OpenPostgres(t)
	if err := s.Plain(t.Context(), `UPDATE meta SET value = '99' WHERE key = 'term'`); err != nil {
		t.Fatal(err)
	}
	err := s.Tx(t.Context(), func(ctx context.Context) error { return s.SetMeta(ctx, "a", "1") })
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("error = %v", err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	dir := storetest.Dir(t)
	s := storetest.OpenOptions(t, store.Options{Dir: dir})
	write(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Dir: dir, Reserve: -1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("error = %v", err)
	}
}

func TestBadAddressesAreFaults(t *testing.T) {
	for text, kind := range map[string]fault.Kind{
		"mysql://x":                   fault.Invalid,
		"postgres://user:secret@[::1": fault.Invalid,
		"postgres://user:secret@127.0.0.1:1/x?connect_timeout=1": fault.Unavailable,
	} {
		_, err := store.Open(t.Context(), store.Options{Database: text})
		if !fault.Is(err, kind) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := store.Open(t.Context(), store.Options{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no directory: %v", err)
	}
}

func TestAContextThatEndsInTheQueueLeavesIt(t *testing.T) {
	s := storetest.Open(t)
	inside, finish := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.Tx(t.Context(), func(context.Context) error {
			close(inside)
			<-finish
			return nil
		})
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		second <- s.Tx(ctx, func(context.Context) error { return errors.New("ran") })
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("in the queue: %v", err)
	}
	close(finish)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
