package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/steward-rmm/steward/server/fault"
)

// CopyTo writes a consistent copy of the main database into the new file at
// path while the server runs, and with samples one of theirs at samplesPath
// (empty: without). The files have mode 0600. Only SQLite is copied so; a
// PostgreSQL database has its own tools.
func (s *Store) CopyTo(ctx context.Context, path, samplesPath string) error {
	if s.postgres {
		return fault.New(fault.Invalid, "a PostgreSQL database is not copied by the server").WithNext("use pg_dump")
	}
	if err := s.copyFile(ctx, mainFile, path); err != nil {
		return err
	}
	if samplesPath == "" {
		return nil
	}
	return s.copyFile(ctx, samplesFile, samplesPath)
}

func (s *Store) copyFile(ctx context.Context, name, path string) (err error) {
	dir, err := filepath.Abs(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	// SQLite fills an empty file; made here, nobody else ever may read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Invalidf("out", "%s cannot be made", path).WithCause(err)
	}
	defer func() {
		closed := f.Close()
		if err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	// A connection of its own: VACUUM INTO reads one state of the file, and
	// neither waits for the writer nor holds it up.
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, name)))
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}
