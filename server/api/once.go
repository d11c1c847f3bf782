package api

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxKeys           = 2000
	maxKey            = 200     // bytes of a key
	maxKept           = 1 << 20 // bytes of an answer that is kept
	maxKeptAll        = 32 << 20
)

// idempotency remembers the answers of requests that made something, by who
// asked and by key: the latest of them, in memory. After a restart a key is
// new; the nouns' own uniqueness is what protects then.
type idempotency struct {
	mu      sync.Mutex
	limit   int
	bytes   int        // of the answers that are kept
	order   *list.List // of *kept, the latest used first
	entries map[[32]byte]*list.Element
}

type kept struct {
	key     [32]byte
	request [32]byte // hash of the body
	done    bool
	status  int
	header  http.Header
	body    []byte
}

func newIdempotency(limit int) *idempotency {
	return &idempotency{limit: limit, order: list.New(), entries: map[[32]byte]*list.Element{}}
}

// begin returns what was kept for the key, or notes that it is under way.
func (i *idempotency) begin(key, request [32]byte) (k kept, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if e, ok := i.entries[key]; ok {
		i.order.MoveToFront(e)
		return *e.Value.(*kept), true
	}
	i.entries[key] = i.order.PushFront(&kept{key: key, request: request})
	for i.order.Len() > i.limit {
		i.drop(i.order.Back())
	}
	return kept{}, false
}

// drop forgets an entry. The caller holds mu.
func (i *idempotency) drop(e *list.Element) {
	k := e.Value.(*kept)
	i.order.Remove(e)
	delete(i.entries, k.key)
	i.bytes -= len(k.body)
}

// finish keeps an answer; a failure of the server's own is forgotten, so that
// the request may be sent again.
func (i *idempotency) finish(key [32]byte, answer *recorder) {
	i.mu.Lock()
	defer i.mu.Unlock()
	e, ok := i.entries[key]
	if !ok {
		return
	}
	if answer == nil || answer.status >= 500 || answer.body.Len() > maxKept {
		i.drop(e)
		return
	}
	k := e.Value.(*kept)
	k.done, k.status, k.header, k.body = true, answer.status, answer.header.Clone(), bytes.Clone(answer.body.Bytes())
	for i.bytes += len(k.body); i.bytes > maxKeptAll && i.order.Len() > 1; {
		i.drop(i.order.Back())
	}
}

// once is the middleware of routes that make something.
func (a *api) once(ctx huma.Context, next func(huma.Context)) {
	name := ctx.Header(idempotencyHeader)
	if name == "" {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	c, _ := ctx.Context().Value(callerKey{}).(*caller)
	body, err := io.ReadAll(io.LimitReader(r.Body, ctx.Operation().MaxBodyBytes+1))
	if err != nil || len(name) > maxKey || c == nil {
		writeProblem(w, newProblem(http.StatusBadRequest, "the idempotency key or the body cannot be read"))
		return
	}
	key := sha256.Sum256([]byte(string(c.Actor.Kind) + "\x00" + c.Actor.ID + "\x00" + r.Method + "\x00" + r.URL.String() + "\x00" + name))
	request := sha256.Sum256(body)
	k, known := a.keys.begin(key, request)
	switch {
	case known && k.request != request:
		writeProblem(w, newProblem(http.StatusUnprocessableEntity, "this idempotency key was used for another request"))
		return
	case known && !k.done:
		writeProblem(w, newProblem(http.StatusConflict, "a request with this idempotency key is under way"))
		return
	case known:
		k.replay(w)
		return
	}
	var answer *recorder
	defer func() { a.keys.finish(key, answer) }()
	again := r.WithContext(ctx.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	rec := &recorder{header: w.Header().Clone(), status: http.StatusOK}
	next(humago.NewContext(ctx.Operation(), again, rec))
	answer = rec
	kept{status: rec.status, header: rec.header, body: rec.body.Bytes()}.replay(w)
}

func (k kept) replay(w http.ResponseWriter) {
	for name, values := range k.header {
		w.Header()[name] = values
	}
	w.WriteHeader(k.status)
	_, _ = w.Write(k.body) // the caller may be gone
}

// recorder holds an answer back until it is whole.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the answer's header.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write adds to the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
