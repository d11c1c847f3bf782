package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/console"
	"github.com/steward-rmm/steward/server/console/consoletest"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/wake"
)

type event struct{ name, id, data string }

// watch opens a stream and sends its events until the test ends.
func watch(t *testing.T, server *httptest.Server, path, lastID string) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "steward", Value: "owner"})
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: status %d, %s", path, answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	events := make(chan event, 16)
	go func() {
		defer close(events)
		defer func() { _ = answer.Body.Close() }()
		var e event
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case lines.Text() == "" && e.name != "":
				events <- e
				e = event{}
			case name == "event":
				e.name = value
			case name == "id":
				e.id = value
			case name == "data":
				e.data += value + "\n"
			}
		}
	}()
	return events
}

func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event came")
	}
	return event{}
}

func liveServer(t *testing.T) (*httptest.Server, *consoletest.Deployments, *wake.Hub) {
	t.Helper()
	c, deps, hub, err := consoletest.New(consoletest.Full, func(o *console.Options) { o.Poll = time.Hour })
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server, deps, hub
}

func member(n string) deployment.Member {
	return deployment.Member{Device: ident.DeviceID("0199a1b2-0000-7000-8000-0000000" + n), Ring: 3, Result: wire.ResultFailed, Job: "0199a1b2-0000-7000-8000-000000005000", EndedAt: consoletest.Now}
}

func TestADeploymentsStreamResumesByNumber(t *testing.T) {
	server, deps, hub := liveServer(t)
	path := "/t/nordlicht/deployments/" + depID + "/live?after=120"
	events := watch(t, server, path, "")
	deps.Move(member("10400"))
	hub.Wake(deployment.Topic(depID))
	first := next(t, events)
	if first.name != "fragments" || first.id != "121" || !strings.Contains(first.data, `id="c-0199a1b2-0000-7000-8000-000000010400"`) || !strings.Contains(first.data, "c-failed") {
		t.Fatalf("the first change: %s %s, the moved cell is in it: %v", first.name, first.id, strings.Contains(first.data, "10400"))
	}
	if strings.Contains(first.data, "000000010401") {
		t.Error("a cell that did not move was sent")
	}
	// Two changes while this reader is away: it comes back by its last number.
	deps.Move(member("10401"))
	deps.Move(member("10402"))
	again := next(t, watch(t, server, path, first.id))
	if again.id != "123" || !strings.Contains(again.data, "000000010401") || !strings.Contains(again.data, "000000010402") || strings.Contains(again.data, "000000010400") {
		t.Errorf("after coming back: number %s, want 123 with exactly the two cells that moved", again.id)
	}
}

func TestAFragmentIsRenderedOnceForAllWhoWatch(t *testing.T) {
	server, deps, hub := liveServer(t)
	path := "/t/nordlicht/deployments/" + depID + "/live?after=120"
	var streams []<-chan event
	for range 5 {
		streams = append(streams, watch(t, server, path, ""))
	}
	before := deps.Reads()
	deps.Move(member("10403"))
	hub.Wake(deployment.Topic(depID))
	want := next(t, streams[0])
	for _, s := range streams[1:] {
		if got := next(t, s); got != want {
			t.Error("two readers of the same view got different events")
		}
	}
	if n := deps.Reads() - before; n != 1 {
		t.Errorf("the deployment was read %d times for five readers, want once", n)
	}
}

func TestManyChangesMergeIntoFewMessages(t *testing.T) {
	server, deps, hub := liveServer(t)
	events := watch(t, server, "/t/nordlicht/deployments/"+depID+"/live?after=120", "")
	for range 40 {
		deps.Move(member("10404"))
		hub.Wake(deployment.Topic(depID))
	}
	n := 0
	for e := next(t, events); ; e = next(t, events) {
		n++
		if e.id == "160" {
			break
		}
		hub.Wake(deployment.Topic(depID))
	}
	if n > 5 {
		t.Errorf("40 changes came in %d messages, want at most 5", n)
	}
}

func TestOtherLivePagesSendWhatTheyShow(t *testing.T) {
	server, _, _ := liveServer(t)
	for path, part := range map[string]string{
		"/live": `id="needs"`, "/t/nordlicht/live": `id="sums"`, "/devices/live": `<tr id="d-`, device + "/live?tab=": `id="why"`, device + "/live?tab=updates": `id="updatelist"`,
		"/t/nordlicht/add/0199a1b2-0000-7000-8000-000000008000/live": `id="waiting"`,
	} {
		e := next(t, watch(t, server, path, ""))
		if e.name != "fragments" || e.id == "" || !strings.Contains(e.data, part) {
			t.Errorf("%s: event %q number %q without %s", path, e.name, e.id, part)
		}
	}
}

func TestAStreamOfSomethingMissingIsRefused(t *testing.T) {
	c := serve(t, consoletest.Full, nil)
	for _, path := range []string{"/t/nordlicht/deployments/0199a1b2-0000-7000-8000-000000000999/live", "/t/ashgrove/devices/none/live"} {
		if w := get(c, "owner", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, w.Code)
		}
	}
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	signedIn := &consoletest.Door{}
	c, deps, hub, err := consoletest.New(consoletest.Full, func(o *console.Options) {
		o.Poll = time.Hour
		signedIn.Accounts = o.SignIns.(consoletest.Accounts)
		o.SignIns = signedIn
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	events := watch(t, server, "/t/nordlicht/deployments/"+depID+"/live?after=120", "")
	signedIn.Shut()
	deps.Move(member("10405"))
	hub.Wake(deployment.Topic(depID))
	if e := next(t, events); e.name != "gone" {
		t.Errorf("after the session ended: event %q, want gone and nothing told", e.name)
	}
	if _, more := <-events; more {
		t.Error("the stream goes on")
	}
}
