package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

const (
	maxGroup     = 1000                 // units in one commit
	maxGroupTime = 5 * time.Millisecond // from the first unit to the commit
	maxPrepared  = 2000                 // statements kept on the writer's connection
)

// errClosed is returned by transactions that come after Close.
var errClosed = fault.New(fault.Unavailable, "the store is closed")

// errAborted marks a unit whose function panicked or ended its goroutine.
var errAborted = errors.New("transaction function did not return")

// request is a unit in the writer's queue. Its function runs in the goroutine
// that called Tx, while the writer waits: panics, t.FailNow and stack traces
// are then what one expects. started decides between running and abandoning.
type request struct {
	turn    chan *unit // the writer: your turn
	ran     chan error // the caller: fn ended so
	result  chan error // the writer: committed, or not
	started atomic.Bool
}

// writer is the one goroutine that writes one SQLite file. It commits whatever
// is queued together; each unit has its own savepoint.
type writer struct {
	db      *database
	conn    *sql.Conn
	stmts   prepared
	onError func(error) bool // reports whether the failed group may run again

	mu     sync.Mutex
	queue  []*request
	closed bool
	wake   chan struct{}
	ended  chan struct{}
}

func newWriter(db *database, conn *sql.Conn, onError func(error) bool) *writer {
	w := &writer{
		db: db, conn: conn, onError: onError,
		stmts: prepared{conn: conn, byText: map[string]*sql.Stmt{}},
		wake:  make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go w.loop()
	return w
}

// do queues fn and waits for its commit.
func (w *writer) do(ctx context.Context, fn func(context.Context) error) error {
	r := &request{turn: make(chan *unit, 1), ran: make(chan error, 1), result: make(chan error, 1)}
	if !w.push(r) {
		return errClosed
	}
	var u *unit
	select {
	case u = <-r.turn:
	case err := <-r.result:
		return err
	case <-ctx.Done():
		if r.started.CompareAndSwap(false, true) {
			return ctx.Err() // never started: the writer will pass over it
		}
		select {
		case u = <-r.turn:
		case err := <-r.result:
			return err
		}
	}
	r.ran <- u.run(ctx, w.db, fn, func() { r.ran <- errAborted })
	return <-r.result
}

func (w *writer) push(r *request) bool {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return false
	}
	w.queue = append(w.queue, r)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// pop returns the next request that was not abandoned, or nil.
func (w *writer) pop() (r *request, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		r = w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		if r.started.CompareAndSwap(false, true) {
			return r, w.closed
		}
	}
	w.queue = nil
	return nil, w.closed
}

func (w *writer) loop() {
	defer close(w.ended)
	for {
		r, closed := w.pop()
		switch {
		case r != nil:
			w.group(r)
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// close lets the queue drain and waits for the last commit.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.ended
	w.stmts.clear()
	return w.conn.Close()
}

// group runs the first request and what is queued behind it in one transaction.
func (w *writer) group(r *request) {
	w.db.hook("begin")
	if err := w.plain("BEGIN IMMEDIATE"); err != nil {
		r.result <- w.lost(fmt.Errorf("begin: %w", err))
		return
	}
	began := time.Now()
	var done []*request
	for n := 1; r != nil; n++ {
		ok, dead := w.one(r)
		if dead != nil { // SQLite has rolled back all of it
			_ = w.plain("ROLLBACK")
			r.result <- w.lost(dead)
			w.answer(done, errAgain)
			return
		}
		if ok {
			done = append(done, r)
		}
		if n >= maxGroup || time.Since(began) >= maxGroupTime {
			break
		}
		if r, _ = w.pop(); r == nil {
			runtime.Gosched() // those the last commit woke are about to queue
			r, _ = w.pop()
		}
	}
	w.finish(done)
}

// one runs a request in its savepoint. A request that failed by itself is
// answered at once; dead is not nil when the whole transaction is gone.
func (w *writer) one(r *request) (ok bool, dead error) {
	if err := w.plain("SAVEPOINT unit"); err != nil {
		return false, fmt.Errorf("savepoint: %w", err)
	}
	r.turn <- &unit{on: &w.stmts}
	err := <-r.ran
	w.db.hook("unit")
	if err == nil {
		if err = w.plain("RELEASE unit"); err == nil {
			return true, nil
		}
		err = fmt.Errorf("release: %w", err)
	}
	if back := w.plain("ROLLBACK TO unit"); back != nil {
		return false, errors.Join(err, back)
	}
	if back := w.plain("RELEASE unit"); back != nil {
		return false, errors.Join(err, back)
	}
	w.db.metrics.failed.Inc()
	r.result <- w.lost(err)
	return false, nil
}

// finish commits the group and answers those whose work is in it.
func (w *writer) finish(done []*request) {
	if len(done) == 0 {
		_ = w.plain("ROLLBACK")
		return
	}
	w.db.hook("before-commit")
	began := time.Now()
	if err := w.plain("COMMIT"); err != nil {
		_ = w.plain("ROLLBACK") // an error here says that SQLite already has
		w.db.metrics.failed.Add(float64(len(done)))
		w.answer(done, w.lost(fmt.Errorf("commit: %w", err)))
		return
	}
	w.db.metrics.commit(time.Since(began), len(done))
	w.db.hook("after-commit")
	w.answer(done, nil)
	w.db.hook("answered")
	if len(w.stmts.byText) > maxPrepared {
		w.stmts.clear()
	}
}

func (w *writer) answer(done []*request, err error) {
	for _, r := range done {
		r.result <- err
	}
}

// lost gives the disk-full handling its chance and turns the error into one
// that says whether to run again.
func (w *writer) lost(err error) error {
	if w.onError(err) {
		return errors.Join(errAgain, err)
	}
	return err
}

func (w *writer) plain(text string) error {
	_, err := w.stmts.ExecContext(context.Background(), text)
	return err
}

// prepared runs statements on one connection and keeps them prepared by their
// text: 5,000 updates a second become 25,000 and more. Only the goroutine
// whose turn it is uses it.
type prepared struct {
	conn   *sql.Conn
	byText map[string]*sql.Stmt
}

// stmt ignores the caller's context: interrupting a write would make SQLite
// roll back the whole group.
func (p *prepared) stmt(text string) (*sql.Stmt, error) {
	if s, ok := p.byText[text]; ok {
		return s, nil
	}
	s, err := p.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	p.byText[text] = s
	return s, nil
}

func (p *prepared) ExecContext(_ context.Context, text string, args ...any) (sql.Result, error) {
	s, err := p.stmt(text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), args...)
}

func (p *prepared) QueryContext(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.Background(), args...)
}

func (p *prepared) QueryRowContext(_ context.Context, text string, args ...any) *sql.Row {
	s, err := p.stmt(text)
	if err != nil { // the same statement again, for a Row that carries the error
		return p.conn.QueryRowContext(context.Background(), text, args...)
	}
	return s.QueryRowContext(context.Background(), args...)
}

func (p *prepared) clear() {
	for _, s := range p.byText {
		_ = s.Close() // nothing is lost with a prepared statement
	}
	clear(p.byText)
}
