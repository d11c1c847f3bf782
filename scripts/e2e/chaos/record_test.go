//go:build e2e

package chaos_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite" // the driver
)

// copyOf copies files that are there into a fresh folder.
func copyOf(t *testing.T, dir string, names ...string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range names {
		in, err := os.Open(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(to, name))
		if err == nil {
			_, err = io.Copy(out, in)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = in.Close(), out.Close()
	}
	return to
}

// database opens a copy of a stopped server's database.
func database(t *testing.T, data, name string) *sql.DB {
	t.Helper()
	return openSQLite(t, filepath.Join(copyOf(t, data, name, name+"-wal"), name))
}

func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// rows calls scan for each row of a query.
func rows(t *testing.T, db *sql.DB, query string, scan func(*sql.Rows) error, args ...any) {
	t.Helper()
	found, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		if err := scan(found); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// journal is the head of an agent's journal.
type journal struct {
	ID        string `json:"id"`
	NextEvent uint64 `json:"next_event"`
	Acked     uint64 `json:"acked"`
	Dropped   uint64 `json:"reports_dropped"`
}

// journalOf reads a copy of a stopped agent's journal.
func journalOf(t *testing.T, data string) journal {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(copyOf(t, data, "journal.db"), "journal.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var j journal
	err = db.View(func(tx *bbolt.Tx) error { return json.Unmarshal(tx.Bucket([]byte("meta")).Get([]byte("meta")), &j) })
	if err != nil {
		t.Fatal(err)
	}
	return j
}
