package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stage is a server with one deployment whose history grows, inside the test's
// own time. It is the transport of the client: nothing leaves the process.
type stage struct {
	mu      sync.Mutex
	history []string // data of events, seq is the place from 1
	state   string
	down    bool
	cut     int           // the stream ends after so many events of a connection; 0: never
	mute    bool          // streams say nothing, not even comments
	changed chan struct{} // closed at each change
	after   []string      // Last-Event-ID of each connection
	opened  int
}

func newStage() *stage { return &stage{state: "running", changed: make(chan struct{})} }

func (s *stage) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stage) add(subject, id, from, to, why string) {
	s.change(func() {
		text, _ := json.Marshal(why)
		s.history = append(s.history, fmt.Sprintf(`{"seq":%d,"at":%q,"subject":%q,"id":%q,"device":%q,"from":%q,"to":%q,"reason":%s}`,
			len(s.history)+1, time.Now().UTC().Format(time.RFC3339), subject, id, device1, from, to, text))
		if subject == "deployment" {
			s.state = to
		}
	})
}

// RoundTrip answers a request.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	kind, body, status := "application/json", "", 200
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v1"); path {
	case "/lookup/" + deployment1:
		body = `{"kind":"deployment","tenant":"acme"}`
	case "/tenants/acme/devices":
		body = items(`{"id":"` + device1 + `","hostname":"front-desk"}`)
	case "/tenants/acme/deployments/" + deployment1:
		body = `{"id":"` + deployment1 + `","source":"apt","package":"curl","version":"8","state":"` + s.state + `","reason":"","rings":[{"name":"all","devices":4,"verified":1,"failed":0}]}`
	case "/tenants/acme/deployments/" + deployment1 + "/events":
		return s.stream(r), nil
	default:
		kind, body, status = "application/problem+json", `{"title":"Not Found"}`, 404
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *stage) stream(r *http.Request) *http.Response {
	out, in := io.Pipe()
	s.after = append(s.after, r.Header.Get("Last-Event-ID"))
	s.opened++
	next, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	stop := context.AfterFunc(r.Context(), func() { _ = out.CloseWithError(r.Context().Err()) })
	go func() {
		defer func() { stop(); _ = in.Close() }()
		sent := 0
		if _, err := io.WriteString(in, ": events\n\n"); err != nil {
			return
		}
		for {
			s.mu.Lock()
			changed, text, down := s.changed, "", s.down || s.cut > 0 && sent >= s.cut
			if next < len(s.history) && !s.mute {
				next++
				text = fmt.Sprintf("event: transition\nid: %d\ndata: %s\n\n", next, s.history[next-1])
			}
			final := s.state == "completed" || s.state == "cancelled" || s.state == "superseded"
			mute := s.mute
			s.mu.Unlock()
			if down || text == "" && final && !mute {
				return
			}
			if text == "" {
				select {
				case <-changed:
					continue
				case <-time.After(15 * time.Second):
					text = ": still here\n\n"
				case <-r.Context().Done():
					return
				}
				if mute {
					continue
				}
			} else {
				sent++
			}
			if _, err := io.WriteString(in, text); err != nil {
				return
			}
		}
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: out, Request: r}
}

// watched runs watch in the test's own time and returns what it printed.
func watched(t *testing.T, s *stage, width int, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := world("http://localhost", &out, &errs, nil)
	env.HTTP, env.Now, env.Width, env.Zone = &http.Client{Transport: s}, time.Now, width, time.UTC
	code = Run(t.Context(), append([]string{"deployments", "watch", deployment1}, args...), env, nil)
	return out.String(), errs.String(), code
}

func TestWatchToTheEnd(t *testing.T) {
	for state, want := range map[string]int{"completed": 0, "superseded": 0, "halted": 3, "cancelled": 3} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			go func() {
				s.add("deployment", deployment1, "", "running", "Started by policy all.")
				time.Sleep(time.Minute)
				s.add("ring", "pilots", "waiting", "active", "Opened.")
				time.Sleep(time.Hour)
				s.add("job", job1, "running", "succeeded", "Finished.")
				s.add("deployment", deployment1, "running", state, "Because.")
			}()
			out, errs, code := watched(t, s, 0)
			if code != want || errs != "" {
				t.Errorf("%s: exit %d, %q", state, code, errs)
			}
			for _, line := range []string{"ring pilots  waiting → active  Opened.\n", "job on front-desk  running → succeeded  Finished.\n", "deployment  running → " + state + "  Because.\n", "\n" + state + "\n"} {
				if !strings.Contains(out, line) {
					t.Errorf("%s: no %q in\n%s", state, line, out)
				}
			}
			if s.opened != 1 {
				t.Errorf("%s: %d connections", state, s.opened)
			}
		})
	}
}

// Every event is told once, in order, over cut streams and a server that is
// away for minutes.
func TestWatchOverACutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.cut = 3
		const n = 20
		go func() {
			for i := range n {
				s.add("job", fmt.Sprint("j", i), "queued", "leased", fmt.Sprintf("step-%d.", i))
				time.Sleep(20 * time.Second)
				if i == 10 {
					s.change(func() { s.down = true })
					time.Sleep(4 * time.Minute)
					s.change(func() { s.down = false })
				}
			}
			s.add("deployment", deployment1, "running", "completed", "All rings passed.")
		}()
		out, errs, code := watched(t, s, 0)
		if code != 0 {
			t.Fatalf("exit %d %s", code, errs)
		}
		at := 0
		for i := range n {
			want := fmt.Sprintf("step-%d.\n", i)
			if strings.Count(out, want) != 1 {
				t.Errorf("%q is told %d times", want, strings.Count(out, want))
			}
			if p := strings.Index(out, want); p < at {
				t.Errorf("%q is out of order", want)
			} else {
				at = p
			}
		}
		if s.opened < 5 || s.after[0] != "0" || s.after[1] != "3" {
			t.Errorf("%d connections after %v", s.opened, s.after)
		}
		if !strings.Contains(errs, "trying again") {
			t.Errorf("stderr %q", errs)
		}
	})
}

// A halt of the history that was resumed is told, and is not the end.
func TestWatchOfADeploymentThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.add("deployment", deployment1, "", "running", "Started.")
		s.add("deployment", deployment1, "running", "halted", "Too many failed.")
		s.add("deployment", deployment1, "halted", "running", "Resumed by Ann.")
		s.add("deployment", deployment1, "running", "completed", "All rings passed.")
		begin := time.Now()
		out, errs, code := watched(t, s, 0)
		if code != 0 || errs != "" || strings.Count(out, "→") != 3 {
			t.Errorf("exit %d %q\n%s", code, errs, out)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestWatchOfAHaltedDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.add("deployment", deployment1, "", "running", "Started.")
		s.add("deployment", deployment1, "running", "halted", "Too many failed.")
		out, _, code := watched(t, s, 0, "-o", "json")
		if code != 3 || strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, `{"seq":1,`) {
			t.Errorf("exit %d\n%s", code, out)
		}
	})
}

// A connection that says nothing, not even that it is there, is given up.
func TestWatchLeavesADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.mute = true
		go func() {
			time.Sleep(10 * time.Minute)
			s.change(func() { s.mute = false })
			s.add("deployment", deployment1, "running", "completed", "All rings passed.")
		}()
		if _, errs, code := watched(t, s, 0); code != 0 || s.opened < 5 {
			t.Errorf("exit %d after %d connections: %s", code, s.opened, errs)
		}
	})
}

func TestWatchLosesPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		go func() {
			time.Sleep(time.Minute)
			s.change(func() { s.down = true })
		}()
		begin := time.Now()
		_, errs, code := watched(t, s, 0, "--patience", "5m")
		if took := time.Since(begin); code != 1 || took < 5*time.Minute || took > 8*time.Minute || strings.Count(errs, "\n") != 2 {
			t.Errorf("exit %d after %v: %q", code, took, errs)
		}
	})
}

func TestWatchIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var out, errs bytes.Buffer
		env := world("http://localhost", &out, &errs, nil)
		env.HTTP, env.Now = &http.Client{Transport: s}, time.Now
		if code := Run(ctx, []string{"deployments", "watch", deployment1}, env, nil); code != 1 || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("exit %d %q", code, errs.String())
		}
	})
}

// At a terminal a progress line stands below the transitions and hostile text
// does nothing.
func TestWatchAtATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		go func() {
			s.add("deployment", deployment1, "", "running", "Sta\x1b[2Jrted.\n")
			time.Sleep(time.Minute)
			s.add("deployment", deployment1, "running", "completed", "All rings passed.")
		}()
		out, _, code := watched(t, s, 100)
		if code != 0 || !strings.Contains(out, "1 of 4 verified, 0 failed") || !strings.Contains(out, "Started.") || strings.Contains(out, "[2J") {
			t.Errorf("exit %d %q", code, out)
		}
	})
}
