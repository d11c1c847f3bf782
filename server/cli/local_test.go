package cli

import (
	"context"
	"fmt"
)

// localCommands are as server/cmd/steward has them.
type localCommands struct {
	Version localVersion `cmd:"" help:"Print the version."`
	Serve   localServe   `cmd:"" help:"Run the server."`
}

type localVersion struct{}

func (localVersion) Run(ctx context.Context, env *Env) error {
	_, err := fmt.Fprintf(env.Stdout, "json: %v\n", env.JSON && ctx != nil)
	return err
}

type localServe struct {
	Data string `required:"" help:"Data directory."`
}

func (localServe) Run() error { return nil }
