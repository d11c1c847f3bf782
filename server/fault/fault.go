// Package fault holds the kinds of errors that a person or a script may meet.
//
// Rooms return a *fault.Error when the caller can do something about it; the
// doors map its Kind to a status or an exit code and show Message and Next.
// Every other error is an internal one: the person sees that it was logged,
// the operator sees the cause.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what went wrong in the few ways that a door tells apart.
type Kind int

const (
	// Internal is a failure of Steward itself; its cause is logged, not shown.
	Internal Kind = iota
	// Invalid is wrong input: a field, a document, a flag.
	Invalid
	// NotFound is an id that does not exist, or is not the caller's to see.
	NotFound
	// Conflict is a request that the present state does not allow.
	Conflict
	// Forbidden is a known caller without the right.
	Forbidden
	// Unauthenticated is a caller who did not prove who they are.
	Unauthenticated
	// TooMany is a limit that was passed; try again later.
	TooMany
	// Unavailable is a part that cannot answer now (standby, disk full).
	Unavailable
	// NotYet is something the contract names and this version has not.
	NotYet
)

// Error is an error that a person may read. Message says what and where,
// Next what to do. Err is the cause for the log and is never shown.
type Error struct {
	Kind    Kind
	Field   string // the field, line or flag it is about; may be empty
	Message string
	Next    string
	Err     error
}

func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Next != "" {
		text += " (" + e.Next + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind from a format.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Invalidf reports wrong input in a named field.
func Invalidf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// NotFoundf reports something that is not there for this caller.
func NotFoundf(format string, args ...any) *Error { return New(NotFound, format, args...) }

// Conflictf reports a request that the present state does not allow.
func Conflictf(format string, args ...any) *Error { return New(Conflict, format, args...) }

// NotYetf reports something the contract names and this version has not.
func NotYetf(what string) *Error {
	return &Error{Kind: NotYet, Message: what + ": not in this version"}
}

// WithNext returns e with the next step filled in.
func (e *Error) WithNext(format string, args ...any) *Error {
	e.Next = fmt.Sprintf(format, args...)
	return e
}

// WithCause returns e with the cause for the log.
func (e *Error) WithCause(err error) *Error {
	e.Err = err
	return e
}

// KindOf returns the kind of the first fault in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err carries a fault of the kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
