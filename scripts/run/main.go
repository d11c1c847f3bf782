//go:build unix

// Command run is `make run`: a development server on ./var and, as a process
// of its own, the real agent of this machine, enrolled in tenant home. ctrl-C
// stops both; the next run takes up the same data again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are where things are and how long to wait for them.
type options struct {
	bin     string // folder of steward and steward-agent
	data    string // the server's --data; the agent's is agent below it
	console string // address of the console and API
	agents  string // address for the agents
	patient time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of the built binaries")
	flag.StringVar(&o.data, "data", "./var", "the server's data `folder`; the agent's is agent below it")
	flag.StringVar(&o.console, "console", "127.0.0.1:7080", "`address` of the console")
	flag.StringVar(&o.agents, "agents", "127.0.0.1:7443", "`address` for the agents")
	flag.DurationVar(&o.patient, "wait", time.Minute, "how long the server may take to start")
	flag.Parse()

	// Closing the terminal stops both, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

// run starts both, and returns nil when ctx has ended and both are stopped.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if err := free(o.console, o.agents); err != nil {
		return err
	}
	sc := newScreen(out)
	server, err := start(sc, "server", filepath.Join(o.bin, "steward"),
		"serve", "--dev", "--data", o.data, "--console", o.console, "--agents", o.agents)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop(ctx)) }()
	// Whatever was held back is shown when starting fails.
	defer sc.release("")

	if err := server.ready(ctx, "http://"+o.console+"/readyz", o.patient); err != nil {
		return stopped(ctx, err)
	}
	address, link := sc.links(ctx, o.console, 2*time.Second)
	sc.release(greeting(address, link))

	secret, err := enrollment(ctx, filepath.Join(o.data, "dev-enrollment"), 10*time.Second)
	if err != nil {
		return stopped(ctx, err)
	}
	agentData := filepath.Join(o.data, "agent")
	program := filepath.Join(o.bin, "steward-agent")
	// Enrolling again with the same server changes nothing and succeeds.
	enroll, err := start(sc, "enroll", program, "enroll", "--data", agentData, secret)
	if err != nil {
		return err
	}
	if err := enroll.wait(ctx); err != nil {
		return stopped(ctx, fmt.Errorf("enroll this machine's agent: %w", errors.Join(err, enroll.stop(ctx))))
	}
	agent, err := start(sc, "agent", program, "run", "--data", agentData)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.stop(ctx)) }() // before the server: deferred later

	select {
	case <-ctx.Done():
		return nil
	case <-server.done:
		return fmt.Errorf("the server ended by itself: %w", server.ended())
	case <-agent.done:
		return fmt.Errorf("the agent ended by itself: %w", agent.ended())
	}
}

// stopped turns an error into nil when the reason is that the person stopped us.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// free fails when somebody already listens on one of the addresses: the
// answers of another server must not pass for ours.
func free(addresses ...string) error {
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return fmt.Errorf("cannot listen on %s: %w; stop what runs there, or choose another address with make run ARGS='-console HOST:PORT -agents HOST:PORT'", a, err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// enrollment reads the string that serve --dev writes for this machine.
func enrollment(ctx context.Context, path string, patient time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for {
		b, err := os.ReadFile(path)
		if s := strings.TrimSpace(string(b)); err == nil && s != "" {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no enrollment string in %s: %w", path, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// greeting is what a person reads first; its first URL is the console's.
func greeting(address, link string) string {
	text := "Console  " + address + "\n"
	if link != "" {
		text += "Sign in  " + link + "\n         (works once)\n"
	}
	return text + "ctrl-C stops the server and the agent\n\n"
}
