package telemetry_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/klauspost/compress/zstd"
)

// A second decoder of blocks, written from docs/formats/block.md alone and
// sharing nothing with the first: slow, and plain enough to be read beside the
// page.

type naiveValue struct {
	there bool
	v     float64
}

type naiveBlock struct {
	times   []int64
	columns map[int][]naiveValue
	steps   map[int]float64 // resolution by series
}

type bytesLeft []byte

func (b *bytesLeft) take(n int) []byte {
	if n > len(*b) {
		panic(errors.New("the block ends early"))
	}
	out := (*b)[:n]
	*b = (*b)[n:]
	return out
}

// number reads a uvarint digit by digit.
func (b *bytesLeft) number() *big.Int {
	out, weight := new(big.Int), big.NewInt(1)
	for first := true; ; first = false {
		c := b.take(1)[0]
		if c == 0 && !first {
			panic(errors.New("a number is longer than it must be"))
		}
		digit := big.NewInt(int64(c % 128))
		out.Add(out, digit.Mul(digit, weight))
		weight.Mul(weight, big.NewInt(128))
		if c < 128 {
			return out
		}
	}
}

func (b *bytesLeft) int() int { return int(b.number().Int64()) }

func (b *bytesLeft) signed() int64 {
	u := b.number().Int64()
	if u%2 == 0 {
		return u / 2
	}
	return -(u + 1) / 2
}

func (b *bytesLeft) float() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b.take(8)))
}

func naiveSteps(resolution float64, n int64) float64 {
	if k := math.Round(1 / resolution); resolution < 1 && math.Abs(k*resolution-1) < 1e-9 {
		return float64(n) / k
	}
	return float64(n) * resolution
}

func naiveDecode(data []byte) (out naiveBlock, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("naive: %v", r)
		}
	}()
	b := bytesLeft(data)
	if string(b.take(4)) != "STB\x01" {
		panic(errors.New("no block of version 1"))
	}
	length := b.int()
	z, err := zstd.NewReader(nil)
	if err != nil {
		return out, err
	}
	defer z.Close()
	body, err := z.DecodeAll(b, nil)
	if err != nil {
		return out, err
	}
	if len(body) != length {
		panic(fmt.Errorf("length %d, not %d", len(body), length))
	}
	return naiveBody(body), nil
}

func naiveBody(body []byte) naiveBlock {
	b := bytesLeft(body)
	n, c := b.int(), b.int()
	out := naiveBlock{columns: map[int][]naiveValue{}, steps: map[int]float64{}}
	var at int64
	for range n {
		at += int64(b.int())
		out.times = append(out.times, at)
	}
	series := 0
	for range c {
		series += b.int()
		out.steps[series] = b.float()
		out.columns[series] = naiveColumn(&b, n, out.steps[series])
	}
	if len(b) > 0 {
		panic(errors.New("bytes follow the last column"))
	}
	return out
}

func naiveColumn(b *bytesLeft, n int, resolution float64) []naiveValue {
	values := make([]naiveValue, n)
	flags := b.take(1)[0]
	bitmap := []byte(nil)
	if flags&4 != 0 {
		bitmap = b.take((n + 7) / 8)
	}
	var there []*naiveValue
	for i := range values {
		values[i].there = bitmap == nil || bitmap[i/8]>>(i%8)&1 == 1
		if values[i].there {
			there = append(there, &values[i])
		}
	}
	raw := map[int]bool{}
	if flags&8 != 0 {
		place := 0
		for range b.int() {
			place += b.int()
			there[place].v = b.float()
			raw[place] = true
			place++
		}
	}
	var steps []int64 // as they were, whatever the order
	for i, value := range there {
		if raw[i] {
			continue
		}
		x := b.signed()
		at := func(back int) int64 {
			if len(steps) < back {
				return 0
			}
			return steps[len(steps)-back]
		}
		switch flags & 3 {
		case 1:
			x += at(1)
		case 2:
			x += at(1) + (at(1) - at(2))
		}
		steps = append(steps, x)
		value.v = naiveSteps(resolution, x)
	}
	return values
}
