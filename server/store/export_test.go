package store

import (
	"context"
	"database/sql"
)

// What the tests of the engine need of its inside. They are in package
// store_test, since storetest imports store.

func (s *Store) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return s.exec(ctx, text, args...)
}

func (s *Store) QueryRow(ctx context.Context, text string, args ...any) row {
	return s.queryRow(ctx, text, args...)
}

func (s *Store) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return s.query(ctx, text, args...)
}

func (s *Store) ExecSamples(ctx context.Context, text string, args ...any) error {
	return s.samples.tx(ctx, func(ctx context.Context) error {
		_, err := s.samples.exec(ctx, text, args...)
		return err
	})
}

func Strings(ctx context.Context, s *Store, text string, args ...any) ([]string, error) {
	return list(ctx, s.main, func(r *sql.Rows) (v string, err error) { return v, r.Scan(&v) }, text, args...)
}

// Plain runs a statement on the writing connections, outside any transaction.
func (s *Store) Plain(ctx context.Context, text string) error {
	if s.postgres {
		_, err := s.main.write.ExecContext(ctx, text)
		return err
	}
	_, err := s.main.writer.conn.ExecContext(ctx, text)
	return err
}

func (s *Store) Postgres() bool { return s.postgres }

var (
	IsUnique     = isUnique
	IsForeignKey = isForeignKey
	InList       = inList[string]
	AsTime       = asTime
	AsJSON       = asJSON
	MS           = ms
)
