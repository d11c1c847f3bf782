package main

import (
	"context"
	"fmt"

	"github.com/steward-rmm/steward/server"
	"github.com/steward-rmm/steward/server/cli"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// localCommands work on the server's machine, beside the technician's ones.
type localCommands struct {
	Init    initCommand    `cmd:"" help:"Make a server in a fresh data directory."`
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Token   tokenCommands  `cmd:"" help:"API tokens, made on the server's machine."`
	Backup  laterCommand   `cmd:"" help:"Not in this version."`
	Restore laterCommand   `cmd:"" help:"Not in this version."`
	Doctor  laterCommand   `cmd:"" help:"Not in this version."`
	Keys    laterCommand   `cmd:"" help:"Not in this version."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

type initCommand struct {
	dataFlags  `embed:""`
	Admin      string `help:"E-mail address of the first owner." required:"" placeholder:"EMAIL"`
	ConsoleURL string `help:"The console's address as people type it." placeholder:"URL" env:"STEWARD_CONSOLE_URL"`
}

// Run makes the server and prints the first owner's link.
func (c *initCommand) Run(ctx context.Context, env *cli.Env) error {
	file, err := c.file()
	if err != nil {
		return err
	}
	link, err := server.Init(ctx, c.place(file), c.Admin, c.ConsoleURL, env.Now(), newLog(env))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "Start the server with: steward serve --data %s\nThen sign in, once, within 24 hours: %s\n", c.Data, link)
	return err
}

type tokenCommands struct {
	Create tokenCreate `cmd:"" help:"Make a token and print it."`
}

type tokenCreate struct {
	dataFlags `embed:""`
	Name      string `help:"What it is for." required:""`
	Role      string `help:"owner, technician or viewer." required:"" enum:"owner,technician,viewer"`
	Tenant    string `help:"The one customer it may see; all without it."`
}

// Run prints the token alone.
func (c *tokenCreate) Run(ctx context.Context, env *cli.Env) error {
	file, err := c.file()
	if err != nil {
		return err
	}
	plain, err := server.CreateToken(ctx, c.place(file), c.Name, c.Role, ident.TenantID(c.Tenant), env.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, plain)
	return err
}

// laterCommand stands for what the contract names and this version has not.
type laterCommand struct {
	Arguments []string `arg:"" optional:"" passthrough:"all"`
}

// Run says so.
func (laterCommand) Run() error { return fault.New(fault.NotYet, "not in this version") }

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(env *cli.Env) error {
	_, err := fmt.Fprintln(env.Stdout, "steward", version)
	return err
}
