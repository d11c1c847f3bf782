package telemetry

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
)

// The limits of a block. A decoder refuses what passes them before it reserves
// memory for it.
const (
	MaxBlockReports = 1024
	MaxBlockColumns = MaxDefinitions
	maxBlockCells   = 1 << 20 // reports × columns
	maxBlockBody    = 4 << 20 // bytes, uncompressed
	maxBlockTime    = 1 << 40 // seconds since 1970
)

const (
	blockMagic   = "STB"
	blockVersion = 1
)

// Bits of a column's flags; the lowest two are the order of its differences.
const (
	flagBitmap  = 1 << 2
	flagRaw     = 1 << 3
	flagUnknown = ^byte(3 | flagBitmap | flagRaw)
	maxOrder    = 2
)

// Block is a stretch of reports of one device, by columns.
type Block struct {
	Times   []int64  // seconds since 1970, rising
	Columns []Column // by rising Series
}

// Column is the values of one series, one for each of the block's times.
type Column struct {
	Series     int
	Resolution float64
	Values     []float64
	Present    []bool // false where there is no value; nil when all are there
}

// Codec encodes and decodes blocks. It is safe for concurrent use.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewCodec makes a codec; it holds the memory that compression works in.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(1<<17), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("block encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBlockBody),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("block decoder: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Close gives the memory back.
func (c *Codec) Close() error {
	c.dec.Close()
	return c.enc.Close()
}

// Encode returns the bytes of a block. Values are rounded to whole steps of
// their column's resolution; NaN, infinities and values beyond 2^50 steps are
// kept as they are.
func (c *Codec) Encode(b Block) ([]byte, error) {
	body, err := appendBody(nil, b)
	if err != nil {
		return nil, err
	}
	if len(body) > maxBlockBody {
		return nil, fmt.Errorf("encode block: %d bytes, more than %d", len(body), maxBlockBody)
	}
	out := append([]byte(blockMagic), blockVersion)
	out = binary.AppendUvarint(out, uint64(len(body)))
	return c.enc.EncodeAll(body, out), nil
}

// Decode reads the bytes of a block. Its memory is bounded by the limits above,
// whatever the bytes say.
func (c *Codec) Decode(data []byte) (Block, error) {
	r := &reader{b: data}
	if string(r.bytes(len(blockMagic))) != blockMagic {
		return Block{}, fmt.Errorf("decode block: no block: %w", errFormat)
	}
	if version := r.bytes(1); len(version) != 1 || version[0] != blockVersion {
		return Block{}, fmt.Errorf("decode block: version %v is not known: %w", version, errFormat)
	}
	size := r.count(1, maxBlockBody)
	if r.err != nil {
		return Block{}, fmt.Errorf("decode block: size: %w", r.err)
	}
	body, err := c.dec.DecodeAll(r.b, make([]byte, 0, size))
	if err != nil {
		return Block{}, fmt.Errorf("decode block: %w", err)
	}
	if len(body) != size {
		return Block{}, fmt.Errorf("decode block: %d bytes instead of %d: %w", len(body), size, errFormat)
	}
	b, err := readBody(body)
	if err != nil {
		return Block{}, fmt.Errorf("decode block: %w", err)
	}
	return b, nil
}

// check refuses a block that the format cannot hold.
func (b Block) check() error {
	if n, columns := len(b.Times), len(b.Columns); n == 0 || n > MaxBlockReports || columns > MaxBlockColumns || n*columns > maxBlockCells {
		return fmt.Errorf("encode block: %d reports of %d series, allowed are 1 to %d of %d, %d values in all",
			n, columns, MaxBlockReports, MaxBlockColumns, maxBlockCells)
	}
	for i, t := range b.Times {
		if t < 0 || t > maxBlockTime || i > 0 && t <= b.Times[i-1] {
			return fmt.Errorf("encode block: time %d at %d: times rise from 0", t, i)
		}
	}
	last := 0
	for _, c := range b.Columns {
		if c.Series <= last || c.Series > MaxDefinitions {
			return fmt.Errorf("encode block: series %d after %d: numbers rise from 1 to %d", c.Series, last, MaxDefinitions)
		}
		if !(c.Resolution > 0) || math.IsInf(c.Resolution, 0) {
			return fmt.Errorf("encode block: series %d has resolution %v", c.Series, c.Resolution)
		}
		if len(c.Values) != len(b.Times) || c.Present != nil && len(c.Present) != len(b.Times) {
			return fmt.Errorf("encode block: series %d has %d values for %d times", c.Series, len(c.Values), len(b.Times))
		}
		last = c.Series
	}
	return nil
}

func appendBody(out []byte, b Block) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	out = binary.AppendUvarint(out, uint64(len(b.Times)))
	out = binary.AppendUvarint(out, uint64(len(b.Columns)))
	var before int64
	for _, t := range b.Times {
		out = binary.AppendUvarint(out, uint64(t-before))
		before = t
	}
	series := 0
	for _, c := range b.Columns {
		out = binary.AppendUvarint(out, uint64(c.Series-series))
		series = c.Series
		out = appendColumn(out, c)
	}
	return out, nil
}

func readBody(body []byte) (Block, error) {
	r := &reader{b: body}
	reports := r.count(1, MaxBlockReports)
	columns := r.count(0, MaxBlockColumns)
	if r.err != nil || reports > len(r.b) || columns*10 > len(r.b) || reports*columns > maxBlockCells {
		return Block{}, errFormat
	}
	b := Block{Times: make([]int64, reports), Columns: make([]Column, 0, columns)}
	var at uint64
	for i := range b.Times {
		step := r.uvarint()
		at += step
		if step > maxBlockTime || at > maxBlockTime || i > 0 && step == 0 {
			return Block{}, errFormat
		}
		b.Times[i] = int64(at)
	}
	series := 0
	for range columns {
		series += r.count(1, MaxDefinitions)
		c := Column{Series: series}
		readColumn(r, &c, reports)
		if r.err != nil || series > MaxDefinitions {
			return Block{}, errFormat
		}
		b.Columns = append(b.Columns, c)
	}
	return b, r.end()
}
