package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/steward-rmm/steward/server/fault"
)

// Problem is an error as RFC 9457 has it. It never repeats a value that was
// sent: that could be a secret.
type Problem struct {
	Type   string         `json:"type" doc:"about:blank: the status says it"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty" doc:"what is wrong and where, for a person"`
	Field  string         `json:"field,omitempty" doc:"the field, or line and column, that it is about"`
	Next   string         `json:"next_step,omitempty" doc:"what to do"`
	Errors []FieldProblem `json:"errors,omitempty"`
}

// FieldProblem is what is wrong with one part of a request.
type FieldProblem struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus is the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problems, for huma.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func newProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// missing is the one answer for what does not exist and for what the caller
// may not see.
func missing() *Problem {
	return newProblem(http.StatusNotFound, "there is nothing by this name or id, or it is not yours to see")
}

func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.NotYet:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// problemOf maps an error to what the caller sees.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		p = newProblem(http.StatusInternalServerError, "this failed inside Steward, which has logged the cause")
		p.Next = "try again; if it stays, ask who runs this server"
		return p
	}
	if f.Kind == fault.NotFound {
		return missing()
	}
	p = newProblem(statusOf(f.Kind), f.Message)
	p.Field, p.Next = f.Field, f.Next
	return p
}

func notYet(what string) error { return fault.NotYetf(what) }

// plainProblem is huma's own errors (of validation, above all) without the
// values that they carry.
func plainProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(m.Status, m.Detail)
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, FieldProblem{Location: e.Location, Message: e.Message})
	}
	if len(p.Errors) > 0 {
		p.Field = p.Errors[0].Location
		p.Detail = p.Errors[0].Message
	}
	return p, nil
}

// writeProblem answers where huma is not at work.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="steward"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may be gone
}
