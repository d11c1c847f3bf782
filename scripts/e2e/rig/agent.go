//go:build e2e

package rig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Agent is an agent of its own data directory.
type Agent struct {
	process
	Data string
	bin  string
}

// NewAgent prepares an agent; environment is its local settings.
func NewAgent(t testing.TB, environment ...string) *Agent {
	t.Helper()
	return NewAgentAt(t, filepath.Join(t.TempDir(), "agent"), environment...)
}

// NewAgentAt is NewAgent on a data directory of the caller's choice.
func NewAgentAt(t testing.TB, data string, environment ...string) *Agent {
	t.Helper()
	a := &Agent{Data: data, bin: Bin(t, "steward-agent")}
	a.process = process{t: t, name: a.bin, args: []string{"run", "--data", a.Data}, env: environment, log: filepath.Join(t.TempDir(), "agent.log")}
	t.Cleanup(func() {
		a.signal(syscall.SIGTERM)
		a.tell()
	})
	return a
}

// Inside lets the agent see a repository's own house in place of the machine's.
func (a *Agent) Inside(r *Repository) { a.wrap = r.inside() }

// Enroll enrolls the agent; it must succeed.
func (a *Agent) Enroll(text string) {
	a.t.Helper()
	if out, errs, code := a.TryEnroll(text); code != 0 {
		a.t.Fatalf("enroll: exit %d\n%s%s", code, out, errs)
	}
}

// TryEnroll runs `steward-agent enroll`.
func (a *Agent) TryEnroll(text string) (stdout, stderr string, code int) {
	a.t.Helper()
	return Run(a.t, a.env, "", a.bin, "enroll", "--data", a.Data, text)
}

// Start starts the agent.
func (a *Agent) Start() { a.start() }

// Stop ends the agent in order.
func (a *Agent) Stop() { a.signal(syscall.SIGTERM) }

// Kill ends the agent at once.
func (a *Agent) Kill() { a.signal(syscall.SIGKILL) }

// KillTree ends the agent and every program that it started, as a power cut
// does.
func (a *Agent) KillTree() {
	a.mu.Lock()
	cmd := a.cmd
	a.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGSTOP) // it starts nothing more
	for _, pid := range descendants(cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	a.signal(syscall.SIGKILL)
}

// descendants are the processes that a process started, and theirs.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; a name may hold spaces and brackets.
		_, rest, _ := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
		fields := strings.Fields(rest)
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	out := children[pid]
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

// Status is what `steward-agent status` says.
func (a *Agent) Status() map[string]any {
	a.t.Helper()
	out, errs, code := Run(a.t, a.env, "", a.bin, "status", "--data", a.Data, "-o", "json")
	if code != 0 {
		a.t.Fatalf("status: exit %d %s", code, errs)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		a.t.Fatalf("status: %v in %s", err, out)
	}
	return v
}

// Device waits until the agent's device is active on the server and returns
// its id.
func (a *Agent) Device(s *Server) string {
	a.t.Helper()
	id, _ := a.Status()["device_id"].(string)
	if id == "" {
		a.t.Fatalf("the agent knows no device id: %v", a.Status())
	}
	Eventually(a.t, 60*time.Second, "device is active", func() (bool, string) {
		out, errs, code := s.Try("devices", "show", id, "-o", "json")
		var d struct {
			State  string `json:"state"`
			Online bool   `json:"online"`
		}
		if code != 0 || json.Unmarshal([]byte(out), &d) != nil {
			return false, errs + out
		}
		return d.State == "active" && d.Online, out[:min(len(out), 300)]
	})
	return id
}
