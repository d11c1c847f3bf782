package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// storedReport is a report with its series as numbers, side by side.
type storedReport struct {
	IDs    []uint64  `json:"i"`
	Values []float64 `json:"v"`
}

// seriesName is what a number of a series stands for.
type seriesName struct {
	Signal     string            `json:"signal"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// seriesID is the number of a series.
type seriesID struct {
	ID uint64 `json:"id"`
}

// shedShare of the reports that wait is dropped, the oldest, when the disk is
// full: 1/shedShare.
const shedShare = 4

// AppendReport keeps the values of one moment until the server stored them. A
// second report of the same second is ignored. Reports older than
// wire.MaxSpoolAge before this one go, then the oldest above the size, and are
// counted. Values that are no finite numbers are left out. On a full disk the oldest reports make room, and when that is not
// enough this one is dropped, counted, and the error is ErrFull.
func (j *Journal) AppendReport(r Report) error {
	err := fmt.Errorf("journal: report of %s: %w: what is left is kept for job events", r.At.UTC().Format(time.RFC3339), ErrFull)
	if j.b.refill() {
		err = j.appendReport(r)
		if errors.Is(err, ErrFull) && j.shedReports() == nil {
			err = j.appendReport(r)
		}
	}
	if errors.Is(err, ErrFull) {
		j.lost.Add(1)
	}
	return err
}

func (j *Journal) appendReport(r Report) error {
	lost := j.lost.Load()
	c, err := j.try("report", func(c *change) error {
		key := secondKey(r.At)
		if c.get(bucketReports, key) != nil {
			return nil
		}
		s := storedReport{IDs: make([]uint64, 0, len(r.Values)), Values: make([]float64, 0, len(r.Values))}
		for _, v := range r.Values {
			if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
				continue // no measurement, and JSON has no form for it
			}
			id, err := c.series(v)
			if err != nil {
				return err
			}
			s.IDs, s.Values = append(s.IDs, id), append(s.Values, v.Value)
		}
		raw, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("journal: encode a report: %w", err)
		}
		if err := c.put(bucketReports, key, raw); err != nil {
			return err
		}
		c.meta.ReportBytes += len(key) + len(raw)
		c.meta.ReportsDropped += lost
		c.reports = true
		return c.trim(secondKey(r.At.Add(-wire.MaxSpoolAge)), j.o.MaxReportBytes)
	})
	if err != nil {
		return err
	}
	j.lost.Add(-lost) // they are in the stored count now
	j.wake(c)
	return nil
}

// series returns the number of a value's series, a new one when it is new.
func (c *change) series(v Value) (uint64, error) {
	key := wire.SeriesKey(v.Signal, v.Attributes)
	known, ok, err := read[seriesID](c, bucketSeriesIDs, key)
	if err != nil || ok {
		return known.ID, err
	}
	c.meta.NextSeries++
	id := c.meta.NextSeries
	if err := write(c, bucketSeriesIDs, key, seriesID{id}); err != nil {
		return 0, err
	}
	return id, write(c, bucketSeries, numberKey(id), seriesName{v.Signal, v.Attributes})
}

// trim drops reports older than a key, then the oldest above a size.
func (c *change) trim(oldest string, size int) error {
	left := c.meta.ReportBytes
	return c.dropReports(true, func(key string, bytes int) bool {
		drop := key < oldest || left > size
		if drop {
			left -= bytes
		}
		return drop
	})
}

// dropReports drops reports from the oldest on while the test says so.
func (c *change) dropReports(count bool, while func(key string, bytes int) bool) error {
	var gone []string
	err := c.each(bucketReports, "", func(key string, raw []byte) (bool, error) {
		bytes := len(key) + len(raw)
		if !while(key, bytes) {
			return false, nil
		}
		gone = append(gone, key)
		c.meta.ReportBytes -= bytes
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, key := range gone {
		if err := c.delete(bucketReports, key); err != nil {
			return err
		}
	}
	if count {
		c.meta.ReportsDropped += uint64(len(gone))
	}
	if len(gone) > 0 && c.meta.ReportBytes == 0 {
		return c.forgetSeries()
	}
	return nil
}

// forgetSeries drops the numbers of series when no report uses them and there
// are more than a device may have at once.
func (c *change) forgetSeries() error {
	if c.meta.NextSeries <= wire.MaxSeries {
		return nil
	}
	for _, bucket := range []string{bucketSeries, bucketSeriesIDs} {
		var keys []string
		err := c.each(bucket, "", func(key string, _ []byte) (bool, error) {
			keys = append(keys, key)
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := c.delete(bucket, key); err != nil {
				return err
			}
		}
	}
	c.meta.NextSeries = 0
	return nil
}

// shedReports drops the oldest share of the reports to make room in the file.
func (j *Journal) shedReports() error {
	_, err := j.try("shed", func(c *change) error {
		goal := c.meta.ReportBytes - c.meta.ReportBytes/shedShare
		return c.dropReports(true, func(string, int) bool { return c.meta.ReportBytes > goal })
	})
	return err
}

// Reports returns at most limit reports after a time, the oldest first; the
// zero time means from the first on.
func (j *Journal) Reports(after time.Time, limit int) (reports []Report, err error) {
	from := ""
	if !after.IsZero() {
		from = secondKey(after.Truncate(time.Second).Add(time.Second))
	}
	err = j.b.view(func(t tx) error {
		names := map[uint64]seriesName{}
		return scan(t, bucketReports, from, func(key string, s storedReport) (bool, error) {
			if len(reports) == limit {
				return false, nil
			}
			r, err := restore(t, key, s, names)
			reports = append(reports, r)
			return len(reports) < limit, err
		})
	})
	return reports, err
}

func restore(t tx, key string, s storedReport, names map[uint64]seriesName) (Report, error) {
	r := Report{At: fromSecondKey(key), Values: make([]Value, 0, len(s.IDs))}
	if len(s.IDs) != len(s.Values) {
		return r, fmt.Errorf("journal: %w: a report is not whole", ErrCorrupt)
	}
	for i, id := range s.IDs {
		n, known := names[id]
		if !known {
			var err error
			n, known, err = read[seriesName](t, bucketSeries, numberKey(id))
			if err != nil || !known {
				return r, errors.Join(err, fmt.Errorf("journal: %w: series %d has no name", ErrCorrupt, id))
			}
			names[id] = n
		}
		r.Values = append(r.Values, Value{n.Signal, n.Attributes, s.Values[i]})
	}
	return r, nil
}

// StoredThrough drops the reports up to a time: the server has them.
func (j *Journal) StoredThrough(through time.Time) error {
	last := secondKey(through)
	var first string
	err := j.b.view(func(t tx) error {
		return t.each(bucketReports, "", func(key string, _ []byte) (bool, error) {
			first = key
			return false, nil
		})
	})
	if err != nil || first == "" || first > last {
		return err
	}
	return j.update("stored", func(c *change) error {
		return c.dropReports(false, func(key string, _ int) bool { return key <= last })
	})
}

// ReportsDropped returns how many reports were lost to age, size or a full
// disk since the journal was made.
func (j *Journal) ReportsDropped() (uint64, error) {
	m, err := j.head()
	return m.ReportsDropped + j.lost.Load(), err
}
