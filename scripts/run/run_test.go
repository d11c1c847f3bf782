//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the two programs that run starts: the test binary, called
// by their names, behaves as the contract says they do.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "steward":
		os.Exit(playServer(os.Args[1:]))
	case "steward-agent":
		os.Exit(playAgent(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func playServer(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// serve --dev --data DIR --console ADDRESS --agents ADDRESS
	data, console := args[3], args[5]
	if _, err := os.Stat(filepath.Join(data, "broken")); err == nil {
		fmt.Fprintln(os.Stderr, "steward: the data folder is broken")
		return 1
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return 1
	}
	l, err := net.Listen("tcp", console)
	if err != nil {
		return 1
	}
	fmt.Println("docs at https://steward.example/docs")
	fmt.Printf("sign in once: http://%s/sign-in/abc123.\n", console)
	asked := 0
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			http.Error(w, "migrating", http.StatusServiceUnavailable)
			return
		}
		if err := os.WriteFile(filepath.Join(data, "dev-enrollment"), []byte("home-string\n"), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})}
	go func() { _ = srv.Serve(l) }()
	<-ctx.Done()
	fmt.Println("server stopped")
	return 0
}

func playAgent(args []string) int {
	// enroll --data DIR STRING, or run --data DIR
	switch data := args[2]; args[0] {
	case "enroll":
		if args[3] != "home-string" {
			fmt.Fprintln(os.Stderr, "malformed string")
			return 2
		}
		if err := os.MkdirAll(data, 0o700); err != nil {
			return 1
		}
		fmt.Println("enrolled")
		return 0
	default:
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Println("agent runs")
		<-ctx.Done()
		fmt.Println("agent stopped")
		return 0
	}
}

// terminal collects what is printed and tells when a text has appeared.
type terminal struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (o *terminal) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *terminal) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *terminal) waitFor(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.news:
		case <-ctx.Done():
			t.Fatalf("%q was not printed:\n%s", text, o.String())
		}
	}
}

// stage makes a bin folder of the two programs and options for free ports.
func stage(t *testing.T) options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"steward", "steward-agent"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return options{bin: bin, data: filepath.Join(t.TempDir(), "var"), console: port(t), agents: port(t), patient: 20 * time.Second}
}

func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestRunTwice(t *testing.T) {
	o := stage(t)
	for i := range 2 {
		limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ctx, interrupt := context.WithCancel(limit)
		out := &terminal{news: make(chan struct{}, 1)}
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, o, out) }()
		out.waitFor(t, limit, "agent runs")
		interrupt()
		if err := <-ended; err != nil {
			t.Fatalf("run %d: %v\n%s", i+1, err, out)
		}
		text := out.String()
		if first := urls.FindString(text); first != "http://"+o.console {
			t.Errorf("the first URL printed is %s, want the console's:\n%s", first, text)
		}
		for _, want := range []string{"Sign in  http://" + o.console + "/sign-in/abc123\n", "enroll | enrolled\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not printed:\n%s", want, text)
			}
		}
		if a, s := strings.Index(text, "agent stopped"), strings.Index(text, "server stopped"); a < 0 || s < a {
			t.Errorf("the agent must stop before the server:\n%s", text)
		}
	}
}

func TestRunFails(t *testing.T) {
	taken := func(t *testing.T, o *options) {
		l, err := net.Listen("tcp", o.agents)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	broken := func(t *testing.T, o *options) {
		if err := os.MkdirAll(filepath.Join(o.data, "broken"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	unbuilt := func(t *testing.T, o *options) { o.bin = t.TempDir() }
	for _, c := range []struct {
		name   string
		change func(*testing.T, *options)
		err    string
		prints string
	}{
		{"address in use", taken, "choose another address", ""},
		{"server does not start", broken, "the server did not start: exit status 1", "server | steward: the data folder is broken\n"},
		{"nothing built", unbuilt, "no such file", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := stage(t)
			c.change(t, &o)
			out := &terminal{news: make(chan struct{}, 1)}
			err := run(t.Context(), o, out)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("run = %v, want %q", err, c.err)
			}
			if !strings.Contains(out.String(), c.prints) {
				t.Errorf("%q is not printed:\n%s", c.prints, out)
			}
		})
	}
}

func TestFind(t *testing.T) {
	const console = "127.0.0.1:7080"
	for _, c := range []struct {
		name          string
		lines         []string
		address, link string
	}{
		{"nothing printed", nil, "http://127.0.0.1:7080", ""},
		{"both printed", []string{"console: http://localhost:7080/", "sign in: http://localhost:7080/login?token=a.b-c"}, "http://localhost:7080/", "http://localhost:7080/login?token=a.b-c"},
		{"in a structured line", []string{`{"msg":"sign in","url":"https://127.0.0.1:7080/l/x"}`}, "http://127.0.0.1:7080", "https://127.0.0.1:7080/l/x"},
		{"at the end of a sentence", []string{"Open http://127.0.0.1:7080/l/x."}, "http://127.0.0.1:7080", "http://127.0.0.1:7080/l/x"},
		{"others' URLs", []string{"https://steward.example/docs http://127.0.0.1:7443/agents"}, "http://127.0.0.1:7080", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if address, link := find(c.lines, console); address != c.address || link != c.link {
				t.Errorf("find = %s, %s; want %s, %s", address, link, c.address, c.link)
			}
		})
	}
}
