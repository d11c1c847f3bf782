package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/steward-rmm/steward/agent"
	"github.com/steward-rmm/steward/agent/service"
)

func printVersion(_ context.Context, c *call) error {
	if _, err := c.parse(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "steward-agent %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func notYet(context.Context, *call) error { return usageError{service.ErrNotInVersion} }

// scan looks at the machine once. It needs no server and no enrollment.
func scan(ctx context.Context, c *call) error {
	data, output := c.flags.String("data", "", "data directory, for its agent.yaml"), c.output()
	if _, err := c.parse(0); err != nil {
		return err
	}
	if err := checkOutput(*output); err != nil {
		return err
	}
	dir := *data
	if dir == "" {
		dir = agent.DefaultData()
	}
	settings, err := agent.MachineSettings(dir)
	if err != nil {
		return err
	}
	found, err := agent.Scan(ctx, settings, time.Now)
	if err != nil {
		return err
	}
	if *output == "json" {
		return writeJSON(c.out, found)
	}
	fmt.Fprintf(c.out, "%d packages installed, %d updates available, %d values measured\n", len(found.Software), len(found.Updates), len(found.Samples))
	for _, u := range found.Updates {
		fmt.Fprintf(c.out, "  %v %v: %v -> %v\n", u["source"], u["package"], u["installed_version"], u["available_version"])
	}
	for _, r := range found.Refusals {
		fmt.Fprintf(c.out, "not shown: %s: %s\n", r.Subject, oneLine(r.Text))
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
