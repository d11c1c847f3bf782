package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/agent"
	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/proto/wire"
)

// maxString bounds an enrollment string on standard input, in bytes.
const maxString = 16 << 10

// stopTimeout bounds an orderly stop. It is long because a package manager that
// is at work must not be killed; anything else stops at once, and a second
// signal ends the process.
const stopTimeout = 15 * time.Minute

// dataFlag is --data where it is needed.
func (c *call) dataFlag() *string {
	return c.flags.String("data", "", "data directory")
}

func needData(dir string) error {
	if dir == "" {
		return wrongUse("--data is missing: the directory of the agent's data")
	}
	return nil
}

// enroll makes this machine a device of the server that a string names.
func enroll(ctx context.Context, c *call) error {
	data, class, tags := c.dataFlag(), c.flags.String("class", "", "class of the device"), c.flags.String("tags", "", "tags, comma separated")
	args, err := c.parse(1)
	if err != nil {
		return err
	}
	if err := needData(*data); err != nil {
		return err
	}
	if *class != "" && !slices.Contains([]string{inventory.ClassWorkstation, inventory.ClassLaptop, inventory.ClassServer}, *class) {
		return wrongUse("--class %q: want workstation, laptop or server", *class)
	}
	labels, err := tagList(*tags)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return wrongUse("the enrollment string is missing; give it as an argument, or - to read it from standard input")
	}
	word := args[0]
	if word == "-" {
		raw, err := io.ReadAll(io.LimitReader(c.in, maxString))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		word = string(raw)
	}
	parsed, err := wire.ParseEnrollment(word)
	if err != nil {
		return usageError{err}
	}
	done, err := agent.Enroll(ctx, agent.EnrollOptions{
		Dir: *data, String: parsed, Class: *class, Tags: labels, Version: version, Now: time.Now,
	})
	if err != nil {
		return err
	}
	how := "enrolled"
	if done.Already {
		how = "already enrolled"
	}
	_, err = fmt.Fprintf(c.out, "%s with %s as device %s of %s\n", how, done.Facts.Address, done.Facts.Device, done.Facts.Tenant)
	return err
}

// tagList reads a,b.
func tagList(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var out []string
	for tag := range strings.SplitSeq(s, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "" || len(tag) > 64 || strings.ContainsAny(tag, " \t\r\n") {
			return nil, wrongUse("--tags %q: want words of 1 to 64 characters, separated by commas", s)
		}
		out = append(out, tag)
	}
	if len(out) > wire.MaxTags {
		return nil, wrongUse("--tags: %d, at most %d", len(out), wire.MaxTags)
	}
	return out, nil
}

// serve runs the agent until a signal or until the device is retired.
func serve(ctx context.Context, c *call) error {
	data, level := c.dataFlag(), c.flags.String("log-level", "info", "debug, info, warn or error")
	if _, err := c.parse(0); err != nil {
		return err
	}
	if err := needData(*data); err != nil {
		return err
	}
	var at slog.Level
	if err := at.UnmarshalText([]byte(*level)); err != nil {
		return wrongUse("--log-level %q: want debug, info, warn or error", *level)
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: at}))
	settings, err := agent.MachineSettings(*data)
	if err != nil {
		return err
	}
	app, err := agent.New(agent.Options{Dir: *data, Version: version, Settings: settings, Log: log, Hook: crashHook()})
	if err != nil {
		return err
	}
	if err := app.Start(ctx); err != nil {
		return errors.Join(err, stopApp(app))
	}
	log.Info("the agent runs", "version", version, "data", *data)
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case <-app.Done():
		log.Warn("the agent ends", "why", app.Err())
	}
	return stopApp(app)
}

func stopApp(app *agent.App) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return app.Stop(ctx)
}

// status tells how the agent on a data directory does.
func status(_ context.Context, c *call) error {
	data, output := c.dataFlag(), c.output()
	if _, err := c.parse(0); err != nil {
		return err
	}
	if err := checkOutput(*output); err != nil {
		return err
	}
	if err := needData(*data); err != nil {
		return err
	}
	s, err := agent.ReadStatus(*data)
	if err != nil {
		return err
	}
	if *output == "json" {
		return writeJSON(c.out, s)
	}
	state := "not connected: " + oneLine(s.Problem)
	if s.Connected {
		state = "connected"
	}
	fmt.Fprintf(c.out, "device %s of %s at %s: %s\n", s.DeviceID, s.Tenant, s.Server, state)
	fmt.Fprintf(c.out, "last contact %s, certificate until %s\n", shownTime(s.LastContact), shownTime(s.CertificateExpiresAt))
	fmt.Fprintf(c.out, "jobs: %d held, %d running; %d events not acknowledged; next window %s\n", s.Journal.Queued, s.Journal.Running, s.Journal.Unreported, shownTime(s.NextWindow))
	for _, why := range s.SettingsIgnored {
		fmt.Fprintln(c.out, "ignored setting:", oneLine(why))
	}
	return nil
}

func shownTime(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format(time.DateTime)
}
