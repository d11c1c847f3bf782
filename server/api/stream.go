package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/ident"
)

// MaxStreams is how many event streams one caller may hold at once: each looks
// into the database as long as it is open.
const MaxStreams = 32

// openStreams counts the streams of each caller.
type openStreams struct {
	mu sync.Mutex
	by map[ident.Actor]int
}

// enter takes a place for one more; leave gives it back. ok is false when the
// caller has all of theirs.
func (o *openStreams) enter(who ident.Actor) (leave func(), ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by[who] >= MaxStreams {
		return nil, false
	}
	o.by[who]++
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.by[who]--; o.by[who] == 0 {
			delete(o.by, who)
		}
	}, true
}

// writeWithin is how long one write to a slow reader may take.
const writeWithin = 30 * time.Second

// stream sends a deployment's transitions after a number as they come, and
// ends once the deployment has. What was missed is in the table: hints only
// make it quicker. Before anything is told, and at every heartbeat, it asks again
// whether the caller may listen.
func (a *api) stream(hc huma.Context, c *caller, id ident.DeploymentID, after int64, sees func(ident.DeviceID) bool) {
	ctx := hc.Context()
	hc.SetHeader("Content-Type", "text/event-stream")
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetHeader("X-Accel-Buffering", "no")
	r, w := humago.Unwrap(hc)
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	hc.SetStatus(http.StatusOK)
	hints := make(<-chan struct{})
	if a.o.Wake != nil {
		var cancel func()
		hints, cancel = a.o.Wake.Subscribe(deployment.Topic(id))
		defer cancel()
	}
	beat, poll := time.NewTicker(a.o.Heartbeat), time.NewTicker(a.o.Poll)
	defer beat.Stop()
	defer poll.Stop()
	out.comment("events of deployment " + string(id))
	look := true // whether the deployment itself may have ended
	for {
		events, err := a.o.Deployments.Events(ctx, c.tenant, id, after, maxRecords)
		if err != nil {
			a.streamFailed(ctx, err)
			return
		}
		if len(events) > 0 && !a.mayListen(r, c) {
			return
		}
		for _, e := range events {
			if sees(e.Device) {
				out.event(e)
			}
			after = e.Seq
			look = look || e.Subject == deployment.OfDeployment
		}
		if len(events) == 0 && look {
			d, err := a.o.Deployments.Deployment(ctx, c.tenant, id)
			if err != nil {
				a.streamFailed(ctx, err)
				return
			}
			if d.State.Final() && after >= d.Seq {
				return
			}
			look = d.Seq > after
		}
		if out.err != nil {
			return
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-hints:
		case <-poll.C:
		case <-beat.C:
			if !a.mayListen(r, c) {
				return
			}
			out.comment("still here")
		}
	}
}

// mayListen asks again whether the caller may have the stream.
func (a *api) mayListen(r *http.Request, c *caller) bool {
	p, err := a.authenticate(r, a.o.Now())
	return err == nil && a.authorize(r.Context(), &caller{Principal: p, tenant: c.tenant, route: c.route}) == nil
}

func (a *api) streamFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		a.o.Log.Error("event stream failed", "error", err)
	}
}

// eventWriter writes server-sent events; the first error stands.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (e *eventWriter) write(text string) {
	if e.err != nil {
		return
	}
	// A recorder in a test knows no deadlines.
	_ = e.control.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, e.err = e.w.Write([]byte(text)); e.err == nil {
		e.err = e.control.Flush()
	}
}

func (e *eventWriter) comment(text string) { e.write(": " + text + "\n\n") }

func (e *eventWriter) event(t deployment.Transition) {
	data, err := json.Marshal(renderTransition(t))
	if err != nil {
		e.err = err
		return
	}
	e.write(fmt.Sprintf("event: transition\nid: %d\ndata: %s\n\n", t.Seq, data))
}
