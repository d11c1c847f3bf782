// Command steward is the server and the technician's command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/steward-rmm/steward/server/fault"
)

var version = "dev"

// environment is what commands work with.
type environment struct {
	stdout io.Writer
	log    *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var grammar struct{ localCommands }
	parser, err := kong.New(&grammar, kong.Name("steward"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		panic(err)
	}
	kctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "steward:", err)
		os.Exit(2)
	}
	env := &environment{stdout: os.Stdout, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := kctx.Run(env); err != nil {
		fmt.Fprintln(os.Stderr, "steward:", err)
		var f *fault.Error
		if errors.As(err, &f) && (f.Kind == fault.Invalid || f.Kind == fault.NotYet) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}
