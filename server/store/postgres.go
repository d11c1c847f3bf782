package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/steward-rmm/steward/server/fault"
)

// Keys of PostgreSQL's advisory locks, which are per database. activeLock is
// held by the active server's session, migrateLock while the schema changes.
// The function steward_write (migration 1) shares a third with each
// transaction: taking it alone waits for all of them.
const (
	activeLock  = 0x5374_6577_0001
	migrateLock = 0x5374_6577_0002
	termLock    = 0x5374_6577_0003
)

const pgConnections = 16 // in each of the two pools

func (s *Store) openPostgres(ctx context.Context) error {
	config, err := pgx.ParseConfig(s.opts.Database)
	if err != nil { // pgx leaves the password out of its error
		return fault.Invalidf("database", "the address is not understood").WithCause(err)
	}
	config.RuntimeParams["application_name"] = "steward"
	config.RuntimeParams["statement_timeout"] = "60000"
	config.RuntimeParams["timezone"] = "UTC"
	reading := config.Copy()
	reading.RuntimeParams["default_transaction_read_only"] = "on"

	db := &database{name: "steward", strict: s.opts.StrictWrites, hookFn: s.opts.Hook,
		write: stdlib.OpenDB(*config), read: stdlib.OpenDB(*reading)}
	if db.metrics, err = newMetrics(s.opts.Registerer, db.name); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, pool := range []*sql.DB{db.write, db.read} {
		pool.SetMaxOpenConns(pgConnections)
		pool.SetMaxIdleConns(pgConnections)
		s.onClose(pool.Close)
	}
	if err := db.write.PingContext(ctx); err != nil {
		return fault.New(fault.Unavailable, "the database cannot be reached").
			WithNext("check its address, that it runs, and the password").WithCause(err)
	}
	db.reader = db.read // the driver keeps statements prepared by itself
	s.main = db
	s.disk = &disk{opts: s.opts} // the database's disk is its own server's care
	if s.opts.Exclusive {
		if err := s.becomeActive(ctx); err != nil {
			return err
		}
	}
	if err := s.migratePostgres(ctx); err != nil {
		return err
	}
	if s.opts.Exclusive {
		if err := s.takeTerm(ctx); err != nil {
			return err
		}
		db.term = s.term
	}
	samples := *db
	samples.name = "samples"
	if samples.metrics, err = newMetrics(s.opts.Registerer, samples.name); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.samples = &samples
	return nil
}

// becomeActive takes the lock of the active server on a connection of its own.
func (s *Store) becomeActive(ctx context.Context) error {
	conn, err := s.main.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	s.onClose(conn.Close)
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(activeLock)).Scan(&got); err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	if !got {
		return fault.Conflictf("another server is active on this database").
			WithNext("stop it first, or choose another database")
	}
	// Close would give the connection back to the pool with the lock still on it.
	s.onClose(func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(activeLock))
		return err
	})
	return nil
}

// migratePostgres migrates behind a lock, since commands may open at once.
func (s *Store) migratePostgres(ctx context.Context) (err error) {
	conn, err := s.main.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrateLock)); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() {
		_, unlock := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrateLock))
		err = errors.Join(err, unlock)
	}()
	provider, err := schema(goose.DialectPostgres, s.main.write, "postgres")
	if err != nil {
		return err
	}
	return s.migrate(ctx, provider, func() (func() error, error) { return func() error { return nil }, nil })
}

// single runs one unit in a transaction of its own, the way of PostgreSQL.
// Statements ignore the end of ctx, as on SQLite, where it would hurt others;
// statement_timeout bounds them.
func (db *database) single(ctx context.Context, fn func(context.Context) error) error {
	db.hook("begin")
	tx, err := db.write.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	rollback := func() {
		db.metrics.failed.Inc()
		_ = tx.Rollback() // the first error says more
	}
	if err := db.checkTerm(ctx, tx); err != nil {
		rollback()
		return err
	}
	u := &unit{on: tx}
	if err := u.run(ctx, db, fn, rollback); err != nil {
		rollback()
		return err
	}
	db.hook("before-commit")
	began := time.Now()
	if err := tx.Commit(); err != nil {
		db.metrics.failed.Inc()
		return fmt.Errorf("commit: %w", err)
	}
	db.metrics.commit(time.Since(began), 1)
	db.hook("after-commit")
	return nil
}

// checkTerm fails when a newer server has taken over. It shares a lock that the
// taking of a term holds alone, so no older write commits after it.
func (db *database) checkTerm(ctx context.Context, tx *sql.Tx) error {
	if db.term == 0 {
		return nil
	}
	var term int64
	err := tx.QueryRowContext(context.WithoutCancel(ctx), `SELECT steward_write($1)`, int64(termLock)).Scan(&term)
	if err != nil {
		return fmt.Errorf("check the term: %w", err)
	}
	if term != db.term {
		return fault.New(fault.Unavailable, "another server has taken over (term %d, this one has %d)", term, db.term)
	}
	return nil
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

// mayRetry reports whether PostgreSQL asks to run the transaction again:
// serialization failure, deadlock.
func mayRetry(err error) bool {
	code := pgCode(err)
	return code == "40001" || code == "40P01"
}

// locked is what a SELECT ends with when no other transaction may change the
// row until this one ends. SQLite has one writer and needs nothing.
func (s *Store) locked(ctx context.Context) string {
	if s.postgres && s.main.unit(ctx) != nil {
		return " FOR UPDATE"
	}
	return ""
}

// alone makes transactions that name the same subject run one after the other.
func (s *Store) alone(ctx context.Context, subject string) error {
	if !s.postgres || s.main.unit(ctx) == nil {
		return nil
	}
	_, err := s.exec(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, subject)
	return err
}
