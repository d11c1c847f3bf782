//go:build e2e

package chaos_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// oneLine checks an exit code and that one line on stderr says what is wrong.
func oneLine(t *testing.T, what, stderr string, code, want int, words ...string) {
	t.Helper()
	text := strings.TrimRight(stderr, "\n")
	if code != want || text == "" || strings.Contains(text, "\n") {
		t.Errorf("%s: exit %d, want %d and one line; it said:\n%s", what, code, want, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("%s: %q is not in: %s", what, w, stderr)
		}
	}
}

// Enrollment strings that are no good let nobody in and leave nothing behind.
func TestBadEnrollment(t *testing.T) {
	t.Parallel()
	s := rig.StartServer(t)
	create := func(flags ...string) string {
		t.Helper()
		return strings.TrimSpace(s.CLI(append([]string{"enrollments", "create", "--tenant", "home"}, flags...)...))
	}
	good := create()
	revoked := create()
	var list []struct{ ID string }
	s.JSON(&list, "enrollments", "list", "--tenant", "home")
	for _, e := range list { // all but the one that is used up, and the one to expire
		s.CLI("enrollments", "revoke", e.ID)
	}
	used, expired := create(), create("--expires", "1m")
	first := rig.NewAgent(t)
	first.Enroll(used)
	first.Enroll(used) // idempotent: the same device
	expire(t, s)
	other := rig.StartServer(t)

	for name, c := range map[string]struct {
		text  string
		code  int
		words []string
	}{
		"empty":             {"", 2, nil},
		"nonsense":          {"let me in", 2, nil},
		"cut":               {good[:len(good)-5], 2, nil},
		"a letter changed":  {good[:20] + flip(good[20:21]) + good[21:], 2, nil},
		"longer":            {good + "0", 2, nil},
		"revoked":           {revoked, 1, []string{"revoked"}},
		"used":              {used, 1, []string{"all are enrolled"}},
		"expired":           {expired, 1, []string{"ended on"}},
		"of another server": {other.Enrollment(), 1, nil},
	} {
		agent := rig.NewAgent(t)
		if name == "of another server" {
			other.Stop()
			agent = first // it belongs to the first server already
		}
		_, errs, code := agent.TryEnroll(c.text)
		oneLine(t, name, errs, code, c.code, c.words...)
		if len(c.text) > 20 && strings.Contains(errs, c.text[10:30]) {
			t.Errorf("%s: the string is repeated: %s", name, errs)
		}
		if _, err := os.Stat(agent.Data); agent != first && err == nil {
			entries, _ := os.ReadDir(agent.Data)
			t.Errorf("%s: left %v behind", name, entries)
		}
	}
	var devices []struct{ ID string }
	s.JSON(&devices, "devices", "list")
	if len(devices) != 1 {
		t.Errorf("%d devices are enrolled, want 1", len(devices))
	}
}

// expire lets the only string that nobody has used or revoked expire, as time
// would.
func expire(t *testing.T, s *rig.Server) {
	t.Helper()
	s.Stop()
	db := openSQLite(t, filepath.Join(s.Data, "steward.db"))
	done, err := db.Exec("UPDATE enrollments SET expires_at = created_at + 1 WHERE used = 0 AND revoked_at = 0")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := done.RowsAffected(); n != 1 {
		t.Fatalf("%d strings expire, want 1", n)
	}
	_ = db.Close()
	s.Start()
}

// flip is another character of the alphabet.
func flip(c string) string {
	if c == "7" {
		return "8"
	}
	return "7"
}

// One data directory, one process.
func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	s := rig.StartServer(t)
	_, errs, code := rig.Run(t, nil, "", rig.Bin(t, "steward"), "serve", "--data", s.Data, "--console", "127.0.0.1:0", "--agents", "127.0.0.1:0")
	oneLine(t, "second server", errs, code, 1, s.Data)
	_, errs, code = rig.Run(t, nil, "", rig.Bin(t, "steward"), "serve", "--dev", "--data", s.Data, "--console", "127.0.0.1:0", "--agents", "127.0.0.1:0")
	oneLine(t, "second server with --dev", errs, code, 1, s.Data)
	_, errs, code = rig.Run(t, nil, "", rig.Bin(t, "steward"), "init", "--data", s.Data, "--admin", "a@example.org")
	oneLine(t, "second init", errs, code, 1)

	a := rig.NewAgent(t)
	a.Enroll(s.Enrollment())
	a.Start()
	rig.Eventually(t, 30*time.Second, "the agent runs", func() (bool, string) { return a.Status()["connected"] == true, "" })
	_, errs, code = rig.Run(t, nil, "", rig.Bin(t, "steward-agent"), "run", "--data", a.Data)
	oneLine(t, "second agent", errs, code, 1, a.Data)
	_, errs, code = rig.Run(t, nil, "", rig.Bin(t, "steward-agent"), "run", "--data", t.TempDir())
	oneLine(t, "agent that is not enrolled", errs, code, 1)
	if s.Ended() || a.Ended() {
		t.Error("the first process ended")
	}
}

// What the command line does not know, it says in one line, and does nothing.
func TestBadCommands(t *testing.T) {
	t.Parallel()
	s := rig.StartServer(t)
	steward, agent := rig.Bin(t, "steward"), rig.Bin(t, "steward-agent")
	file := filepath.Join(t.TempDir(), "f.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "kind: Tenant\nslug: acme\nname: Acme\ntime_zone: UTC\n---\n"
	for name, c := range map[string]struct {
		text string
		code int
		word string
	}{
		"no YAML":         {"kind: [", 2, "1"},
		"unknown kind":    {"kind: Printer\nname: x\n", 2, "line 1"},
		"unknown key":     {good + "kind: PatchPolicy\ntenant: acme\nname: p\ncolour: red\n", 2, "line 9"},
		"wrong cron":      {good + "kind: PatchPolicy\ntenant: acme\nname: p\nwindows:\n  - {cron: \"99 * * * *\", duration: 1h}\n", 2, "cron"},
		"never fires":     {good + "kind: PatchPolicy\ntenant: acme\nname: p\nwindows:\n  - {cron: \"0 0 31 2 *\", duration: 1h}\n", 2, "cron"},
		"wrong zone":      {"kind: Tenant\nslug: acme\nname: Acme\ntime_zone: Mars/Olympus\n", 2, "Mars"},
		"last ring small": {good + "kind: PatchPolicy\ntenant: acme\nname: p\nrings: [{name: a, share: 50%}]\n", 2, "ring"},
		"unknown tenant":  {"kind: PatchPolicy\ntenant: nobody\nname: p\n", 2, "nobody"},
		"not yet":         {"kind: AlertRule\ntenant: home\nname: x\n", 2, "not in this version"},
	} {
		write(c.text)
		_, errs, code := s.Try("apply", "-f", file)
		oneLine(t, "apply: "+name, errs, code, c.code, c.word)
	}
	if out := s.CLI("tenants", "list", "-o", "json"); strings.Contains(out, "acme") {
		t.Errorf("a wrong document changed something: %s", out)
	}

	write("agents: 127.0.0.1:0\nfrobnicate: 1\n")
	dir := filepath.Dir(file)
	if err := os.Rename(file, filepath.Join(dir, "steward.yaml")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program string
		args    []string
		code    int
		word    string
	}{
		"unknown flag":         {steward, []string{"serve", "--data", "x", "--frobnicate"}, 2, "--frobnicate"},
		"unknown command":      {steward, []string{"frobnicate"}, 2, "frobnicate"},
		"no data":              {steward, []string{"serve"}, 2, "--data"},
		"wrong address":        {steward, []string{"serve", "--data", t.TempDir(), "--agents", "nowhere"}, 2, "agents"},
		"console on a network": {steward, []string{"serve", "--data", t.TempDir(), "--console", "0.0.0.0:0"}, 2, "console"},
		"no server there":      {steward, []string{"serve", "--data", t.TempDir()}, 2, "init"},
		"wrong settings file":  {steward, []string{"serve", "--data", dir}, 2, "steward.yaml"},
		"wrong role":           {steward, []string{"token", "create", "--data", s.Data, "--name", "x", "--role", "king"}, 2, "king"},
		"agent: no command":    {agent, []string{"frobnicate"}, 2, "frobnicate"},
		"agent: unknown flag":  {agent, []string{"run", "--data", "x", "--frobnicate"}, 2, "frobnicate"},
		"agent: no data":       {agent, []string{"run"}, 2, "--data"},
		"agent: wrong class":   {agent, []string{"enroll", "--data", "x", "--class", "toaster", "x"}, 2, "toaster"},
	} {
		_, errs, code := rig.Run(t, nil, "", c.program, c.args...)
		oneLine(t, name, errs, code, c.code, c.word)
	}
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"unknown device":     {[]string{"devices", "show", "01a1ffcc-72d8-773a-a168-2f5157bdb076"}, 1},
		"unknown deployment": {[]string{"deployments", "halt", "01a1ffcc-72d8-773a-a168-2f5157bdb076", "--reason", "x"}, 1},
		"no reason":          {[]string{"deployments", "halt", "01a1ffcc-72d8-773a-a168-2f5157bdb076"}, 2},
		"unknown tenant":     {[]string{"devices", "list", "--tenant", "nobody"}, 1},
		"wrong filter":       {[]string{"devices", "list", "--filter", "colour:red"}, 2},
		"wrong output":       {[]string{"devices", "list", "-o", "xml"}, 2},
		"no such file":       {[]string{"apply", "-f", "/nowhere/x.yaml"}, 2},
		"wrong head":         {[]string{"audit", "verify", "--tenant", "home", "--head", "x"}, 2},
	} {
		_, errs, code := s.Try(c.args...)
		oneLine(t, name, errs, code, c.code)
	}
	s.Token = "nonsense"
	_, errs, code := s.Try("devices", "list")
	oneLine(t, "wrong token", errs, code, 1)
}
