// Package storetest gives tests a fresh store, on SQLite and PostgreSQL, and
// holds the suite that both databases must pass.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"
	"database/sql"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver's name "pgx"

	"github.com/steward-rmm/steward/server/store"
)

// Variable names the environment variable with the URL of a PostgreSQL database
// whose user may create databases.
const Variable = "STEWARD_TEST_POSTGRES"

// Each runs f as a subtest on SQLite and, when Variable is set, on PostgreSQL.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t)) })
	if os.Getenv(Variable) != "" {
		t.Run("postgres", func(t *testing.T) { f(t, OpenPostgres(t)) })
	}
}

// Open gives a fresh exclusive store on SQLite in the test's directory, closed
// when the test ends. It panics on writes outside Tx.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenOptions(t, store.Options{Dir: Dir(t)})
}

// Dir gives a data directory with an empty database of the present schema,
// copied from one that was migrated once in this process.
func Dir(t testing.TB) string {
	t.Helper()
	files, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// OpenPostgres gives a fresh exclusive store in a database of its own, which is
// dropped when the test ends. Variable must be set.
func OpenPostgres(t testing.TB) *store.Store {
	t.Helper()
	return OpenOptions(t, store.Options{Dir: t.TempDir(), Database: Database(t)})
}

// OpenOptions opens a store with the settings of tests (exclusive, no reserve
// unless asked, strict) and closes it when the test ends.
func OpenOptions(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	opts.Exclusive, opts.StrictWrites = true, true
	if opts.Reserve == 0 {
		opts.Reserve = -1
	}
	s, err := store.Open(context.Background(), opts)
	if err != nil {
		t.Fatalf("open a store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// template holds the files of a migrated, empty data directory.
var template = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "steward-template")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := store.Open(context.Background(), store.Options{Dir: dir, Reserve: -1})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{"steward.db", "samples.db"} {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
})

// Database makes a PostgreSQL database with the present schema, drops it when
// the test ends, and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	base := os.Getenv(Variable)
	admin, err := sql.Open("pgx", base)
	if err != nil || base == "" {
		t.Fatalf("%s is no URL of a database: %v", Variable, err)
	}
	source, err := templateDatabase(admin, base)
	if err != nil {
		t.Fatal(err)
	}
	name := "steward_test_" + strings.ToLower(rand.Text()[:12])
	if _, err := admin.Exec("CREATE DATABASE " + name + " TEMPLATE " + source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	return withName(t, base, name)
}

// templateDatabase makes, once for each schema and cluster, the database that
// tests copy. Its name carries the schema's fingerprint.
func templateDatabase(admin *sql.DB, base string) (name string, err error) {
	schema, err := store.Schema()
	if err != nil {
		return "", err
	}
	name = "steward_template_" + schema
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := admin.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	const lock = 0x5374_6577_00ff // test processes run side by side
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return "", err
	}
	defer func() { _, _ = conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lock)) }()
	var exists bool
	err = conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return name, err
	}
	making := name + "_new"
	for _, text := range []string{"DROP DATABASE IF EXISTS " + making + " WITH (FORCE)", "CREATE DATABASE " + making} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u.Path = "/" + making
	s, err := store.Open(ctx, store.Options{Database: u.String()})
	if err != nil {
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", making, name)); err != nil {
		return "", err
	}
	return name, nil
}

func withName(t testing.TB, base, name string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
