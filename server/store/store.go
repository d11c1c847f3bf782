// Package store holds all SQL of the server: it opens and migrates the
// database, runs transactions, and has one file with one small type per noun.
// Only the wiring and tests import it; nouns state the store they need as an
// interface beside their code.
//
// One text of SQL with the placeholders $1, $2 … serves SQLite and PostgreSQL;
// what differs is in sqlite.go and postgres.go. The rules that keep the two
// alike:
//
//   - write only inside Tx; the function given to Tx may run again, so it
//     assigns results, it never adds to them;
//   - the first error of a statement ends its transaction, whatever the
//     function returns afterwards;
//   - read a result to its end before the next statement;
//   - a conditional UPDATE repeats its condition on the outer row;
//   - write CAST($1 AS …) where a bare placeholder is selected;
//   - times are milliseconds (stamp, ms), texts are valid UTF-8 without NUL.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/fault"
)

// Options say where the data is and how it is treated.
type Options struct {
	// Dir is the data directory. It is made, with mode 0700, when missing.
	Dir string
	// Database is empty for SQLite in Dir, or a postgres:// URL.
	Database string
	// Exclusive makes this process the one server of the data: a second
	// exclusive Open is refused. Commands that work beside a running server
	// (token create) leave it false; they may write too.
	Exclusive bool
	// Reserve is the size in bytes of the file that is given up when the disk
	// is full, so that state can still be written. 0 means 16 MiB, less than 0
	// none. Only an exclusive store on SQLite has one.
	Reserve int64
	// StrictWrites makes a write outside Tx panic instead of failing. Tests set it.
	StrictWrites bool
	// Hook, when not nil, is called at each of Points with its name, so that a
	// test can end the process between any two durable steps.
	Hook func(point string)
	// Logger is where the store logs; nil discards.
	Logger *slog.Logger
	// Registerer takes the store's metrics; nil keeps none.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	opts     Options
	main     *database // everything that is acknowledged
	samples  *database // series, samples and blocks
	disk     *disk
	term     int64
	closers  []func() error // run last to first by Close
	postgres bool
}

// Open opens the database, brings its schema up to date and starts the writers.
// Errors that a person can mend (another server on the directory, an
// unreachable database, a directory without rights) are faults.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Hook == nil {
		opts.Hook = func(string) {}
	}
	if opts.Reserve == 0 {
		opts.Reserve = 16 << 20
	}
	s := &Store{opts: opts}
	var err error
	switch {
	case opts.Database == "":
		err = s.openSQLite(ctx)
	case strings.HasPrefix(opts.Database, "postgres://"), strings.HasPrefix(opts.Database, "postgresql://"):
		s.postgres = true
		err = s.openPostgres(ctx)
	default:
		err = fault.Invalidf("database", "not a database this server knows").
			WithNext("leave it out for SQLite in the data directory, or give postgres://user@host/name")
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close refuses new transactions, lets the queued ones commit, and closes the
// database and its locks. Calling it twice is harmless.
func (s *Store) Close() error {
	var errs []error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		if err := s.closers[last](); err != nil {
			errs = append(errs, fmt.Errorf("close store: %w", err))
		}
		s.closers = s.closers[:last]
	}
	return errors.Join(errs...)
}

func (s *Store) onClose(f func() error) { s.closers = append(s.closers, f) }

// Term is the number of this exclusive opening: each one has a higher term than
// all before it. It is 0 when the store was opened without Exclusive.
func (s *Store) Term() int64 { return s.term }

// Tx runs fn in one transaction and is the store's one way to write. The
// transaction rides in the context that fn receives; a Tx inside it joins it,
// and then only the outermost commits. When Tx returns nil the change is
// durable. When fn returns an error or panics nothing of it remains.
//
// fn must not wait for anything but the database, must not be used from two
// goroutines, and may run more than once (serialization failures, a full disk).
// A context that ends before fn starts returns its error without running fn;
// one that ends later fails the next statement.
func (s *Store) Tx(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.main.tx(ctx, fn)
}
