package wire

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// reader takes deterministic encodings apart. After the first mistake failed
// is set and everything it returns is zero; the caller looks once at the end.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.failed, r.rest = true, r.rest[:0:0] }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.failed = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) truth() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// number reads an unsigned varint in its shortest form, at most limit.
func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit || n > 1 && v>>(7*(n-1)) == 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.rest)
	// Years 1 to 9999, so that every time has an RFC 3339 form.
	if n <= 0 || v < -62135596800 || v > 253402300799 || len(binary.AppendVarint(nil, v)) != n {
		r.fail()
		return time.Time{}
	}
	r.rest = r.rest[n:]
	return time.Unix(v, 0).UTC()
}

// text reads a text of at most MaxText bytes of valid UTF-8.
func (r *reader) text() string {
	n := r.number(MaxText)
	if uint64(len(r.rest)) < n {
		r.fail()
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	if !utf8.ValidString(s) {
		r.fail()
		return ""
	}
	return s
}
