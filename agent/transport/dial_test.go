package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/proto/wire"
)

// proxy answers one CONNECT by a text and then echoes.
func proxy(t *testing.T, answer string) (via *url.URL, asked chan *http.Request) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = make(chan *http.Request, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		asked <- r
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
		_, _ = io.Copy(conn, conn)
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String(), User: url.UserPassword("ann", "secret")}, asked
}

func TestAProxyIsAskedForATunnel(t *testing.T) {
	via, asked := proxy(t, "HTTP/1.1 200 Connection established\r\n\r\n")
	dial := NewDialer(func(string) (*url.URL, error) { return via, nil })
	conn, err := dial(context.Background(), "steward.example:7443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := <-asked
	if r.Method != http.MethodConnect || r.Host != "steward.example:7443" || r.Header.Get("Proxy-Authorization") != "Basic YW5uOnNlY3JldA==" {
		t.Errorf("%s %s %v", r.Method, r.Host, r.Header)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
}

func TestAProxyThatRefusesIsNamedWithoutItsPassword(t *testing.T) {
	for name, answer := range map[string]string{
		"forbidden": "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
		"nonsense":  "220 mail.example ESMTP\r\n",
		"endless":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10000),
		"talkative": "HTTP/1.1 200 OK\r\n\r\nand more",
	} {
		via, _ := proxy(t, answer)
		_, err := NewDialer(func(string) (*url.URL, error) { return via, nil })(context.Background(), "h:1")
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), via.Host) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheEnvironmentNamesTheProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	t.Setenv("NO_PROXY", "direct.example")
	for address, want := range map[string]string{"steward.example:7443": "proxy.example:3128", "direct.example:1": "", "127.0.0.1:7443": "", "localhost:1": ""} {
		u, err := ProxyFromEnvironment()(address)
		if err != nil || (u == nil) != (want == "") || u != nil && u.Host != want {
			t.Errorf("%s: %v %v", address, u, err)
		}
	}
}

func TestEnroll(t *testing.T) {
	inBubble(t, func(w *world) {
		ask := func(s wire.Enrollment) (identity.Granted, error) {
			p, err := identity.Prepare(identity.Memory(), s)
			w.must(err)
			csr, err := p.Credential().CSR()
			w.must(err)
			g, err := Enroll(context.Background(), Enrollment{String: s, CSR: csr, Now: time.Now, Dial: w.dial})
			if err != nil {
				return g, err
			}
			_, err = p.Complete(time.Now(), g)
			return g, err
		}
		s := w.fake.authority.String("steward.example:7443")
		if g, err := ask(s); err != nil || g.Device != "dev-1" || g.Tenant != "acme" {
			t.Fatalf("%v %v", g, err)
		}
		used := s
		used.Token[0] = 9
		var refused *RefusedError
		if _, err := ask(used); !errors.As(err, &refused) || !refused.Final || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("a used token: %v", err)
		}
		other := s
		other.RootSPKI[0]++
		if _, err := ask(other); err == nil || errors.As(err, &refused) && refused.Final && strings.Contains(err.Error(), "token") {
			t.Errorf("another root: %v", err)
		}
		w.net = func() bool { return false }
		if _, err := ask(s); err == nil || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("no network: %v", err)
		}
	})
}
