package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
)

// maxDocuments is the most that is read of a file of documents.
const maxDocuments = 1 << 20 // the server takes no more at once

// Apply applies documents.
type Apply struct {
	File   string `short:"f" required:"" placeholder:"FILE" help:"YAML, - for stdin."`
	DryRun bool   `help:"Only say what would change."`
}

// Run applies, or says what would change.
func (c *Apply) Run(x *call) error {
	documents, err := c.read(x.Stdin)
	if err != nil {
		return err
	}
	api, err := x.server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.ctx, requestTimeout)
	defer cancel()
	dry := "false"
	if c.DryRun {
		dry = "true"
	}
	raw, err := api.json(ctx, request{
		method: "POST", path: []string{"apply"}, query: query("dry_run", dry), body: documents, kind: "application/yaml",
	})
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) && f.Kind == fault.Invalid {
			f.Field = strings.TrimSuffix(c.name()+", "+f.Field, ", ")
		}
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	o, err := decode(raw)
	if err != nil {
		return err
	}
	x.changes(o.list("changes"), c.DryRun)
	return nil
}

func (c *Apply) name() string {
	if c.File == "-" {
		return "stdin"
	}
	return c.File
}

// read reads the file; one that cannot be read is wrong use.
func (c *Apply) read(stdin io.Reader) ([]byte, error) {
	in := stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			var p *fs.PathError
			if errors.As(err, &p) {
				err = p.Err
			}
			return nil, fault.Invalidf(c.File, "cannot be read: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxDocuments+1))
	switch {
	case err != nil:
		return nil, fault.Invalidf(c.name(), "cannot be read: %v", err)
	case len(data) > maxDocuments:
		return nil, fault.Invalidf(c.name(), "larger than %d MiB", maxDocuments>>20)
	case strings.TrimSpace(string(data)) == "":
		return nil, fault.Invalidf(c.name(), "holds no document")
	}
	return data, nil
}

// changes prints what changes, with its effects below.
func (x *call) changes(list []object, dry bool) {
	tones := map[string]tone{"create": good, "update": busy, "delete": care, "unchanged": faint}
	counts := map[string]int{}
	for _, o := range list {
		action := o.str("action")
		counts[action]++
		name := o.str("name")
		if site := o.str("site"); site != "" {
			name = site + "/" + name
		}
		if t := o.str("tenant"); t != "" && t != name {
			name = t + "/" + name
		}
		x.say("%s %s %s", x.paint(tones[action], action+strings.Repeat(" ", max(0, 9-columns(action)))), o.str("kind"), strings.TrimSuffix(name, "/"))
		effects, _ := o.get("effects").([]any)
		for _, e := range effects {
			x.say("          %s", show(e))
		}
	}
	var parts []string
	for _, p := range [][2]string{{"create", "created"}, {"update", "updated"}, {"delete", "deleted"}, {"unchanged", "unchanged"}} {
		if n := counts[p[0]]; n > 0 {
			parts = append(parts, itoa(n)+" "+p[1])
		}
	}
	summary := strings.Join(parts, ", ")
	if summary == "" {
		summary = "nothing to change"
	}
	if dry {
		summary = "Dry run, nothing was changed. It would be: " + summary
	}
	x.say("%s.", summary)
}
