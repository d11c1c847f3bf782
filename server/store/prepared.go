package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxReadTexts is how many statements a read pool keeps prepared on each of
// its connections, at some 10 KB each.
const maxReadTexts = 200

// readers is a pool of connections that keeps statements prepared by their
// text: preparing one costs several times as much as reading a row by it.
type readers struct {
	pool *sql.DB

	// mu is held for reading while a statement starts, so that it is not closed
	// before; rows that are being read keep it open by themselves.
	mu     sync.RWMutex
	byText map[string]*sql.Stmt
	seen   map[string]bool // asked for once
}

func newReaders(pool *sql.DB) *readers {
	return &readers{pool: pool, byText: map[string]*sql.Stmt{}, seen: map[string]bool{}}
}

// QueryContext is sql.DB's.
func (r *readers) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	r.mu.RLock()
	if s := r.byText[text]; s != nil {
		defer r.mu.RUnlock()
		return s.QueryContext(ctx, args...)
	}
	r.mu.RUnlock()
	r.keep(ctx, text)
	return r.pool.QueryContext(ctx, text, args...)
}

// QueryRowContext is sql.DB's.
func (r *readers) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	r.mu.RLock()
	if s := r.byText[text]; s != nil {
		defer r.mu.RUnlock()
		return s.QueryRowContext(ctx, args...)
	}
	r.mu.RUnlock()
	r.keep(ctx, text)
	return r.pool.QueryRowContext(ctx, text, args...)
}

// keep prepares a text when it comes for the second time: many texts are made
// for one question. When there are too many all are let go of. An error shows
// when the text is run as it is.
func (r *readers) keep(ctx context.Context, text string) {
	r.mu.Lock()
	again := r.seen[text]
	if len(r.seen) >= 4*maxReadTexts {
		clear(r.seen)
	}
	r.seen[text] = true
	r.mu.Unlock()
	if !again {
		return
	}
	s, err := r.pool.PrepareContext(ctx, text)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byText[text] != nil {
		_ = s.Close() // another was quicker
		return
	}
	if len(r.byText) >= maxReadTexts {
		r.letGo()
	}
	r.byText[text] = s
}

func (r *readers) letGo() {
	for _, s := range r.byText {
		_ = s.Close() // nothing is lost with a prepared statement
	}
	clear(r.byText)
}

// Close closes the statements and the pool.
func (r *readers) Close() error {
	r.mu.Lock()
	r.letGo()
	r.mu.Unlock()
	return r.pool.Close()
}
