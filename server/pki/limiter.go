package pki

import (
	"slices"
	"sync"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// buckets is a token bucket per key, in memory: a restart forgives, the
// database is not written for what is refused.
type buckets struct {
	mu   sync.Mutex
	most int
	by   map[string]bucket
}

type bucket struct {
	left float64
	rate int // a minute; also the size
	at   time.Time
}

func newBuckets(most int) *buckets { return &buckets{most: most, by: make(map[string]bucket)} }

// take takes one of perMinute and returns 0, or how long to wait.
func (b *buckets) take(key string, perMinute int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.by[key]
	if !ok {
		b.makeRoom(now)
		k = bucket{left: float64(perMinute), at: now}
	}
	k.rate = perMinute
	k.left = k.filled(now)
	k.at = now
	if k.left < 1 {
		b.by[key] = k
		return time.Duration((1 - k.left) / float64(perMinute) * float64(time.Minute))
	}
	k.left--
	b.by[key] = k
	return 0
}

func (k bucket) filled(now time.Time) float64 {
	// A clock that was set back gives nothing and takes nothing.
	gained := max(0, now.Sub(k.at).Minutes()) * float64(k.rate)
	return min(float64(k.rate), k.left+gained)
}

// makeRoom drops full buckets, which mean nothing, and if there are none any
// one: a flood of addresses must not grow the memory.
func (b *buckets) makeRoom(now time.Time) {
	if len(b.by) < b.most {
		return
	}
	for key, k := range b.by {
		if k.filled(now) >= float64(k.rate) {
			delete(b.by, key)
		}
	}
	for key := range b.by {
		if len(b.by) < b.most {
			return
		}
		delete(b.by, key)
	}
}

// failureLog remembers the last failed attempts of known tokens.
type failureLog struct {
	mu   sync.Mutex
	most int
	by   map[[32]byte][]time.Time
}

func newFailureLog(most int) *failureLog {
	return &failureLog{most: most, by: make(map[[32]byte][]time.Time)}
}

func (l *failureLog) of(token [32]byte) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.by[token])
}

func (l *failureLog) add(token [32]byte, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.by[token]; !ok && len(l.by) >= l.most {
		for t, times := range l.by {
			if len(recentFailures(now, times)) == 0 || len(l.by) >= l.most {
				delete(l.by, t)
			}
		}
	}
	times := append(l.by[token], now)
	l.by[token] = times[max(0, len(times)-wire.MaxTokenFailures):]
}
