package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// The pace of watching.
const (
	settled    = 500 * time.Millisecond // without an event: the history is told to its end
	untold     = 3 * time.Second        // without the first event: there is none to tell
	silent     = 45 * time.Second       // three comments missed: the connection is dead
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
	progressIn = 2 * time.Second // counts are read again at most this often
)

type deploymentsWatch struct {
	item
	Patience span `default:"10m" placeholder:"10m" help:"How long to try again while the server does not answer."`
}

// watch is a deployment that is followed.
type watch struct {
	x     *call
	at    place
	hosts map[string]string // device → host name
	state string            // of the deployment, as last told
	last  string            // id of the last event
	told  bool              // the present connection told something
	heard time.Time         // when the server last said something
	lost  bool              // that the server does not answer was said
	wait  time.Duration     // before the next connection
	retry time.Duration     // that the server asks for; 0: nothing
	line  progressLine
}

// Run follows the deployment to its end, over lost connections and restarts of
// the server.
func (c *deploymentsWatch) Run(x *call) error {
	p, err := x.find("deployment", c.ID)
	if err != nil {
		return err
	}
	w := &watch{x: x, at: p, hosts: map[string]string{}, wait: firstRetry, last: "0", heard: x.Now()}
	o, err := w.read()
	if err != nil {
		return err
	}
	if !x.JSON {
		x.headline(o)
		x.say("")
		w.names()
	}
	if err := x.out.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return w.run(c.Patience.duration())
}

// run connects again and again, until the deployment ended or the server did
// not answer for too long.
func (w *watch) run(patience time.Duration) error {
	for {
		done, err := w.follow()
		w.clear()
		if done {
			return w.end()
		}
		if err == nil && !w.told {
			// Perhaps it ended meanwhile; the next connection tells what is missing.
			_, err = w.read()
		}
		switch {
		case err == nil:
			w.heard, w.lost, w.wait = w.x.Now(), false, firstRetry
		case !passes(err) || w.x.Now().Sub(w.heard) > patience:
			return err
		case !w.lost:
			w.lost = true
			fmt.Fprintf(w.x.Stderr, "steward deployments watch: %s; trying again\n", cut(line(err.Error()), 300))
		}
		if err := w.pause(); err != nil {
			return err
		}
	}
}

// maxNames bounds the names that are read before watching.
const maxNames = 5000

// names reads host names, so that lines tell them; without them the devices'
// ids stand there.
func (w *watch) names() {
	limit := maxNames
	_ = w.x.walk([]string{"tenants", w.at.tenant, "devices"}, query(), &limit, func(raw json.RawMessage) error {
		if o, err := decode(raw); err == nil {
			w.hosts[o.raw("id")] = o.str("hostname")
		}
		return nil
	})
}

// passes reports whether an error may pass by itself.
func passes(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.TooMany) || fault.Is(err, fault.Internal)
}

// ends reports whether watching ends with the state; a halted deployment can
// go on, but not by itself.
func ends(state string) bool {
	return state == "completed" || state == "superseded" || state == "cancelled" || state == "halted"
}

// read reads how the deployment stands now.
func (w *watch) read() (object, error) {
	_, o, err := w.x.object("GET", w.at.path(), nil, nil)
	if err != nil {
		return nil, err
	}
	w.state = o.raw("state")
	w.count(o)
	return o, nil
}

// follow reads one connection's events. done is that the deployment ended and
// everything was told; otherwise the connection was lost.
func (w *watch) follow() (done bool, err error) {
	w.told = false
	ctx, cancel := context.WithCancel(w.x.ctx)
	defer cancel()
	api, err := w.x.server()
	if err != nil {
		return false, err
	}
	resp, err := api.send(ctx, request{method: "GET", path: w.at.path("events"), accept: "text/event-stream", after: w.last})
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return false, fault.New(fault.Conflict, "the server does not send events (%s)", line(kind)).WithNext("is something between that changes answers?")
	}
	stream := readEvents(resp.Body)
	come := make(chan event)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			e, err := stream.next()
			if err != nil {
				return
			}
			select {
			case come <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	done, err = w.listen(come, ended)
	cancel()
	_ = resp.Body.Close()
	<-ended
	w.retry = stream.retry
	return done, err
}

func (w *watch) listen(come <-chan event, ended <-chan struct{}) (done bool, err error) {
	for {
		limit := silent
		switch {
		case ends(w.state) && w.told:
			limit = settled
		case ends(w.state):
			limit = untold
		}
		timer := time.NewTimer(limit)
		select {
		case e := <-come:
			timer.Stop()
			w.heard = w.x.Now()
			if e.comment() {
				continue
			}
			if err := w.take(e); err != nil {
				return false, err
			}
		case <-timer.C:
			if !ends(w.state) {
				return false, nil
			}
			if done, err := w.confirm(); done || err != nil {
				return done, err
			}
		case <-ended:
			timer.Stop()
			if ends(w.state) {
				return w.confirm()
			}
			return false, nil
		case <-w.x.ctx.Done():
			timer.Stop()
			return false, w.x.ctx.Err()
		}
	}
}

// confirm asks whether it really ended there: a halt of the history may have
// been resumed long ago.
func (w *watch) confirm() (bool, error) {
	_, err := w.read()
	return err == nil && ends(w.state), err
}

// transition is the data of an event.
type transition struct {
	At      string `json:"at"`
	Subject string `json:"subject"`
	ID      string `json:"id"`
	Device  string `json:"device"`
	From    string `json:"from"`
	To      string `json:"to"`
	Reason  string `json:"reason"`
}

// take prints one event and remembers it.
func (w *watch) take(e event) error {
	w.told = true
	if e.id != "" {
		w.last = e.id
	}
	if e.name != "transition" {
		return nil
	}
	var t transition
	if err := json.Unmarshal([]byte(e.data), &t); err != nil {
		return fault.New(fault.Conflict, "the server sent an event that is none").WithNext("are steward and the server of one version?")
	}
	w.clear()
	if w.x.JSON {
		w.x.say("%s", w.x.clean([]byte(strings.ReplaceAll(e.data, "\n", " "))))
	} else {
		w.tell(t)
	}
	if t.Subject == "deployment" {
		w.state = t.To
	}
	if err := w.x.out.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.progress()
	return nil
}

// tell prints a transition: time, subject, from → to, reason.
func (w *watch) tell(t transition) {
	stamp := line(t.At)
	if at, err := time.Parse(time.RFC3339, t.At); err == nil {
		at = at.In(w.x.Zone)
		stamp = at.Format("15:04:05")
		if at.Format(time.DateOnly) != w.x.Now().In(w.x.Zone).Format(time.DateOnly) {
			stamp = at.Format("Mon 2 Jan 15:04:05")
		}
	}
	who := line(t.Subject)
	switch t.Subject {
	case "ring":
		who += " " + line(t.ID)
	case "job":
		who += " on " + w.host(t)
	}
	from, to := words(t.From), words(t.To)
	step := w.x.paint(toneOf(t.To), to)
	if from != "" && from != to {
		step = from + " → " + step
	}
	w.x.say("%s  %s  %s  %s", w.x.paint(faint, stamp), who, step, line(t.Reason))
}

func (w *watch) host(t transition) string {
	for _, name := range []string{w.hosts[t.Device], t.Device, t.ID} {
		if s := line(name); s != "" {
			return s
		}
	}
	return "?"
}

// pause waits before the next connection, longer each time.
func (w *watch) pause() error {
	wait := w.wait
	if w.retry > 0 {
		wait = min(max(w.retry, 100*time.Millisecond), lastRetry)
	}
	w.wait = min(w.wait*2, lastRetry)
	select {
	case <-time.After(wait/2 + rand.N(wait/2+1)):
		return nil
	case <-w.x.ctx.Done():
		return w.x.ctx.Err()
	}
}

// end turns the last state into the exit code.
func (w *watch) end() error {
	if !w.x.JSON {
		w.x.say("%s", w.x.paint(toneOf(w.state), words(w.state)))
	}
	if w.state == "halted" || w.state == "cancelled" {
		return ending{3}
	}
	return nil
}
