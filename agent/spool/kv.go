package spool

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// The buckets of a journal.
const (
	bucketMeta      = "meta"      // metaKey → meta
	bucketEvents    = "events"    // seq → Event
	bucketSections  = "sections"  // section → picture
	bucketConfirmed = "confirmed" // section → confirmation
	bucketLeases    = "leases"    // Key → Lease, while held or started
	bucketJobs      = "jobs"      // Key → record, while held or started
	bucketSpent     = "spent"     // Key → spent, 60 days after its end
	bucketReports   = "reports"   // second → storedReport
	bucketSeries    = "series"    // number → seriesName
	bucketSeriesIDs = "seriesids" // wire.SeriesKey → seriesID
	bucketInstalled = "installed" // source, zero byte, package → versions
	bucketReboots   = "reboots"   // second → reboot
)

// buckets lists all of them.
func buckets() []string {
	return []string{
		bucketMeta, bucketEvents, bucketSections, bucketConfirmed, bucketLeases, bucketJobs,
		bucketSpent, bucketReports, bucketSeries, bucketSeriesIDs, bucketInstalled, bucketReboots,
	}
}

// tx is one transaction over buckets of keys and values, keys in byte order.
// Values are valid until the transaction ends; each must not see changes of
// its own bucket.
type tx interface {
	get(bucket, key string) []byte
	put(bucket, key string, value []byte) error
	delete(bucket, key string) error
	each(bucket, from string, fn func(key string, value []byte) (more bool, err error)) error
}

// backend keeps the buckets. An error of fn, or of keeping, changes nothing.
type backend interface {
	view(fn func(tx) error) error
	update(point string, fn func(tx) error) error
	release() bool // gives the reserve of space free; false when there was none
	refill() bool  // tries to have the reserve again; true when it is there
	close() error
}

// read decodes the value of a key; ok is false when there is none.
func read[T any](t tx, bucket, key string) (value T, ok bool, err error) {
	raw := t.get(bucket, key)
	if raw == nil {
		return value, false, nil
	}
	value, err = decode[T](bucket, raw)
	return value, err == nil, err
}

// write encodes and puts a value.
func write[T any](t tx, bucket, key string, value T) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("journal: encode a value of %s: %w", bucket, err)
	}
	return t.put(bucket, key, raw)
}

// decode reads one stored value.
func decode[T any](bucket string, raw []byte) (value T, err error) {
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, fmt.Errorf("journal: %w: a value of %s: %w", ErrCorrupt, bucket, err)
	}
	return value, nil
}

// scan calls fn for each value of a bucket, decoded, from a key on.
func scan[T any](t tx, bucket, from string, fn func(key string, value T) (more bool, err error)) error {
	return t.each(bucket, from, func(key string, raw []byte) (bool, error) {
		value, err := decode[T](bucket, raw)
		if err != nil {
			return false, err
		}
		return fn(key, value)
	})
}

// checkValue says whether a stored key and value are what this package writes.
// Buckets that it does not know belong to a newer agent.
func checkValue(bucket, key string, raw []byte) error {
	var err error
	switch bucket {
	case bucketMeta:
		_, err = decode[meta](bucket, raw)
	case bucketEvents:
		err = checkEvent(key, raw)
	case bucketSections:
		_, err = decode[picture](bucket, raw)
	case bucketConfirmed:
		_, err = decode[confirmation](bucket, raw)
	case bucketLeases:
		_, err = decode[Lease](bucket, raw)
	case bucketJobs:
		_, err = decode[record](bucket, raw)
	case bucketSpent:
		_, err = decode[spent](bucket, raw)
	case bucketReports:
		err = checkReport(key, raw)
	case bucketSeries:
		_, err = decode[seriesName](bucket, raw)
	case bucketSeriesIDs:
		_, err = decode[seriesID](bucket, raw)
	case bucketInstalled:
		_, err = decode[versions](bucket, raw)
	case bucketReboots:
		_, err = decode[reboot](bucket, raw)
	}
	return err
}

func checkEvent(key string, raw []byte) error {
	e, err := decode[Event](bucketEvents, raw)
	if err != nil {
		return err
	}
	if len(key) != 8 || e.Seq != fromKey(key) || (e.Job == nil) == (e.Inventory == nil) {
		return fmt.Errorf("journal: %w: event %d is not whole", ErrCorrupt, e.Seq)
	}
	return nil
}

func checkReport(key string, raw []byte) error {
	r, err := decode[storedReport](bucketReports, raw)
	if err != nil {
		return err
	}
	if len(key) != 8 || len(r.IDs) != len(r.Values) {
		return fmt.Errorf("journal: %w: a report is not whole", ErrCorrupt)
	}
	return nil
}

// numberKey is a key whose byte order is the order of numbers.
func numberKey(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}

func fromKey(key string) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(key))
}

// secondKey is a key whose byte order is the order of times, in whole seconds.
func secondKey(t time.Time) string { return numberKey(uint64(t.Unix()) ^ 1<<63) }

func fromSecondKey(key string) time.Time {
	return time.Unix(int64(fromKey(key)^1<<63), 0).UTC()
}
