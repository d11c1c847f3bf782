// Command steward is the server, and the technician's command line.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/steward-rmm/steward/server/cli"
)

// version is stamped by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], cli.System(version), &localCommands{})
	stop()
	os.Exit(code)
}

// newLog is the server's log, on stderr.
func newLog(env *cli.Env) *slog.Logger {
	return slog.New(slog.NewTextHandler(env.Stderr, nil))
}
