package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/steward-rmm/steward/server"
	"github.com/steward-rmm/steward/server/cli"
	"github.com/steward-rmm/steward/server/fault"
)

// stopWithin bounds an orderly end.
const stopWithin = 20 * time.Second

// dataFlags name a server's state; they go with every command on its machine.
type dataFlags struct {
	Data     string `help:"The data directory." required:"" type:"path" env:"STEWARD_DATA"`
	Database string `help:"postgres://… in place of SQLite in the data directory." env:"STEWARD_DATABASE"`
}

func (f dataFlags) place(file configFile) server.Data {
	return server.Data{Dir: f.Data, Database: first(f.Database, file.Database)}
}

// configFile is steward.yaml in the data directory; flags and environment beat it.
type configFile struct {
	Database     string   `yaml:"database"`
	Agents       string   `yaml:"agents"`
	Console      string   `yaml:"console"`
	PublicAgents string   `yaml:"public_agents"`
	ConsoleURL   string   `yaml:"console_url"`
	TLSCert      string   `yaml:"tls_cert"`
	TLSKey       string   `yaml:"tls_key"`
	BehindProxy  []string `yaml:"behind_proxy"`
}

func (f dataFlags) file() (configFile, error) {
	var c configFile
	path := filepath.Join(f.Data, "steward.yaml")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fault.Invalidf(path, "cannot be read").WithCause(err)
	}
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		return c, fault.Invalidf(path, "%s", yaml.FormatError(err, false, false))
	}
	return c, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

type serveCommand struct {
	dataFlags    `embed:""`
	Agents       string   `help:"Where agents connect (127.0.0.1:7443)." placeholder:"HOST:PORT" env:"STEWARD_AGENTS"`
	Console      string   `help:"Where people and scripts connect (127.0.0.1:7080)." placeholder:"HOST:PORT" env:"STEWARD_CONSOLE"`
	PublicAgents string   `help:"The agents' address as enrollment strings name it." placeholder:"HOST:PORT" env:"STEWARD_PUBLIC_AGENTS"`
	ConsoleURL   string   `help:"The console's address as people type it." placeholder:"URL" env:"STEWARD_CONSOLE_URL"`
	TLSCert      string   `help:"The console's certificate, PEM." type:"existingfile" env:"STEWARD_TLS_CERT"`
	TLSKey       string   `help:"Its key, PEM." type:"existingfile" env:"STEWARD_TLS_KEY"`
	BehindProxy  []string `help:"Networks whose X-Forwarded-For is believed." placeholder:"CIDR" env:"STEWARD_BEHIND_PROXY"`
	Dev          bool     `help:"For one's own machine: init if needed, plain HTTP on loopback, customer home."`
}

// Run serves until a signal.
func (c *serveCommand) Run(ctx context.Context, env *cli.Env) error {
	log := newLog(env)
	cfg, err := c.config(log)
	if err != nil {
		return err
	}
	if c.Dev {
		if err := server.PrepareDev(ctx, cfg.Data, env.Now(), log); err != nil {
			return err
		}
	}
	app, err := server.New(ctx, cfg)
	if err != nil {
		return err
	}
	if err := c.start(ctx, app, env); err != nil {
		return errors.Join(err, stop(app))
	}
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return stop(app)
	case err := <-app.Failed():
		return errors.Join(err, stop(app))
	}
}

func (c *serveCommand) start(ctx context.Context, app *server.App, env *cli.Env) error {
	link := ""
	if c.Dev {
		var err error
		if link, err = app.Dev(ctx); err != nil {
			return err
		}
	}
	if err := app.Start(); err != nil {
		return err
	}
	agents, _ := app.Addr()
	_, _ = fmt.Fprintf(env.Stdout, "Console: %s\n", app.ConsoleURL())
	if link != "" {
		_, _ = fmt.Fprintf(env.Stdout, "Sign in, once: %s\n", link)
	}
	_, _ = fmt.Fprintf(env.Stdout, "Agents connect to %s\n", agents)
	return nil
}

func stop(app *server.App) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return app.Stop(ctx)
}

// config joins flags, environment and steward.yaml, and refuses what would
// speak plain HTTP to a network.
func (c *serveCommand) config(log *slog.Logger) (server.Config, error) {
	file, err := c.file()
	if err != nil {
		return server.Config{}, err
	}
	cfg := server.Config{
		Data: c.place(file), Agents: first(c.Agents, file.Agents, "127.0.0.1:7443"), Console: first(c.Console, file.Console, "127.0.0.1:7080"),
		PublicAgents: first(c.PublicAgents, file.PublicAgents), ConsoleURL: first(c.ConsoleURL, file.ConsoleURL),
		TLSCert: first(c.TLSCert, file.TLSCert), TLSKey: first(c.TLSKey, file.TLSKey), Dev: c.Dev, Version: version, Log: log, Hook: crashHook(),
	}
	proxies := c.BehindProxy
	if len(proxies) == 0 {
		proxies = file.BehindProxy
	}
	for _, text := range proxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return cfg, fault.Invalidf("behind-proxy", "%q is no network", text).WithNext("for example 10.0.0.0/24")
		}
		cfg.BehindProxy = append(cfg.BehindProxy, network)
	}
	if (cfg.TLSCert == "") != (cfg.TLSKey == "") {
		return cfg, fault.Invalidf("tls-cert", "certificate and key go together")
	}
	for flag, address := range map[string]string{"agents": cfg.Agents, "console": cfg.Console, "public-agents": first(cfg.PublicAgents, cfg.Agents)} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return cfg, fault.Invalidf(flag, "%q is no address", address).WithNext("for example 127.0.0.1:7443")
		}
	}
	if cfg.TLSCert == "" && len(cfg.BehindProxy) == 0 && !loopback(cfg.Console) {
		return cfg, fault.Invalidf("console", "%s would speak plain HTTP to a network", cfg.Console).
			WithNext("give --tls-cert and --tls-key, or --behind-proxy, or listen on 127.0.0.1")
	}
	return cfg, nil
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
