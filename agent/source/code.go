package source

import (
	"errors"
	"fmt"
)

// Code is why something could not be done: one of a closed list. The list is
// stored and translated, so a code keeps its meaning for ever.
type Code string

// The codes.
const (
	// CodeNone is no error.
	CodeNone Code = ""
	// CodeAlreadyInstalled: the version was there before; nothing was done.
	CodeAlreadyInstalled Code = "already_installed"
	// CodeOtherPackageFailed: the requested version is installed, but the
	// package manager failed on another package.
	CodeOtherPackageFailed Code = "other_package_failed"
	// CodeInvalidRequest: package name or version is not one.
	CodeInvalidRequest Code = "invalid_request"
	// CodeNotInstalled: the package is not on this machine.
	CodeNotInstalled Code = "not_installed"
	// CodeNewerInstalled: a newer version is already installed.
	CodeNewerInstalled Code = "newer_installed"
	// CodeVersionNotFound: the sources no longer offer that version.
	CodeVersionNotFound Code = "version_not_found"
	// CodePackageNotFound: no source knows the package.
	CodePackageNotFound Code = "package_not_found"
	// CodeHeld: a person pinned a package that would change.
	CodeHeld Code = "held"
	// CodeWouldRemove: other packages would have to go.
	CodeWouldRemove Code = "would_remove"
	// CodeDowngradeRefused: the version is older than the installed one.
	CodeDowngradeRefused Code = "downgrade_refused"
	// CodeBusy: another process holds the package manager.
	CodeBusy Code = "busy"
	// CodeNotPermitted: the agent lacks the rights.
	CodeNotPermitted Code = "not_permitted"
	// CodeScriptFailed: the package's own script failed.
	CodeScriptFailed Code = "script_failed"
	// CodeDependenciesBroken: dependencies cannot be met.
	CodeDependenciesBroken Code = "dependencies_broken"
	// CodeInterrupted: an earlier run was interrupted and must be repaired.
	CodeInterrupted Code = "interrupted"
	// CodeDiskFull: not enough free space.
	CodeDiskFull Code = "disk_full"
	// CodeNetwork: a download did not work.
	CodeNetwork Code = "network"
	// CodeDownloadCorrupt: a download does not match its checksum.
	CodeDownloadCorrupt Code = "download_corrupt"
	// CodeUntrusted: a signature is missing, unknown or expired.
	CodeUntrusted Code = "untrusted_source"
	// CodeBadConfiguration: the machine's own list of sources or options is
	// wrong.
	CodeBadConfiguration Code = "bad_configuration"
	// CodeNeedsAnswer: the package asks something that only a person can say.
	CodeNeedsAnswer Code = "needs_answer"
	// CodeTimeout: time was up, and stopping was safe.
	CodeTimeout Code = "timeout"
	// CodeCancelled: the agent was told to stop, and stopping was safe.
	CodeCancelled Code = "cancelled"
	// CodeOverran: time was up, stopping was not safe; it still runs.
	CodeOverran Code = "overran"
	// CodeGarbage: the output is not what the package manager prints.
	CodeGarbage Code = "garbage_output"
	// CodeSourceMissing: the package manager is not on this machine.
	CodeSourceMissing Code = "source_missing"
	// CodeNotVerified: it reported success, but the version is not there.
	CodeNotVerified Code = "not_verified"
	// CodeFailed: it failed in a way this list does not know.
	CodeFailed Code = "failed"
)

// Codes returns the whole list, for the rooms that translate or test it.
func Codes() []Code {
	return []Code{
		CodeAlreadyInstalled, CodeOtherPackageFailed, CodeInvalidRequest, CodeNotInstalled, CodeNewerInstalled,
		CodeVersionNotFound, CodePackageNotFound, CodeHeld, CodeWouldRemove, CodeDowngradeRefused, CodeBusy,
		CodeNotPermitted, CodeScriptFailed, CodeDependenciesBroken, CodeInterrupted, CodeDiskFull, CodeNetwork,
		CodeDownloadCorrupt, CodeUntrusted, CodeBadConfiguration, CodeNeedsAnswer, CodeTimeout, CodeCancelled,
		CodeOverran, CodeGarbage, CodeSourceMissing, CodeNotVerified, CodeFailed,
	}
}

// State is how an installation ends that met the code.
func (c Code) State() State {
	switch c {
	case CodeNone, CodeAlreadyInstalled, CodeOtherPackageFailed:
		return StateInstalled
	case CodeNotInstalled, CodeHeld:
		return StateNotApplicable
	case CodeNewerInstalled, CodeVersionNotFound:
		return StateSuperseded
	case CodeBusy:
		return StateBusy
	case CodeNeedsAnswer:
		return StateNeedsUser
	default:
		return StateFailed
	}
}

// Error is a failure of a source, in one sentence that a person can read.
type Error struct {
	Code Code
	// Message says what happened, in what, and what to do where that is known.
	Message string
	// ExitCode is the package manager's, -1 when it has none.
	ExitCode int
	// Busy is set with CodeBusy when the other process is known.
	Busy *Busy
	// Package is the package that failed, when the output names one.
	Package string
	// Err is the cause, when there is one below.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of an error that a source returned: CodeNone for
// nil, CodeFailed for one without a code.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return CodeNone
	case errors.As(err, &e):
		return e.Code
	default:
		return CodeFailed
	}
}

// fail makes an Error without an exit code.
func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, ExitCode: -1, Message: fmt.Sprintf(format, args...)}
}
