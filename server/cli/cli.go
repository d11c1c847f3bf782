// Package cli is the technician's command line: every command that works from
// anywhere, over HTTP alone, one file per noun. The commands that work on the
// server's own machine are added by server/cmd/steward, which calls Run.
//
// What a command prints is for people, aligned and cleaned of control
// characters; with -o json it is the API's own rows. A wrong flag, file or
// value ends with 2, a failure at work with 1, each with one line on stderr.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/steward-rmm/steward/server/fault"
)

// Env is what the commands touch of the world. Tests fill it with their own.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	HTTP           *http.Client // nil: one with sane timeouts, TLS always verified
	Now            func() time.Time
	Zone           *time.Location // of the times that people read
	Width          int            // columns of the terminal that Stdout is; 0: it is none
	Colour         bool           // whether the terminal shows colours; never without Width
	Version        string         // for the user agent

	// JSON is whether -o json was given. Run sets it before a command runs.
	JSON bool
}

// System is the world as the operating system gives it.
func System(version string) Env {
	e := Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Now: time.Now, Zone: time.Local, Version: version,
	}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		e.Width = 80
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			e.Width = w
		}
		plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" ||
			runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" && os.Getenv("TERM") == ""
		e.Colour = !plain
	}
	return e
}

// Commands is the grammar of everything that works from anywhere.
type Commands struct {
	Tenants     Tenants     `cmd:"" help:"Customers: list, create, mode."`
	Sites       Sites       `cmd:"" help:"A customer's places: list, create."`
	People      People      `cmd:"" help:"Who signs in: list, invite, disable."`
	Tokens      Tokens      `cmd:"" help:"API tokens: list, revoke. Make one with token create on the server."`
	Enrollments Enrollments `cmd:"" help:"Strings that let devices in: create, list, revoke."`
	Devices     Devices     `cmd:"" help:"Devices: list, show, why, samples, revoke, readmit, retire."`
	Updates     Updates     `cmd:"" help:"Updates: list, approve, deny, wait."`
	Apply       Apply       `cmd:"" help:"Apply documents (YAML)."`
	Plan        Plan        `cmd:"" help:"Every window to come, with devices, expected minutes and conflicts."`
	Deployments Deployments `cmd:"" help:"Releases on their way: list, show, watch, pause, resume, halt, cancel."`
	Runs        Runs        `cmd:"" help:"Openings of windows and their jobs: list, show."`
	Jobs        Jobs        `cmd:"" help:"The work of single devices: list, show with its log, cancel."`
	Audit       Audit       `cmd:"" help:"Who did what: list, verify, head."`

	Alerts     later `cmd:"" passthrough:"" help:"Not in this version."`
	Silences   later `cmd:"" passthrough:"" help:"Not in this version."`
	Channels   later `cmd:"" passthrough:"" help:"Not in this version."`
	Deliveries later `cmd:"" passthrough:"" help:"Not in this version."`
	Rules      later `cmd:"" passthrough:"" help:"Not in this version."`
	Permit     later `cmd:"" passthrough:"" help:"Not in this version."`
	Freeze     later `cmd:"" passthrough:"" help:"Not in this version."`
	Unfreeze   later `cmd:"" passthrough:"" help:"Not in this version."`
	Tasks      later `cmd:"" passthrough:"" help:"Not in this version."`
	Baseline   later `cmd:"" passthrough:"" help:"Not in this version."`
}

// grammar is the whole command line but for the local commands.
type grammar struct {
	Output string `short:"o" enum:"table,json" default:"table" placeholder:"json" help:"json prints the API's rows; otherwise tables for people."`
	URL    string `name:"url" placeholder:"URL" help:"The console's address; otherwise STEWARD_URL. The token is STEWARD_TOKEN, never a flag."`

	Commands `embed:""`
}

// call is one command on its way: what it may touch, and how it shall print.
type call struct {
	*Env
	ctx context.Context
	url string // of the flag
	out *bufio.Writer
	api *client
}

// Run parses and runs one command line and returns its exit code. local is a
// pointer to a struct of more commands, or nil; their Run methods may take a
// context.Context and an *Env. Options are added to kong's, after our own.
func Run(ctx context.Context, args []string, env Env, local any, options ...kong.Option) int {
	var g grammar
	exited, code := false, 0
	all := []kong.Option{
		kong.Name("steward"),
		kong.Description("Steward looks after the computers of many customers. From anywhere: set STEWARD_URL and STEWARD_TOKEN."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(n int) { exited, code = true, n }), // --help
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	}
	if local != nil {
		all = append(all, kong.Embed(local))
	}
	parser, err := kong.New(&g, append(all, options...)...)
	if err != nil {
		return env.fail("", fmt.Errorf("grammar: %w", err))
	}
	parsed, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		return env.misuse(err)
	}
	env.JSON = g.Output == "json"
	x := &call{Env: &env, ctx: ctx, url: g.URL, out: bufio.NewWriter(env.Stdout)}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(x, &env)
	if ended := x.out.Flush(); err == nil && ended != nil {
		err = fmt.Errorf("write the answer: %w", ended)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return env.fail(nameOf(parsed), err)
}

// Exit is the exit code that an error of a command stands for: 0, 1 for a
// failure at work, 2 for wrong use and for what is not in this version.
func Exit(err error) int {
	var ended ending
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return ended.code
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.NotYet):
		return 2
	}
	return 1
}

// ending is the end of a command that said what it had to say, with a code.
type ending struct{ code int }

func (e ending) Error() string { return fmt.Sprintf("exit %d", e.code) }

// fail prints the one line of an error and returns its exit code.
func (e *Env) fail(command string, err error) int {
	var ended ending
	if err == nil || errors.As(err, &ended) {
		return Exit(err)
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", strings.TrimSpace("steward "+command), cut(line(err.Error()), 1000))
	return Exit(err)
}

// misuse prints what the parser did not like.
func (e *Env) misuse(err error) int {
	var wrong *kong.ParseError
	command := ""
	if errors.As(err, &wrong) && wrong.Context != nil {
		command = nameOf(wrong.Context)
		if strings.HasPrefix(wrong.Error(), "expected ") && wrong.Context.Selected() == nil {
			err = fmt.Errorf("name a command: steward --help lists them")
		}
	}
	kind := fault.Invalid
	if fault.Is(err, fault.NotYet) {
		kind = fault.NotYet
	}
	return e.fail(command, fault.New(kind, "%s", err.Error()))
}

// nameOf is the command as far as it was understood: "devices show".
func nameOf(c *kong.Context) string {
	var words []string
	for _, p := range c.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	return strings.Join(words, " ")
}
