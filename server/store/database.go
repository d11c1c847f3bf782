package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// database is one SQLite file with its writer, or a PostgreSQL database.
type database struct {
	name    string // "steward" or "samples"
	read    *sql.DB
	reader  querier // by read, or what keeps its statements prepared
	write   *sql.DB
	writer  *writer // nil on PostgreSQL
	term    int64   // checked by each PostgreSQL transaction when not 0
	strict  bool
	hookFn  func(string)
	metrics *metrics
}

// querier reads; *sql.DB and *readers are ones.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (db *database) hook(step string) { db.hookFn(db.name + "." + step) }

// exec runs a writing statement in the transaction of ctx and returns the
// number of rows it changed.
func (db *database) exec(ctx context.Context, text string, args ...any) (int64, error) {
	u := db.unit(ctx)
	if u == nil {
		if db.strict {
			panic("store: write outside Tx: " + text)
		}
		return 0, fmt.Errorf("write outside Tx: %s", firstLine(text))
	}
	if err := u.ready(ctx); err != nil {
		return 0, err
	}
	args, err := plainArgs(args)
	if err != nil {
		return 0, u.fail(err)
	}
	res, err := u.on.ExecContext(context.WithoutCancel(ctx), text, args...)
	if err != nil {
		return 0, u.fail(fmt.Errorf("%s: %w", firstLine(text), err))
	}
	n, err := res.RowsAffected()
	return n, u.fail(err)
}

// query reads rows: in the transaction of ctx when there is one, else from the
// read pool. Prefer list, which closes and checks.
func (db *database) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	args, err := plainArgs(args)
	if err != nil {
		return nil, err
	}
	u := db.unit(ctx)
	if u == nil {
		rows, err := db.reader.QueryContext(ctx, text, args...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", firstLine(text), err)
		}
		return rows, nil
	}
	if err := u.ready(ctx); err != nil {
		return nil, err
	}
	rows, err := u.on.QueryContext(context.WithoutCancel(ctx), text, args...)
	if err != nil {
		return nil, u.fail(fmt.Errorf("%s: %w", firstLine(text), err))
	}
	return rows, nil
}

// row is one result row, or the error of getting it.
type row struct {
	r    *sql.Row
	u    *unit
	err  error
	text string
}

// Scan copies the row's columns. It returns sql.ErrNoRows when there is none.
func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	err := r.r.Scan(dest...)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = fmt.Errorf("%s: %w", firstLine(r.text), err)
	if r.u != nil {
		return r.u.fail(err)
	}
	return err
}

// queryRow reads one row, as query does.
func (db *database) queryRow(ctx context.Context, text string, args ...any) row {
	args, err := plainArgs(args)
	if err != nil {
		return row{err: err}
	}
	u := db.unit(ctx)
	if u == nil {
		return row{r: db.reader.QueryRowContext(ctx, text, args...), text: text}
	}
	if err := u.ready(ctx); err != nil {
		return row{err: err}
	}
	return row{r: u.on.QueryRowContext(context.WithoutCancel(ctx), text, args...), u: u, text: text}
}

// list reads all rows of a query through scan.
func list[T any](ctx context.Context, db *database, scan func(*sql.Rows) (T, error), text string, args ...any) (out []T, err error) {
	rows, err := db.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", firstLine(text), err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", firstLine(text), err)
	}
	return out, nil
}

// The same four on the main database, for the files of the nouns.

func (s *Store) exec(ctx context.Context, text string, args ...any) (int64, error) {
	return s.main.exec(ctx, text, args...)
}

func (s *Store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return s.main.query(ctx, text, args...)
}

func (s *Store) queryRow(ctx context.Context, text string, args ...any) row {
	return s.main.queryRow(ctx, text, args...)
}

// firstLine names a statement in an error: its beginning on one line, without
// values.
func firstLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return text
}
