package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/steward-rmm/steward/server/fault"
)

// maxIn is the longest list in one IN (…). Cut longer ones by slices.Chunk.
const maxIn = 500

// plainArgs turns arguments into what both drivers take alike: named kinds
// become their base type, a time becomes milliseconds (the zero time NULL),
// and texts are checked.
func plainArgs(args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, a := range args {
		v, err := plainArg(a)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

func plainArg(a any) (any, error) {
	switch v := a.(type) {
	case nil, int64, float64, bool, []byte:
		return v, nil
	case string:
		return v, checkText(v)
	case time.Time:
		if v.IsZero() {
			return nil, nil
		}
		return v.UnixMilli(), nil
	case jsonText:
		b, err := json.Marshal(v.v)
		return string(b), err
	case json.RawMessage:
		return string(v), checkText(string(v))
	}
	r := reflect.ValueOf(a)
	switch r.Kind() {
	case reflect.String:
		return r.String(), checkText(r.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(r.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Pointer:
		if r.IsNil() {
			return nil, nil
		}
		return plainArg(r.Elem().Interface())
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return r.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("type %T is no column value; use asJSON for structures", a)
}

// checkText refuses what PostgreSQL cannot hold, on both databases alike.
func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fault.New(fault.Invalid, "text holds a NUL byte")
	}
	if !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "text is not valid UTF-8")
	}
	return nil
}

// ms is a time as stored in a NOT NULL column: milliseconds since 1970, 0 for
// the zero time. As an argument of its own a zero time is NULL.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// stamp scans milliseconds into a time in UTC; NULL and 0 give the zero time.
type stamp struct{ t *time.Time }

func asTime(t *time.Time) stamp { return stamp{t} }

// Scan implements sql.Scanner.
func (s stamp) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		*s.t = time.Time{}
		if v != 0 {
			*s.t = time.UnixMilli(v).UTC()
		}
	default:
		return fmt.Errorf("a time is stored as %T, not as milliseconds", src)
	}
	return nil
}

// jsonText writes v as JSON text, or scans JSON text into the pointer v.
type jsonText struct{ v any }

// asJSON is an argument (the value) or a scan target (a pointer to it) for a
// TEXT column with JSON. NULL and the empty text leave the target unchanged.
func asJSON(v any) jsonText { return jsonText{v} }

// Scan implements sql.Scanner.
func (j jsonText) Scan(src any) error {
	var b []byte
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("JSON is stored as %T, not as text", src)
	}
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, j.v); err != nil {
		return fmt.Errorf("stored JSON: %w", err)
	}
	return nil
}

// inList gives "($first,$first+1,…)" and the values as arguments. The list is
// filled up to a power of two by repeating its last value, so that few texts
// are prepared; an empty list gives a list that holds only NULL and so matches
// nothing. More than maxIn values are a programming error.
func inList[T any](first int, values []T) (string, []any) {
	if len(values) > maxIn {
		panic("store: more than " + strconv.Itoa(maxIn) + " values in one IN list")
	}
	if len(values) == 0 {
		return "(NULL)", nil
	}
	n := 1
	for n < len(values) {
		n *= 2
	}
	n = min(n, maxIn)
	args := make([]any, n)
	var b strings.Builder
	for i := range n {
		args[i] = values[min(i, len(values)-1)]
		b.WriteString([2]string{",$", "($"}[btoi(i == 0)])
		b.WriteString(strconv.Itoa(first + i))
	}
	b.WriteByte(')')
	return b.String(), args
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
