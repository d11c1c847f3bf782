package console

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/ident"
)

// deploymentLive tails the deployment's history by number. What was rendered
// for a number is rendered once for all who watch; each reader gets the cells
// of the devices that moved since its own number.
func (c *Console) deploymentLive(f *frame) error {
	id := ident.DeploymentID(f.r.PathValue("deployment"))
	if _, err := c.o.Deployments.Deployment(f.ctx(), f.tenant.ID, id); err != nil {
		return err
	}
	final := false
	return f.stream(feed{topics: []string{deployment.Topic(id)}, done: func() bool { return final }, next: func(ctx context.Context, after string) (string, []byte, error) {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil || n < 0 {
			n = 0
		}
		moved, err := c.o.Deployments.Events(ctx, f.tenant.ID, id, n, 500)
		if err != nil || len(moved) == 0 {
			return after, nil, err
		}
		number := strconv.FormatInt(moved[len(moved)-1].Seq, 10)
		key := strings.Join([]string{"deployment", string(id), number, f.loc.String(), f.r.URL.Query().Get("device"), rights(f)}, "\x00")
		made, err := c.frags.get(key, func() (pieces, error) { return c.deploymentPieces(ctx, f) })
		if err != nil {
			return after, nil, err
		}
		final = len(made["final"]) > 0
		ids := []string{"dhead", "rings", "marks", "busy", "history", "joblog"}
		for _, e := range moved {
			if e.Device != "" && !slices.Contains(ids, "c-"+string(e.Device)) {
				ids = append(ids, "c-"+string(e.Device))
			}
		}
		return number, made.join(ids), nil
	}})
}

func (c *Console) deploymentPieces(ctx context.Context, f *frame) (pieces, error) {
	b, err := c.deploymentBody(ctx, f)
	if err != nil {
		return nil, err
	}
	out := pieces{}
	for _, name := range []string{"dhead", "rings", "marks", "busy", "history", "joblog"} {
		if out[name], err = f.part("deployment", "p-"+name, page{Body: b}); err != nil {
			return nil, err
		}
	}
	for _, r := range b.Rings {
		for _, one := range r.Cells {
			var html strings.Builder
			if err := c.pages.sets["deployment"].ExecuteTemplate(&html, "cell", one); err != nil {
				return nil, err
			}
			out["c-"+string(one.ID)] = []byte(html.String())
		}
	}
	if b.D.State.Final() {
		out["final"] = []byte("yes")
	}
	return out, nil
}
