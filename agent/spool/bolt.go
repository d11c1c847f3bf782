package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// bolt is the backend in a file.
type bolt struct {
	db      *bbolt.DB
	hook    func(string)
	reserve string // path of the file that keeps room for job events
	size    int64  // of the reserve
	fault   func() error
}

// openBolt opens or makes the file and looks at every value in it. An error
// with ErrCorrupt in its chain means that the file should be set aside.
func openBolt(path string, o Options) (b *bolt, err error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, err := openDB(path, bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growStep
	b = &bolt{db: db, hook: o.Hook, reserve: filepath.Join(filepath.Dir(path), reserveName), size: o.ReserveBytes}
	if err := guarded(b.check); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	o.Hook("open.opened")
	if err := guarded(b.makeBuckets); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: make its buckets: %w", path, classify(err)), db.Close())
	}
	o.Hook("open.buckets")
	b.refill()
	return b, nil
}

// inspect walks the pages of a file that is there, while no other process can
// write it: reading alone keeps bbolt from following anything but the head.
func inspect(path string) error {
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	db, err := openDB(path, bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(checkPages(path), db.Close())
}

// openDB opens the file and puts into words why it cannot.
func openDB(path string, o bbolt.Options) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("journal %s: %w: stop it first", path, ErrInUse)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("journal %s: %w: %w", path, ErrCorrupt, err)
	}
	return nil, fmt.Errorf("journal %s: open: %w", path, err)
}

const (
	lockWait    = 2 * time.Second
	growStep    = 1 << 20 // bytes
	reserveName = "journal.reserve"
)

// guarded turns a panic of bbolt over a damaged page, or a fault of reading
// behind the end of a cut file, into ErrCorrupt.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("journal: %w: %v", ErrCorrupt, r)
		}
	}()
	return fn()
}

// makeBuckets adds the buckets that are missing.
func (b *bolt) makeBuckets() error {
	whole := true
	err := b.db.View(func(t *bbolt.Tx) error {
		for _, name := range buckets() {
			whole = whole && t.Bucket([]byte(name)) != nil
		}
		return nil
	})
	if err != nil || whole {
		return err
	}
	return b.db.Update(func(t *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := t.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// check decodes every value, unless a newer agent wrote them.
func (b *bolt) check() error {
	return b.db.View(func(t *bbolt.Tx) error {
		if head := t.Bucket([]byte(bucketMeta)); head != nil {
			if raw := head.Get([]byte(metaKey)); raw != nil {
				m, err := decode[meta](bucketMeta, raw)
				if err == nil && m.Format > format {
					err = fmt.Errorf("journal: written by a newer agent (format %d, this one knows %d): run the newer agent", m.Format, format)
				}
				if err != nil {
					return err
				}
			}
		}
		return t.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				return checkValue(string(name), string(k), v)
			})
		})
	})
}

func (b *bolt) update(point string, fn func(tx) error) error {
	b.hook(point + ".begin")
	err := guarded(func() error {
		if b.fault != nil {
			if err := b.fault(); err != nil {
				return err
			}
		}
		return b.db.Update(func(t *bbolt.Tx) error { return fn(boltTx{t}) })
	})
	if err != nil {
		return classify(err)
	}
	b.hook(point + ".done")
	return nil
}

func (b *bolt) view(fn func(tx) error) error {
	return guarded(func() error {
		return b.db.View(func(t *bbolt.Tx) error { return fn(boltTx{t}) })
	})
}

// classify puts ErrFull in the chain of an error that says so.
func classify(err error) error {
	if isFull(err) && !errors.Is(err, ErrFull) {
		return fmt.Errorf("journal: %w: make room on the volume of the agent's data: %w", ErrFull, err)
	}
	return err
}

func (b *bolt) close() error { return b.db.Close() }

// release removes the reserve file, so that its space is free for job events.
func (b *bolt) release() bool { return os.Remove(b.reserve) == nil }

// refill makes the reserve file again. It is filled with bytes that are not
// zero, since a file system may give no space to zeros.
func (b *bolt) refill() bool {
	if info, err := os.Stat(b.reserve); err == nil && info.Size() >= b.size {
		return true
	}
	if b.fault != nil && b.fault() != nil {
		return false
	}
	fill := make([]byte, b.size)
	for i := range fill {
		fill[i] = byte(i*2654435761>>13) | 1
	}
	if err := os.WriteFile(b.reserve, fill, 0o600); err != nil {
		_ = os.Remove(b.reserve) // half a reserve would only take the room that is missing
		return false
	}
	b.hook("reserve.made")
	return true
}

type boltTx struct{ t *bbolt.Tx }

func (t boltTx) get(bucket, key string) []byte {
	return t.t.Bucket([]byte(bucket)).Get([]byte(key))
}

func (t boltTx) put(bucket, key string, value []byte) error {
	return t.t.Bucket([]byte(bucket)).Put([]byte(key), value)
}

func (t boltTx) delete(bucket, key string) error {
	return t.t.Bucket([]byte(bucket)).Delete([]byte(key))
}

func (t boltTx) each(bucket, from string, fn func(string, []byte) (bool, error)) error {
	c := t.t.Bucket([]byte(bucket)).Cursor()
	for k, v := c.Seek([]byte(from)); k != nil; k, v = c.Next() {
		more, err := fn(string(k), v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
