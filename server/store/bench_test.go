package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

const (
	workTable    = `CREATE TABLE work (tenant_id text, id bigint, state text NOT NULL, n bigint NOT NULL, PRIMARY KEY (tenant_id, id))`
	historyTable = `CREATE TABLE history (tenant_id text, id bigint, n bigint, state text NOT NULL, reason text NOT NULL, at bigint NOT NULL, PRIMARY KEY (tenant_id, id, n))`
	workRows     = 1000
)

// transition is a durable change of a state with its history row.
func transition(ctx context.Context, s *store.Store, id int64) error {
	var n int64
	err := s.QueryRow(ctx, `UPDATE work SET state = $3, n = n + 1 WHERE tenant_id = $1 AND id = $2 RETURNING n`, "acme", id, "running").Scan(&n)
	if err != nil {
		return err
	}
	_, err = s.Exec(ctx, `INSERT INTO history (tenant_id, id, n, state, reason, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		"acme", id, n, "running", `{"code":"started"}`, 1_780_000_000_000)
	return err
}

// BenchmarkTransitions measures durable transitions a second beside the naive
// way, which prepares and commits each by itself. synchronous is FULL in both.
func BenchmarkTransitions(b *testing.B) {
	for _, flight := range []int{1, 1000} {
		b.Run(fmt.Sprintf("grouped/flight=%d", flight), func(b *testing.B) {
			s := storetest.Open(b)
			table(b, s, workTable)
			table(b, s, historyTable)
			for i := range workRows {
				write(b, s, `INSERT INTO work (tenant_id, id, state, n) VALUES ('acme', $1, 'queued', 0)`, i)
			}
			run(b, flight, func(i int64) error {
				return s.Tx(b.Context(), func(ctx context.Context) error { return transition(ctx, s, i%workRows) })
			})
		})
		b.Run(fmt.Sprintf("naive/flight=%d", flight), func(b *testing.B) {
			db := naive(b)
			run(b, flight, func(i int64) error { return naiveTransition(db, i%workRows) })
		})
	}
}

// run calls f b.N times from many goroutines.
func run(b *testing.B, flight int, f func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range flight {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
}

func naive(b *testing.B) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "naive.db")+
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	mustExec(b, db, workTable)
	mustExec(b, db, historyTable)
	for i := range workRows {
		mustExec(b, db, fmt.Sprintf(`INSERT INTO work (tenant_id, id, state, n) VALUES ('acme', %d, 'queued', 0)`, i))
	}
	return db
}

func naiveTransition(db *sql.DB, id int64) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var n int64
	if err := tx.QueryRow(`UPDATE work SET state = $3, n = n + 1 WHERE tenant_id = $1 AND id = $2 RETURNING n`, "acme", id, "running").Scan(&n); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO history (tenant_id, id, n, state, reason, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		"acme", id, n, "running", `{"code":"started"}`, 1_780_000_000_000); err != nil {
		return err
	}
	return tx.Commit()
}
