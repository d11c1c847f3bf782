package api_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/api"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// history is a deployment whose transitions come while it is watched.
type history struct {
	*rollouts
	mu sync.Mutex
}

func (h *history) Deployment(ctx context.Context, t ident.TenantID, id ident.DeploymentID) (deployment.Deployment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rollouts.Deployment(ctx, t, id)
}

func (h *history) Events(ctx context.Context, t ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]deployment.Transition, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rollouts.Events(ctx, t, id, after, limit)
}

// move appends a transition of the deployment itself.
func (h *history) move(to deployment.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deployment.Seq++
	h.events = append(h.events, deployment.Transition{Seq: h.deployment.Seq, At: noon, Subject: deployment.OfDeployment, ID: deploymentID,
		From: string(h.deployment.State), To: string(to), Reason: reason.New(reason.Started, "policy", "p")})
	h.deployment.State = to
}

// watch opens the stream and returns its lines.
func watch(t *testing.T, url, token, after string) (<-chan string, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url+api.Prefix+"/tenants/acme/deployments/"+deploymentID+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines, resp
}

// until reads lines up to one with the prefix and returns those with it so far.
func until(t *testing.T, lines <-chan string, prefix string) string {
	t.Helper()
	for line := range lines {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	t.Fatalf("the stream ended before %q", prefix)
	return ""
}

func served(t *testing.T, wakes bool) (*house, *history, string) {
	t.Helper()
	h := open(t)
	live := &history{rollouts: h.rollout}
	h.rollout.deployment = deployment.Deployment{Tenant: "acme", ID: deploymentID, State: deployment.Running}
	o := h.options
	o.Deployments = live
	if wakes {
		o.Poll = time.Hour
	} else {
		o.Wake = nil
	}
	server := httptest.NewServer(api.New(o))
	t.Cleanup(server.Close)
	return h, live, server.URL
}

func TestEventsComeAsTheyHappenAndEndWithTheDeployment(t *testing.T) {
	for name, wakes := range map[string]bool{"by hint": true, "by poll": false} {
		t.Run(name, func(t *testing.T) {
			h, live, url := served(t, wakes)
			live.move(deployment.Running)
			lines, resp := watch(t, url, h.tokens["acme"], "")
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%d %v", resp.StatusCode, resp.Header)
			}
			until(t, lines, "event: transition")
			until(t, lines, "id: 1")
			if data := until(t, lines, "data: "); !strings.Contains(data, `"seq":1,"at":"2026-11-20T12:00:00Z","subject":"deployment"`) || !strings.Contains(data, `"reason_code":"started"`) {
				t.Error(data)
			}
			until(t, lines, ": still here") // a comment of the heartbeat
			live.move(deployment.Halted)
			h.hub.Wake(deployment.Topic(deploymentID))
			until(t, lines, "id: 2")
			until(t, lines, ": still here") // goes on after halted
			live.move(deployment.Cancelled)
			h.hub.Wake(deployment.Topic(deploymentID))
			until(t, lines, "id: 3")
			for line := range lines { // and ends after a final state
				if strings.HasPrefix(line, "id:") {
					t.Error(line)
				}
			}
		})
	}
}

func TestEventsResumeAfterTheLastOne(t *testing.T) {
	h, live, url := served(t, true)
	for _, s := range []deployment.State{deployment.Running, deployment.Halted, deployment.Running, deployment.Completed} {
		live.move(s)
	}
	lines, _ := watch(t, url, h.tokens["owner"], "2")
	var ids []string
	for line := range lines {
		if strings.HasPrefix(line, "id:") {
			ids = append(ids, line)
		}
	}
	if strings.Join(ids, ",") != "id: 3,id: 4" {
		t.Errorf("%q", ids)
	}
}

func TestAStreamEndsWithTheRightToIt(t *testing.T) {
	h, live, url := served(t, true)
	live.move(deployment.Running)
	lines, _ := watch(t, url, h.tokens["viewer"], "")
	until(t, lines, "id: 1")
	for _, v := range h.do("owner", "GET", api.Prefix+"/tokens", nil).items(t) {
		if token, _ := v.(map[string]any); token["name"] == "viewer" {
			id, _ := token["id"].(string)
			h.do("owner", "POST", api.Prefix+"/tokens/"+id+"/revoke", map[string]string{"reason": "leaked"})
		}
	}
	for range lines { // ends by itself, or the request's deadline fails the test
	}
	if _, resp := watch(t, url, h.tokens["viewer"], ""); resp.StatusCode != 401 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestNothingIsToldAfterTheRightToItEnded(t *testing.T) {
	h, live, _ := served(t, true)
	o := h.options
	o.Deployments, o.Poll, o.Heartbeat = live, time.Hour, time.Hour
	server := httptest.NewServer(api.New(o))
	t.Cleanup(server.Close)
	live.move(deployment.Running)
	lines, _ := watch(t, server.URL, h.tokens["viewer"], "")
	until(t, lines, "id: 1")
	for _, v := range h.do("owner", "GET", api.Prefix+"/tokens", nil).items(t) {
		if token, _ := v.(map[string]any); token["name"] == "viewer" {
			id, _ := token["id"].(string)
			h.do("owner", "POST", api.Prefix+"/tokens/"+id+"/revoke", map[string]string{"reason": "leaked"})
		}
	}
	live.move(deployment.Halted)
	h.hub.Wake(deployment.Topic(deploymentID))
	for line := range lines {
		if strings.HasPrefix(line, "id: 2") {
			t.Fatal("a revoked token was told what happened after its end")
		}
	}
}

func TestOneCallerHasSoManyStreamsAndOthersTheirs(t *testing.T) {
	h, live, url := served(t, true)
	live.move(deployment.Running)
	for range api.MaxStreams {
		if _, resp := watch(t, url, h.tokens["viewer"], ""); resp.StatusCode != 200 {
			t.Fatalf("%d", resp.StatusCode)
		}
	}
	if _, resp := watch(t, url, h.tokens["viewer"], ""); resp.StatusCode != 429 {
		t.Errorf("one more: %d", resp.StatusCode)
	}
	lines, resp := watch(t, url, h.tokens["owner"], "")
	if resp.StatusCode != 200 {
		t.Errorf("another caller: %d", resp.StatusCode)
	}
	until(t, lines, "id: 1")
}
