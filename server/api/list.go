package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
)

// ListIn are the parameters that every list takes.
type ListIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"rows of one page"`
	Cursor string `query:"cursor" maxLength:"4096" doc:"next_cursor of the page before"`
	Count  string `query:"count" enum:"only" doc:"only: the number of rows instead of the rows"`
}

// page is a list's answer: rows and the cursor of the next page, or with
// count=only their number.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor" doc:"empty at the end"`
	Count *int   `json:"count,omitempty" doc:"with count=only, alone"`
}

// MarshalJSON writes either the rows or their number.
func (p page[T]) MarshalJSON() ([]byte, error) {
	if p.Count != nil {
		return json.Marshal(map[string]int{"count": *p.Count})
	}
	if p.Items == nil {
		p.Items = []T{}
	}
	return json.Marshal(struct {
		Items []T    `json:"items"`
		Next  string `json:"next_cursor"`
	}{p.Items, p.Next})
}

type pageOut[T any] struct{ Body page[T] }

type bodyOut[T any] struct{ Body T }

func rows[T, R any](list []T, next string, render func(T) R) *pageOut[R] {
	out := &pageOut[R]{Body: page[R]{Items: make([]R, 0, len(list)), Next: next}}
	for _, v := range list {
		out.Body.Items = append(out.Body.Items, render(v))
	}
	return out
}

func counted[R any](n int) *pageOut[R] { return &pageOut[R]{Body: page[R]{Count: &n}} }

// countPages counts a list that knows no number by walking it.
func countPages[R any](read func(cursor string) (n int, next string, err error)) (*pageOut[R], error) {
	total, cursor := 0, ""
	for {
		n, next, err := read(cursor)
		if err != nil {
			return nil, err
		}
		if total += n; next == "" {
			return counted[R](total), nil
		}
		cursor = next
	}
}

// whole cuts a list that the service gives in one piece into pages: a cursor
// is the key of the last row of the page before.
func whole[T, R any](in *ListIn, list []T, key func(T) string, render func(T) R) (*pageOut[R], error) {
	if in.Count != "" {
		return counted[R](len(list)), nil
	}
	if in.Cursor != "" {
		i := slices.IndexFunc(list, func(v T) bool { return cursorOf(key(v)) == in.Cursor })
		if i < 0 {
			return nil, fault.Invalidf("cursor", "not a cursor of this list, or its row is gone").WithNext("begin again without one")
		}
		list = list[i+1:]
	}
	next := ""
	if in.Limit > 0 && len(list) > in.Limit {
		list = list[:in.Limit]
		next = cursorOf(key(list[in.Limit-1]))
	}
	return rows(list, next, render), nil
}

func cursorOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func same[T any](v T) T { return v }

// both adds a list of one tenant and the same over all permitted ones.
func both[I, O any](a *api, noun string, action auth.Action, msp bool, summary string, h func(context.Context, *caller, *I) (*O, error)) {
	register(a, Route{Method: "GET", Path: "/tenants/{tenant}/" + noun, Action: action, Reach: InTenant, MSP: msp, Summary: summary}, h)
	register(a, Route{Method: "GET", Path: "/" + noun, Action: action, Reach: Anywhere, Summary: summary + ", of all permitted customers"}, h)
}
