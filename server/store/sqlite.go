package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/steward-rmm/steward/server/fault"
)

// The files of a data directory that belong to the store.
const (
	mainFile    = "steward.db"
	samplesFile = "samples.db"
	lockFile    = "steward.lock"
	reserveFile = "reserve"
)

func (s *Store) openSQLite(ctx context.Context) error {
	dir, err := filepath.Abs(s.opts.Dir)
	if err != nil || s.opts.Dir == "" {
		return fault.Invalidf("data", "%q is no directory", s.opts.Dir).WithCause(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Invalidf("data", "the directory cannot be made").WithCause(err)
	}
	if s.opts.Exclusive {
		release, err := s.lockDir(dir)
		if err != nil {
			return err
		}
		s.onClose(release)
	}
	if s.disk, err = openDisk(dir, s.opts); err != nil {
		return err
	}
	if s.main, err = s.openFile(ctx, dir, mainFile, "sqlite", "FULL", s.disk.stateFailed); err != nil {
		return err
	}
	if s.samples, err = s.openFile(ctx, dir, samplesFile, "sqlite_samples", "NORMAL", s.disk.samplesFailed); err != nil {
		return err
	}
	if s.opts.Exclusive {
		return s.takeTerm(ctx)
	}
	return nil
}

// lockDir takes the lock that makes this process the server of the directory.
func (s *Store) lockDir(dir string) (func() error, error) {
	release, err := lockPath(filepath.Join(dir, lockFile))
	if errors.Is(err, errLocked) {
		return nil, fault.Conflictf("another server is running on the data directory %s", dir).
			WithNext("stop it first, or choose another directory")
	}
	if err != nil {
		return nil, fault.Invalidf("data", "the directory %s cannot be locked", dir).WithCause(err)
	}
	return release, nil
}

// openFile opens one SQLite file: a writer with one connection, a pool of
// readers that cannot write, and the goroutine that groups commits.
func (s *Store) openFile(ctx context.Context, dir, file, folder, synchronous string, onError func(error) bool) (*database, error) {
	path := filepath.Join(dir, file)
	// SQLite gives its journal the rights of the file; nobody else may read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Invalidf("data", "%s cannot be opened", path).WithCause(err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db := &database{name: strings.TrimSuffix(file, ".db"), strict: s.opts.StrictWrites, hookFn: s.opts.Hook}
	if db.metrics, err = newMetrics(s.opts.Registerer, db.name); err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", file, err)
	}
	if db.write, err = sql.Open("sqlite", dsn(path, "synchronous("+synchronous+")", "journal_mode(WAL)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)")); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.write.SetMaxOpenConns(1)
	s.onClose(db.write.Close)
	if err := db.write.PingContext(ctx); err != nil {
		return nil, fault.New(fault.Unavailable, "%s cannot be opened", path).WithCause(err)
	}
	provider, err := schema(goose.DialectSQLite3, db.write, folder)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, provider, func() (func() error, error) {
		if s.opts.Exclusive {
			return func() error { return nil }, nil
		}
		return s.lockDir(dir)
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if db.read, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.read.SetMaxOpenConns(2 * max(2, runtime.GOMAXPROCS(0)))
	db.read.SetMaxIdleConns(2 * max(2, runtime.GOMAXPROCS(0)))
	kept := newReaders(db.read)
	db.reader = kept
	s.onClose(kept.Close)
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.writer = newWriter(db, conn, onError)
	s.onClose(db.writer.close)
	return db, nil
}

// dsn is the driver's address of a file with the settings that hold for every
// connection. busy_timeout comes first: the pragmas behind it may need it.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range append([]string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(MEMORY)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/… on Windows
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func sqliteCode(err error) (code int, ok bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}

// isUnique reports whether a statement failed because a unique key exists.
func isUnique(err error) bool {
	code, ok := sqliteCode(err)
	return ok && (code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) ||
		pgCode(err) == "23505"
}

// isForeignKey reports whether a statement failed because what it refers to is
// not there, or is still referred to.
func isForeignKey(err error) bool {
	code, ok := sqliteCode(err)
	return ok && code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY || pgCode(err) == "23503"
}

// isFull reports whether SQLite ran out of space. A write that fails with
// ENOSPC comes as SQLITE_FULL, a failing sync or truncate as an I/O error.
func isFull(err error) bool {
	code, ok := sqliteCode(err)
	return ok && (code&0xff == sqlite3.SQLITE_FULL || code&0xff == sqlite3.SQLITE_IOERR)
}
