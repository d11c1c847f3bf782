package session

import (
	"context"
	"slices"
	"sync"

	"github.com/steward-rmm/steward/server/ident"
)

// queue lets a bounded number of transactions wait for the database, and one
// tenant have at most a quarter of the places when others wait.
type queue struct {
	size int

	mu      sync.Mutex
	used    int
	by      map[ident.TenantID]int
	waiting []*waiter
}

type waiter struct {
	tenant ident.TenantID
	ready  chan struct{}
}

func newQueue(size int) *queue { return &queue{size: size, by: map[ident.TenantID]int{}} }

func (q *queue) share() int { return max(1, q.size/4) }

// enter waits for a place; leave gives it back.
func (q *queue) enter(ctx context.Context, tenant ident.TenantID) (leave func(), err error) {
	q.mu.Lock()
	if q.used < q.size && (len(q.waiting) == 0 || q.by[tenant] < q.share()) {
		q.grant(tenant)
		q.mu.Unlock()
		return func() { q.leave(tenant) }, nil
	}
	w := &waiter{tenant, make(chan struct{})}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()
	select {
	case <-w.ready:
		return func() { q.leave(tenant) }, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 {
		q.leave(tenant) // granted at the same moment
	}
	return nil, ctx.Err()
}

// grant counts a place as taken. The caller holds mu.
func (q *queue) grant(tenant ident.TenantID) {
	q.used++
	q.by[tenant]++
}

func (q *queue) leave(tenant ident.TenantID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used--
	if q.by[tenant]--; q.by[tenant] == 0 {
		delete(q.by, tenant)
	}
	for q.used < q.size && len(q.waiting) > 0 {
		// The first whose tenant has less than its share; when there is none
		// nobody is wronged by the first of all.
		i := max(0, slices.IndexFunc(q.waiting, func(w *waiter) bool { return q.by[w.tenant] < q.share() }))
		w := q.waiting[i]
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.grant(w.tenant)
		close(w.ready)
	}
}
