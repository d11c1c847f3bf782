package telemetry_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/telemetry"
)

var update = flag.Bool("update", false, "write the golden blocks anew")

func codec(t testing.TB) *telemetry.Codec {
	t.Helper()
	c, err := telemetry.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// goldenBlocks are the blocks in testdata.
func goldenBlocks() map[string]telemetry.Block {
	minutes := func(n int) (out []int64) {
		for i := range n {
			out = append(out, 1_780_000_000+60*int64(i))
		}
		return out
	}
	some := func(n int) []bool {
		out := make([]bool, n)
		for i := range out {
			out[i] = i%3 != 1
		}
		return out
	}
	return map[string]telemetry.Block{
		"one-report": {Times: []int64{0}, Columns: []telemetry.Column{{Series: 1, Resolution: 1, Values: []float64{-7}}}},
		"no-column":  {Times: []int64{1 << 40}},
		"special": {Times: minutes(9), Columns: []telemetry.Column{
			{Series: 2, Resolution: 0.001, Values: []float64{0.3, math.NaN(), 0.301, math.Inf(1), math.Inf(-1), 1e300, 0, -0.001, 0.5}},
			{Series: 700, Resolution: 1 << 20, Values: make([]float64, 9), Present: some(9)},
			{Series: 4000, Resolution: 0.25, Values: []float64{1, 0, math.NaN(), 4, 0, 6, 7.25, 0, math.NaN()}, Present: some(9)},
		}},
		"day": dayOf(minutes(1000)),
	}
}

// dayOf has a column for each order: noise, a walk and a counter.
func dayOf(times []int64) telemetry.Block {
	b := telemetry.Block{Times: times}
	noise, walk, counter := make([]float64, len(times)), make([]float64, len(times)), make([]float64, len(times))
	x := uint32(1)
	for i := range times {
		x = x*1664525 + 1013904223
		noise[i] = float64(x>>24) / 1000
		walk[i] = 5_000_000
		if i > 0 {
			walk[i] = walk[i-1] + float64(int(x>>28)-8)
		}
		counter[i] = float64(1_000_000_000 + 60*i)
	}
	b.Columns = []telemetry.Column{{Series: 1, Resolution: 0.001, Values: noise},
		{Series: 2, Resolution: 1, Values: walk}, {Series: 3, Resolution: 1, Values: counter}}
	return b
}

func TestGoldenBlocksAreReadByBothDecoders(t *testing.T) {
	c := codec(t)
	for name, b := range goldenBlocks() {
		path := filepath.Join("testdata", name+".block")
		if *update {
			data, err := c.Encode(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sameBlock(t, b, got)
		sameNaive(t, got, data)
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sameBlock holds got to be b within half a step, exact where there is no step,
// and absent exactly where b is.
func sameBlock(t failer, b, got telemetry.Block) {
	t.Helper()
	if len(got.Times) != len(b.Times) || len(got.Columns) != len(b.Columns) {
		t.Fatalf("%d reports of %d columns, want %d of %d", len(got.Times), len(got.Columns), len(b.Times), len(b.Columns))
	}
	for i := range b.Times {
		if got.Times[i] != b.Times[i] {
			t.Fatalf("time %d = %d, want %d", i, got.Times[i], b.Times[i])
		}
	}
	for i, c := range b.Columns {
		g := got.Columns[i]
		if g.Series != c.Series || g.Resolution != c.Resolution {
			t.Fatalf("column %d is %d by %v, want %d by %v", i, g.Series, g.Resolution, c.Series, c.Resolution)
		}
		for j, v := range c.Values {
			there := c.Present == nil || c.Present[j]
			if (g.Present == nil || g.Present[j]) != there {
				t.Fatalf("series %d at %d: there = %v, want %v", c.Series, j, !there, there)
			}
			if there && !near(v, g.Values[j], c.Resolution) {
				t.Fatalf("series %d at %d = %v, want %v", c.Series, j, g.Values[j], v)
			}
		}
	}
}

func near(want, got, resolution float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) || math.Abs(want/resolution) > 1<<50 {
		return math.Float64bits(want) == math.Float64bits(got)
	}
	return math.Abs(want-got) <= resolution/2+math.Abs(want)*1e-15
}

// sameNaive holds the second decoder to the first's result, bit by bit.
func sameNaive(t failer, b telemetry.Block, data []byte) {
	t.Helper()
	n, err := naiveDecode(data)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(n.times) != len(b.Times) || len(n.columns) != len(b.Columns) {
		t.Fatalf("naive: %d reports of %d columns, not %d of %d", len(n.times), len(n.columns), len(b.Times), len(b.Columns))
	}
	for i, at := range b.Times {
		if n.times[i] != at {
			t.Fatalf("naive: time %d = %d, not %d", i, n.times[i], at)
		}
	}
	for _, c := range b.Columns {
		for j, v := range c.Values {
			got := n.columns[c.Series][j]
			there := c.Present == nil || c.Present[j]
			if got.there != there || there && math.Float64bits(got.v) != math.Float64bits(v) {
				t.Fatalf("naive: series %d at %d = %v, not %v", c.Series, j, got, v)
			}
		}
	}
}

func drawBlock(t *rapid.T) telemetry.Block {
	n := rapid.IntRange(1, 60).Draw(t, "reports")
	b := telemetry.Block{Times: make([]int64, n)}
	at := rapid.Int64Range(0, 1<<39).Draw(t, "first")
	for i := range b.Times {
		b.Times[i] = at
		at += rapid.Int64Range(1, 4000).Draw(t, "step")
	}
	resolution := rapid.SampledFrom([]float64{0.0001, 0.001, 0.01, 0.1, 0.25, 0.3, 1, 7, 100, 1 << 10, 1 << 20, 1e-9, 1e9})
	value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 1), rapid.Float64Range(0, 1e12),
		rapid.Map(rapid.IntRange(-5, 5), func(n int) float64 { return float64(n) }),
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1 << 50, -(1 << 50), math.SmallestNonzeroFloat64}))
	series := 0
	for range rapid.IntRange(0, 5).Draw(t, "columns") {
		series += rapid.IntRange(1, 700).Draw(t, "series")
		c := telemetry.Column{Series: series, Resolution: resolution.Draw(t, "resolution"), Values: make([]float64, n)}
		if rapid.Bool().Draw(t, "gaps") {
			c.Present = rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "present")
		}
		for i := range c.Values {
			c.Values[i] = value.Draw(t, "value")
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func TestBlocksComeBackWithinHalfAStep(t *testing.T) {
	c := codec(t)
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		data, err := c.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		sameBlock(t, b, got)
		sameNaive(t, got, data)
		again, err := c.Encode(got)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("what was decoded encodes to other bytes (%v)", err)
		}
	})
}

func TestEncodeRefusesWhatTheFormatCannotHold(t *testing.T) {
	one := []float64{1}
	cases := map[string]telemetry.Block{
		"no report":      {},
		"time not later": {Times: []int64{5, 5}},
		"time before 0":  {Times: []int64{-1}},
		"series 0":       {Times: []int64{1}, Columns: []telemetry.Column{{Resolution: 1, Values: one}}},
		"series twice":   {Times: []int64{1}, Columns: []telemetry.Column{{Series: 1, Resolution: 1, Values: one}, {Series: 1, Resolution: 1, Values: one}}},
		"no resolution":  {Times: []int64{1}, Columns: []telemetry.Column{{Series: 1, Values: one}}},
		"NaN resolution": {Times: []int64{1}, Columns: []telemetry.Column{{Series: 1, Resolution: math.NaN(), Values: one}}},
		"values short":   {Times: []int64{1, 2}, Columns: []telemetry.Column{{Series: 1, Resolution: 1, Values: one}}},
		"reports beyond": {Times: make([]int64, telemetry.MaxBlockReports+1)},
	}
	c := codec(t)
	for name, b := range cases {
		if _, err := c.Encode(b); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.block")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no golden blocks: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	c := codec(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := c.Decode(data)
		if err != nil {
			return
		}
		sameNaive(t, b, data)
		if _, err := c.Encode(b); err != nil {
			t.Errorf("decoded, but does not encode: %v", err)
		}
	})
}

// FuzzDecodeBody leaves compression out, which fuzzing seldom gets through.
func FuzzDecodeBody(f *testing.F) {
	for _, b := range goldenBlocks() {
		body, err := telemetry.AppendBody(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := telemetry.ReadBody(body)
		if err != nil {
			return
		}
		again, err := telemetry.AppendBody(b)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		got, err := telemetry.ReadBody(again)
		if err != nil {
			t.Fatal(err)
		}
		sameBlock(t, b, got)
	})
}

func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 2, 1, 8, 1, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := telemetry.DecodeRow(data, 0.001, 10)
		if err != nil {
			return
		}
		again, err := telemetry.EncodeRow(values, 0.001, 10)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		got, err := telemetry.DecodeRow(again, 0.001, 10)
		if err != nil || len(got) != len(values) {
			t.Fatalf("%d values, want %d (%v)", len(got), len(values), err)
		}
	})
}
