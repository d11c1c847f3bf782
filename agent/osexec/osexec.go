// Package osexec is the only place of the agent that starts a process.
//
// A command is an absolute path and a vector of arguments, never a shell
// string. Its environment is exactly what the caller lists. It runs in a
// process group (a job object on Windows) of its own, so that a kill reaches
// its children; its output is kept up to a limit, and read on past the limit
// so that a talkative program never blocks; a child that outlives its parent
// and holds the pipes open never blocks either.
//
// Killing a package manager in the middle of its work corrupts machines. A
// caller therefore says, through Command.Interruptible, whether now is a safe
// moment. While it is not, Run waits on past the timeout, marks the result
// Overran, asks again, and as the very last resort leaves the process running
// and says so with ErrAbandoned.
package osexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Errors that Run returns, wrapped with the command's path. They tell why a
// command did not run to its own end; a non-zero exit is not an error.
var (
	// ErrPath is a path that is relative, empty, or a batch file.
	ErrPath = errors.New("not a program that may be started")
	// ErrArgument is an argument, directory or environment entry that no
	// process can receive, or that means something else than it says.
	ErrArgument = errors.New("argument refused")
	// ErrTimeout is a command killed because its time was up.
	ErrTimeout = errors.New("timed out and was killed")
	// ErrCancelled is a command killed because its context ended.
	ErrCancelled = errors.New("was cancelled and killed")
	// ErrAbandoned is a command that could not be killed safely and did not
	// end within Command.Abandon either. It is still running.
	ErrAbandoned = errors.New("is still running and was left alone")
)

// Defaults for the fields of Command that are zero.
const (
	// DefaultOutputLimit is the number of bytes kept of each of the two
	// outputs: half from the head, half from the tail.
	DefaultOutputLimit = 1 << 20
	// DefaultGrace is the time between the polite and the hard kill.
	DefaultGrace = 5 * time.Second
	// DefaultPipeDelay is how long output is still awaited after the process
	// itself ended, when a child of it holds the pipe open.
	DefaultPipeDelay = 2 * time.Second
	// DefaultAsk is how often Interruptible is asked again after it said no.
	DefaultAsk = 500 * time.Millisecond
	// MaxLine is the longest line, in bytes, that a line callback receives;
	// what is longer arrives in pieces.
	MaxLine = 16 << 10
)

// Command is one process to run. The zero value of every optional field is a
// sensible default.
type Command struct {
	// Path is the program, absolute. Nothing is searched in PATH. Batch files
	// are refused: Windows hands them to a shell that reads arguments anew.
	Path string
	// Args are the arguments after the program's name.
	Args []string
	// Env is the whole environment, KEY=value. Nothing is inherited; see
	// Inherited for the few names a caller wants from the agent's own. (On
	// Windows Go adds SYSTEMROOT, without which hardly a program starts.)
	Env []string
	// Dir is the working directory, absolute; "" is the root directory.
	Dir string
	// Timeout ends the command, when positive and Interruptible allows it.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL. Windows has no polite
	// kill for a process without a console; there it is not used.
	Grace time.Duration
	// PipeDelay bounds the wait for output after the process itself ended.
	PipeDelay time.Duration
	// OutputLimit is how many bytes of stdout, and as many of stderr, the
	// result keeps.
	OutputLimit int
	// Interruptible says whether the command may be killed at this moment.
	// Without it the command may always be killed. It is called from Run's
	// goroutine and must not block.
	Interruptible func() bool
	// Ask is how often Interruptible is asked again after it said no.
	Ask time.Duration
	// Abandon is how long Run goes on waiting, after the timeout or the end of
	// the context, for a command that must not be killed. Zero waits for ever.
	Abandon time.Duration
	// StatusFD receives each line the program writes to file descriptor 3.
	// Not on Windows.
	StatusFD func(line string)
	// OnStdout and OnStderr receive each line of output as it comes, without
	// its end. A carriage return ends a line as a newline does. All callbacks
	// of one command are called one at a time, and never after Run returned.
	OnStdout, OnStderr func(line string)
	// Now is the clock for Result.Duration; without it the duration is zero.
	Now func() time.Time
}

// KillReason says why a command was killed, or should have been.
type KillReason string

const (
	// NotKilled is a command that ended by itself in time.
	NotKilled KillReason = ""
	// KilledByTimeout is a command whose Timeout had passed.
	KilledByTimeout KillReason = "timeout"
	// KilledByContext is a command whose context had ended.
	KilledByContext KillReason = "cancelled"
)

// Result is what a command left behind. It is filled as far as known also when
// Run returns an error.
type Result struct {
	// PID is the process id, 0 when nothing was started.
	PID int
	// ExitCode is the program's own exit code, or -1 when it has none: it was
	// killed by a signal, is still running, or never started.
	ExitCode int
	// Stdout and Stderr hold the outputs; when Truncated, head and tail with a
	// line between them that tells how much was cut.
	Stdout, Stderr []byte
	// Truncated tells that at least one output was over the limit.
	Truncated bool
	// Duration is the time from start to end by Command.Now.
	Duration time.Duration
	// Killed tells that Run killed the command, for KillReason.
	Killed bool
	// KillReason is why the command was killed. It is also set, with Killed
	// false, when the command overran and then ended by itself.
	KillReason KillReason
	// Overran tells that the timeout passed, or the context ended, at a moment
	// when the command must not be killed.
	Overran bool
	// PipesHeld tells that a child outlived the command and held its output
	// open; what it wrote later is not in Stdout and Stderr. Told for exit code
	// 0 only: os/exec says one thing at a time.
	PipesHeld bool
}

// Inherited returns KEY=value for each of the names that is set in the agent's
// own environment, for use in Command.Env.
func Inherited(names ...string) []string {
	var out []string
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// check refuses what must not be started, before anything is.
func (c Command) check() error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("start %q: %w: the path must be absolute", c.Path, ErrPath)
	}
	switch strings.ToLower(filepath.Ext(c.Path)) {
	case ".bat", ".cmd":
		return fmt.Errorf("start %q: %w: batch files pass their arguments through a shell", c.Path, ErrPath)
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("start %q in %q: %w: the directory must be absolute", c.Path, c.Dir, ErrArgument)
	}
	for i, a := range append([]string{c.Path, c.Dir}, c.Args...) {
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("start %q: %w: part %d holds a NUL byte", c.Path, ErrArgument, i)
		}
	}
	for _, e := range c.Env {
		if i := strings.IndexByte(e, '='); i <= 0 || strings.IndexByte(e, 0) >= 0 {
			return fmt.Errorf("start %q: %w: an environment entry is not KEY=value", c.Path, ErrArgument)
		}
	}
	return nil
}

// withDefaults fills the optional fields.
func (c Command) withDefaults() Command {
	if c.OutputLimit <= 0 {
		c.OutputLimit = DefaultOutputLimit
	}
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	if c.PipeDelay <= 0 {
		c.PipeDelay = DefaultPipeDelay
	}
	if c.Ask <= 0 {
		c.Ask = DefaultAsk
	}
	if c.Dir == "" {
		c.Dir = rootDir
	}
	return c
}
