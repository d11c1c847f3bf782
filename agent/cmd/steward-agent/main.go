// Command steward-agent inventories, measures and updates the machine it runs
// on, for a Steward server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"google.golang.org/grpc/grpclog"

	"github.com/steward-rmm/steward/agent"
)

// version is stamped by the linker (-X main.version=…).
var version = "dev"

// Exit codes of the command line.
const (
	exitDone   = 0
	exitFailed = 1 // at work
	exitUsage  = 2 // a wrong flag, file or value
)

// memoryLimit is where the collector works harder instead of growing, in bytes.
// A scan of some thousand packages stays below it.
const memoryLimit = 24 << 20

func main() {
	// Memory is what an agent must not take from its machine; processor time it
	// has, as it does little. GOGC and GOMEMLIMIT still win where they are set.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// What grpc says by itself is not in our form; what matters comes as an error.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process the system's way.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are those of the process.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// command is one word of the command line.
type command struct {
	name, usage string
	run         func(ctx context.Context, c *call) error
}

func commands() []command {
	return []command{
		{"enroll", "enroll --data DIR [--class workstation|laptop|server] [--tags a,b] STRING|-", enroll},
		{"run", "run --data DIR [--log-level debug|info|warn|error]", serve},
		{"scan", "scan [--data DIR] [-o json]", scan},
		{"status", "status --data DIR [-o json]", status},
		{"version", "version", printVersion},
		{"install", "install", notYet},
		{"uninstall", "uninstall", notYet},
		{"desk", "desk", notYet},
	}
}

// usageError is a wrong flag, file or value: exit code 2.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func wrongUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run does one command and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	if len(args) == 0 || slices.Contains([]string{"help", "--help", "-h"}, args[0]) {
		fmt.Fprint(s.out, help())
		if len(args) == 0 {
			return exitUsage
		}
		return exitDone
	}
	name := args[0]
	if name == "--version" {
		name = "version"
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(s.err, "steward-agent: %q is no command; see steward-agent help\n", name)
		return exitUsage
	}
	c := commands()[i]
	err := c.run(ctx, &call{streams: s, args: args[1:], flags: flag.NewFlagSet(name, flag.ContinueOnError)})
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(s.out, "usage: steward-agent", c.usage)
		return exitDone
	}
	fmt.Fprintf(s.err, "steward-agent %s: %s\n", name, oneLine(err.Error()))
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, agent.ErrSettings) {
		return exitUsage
	}
	return exitFailed
}

func help() string {
	var b strings.Builder
	b.WriteString("steward-agent looks after this machine for a Steward server.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  steward-agent %s\n", c.usage)
	}
	return b.String()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// call is one command line after the command's name.
type call struct {
	streams
	args  []string
	flags *flag.FlagSet
}

// parse reads the flags, which may stand before and after the arguments, and
// returns the arguments.
func (c *call) parse(maxArgs int) (args []string, err error) {
	c.flags.SetOutput(io.Discard)
	c.flags.Usage = func() {}
	rest := c.args
	for {
		if err := c.flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usageError{err}
		}
		rest = c.flags.Args()
		if len(rest) == 0 {
			return args, nil
		}
		if len(args) == maxArgs {
			if maxArgs == 1 { // it is a secret: not repeated
				return nil, wrongUse("more than one argument; the enrollment string is one, in quotes if it holds spaces")
			}
			return nil, wrongUse("unexpected argument %q", rest[0])
		}
		args, rest = append(args, rest[0]), rest[1:]
	}
}

// output is the flag -o.
func (c *call) output() *string { return c.flags.String("o", "text", "output: text or json") }

func checkOutput(o string) error {
	if o != "text" && o != "json" {
		return wrongUse("-o %q: want text or json", o)
	}
	return nil
}
