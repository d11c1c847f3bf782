package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/steward-rmm/steward/server/fault"
)

// migrations has one folder for each dialect, and one for SQLite's file of
// samples; on PostgreSQL the samples are in the same database.
//
//go:embed migrations
var migrations embed.FS

// Schema is a fingerprint of all migrations: it changes when the schema does.
func Schema() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := migrations.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(b), b)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}

// schema prepares the migrations of one folder for one database.
func schema(dialect goose.Dialect, db *sql.DB, folder string) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, fmt.Errorf("migrations %s: %w", folder, err)
	}
	p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrations %s: %w", folder, err)
	}
	return p, nil
}

// migrate brings a database up to date. alone is asked for the right to change
// the schema only when something is pending; release ends that right. A
// database that is newer than this program is refused.
func (s *Store) migrate(ctx context.Context, p *goose.Provider, alone func() (release func() error, err error)) error {
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if current > target {
		return fault.New(fault.Invalid, "the database has schema %d, this program knows %d", current, target).
			WithNext("run the newer version of steward, or restore a backup made by this one")
	}
	if current == target {
		return nil
	}
	release, err := alone()
	if err != nil {
		return err
	}
	s.opts.Hook("migrate.before")
	done, err := p.Up(ctx)
	if err != nil {
		_ = release()
		return fmt.Errorf("migrate from schema %d to %d: %w", current, target, err)
	}
	s.opts.Hook("migrate.after")
	s.opts.Logger.Info("schema migrated", "from", current, "to", target, "steps", len(done))
	return release()
}
