package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/steward-rmm/steward/server/fault"
)

// errAgain tells tx that a unit was undone through no fault of its own and may
// run once more.
var errAgain = errors.New("transaction undone, may run again")

// errOver is returned by statements that use a transaction after its end.
var errOver = errors.New("the transaction is over: its context must not outlive the function given to Tx")

// attempts is how often a transaction runs before its last error is returned.
const attempts = 4

// executor runs statements; *sql.DB, *sql.Tx and the cached writer are ones.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// txKey is the context key of the running unit of one database.
type txKey struct{ db *database }

// unit is one transaction as its function sees it.
type unit struct {
	on     executor
	failed error       // of the first statement that failed
	over   atomic.Bool // fn has returned
}

// fail notes the first error of a statement: SQLite would carry on after it,
// PostgreSQL would not, so neither does.
func (u *unit) fail(err error) error {
	if err != nil && u.failed == nil && !errors.Is(err, sql.ErrNoRows) {
		u.failed = err
	}
	return err
}

// ready says whether a further statement may run.
func (u *unit) ready(ctx context.Context) error {
	if u.over.Load() {
		return errOver
	}
	if u.failed != nil {
		return fmt.Errorf("transaction already failed: %w", u.failed)
	}
	return ctx.Err()
}

// run calls fn with the unit in its context. aborted is called, with the unit
// over, when fn panics or ends its goroutine; both then go their way.
func (u *unit) run(ctx context.Context, db *database, fn func(context.Context) error, aborted func()) error {
	returned := false
	defer func() {
		u.over.Store(true)
		if !returned {
			aborted()
		}
	}()
	err := fn(context.WithValue(ctx, txKey{db}, u))
	returned = true
	if err == nil {
		err = u.failed
	}
	return err
}

func (db *database) unit(ctx context.Context) *unit {
	u, _ := ctx.Value(txKey{db}).(*unit)
	return u
}

func (db *database) tx(ctx context.Context, fn func(context.Context) error) error {
	if u := db.unit(ctx); u != nil {
		if u.over.Load() {
			return errOver
		}
		return fn(ctx)
	}
	var err error
	var after *afterwards
	fresh := func(ctx context.Context) error {
		after = &afterwards{} // a run that is undone takes its list along
		return fn(context.WithValue(ctx, afterKey{}, after))
	}
	for range attempts {
		if err = ctx.Err(); err != nil {
			return err
		}
		if db.writer != nil {
			err = db.writer.do(ctx, fresh)
		} else {
			err = db.single(ctx, fresh)
		}
		if !errors.Is(err, errAgain) && !mayRetry(err) {
			break
		}
		db.metrics.retries.Inc()
	}
	if err == nil && after != nil {
		after.run()
	}
	if isFull(err) {
		return fault.New(fault.Unavailable, "the server's disk is full: nothing can be changed").WithNext("free space in the data directory").WithCause(err)
	}
	return err
}

// afterKey is the context key of what waits for the outermost commit.
type afterKey struct{}

type afterwards struct{ list []func() }

func (a *afterwards) run() {
	for _, f := range a.list {
		f()
	}
}

// After runs f once the transaction of ctx has committed, in the goroutine
// that called Tx, and never when it has not; without a transaction at once.
// It is for what follows from a commit in memory: wake-ups, indexes.
func (s *Store) After(ctx context.Context, f func()) {
	if a, ok := ctx.Value(afterKey{}).(*afterwards); ok {
		a.list = append(a.list, f)
		return
	}
	f()
}
