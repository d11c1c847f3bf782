//go:build e2e

// Package rig starts the built binaries as a user would and drives them by the
// names of the contract: a server, agents, an apt repository made of files.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bin is the path of a built binary; STEWARD_BIN names their folder.
func Bin(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("STEWARD_BIN")
	if dir == "" {
		t.Fatal("STEWARD_BIN is not set: run the suite by make test, or set it to the absolute path of bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return path
}

// FreePort is a port of the loopback interface that is free now.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// process is a program under test, restarted and killed at will.
type process struct {
	t    testing.TB
	name string
	args []string
	env  []string
	arm  []string // more of the environment, of the next start
	wrap []string // a command line in front
	log  string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

func (p *process) start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	line := slices.Concat(p.wrap, []string{p.name}, p.args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = slices.Concat(os.Environ(), p.env, p.arm)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = out.Close()
		close(done)
	}()
	p.cmd, p.done = cmd, done
}

// signal sends a signal to the process and waits until it has ended.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-done
		p.t.Errorf("%s did not end within 30 s of %v", filepath.Base(p.name), sig)
	}
}

// ended reports whether the process has ended by itself.
func (p *process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// PID is the number of the running process, 0 for none.
func (p *process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Arm adds to the environment of the next starts; nothing takes it back.
func (p *process) Arm(environment ...string) { p.arm = environment }

// Ended reports whether the process has ended by itself, or was killed.
func (p *process) Ended() bool { return p.ended() }

// Log is what the process has printed, over all its starts.
func (p *process) Log() string {
	data, _ := os.ReadFile(p.log)
	return string(data)
}

// tell prints the end of the log of a failed test.
func (p *process) tell() {
	if !p.t.Failed() {
		return
	}
	var data []byte
	for line := range strings.Lines(p.Log()) {
		if !strings.HasPrefix(line, "crash point ") {
			data = append(data, line...)
		}
	}
	if len(data) > 12000 {
		data = data[len(data)-12000:]
	}
	p.t.Logf("%s said:\n%s", filepath.Base(p.name), data)
}

// Run runs a program to its end and returns what it printed and its exit code.
func Run(t testing.TB, env []string, stdin string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Eventually waits until f reports true; it fails the test after the limit with
// what f last said.
func Eventually(t testing.TB, limit time.Duration, what string, f func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	last := ""
	for {
		ok, said := f()
		if ok {
			return
		}
		last = said
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last: %s", what, limit, last)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Server is a running server of its own data directory.
type Server struct {
	process
	Data   string
	URL    string
	Agents string
	Token  string
	bin    string
}

// StartServer starts `steward serve --dev` on a fresh data directory and waits
// until it is ready.
func StartServer(t testing.TB, flags ...string) *Server {
	t.Helper()
	return StartServerAt(t, filepath.Join(t.TempDir(), "server"), flags...)
}

// StartServerAt is StartServer on a data directory of the caller's choice.
func StartServerAt(t testing.TB, data string, flags ...string) *Server {
	t.Helper()
	s := PrepareServer(t, data, flags...)
	s.Start()
	s.MakeToken()
	return s
}

// PrepareServer is a server that has not been started.
func PrepareServer(t testing.TB, data string, flags ...string) *Server {
	t.Helper()
	console, agents := "127.0.0.1:"+FreePort(t), "127.0.0.1:"+FreePort(t)
	s := &Server{Data: data, URL: "http://" + console, Agents: agents, bin: Bin(t, "steward")}
	s.process = process{t: t, name: s.bin, log: filepath.Join(t.TempDir(), "server.log"),
		args: append([]string{"serve", "--dev", "--data", data, "--console", console, "--agents", agents}, flags...)}
	t.Cleanup(func() {
		s.signal(syscall.SIGTERM)
		s.tell()
	})
	return s
}

// MakeToken makes the token that the commands use.
func (s *Server) MakeToken() {
	s.t.Helper()
	out, errs, code := Run(s.t, nil, "", s.bin, "token", "create", "--data", s.Data, "--name", "e2e", "--role", "owner")
	if code != 0 {
		s.t.Fatalf("token create: %d %s", code, errs)
	}
	s.Token = strings.TrimSpace(out)
}

// Get reads a path of the API below /api/v1. It is an error, not a failure,
// when the server does not answer.
func (s *Server) Get(into any, path string) error {
	req, err := http.NewRequest("GET", s.URL+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, data)
	}
	return json.Unmarshal(data, into)
}

// Start starts the server again and waits until it is ready.
func (s *Server) Start() {
	s.t.Helper()
	s.start()
	Eventually(s.t, 30*time.Second, "server is ready", func() (bool, string) {
		if s.ended() {
			data, _ := os.ReadFile(s.log)
			s.t.Fatalf("the server ended: %s", data)
		}
		resp, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// Stop ends the server in order.
func (s *Server) Stop() { s.signal(syscall.SIGTERM) }

// Kill ends the server at once.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Enrollment is the string that --dev left for tenant home.
func (s *Server) Enrollment() string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Data, "dev-enrollment"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// Try runs a command of the technician's CLI.
func (s *Server) Try(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return Run(s.t, []string{"STEWARD_URL=" + s.URL, "STEWARD_TOKEN=" + s.Token}, "", s.bin, args...)
}

// CLI runs a command that must succeed and returns what it printed.
func (s *Server) CLI(args ...string) string {
	s.t.Helper()
	out, errs, code := s.Try(args...)
	if code != 0 {
		s.t.Fatalf("steward %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// JSON runs a command with -o json and decodes what it printed.
func (s *Server) JSON(into any, args ...string) {
	s.t.Helper()
	out := s.CLI(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("steward %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// Apply applies a document and returns what the command printed.
func (s *Server) Apply(yaml string) string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "doc.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.CLI("apply", "-f", file)
}

// Events reads the events of a deployment until it ends or the limit passes.
func (s *Server) Events(tenant, id string, after int, limit time.Duration) []map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/api/v1/tenants/%s/deployments/%s/events", s.URL, tenant, id), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	if after > 0 {
		req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(resp.Body) // cut off by the limit, or ended by the server
	var out []map[string]any
	for line := range strings.SplitSeq(string(data), "\n") {
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			var e map[string]any
			if json.Unmarshal([]byte(text), &e) == nil {
				out = append(out, e)
			}
		}
	}
	return out
}
