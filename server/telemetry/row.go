package telemetry

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/steward-rmm/steward/server/fault"
)

const rowVersion = 1

// dictionary is a device's definitions by number; index 0 is not used.
type dictionary []*Definition

func (d dictionary) get(series int) *Definition {
	if series < 1 || series >= len(d) {
		return nil
	}
	return d[series]
}

// encodeRow writes one report's values: docs/formats/block.md, "A row". It
// sorts them. A series that is not in the dictionary, or twice in the report,
// is refused.
func encodeRow(values []Value, d dictionary) ([]byte, error) {
	slices.SortFunc(values, func(a, b Value) int { return cmp.Compare(a.Series, b.Series) })
	out := make([]byte, 0, 2+4*len(values))
	out = append(out, rowVersion)
	out = binary.AppendUvarint(out, uint64(len(values)))
	last := 0
	for _, v := range values {
		def := d.get(v.Series)
		if def == nil {
			return nil, fault.Invalidf("values", "series %d is not defined", v.Series)
		}
		if v.Series == last {
			return nil, fault.Invalidf("values", "series %d is there twice", v.Series)
		}
		out = binary.AppendUvarint(out, uint64(v.Series-last))
		last = v.Series
		if n, ok := newScale(def.Resolution).steps(v.V); ok {
			out = binary.AppendUvarint(out, zigzag(n)<<1)
		} else {
			out = appendFloat(append(out, 1), v.V)
		}
	}
	return out, nil
}

// decodeRow reads the values of a row, by rising series. Series that the
// dictionary does not know are an error.
func decodeRow(data []byte, d dictionary) ([]Value, error) {
	r := &reader{b: data}
	if v := r.bytes(1); len(v) != 1 || v[0] != rowVersion {
		return nil, fmt.Errorf("decode row: version %v is not known: %w", v, errFormat)
	}
	count := r.count(0, MaxDefinitions)
	if count*2 > len(r.b) {
		return nil, fmt.Errorf("decode row: %w", errFormat)
	}
	out := make([]Value, count)
	series := 0
	for i := range out {
		series += r.count(1, MaxDefinitions)
		def := d.get(series)
		if r.err != nil || def == nil {
			return nil, fmt.Errorf("decode row: series %d: %w", series, errFormat)
		}
		code := r.uvarint()
		n := unzigzag(code >> 1)
		switch {
		case code == 1:
			out[i] = Value{series, r.float()}
		case code&1 == 1 || n > maxSteps || n < -maxSteps:
			return nil, fmt.Errorf("decode row: series %d: %w", series, errFormat)
		default:
			out[i] = Value{series, newScale(def.Resolution).value(n)}
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode row: %w", err)
	}
	return out, nil
}
