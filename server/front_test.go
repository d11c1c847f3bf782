package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// house is a server that was made and not started.
func house(t *testing.T, proxies ...netip.Prefix) *App {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := Data{Dir: t.TempDir()}
	if err := PrepareDev(t.Context(), d, time.Now(), log); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), Config{Data: d, Agents: "127.0.0.1:0", Console: "127.0.0.1:0", BehindProxy: proxies, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return a
}

func TestMetricsAreForTheServersOwnMachine(t *testing.T) {
	named := netip.MustParsePrefix("127.0.0.2/32")
	a := house(t, named)
	for _, c := range []struct {
		name, from, forwarded string
		want                  int
	}{
		{"loopback", "127.0.0.1:4000", "", 200},
		{"loopback, IPv6", "[::1]:4000", "", 200},
		{"another machine", "192.0.2.7:4000", "", 401},
		{"another machine that claims otherwise", "192.0.2.7:4000", "127.0.0.1", 401},
		{"through a proxy of this machine that nobody named", "127.0.0.1:4000", "192.0.2.7", 401},
		{"through a named proxy", "127.0.0.2:4000", "192.0.2.7", 401},
		{"through a named proxy, with a claim before", "127.0.0.2:4000", "127.0.0.1, 192.0.2.7", 401},
		{"through a named proxy, from this machine", "127.0.0.2:4000", "127.0.0.1", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
			r.RemoteAddr = c.from
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			w := httptest.NewRecorder()
			a.handler.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d, not %d", w.Code, c.want)
			}
		})
	}
}

// Who begins a request and never ends it must not keep a connection for ever.
func TestABodyThatDoesNotComeEndsTheRequest(t *testing.T) {
	const within = 200 * time.Millisecond
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	})
	for name, handler := range map[string]http.Handler{"who reads it": read, "who does not": http.NotFoundHandler()} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(promptBodies(handler, within))
			t.Cleanup(s.CloseClientConnections) // before Close, which waits for them
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nemail="); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

func TestAHandlerMayTakeLongerThanABody(t *testing.T) {
	const within = 50 * time.Millisecond
	s := httptest.NewServer(promptBodies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the request ended with the time for its body")
		case <-time.After(4 * within):
		}
	}), within))
	defer s.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", answer, err)
	}
	if err == nil {
		_ = answer.Body.Close()
	}
}
