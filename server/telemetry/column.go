package telemetry

import (
	"encoding/binary"
	"math"
)

// rawValue is a value that has no whole number of steps.
type rawValue struct {
	index int // among the column's present values
	v     float64
}

// appendColumn writes everything of a column but its series.
func appendColumn(out []byte, c Column) []byte {
	numbers, raws, absent := split(c)
	order, values := shortest(numbers)
	flags := byte(order)
	if absent {
		flags |= flagBitmap
	}
	if len(raws) > 0 {
		flags |= flagRaw
	}
	out = appendFloat(out, c.Resolution)
	out = append(out, flags)
	if absent {
		bitmap := make([]byte, (len(c.Values)+7)/8)
		for i, there := range c.Present {
			if there {
				bitmap[i/8] |= 1 << (i % 8)
			}
		}
		out = append(out, bitmap...)
	}
	if len(raws) > 0 {
		out = binary.AppendUvarint(out, uint64(len(raws)))
		next := 0
		for _, raw := range raws {
			out = binary.AppendUvarint(out, uint64(raw.index-next))
			out = appendFloat(out, raw.v)
			next = raw.index + 1
		}
	}
	return append(out, values...)
}

// split turns the present values into whole steps and those that have none.
func split(c Column) (numbers []int64, raws []rawValue, absent bool) {
	s := newScale(c.Resolution)
	numbers = make([]int64, 0, len(c.Values))
	present := 0
	for i, v := range c.Values {
		if c.Present != nil && !c.Present[i] {
			absent = true
			continue
		}
		if n, ok := s.steps(v); ok {
			numbers = append(numbers, n)
		} else {
			raws = append(raws, rawValue{present, v})
		}
		present++
	}
	return numbers, raws, absent
}

// shortest writes the numbers as they are, as differences, and as differences
// of differences, and returns the shortest writing.
func shortest(numbers []int64) (order int, best []byte) {
	for try := 0; try <= maxOrder; try++ {
		var out []byte
		var before, slope int64
		for _, n := range numbers {
			d := n
			switch try {
			case 1:
				d = n - before
			case 2:
				d = n - before - slope
			}
			slope, before = n-before, n
			out = binary.AppendUvarint(out, zigzag(d))
		}
		if try == 0 || len(out) < len(best) {
			order, best = try, out
		}
	}
	return order, best
}

// readColumn reads what appendColumn wrote, for n reports.
func readColumn(r *reader, c *Column, n int) {
	c.Resolution = r.float()
	flags := r.bytes(1)
	if r.err != nil || !(c.Resolution > 0) || math.IsInf(c.Resolution, 0) || flags[0]&flagUnknown != 0 || flags[0]&3 > maxOrder {
		r.fail()
		return
	}
	present := n
	if flags[0]&flagBitmap != 0 {
		present = readBitmap(r, c, n)
	}
	raws := []rawValue(nil)
	if flags[0]&flagRaw != 0 {
		raws = readRaws(r, present)
	}
	if r.err != nil || present-len(raws) > len(r.b) { // a number takes a byte
		r.fail()
		return
	}
	readValues(r, c, n, int(flags[0]&3), raws)
}

// readBitmap reads which values are there and returns how many.
func readBitmap(r *reader, c *Column, n int) (present int) {
	bitmap := r.bytes((n + 7) / 8)
	if r.err != nil {
		return 0
	}
	c.Present = make([]bool, n)
	for i := range c.Present {
		if bitmap[i/8]&(1<<(i%8)) != 0 {
			c.Present[i] = true
			present++
		}
	}
	if tail := n % 8; present == n || tail != 0 && bitmap[n/8]>>tail != 0 {
		r.fail() // all there needs no bitmap; unused bits are 0
	}
	return present
}

func readRaws(r *reader, present int) []rawValue {
	count := r.count(1, uint64(present))
	if r.err != nil || count*9 > len(r.b) {
		r.fail()
		return nil
	}
	raws := make([]rawValue, count)
	next := 0
	for i := range raws {
		raws[i] = rawValue{index: next + r.count(0, uint64(present)), v: r.float()}
		next = raws[i].index + 1
		if next > present {
			r.fail()
			return nil
		}
	}
	return raws
}

func readValues(r *reader, c *Column, n, order int, raws []rawValue) {
	s := newScale(c.Resolution)
	c.Values = make([]float64, n)
	var before, slope int64
	seen := 0 // present values so far
	for i := range c.Values {
		if c.Present != nil && !c.Present[i] {
			continue
		}
		if len(raws) > 0 && raws[0].index == seen {
			c.Values[i], raws = raws[0].v, raws[1:]
			seen++
			continue
		}
		seen++
		d := unzigzag(r.uvarint())
		switch order {
		case 1:
			d += before
		case 2:
			d += before + slope
		}
		if r.err != nil || d > maxSteps || d < -maxSteps {
			r.fail()
			return
		}
		slope, before = d-before, d
		c.Values[i] = s.value(d)
	}
}
