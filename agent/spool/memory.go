package spool

import (
	"bytes"
	"errors"
	"slices"
	"sync"
)

// errClosed is what a closed journal answers.
var errClosed = errors.New("journal: it is closed")

// memory is a backend without a file: sorted keys, and an undo list for a
// transaction that fails.
type memory struct {
	mu      sync.RWMutex
	buckets map[string]*table
	hook    func(string)
	closed  bool
}

type table struct {
	keys   []string // sorted
	values map[string][]byte
}

func newMemory(hook func(string)) *memory {
	m := &memory{buckets: map[string]*table{}, hook: hook}
	for _, name := range buckets() {
		m.buckets[name] = &table{values: map[string][]byte{}}
	}
	return m
}

func (m *memory) view(fn func(tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return errClosed
	}
	return fn(&memoryTx{m: m})
}

func (m *memory) update(point string, fn func(tx) error) error {
	m.hook(point + ".begin")
	if err := m.commit(fn); err != nil {
		return err
	}
	m.hook(point + ".done")
	return nil
}

func (m *memory) commit(fn func(tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	t := &memoryTx{m: m}
	if err := fn(t); err != nil {
		for _, u := range slices.Backward(t.undo) {
			m.buckets[u.bucket].set(u.key, u.before)
		}
		return err
	}
	return nil
}

func (m *memory) release() bool { return false }
func (m *memory) refill() bool  { return true }

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// set puts a value, or deletes the key when it is nil.
func (b *table) set(key string, value []byte) {
	_, had := b.values[key]
	i, _ := slices.BinarySearch(b.keys, key)
	switch {
	case value == nil && had:
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.values, key)
	case value != nil:
		if !had {
			b.keys = slices.Insert(b.keys, i, key)
		}
		b.values[key] = value
	}
}

type memoryTx struct {
	m    *memory
	undo []undo
}

type undo struct {
	bucket, key string
	before      []byte
}

func (t *memoryTx) get(bucket, key string) []byte { return t.m.buckets[bucket].values[key] }

func (t *memoryTx) put(bucket, key string, value []byte) error {
	t.undo = append(t.undo, undo{bucket, key, t.get(bucket, key)})
	t.m.buckets[bucket].set(key, bytes.Clone(value))
	return nil
}

func (t *memoryTx) delete(bucket, key string) error {
	t.undo = append(t.undo, undo{bucket, key, t.get(bucket, key)})
	t.m.buckets[bucket].set(key, nil)
	return nil
}

func (t *memoryTx) each(bucket, from string, fn func(string, []byte) (bool, error)) error {
	b := t.m.buckets[bucket]
	i, _ := slices.BinarySearch(b.keys, from)
	for _, key := range b.keys[i:] {
		more, err := fn(key, b.values[key])
		if err != nil || !more {
			return err
		}
	}
	return nil
}
