// Package reason holds why something is as it is. A reason is a code of a
// closed list with arguments; it is stored so, and sentences are made from it
// where a person reads. Adding one is a line in codes.go.
package reason

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Code names a reason; the closed list stands in codes.go.
type Code string

// Reason is a code with its arguments. The zero value means no reason is known
// and never stands in a stored transition.
type Reason struct {
	Code Code              `json:"code"`
	Args map[string]string `json:"args,omitempty"`
}

// New makes a reason; pairs are argument names and values. It panics on a code
// outside of the list or an odd number of pairs, since both are mistakes of a
// programmer that every test run meets.
func New(code Code, pairs ...string) Reason {
	if _, ok := lookup(code); !ok {
		panic(fmt.Sprintf("reason: unknown code %q", code))
	}
	if len(pairs)%2 != 0 {
		panic(fmt.Sprintf("reason: odd arguments for %q", code))
	}
	r := Reason{Code: code}
	if len(pairs) > 0 {
		r.Args = make(map[string]string, len(pairs)/2)
		for i := 0; i < len(pairs); i += 2 {
			r.Args[pairs[i]] = pairs[i+1]
		}
	}
	return r
}

// Time formats a time argument; Text shows it in the reader's zone.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Count formats a number argument.
func Count(n int) string { return fmt.Sprint(n) }

// IsZero reports whether no reason is set.
func (r Reason) IsZero() bool { return r.Code == "" }

// Text is the sentence of the reason in English, times in the given zone.
func (r Reason) Text(loc *time.Location) string {
	e, ok := lookup(r.Code)
	if !ok {
		return string(r.Code)
	}
	return fill(e.text, r.Args, loc)
}

// NextStep says what to do about it, or that there is nothing to do.
func (r Reason) NextStep(loc *time.Location) string {
	e, ok := lookup(r.Code)
	if !ok || e.next == "" {
		return "nothing to do"
	}
	return fill(e.next, r.Args, loc)
}

// Until is the time argument "until" of the reason, if it has one.
func (r Reason) Until() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, r.Args["until"])
	return t, err == nil
}

// Encode is the stored form.
func (r Reason) Encode() string {
	if r.IsZero() {
		return ""
	}
	b, _ := json.Marshal(r) // strings only: cannot fail
	return string(b)
}

// Decode reads the stored form; a code that this version does not know is
// kept, so that a downgrade shows the code instead of failing.
func Decode(s string) (Reason, error) {
	if s == "" {
		return Reason{}, nil
	}
	var r Reason
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return Reason{}, fmt.Errorf("decode reason: %w", err)
	}
	return r, nil
}

// fill replaces {name} by the argument; an argument that is a time is shown in
// the zone, and a missing one as "?".
func fill(text string, args map[string]string, loc *time.Location) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			out.WriteString("{" + rest)
			return out.String()
		}
		out.WriteString(show(args[name], loc))
		text = after
	}
}

func show(value string, loc *time.Location) string {
	if value == "" {
		return "?"
	}
	if len(value) == len("2006-01-02T15:04:05Z") {
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return t.In(loc).Format("Mon 2 Jan, 15:04 MST")
		}
	}
	return value
}
