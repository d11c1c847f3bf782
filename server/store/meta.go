package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Meta reads a value that belongs to the whole installation (the server epoch,
// fingerprints of keys). ok is false when it was never set.
func (s *Store) Meta(ctx context.Context, key string) (value string, ok bool, err error) {
	err = s.queryRow(ctx, `SELECT value FROM meta WHERE key = $1`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read meta %s: %w", key, err)
	}
	return value, true, nil
}

// SetMeta sets such a value, inside Tx. The key "term" belongs to the store.
func (s *Store) SetMeta(ctx context.Context, key, value string) error {
	_, err := s.exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	if err != nil {
		return fmt.Errorf("set meta %s: %w", key, err)
	}
	return nil
}

// takeTerm writes a term higher than all before.
func (s *Store) takeTerm(ctx context.Context) error {
	err := s.Tx(ctx, func(ctx context.Context) error {
		if s.postgres { // wait for the writes of the server before this one
			if _, err := s.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, termLock); err != nil {
				return err
			}
		}
		return s.queryRow(ctx, `INSERT INTO meta (key, value) VALUES ('term', '1')
			ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS bigint) + 1 AS text)
			RETURNING CAST(value AS bigint)`).Scan(&s.term)
	})
	if err != nil {
		return fmt.Errorf("take the term: %w", err)
	}
	s.opts.Hook("term.after")
	return nil
}
