package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent"
	"github.com/steward-rmm/steward/agent/identity/identitytest"
)

func call1(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(in), &o, &e})
	return code, o.String(), e.String()
}

func TestWrongUseIsOneLineAndCode2(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"no command":      {"fly"},
		"unknown flag":    {"run", "--nope"},
		"no data":         {"run"},
		"no string":       {"enroll", "--data", dir},
		"empty string":    {"enroll", "--data", dir, ""},
		"malformed":       {"enroll", "--data", dir, "stw1-abc"},
		"two strings":     {"enroll", "--data", dir, "a", "b"},
		"class":           {"enroll", "--data", dir, "--class", "toaster", "x"},
		"tags":            {"enroll", "--data", dir, "--tags", "a,,b", "x"},
		"malformed stdin": {"enroll", "--data", dir, "-"},
		"output":          {"scan", "-o", "xml"},
		"level":           {"run", "--data", dir, "--log-level", "loud"},
		"install":         {"install"},
		"uninstall":       {"uninstall"},
		"desk":            {"desk"},
		"unexpected":      {"status", "--data", dir, "more"},
	} {
		code, out, errs := call1(t, "garbage", args...)
		if code != exitUsage || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "steward-agent") {
			t.Errorf("%s: code %d, %q, %q", name, code, out, errs)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("something was changed: %v %v", files, err)
	}
}

func TestNotEnrolledIsCode1(t *testing.T) {
	for _, cmd := range []string{"run", "status"} {
		if code, _, errs := call1(t, "", cmd, "--data", t.TempDir()); code != exitFailed || !strings.Contains(errs, "enroll") {
			t.Errorf("%s: %d %q", cmd, code, errs)
		}
	}
}

func TestAWrongAgentYAMLIsCode2(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, agent.SettingsFile), []byte("nope: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := exitUsage
	if os.Geteuid() != 0 { // not the administrator's file: ignored
		want = exitDone
	}
	if code, _, errs := call1(t, "", "scan", "--data", dir, "-o", "json"); code != want {
		t.Errorf("%d %q", code, errs)
	}
}

func TestEnrollAgainIsCode0AndAnotherServerCode1(t *testing.T) {
	dir, a := t.TempDir(), identitytest.New(time.Now())
	if _, err := a.Enrolled(agent.Vault(dir), time.Now()); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call1(t, a.String("h:1").String()+"\n", "enroll", "-", "--data", dir)
	if code != exitDone || !strings.Contains(out, "already enrolled") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	other := identitytest.New(time.Now()).String("h:1").String()
	if code, _, errs := call1(t, "", "enroll", "--data", dir, other); code != exitFailed || strings.Contains(errs, other) {
		t.Errorf("%d %q", code, errs)
	}
	code, out, errs = call1(t, "", "status", "--data", dir, "-o", "json")
	var s map[string]any
	if err := json.Unmarshal([]byte(out), &s); code != exitDone || err != nil {
		t.Fatalf("%d %q %q %v", code, out, errs, err)
	}
	for _, key := range []string{"server", "device_id", "tenant", "connected", "last_contact", "certificate_expires_at", "journal", "spool_bytes", "next_window"} {
		if _, ok := s[key]; !ok {
			t.Errorf("status without %s", key)
		}
	}
}

func TestScanPrintsTheFiveParts(t *testing.T) {
	code, out, errs := call1(t, "", "scan", "--data", t.TempDir(), "-o", "json")
	var s map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &s); code != exitDone || err != nil {
		t.Fatalf("%d %q %v", code, errs, err)
	}
	for _, key := range []string{"inventory", "software", "updates", "samples", "refusals"} {
		if raw := s[key]; len(raw) == 0 || string(raw) == "null" {
			t.Errorf("%s is %s", key, raw)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if code, out, _ := call1(t, "", arg); code != 0 || !strings.Contains(out, "steward-agent "+version) {
			t.Errorf("%d %q", code, out)
		}
	}
}
