package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// grace is how long after its end a stretch waits for reports under way.
const grace = 60

// Compaction says what one run did.
type Compaction struct {
	Devices, Blocks, Reports int
}

// RunOnce turns each full stretch of each device's tail into a block. A device
// that fails keeps its rows and is tried again by the next run; the others go
// on, and the errors come back together.
func (s *Service) RunOnce(ctx context.Context, now time.Time) (Compaction, error) {
	var total Compaction
	var errs []error
	for _, due := range s.due(now) {
		done, err := s.compact(ctx, due)
		if err != nil {
			s.again(due)
			if ctx.Err() != nil { // the others have not been tried
				continue
			}
			errs = append(errs, fmt.Errorf("compact samples of %s: %w", due.key.device, err))
			continue
		}
		if done.Reports > 0 {
			total.Devices++
		}
		total.Blocks += done.Blocks
		total.Reports += done.Reports
	}
	return total, errors.Join(append(errs, ctx.Err())...)
}

// again makes what failed due once more.
func (s *Service) again(due stretchDue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.devices[due.key]; m != nil {
		m.oldest = min(m.oldest, due.from)
	}
}

// stretchDue is a device's part of the tail that is full: from ≤ t < end.
type stretchDue struct {
	key       deviceKey
	defs      dictionary
	from, end int64
}

// due lists what is full. It takes a device's rows as gone already: a report
// that comes meanwhile notes its time anew, so none is overlooked.
func (s *Service) due(now time.Time) []stretchDue {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []stretchDue
	for key, m := range s.devices {
		end := s.cut(key, now.Unix()-grace)
		if m.oldest != 0 && m.oldest < end {
			out = append(out, stretchDue{key, m.defs, m.oldest, end})
			m.oldest = end // at the earliest
		}
	}
	return out
}

// cut is the beginning of the stretch that t lies in.
func (s *Service) cut(key deviceKey, t int64) int64 {
	phase := s.phase(key)
	return (t+phase)/s.stretch()*s.stretch() - phase
}

// moment is a decoded row.
type moment struct {
	at     int64
	values []Value
}

func (s *Service) compact(ctx context.Context, due stretchDue) (done Compaction, err error) {
	from, to := time.Unix(due.from, 0).UTC(), time.Unix(due.end-1, 0).UTC()
	old, rows, err := s.store.Stretch(ctx, due.key.tenant, due.key.device, from, to)
	if err != nil || len(rows) == 0 {
		return done, err
	}
	there := map[int64]bool{} // reports that came again after their block
	for _, stored := range old {
		b, err := s.codec.Decode(stored.Data)
		if err != nil {
			s.corrupt(due.key, err)
			continue
		}
		for _, t := range b.Times {
			there[t] = true
		}
	}
	var moments []moment
	for _, row := range rows {
		values, err := decodeRow(row.Data, due.defs)
		if err != nil { // it will not get better; the rest must go on
			s.corrupt(due.key, err)
			continue
		}
		if at := row.At.Unix(); !there[at] {
			moments = append(moments, moment{at, values})
		}
	}
	blocks, err := s.blocks(due, moments)
	if err != nil {
		return done, err
	}
	if err := s.store.Compact(ctx, due.key.tenant, due.key.device, blocks, from, to, len(rows)); err != nil {
		return done, err
	}
	s.metrics.blocks.Add(float64(len(blocks)))
	return Compaction{Blocks: len(blocks), Reports: len(moments)}, nil
}

// blocks encodes moments, which are in the order of time, one block for each
// stretch and at most as many reports as a block holds.
func (s *Service) blocks(due stretchDue, moments []moment) ([]StoredBlock, error) {
	var out []StoredBlock
	for len(moments) > 0 {
		end := s.cut(due.key, moments[0].at) + s.stretch()
		n := 1
		for n < len(moments) && n < MaxBlockReports/2 && moments[n].at < end {
			n++
		}
		b := blockOf(moments[:n], due.defs)
		data, err := s.codec.Encode(b)
		if err != nil {
			return nil, err
		}
		out = append(out, StoredBlock{First: time.Unix(b.Times[0], 0).UTC(), Last: time.Unix(b.Times[n-1], 0).UTC(), Data: data})
		moments = moments[n:]
	}
	return out, nil
}

// blockOf turns moments into columns.
func blockOf(moments []moment, defs dictionary) Block {
	b := Block{Times: make([]int64, len(moments))}
	counts := make([]int, len(defs))
	for i, m := range moments {
		b.Times[i] = m.at
		for _, v := range m.values {
			counts[v.Series]++
		}
	}
	place := make([]int, len(defs))
	for series, count := range counts {
		if count == 0 {
			continue
		}
		c := Column{Series: series, Resolution: defs[series].Resolution, Values: make([]float64, len(moments))}
		if count < len(moments) {
			c.Present = make([]bool, len(moments))
		}
		place[series] = len(b.Columns)
		b.Columns = append(b.Columns, c)
	}
	for i, m := range moments {
		for _, v := range m.values {
			c := &b.Columns[place[v.Series]]
			c.Values[i] = v.V
			if c.Present != nil {
				c.Present[i] = true
			}
		}
	}
	return b
}
