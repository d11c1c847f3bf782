package agent

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// readWith reads settings from a file's text and an environment.
func readWith(t *testing.T, text string, env map[string]string, privileged, owned bool) (Settings, error) {
	t.Helper()
	dir := t.TempDir()
	if text != "" {
		if err := os.WriteFile(filepath.Join(dir, SettingsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ReadSettings(SettingsOptions{
		Dir: dir, Privileged: privileged,
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Owned:  func(*os.File) (bool, string) { return owned, "it belongs to user 1000" },
	})
}

const goodSettings = `
allow_sources: [apt]
forbid_packages: ["jre*", "apt:nginx"]
paths: {apt: /opt/apt/apt-get}
apt_options: -o Acquire::http::Proxy="http://proxy:3128"
approvers: ["` + "0000000000000000000000000000000000000000000000000000000000000001" + `"]
`

func TestSettingsOfTheAdministratorCount(t *testing.T) {
	s, err := readWith(t, goodSettings, nil, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.Local.AllowSources, []string{"apt"}) || len(s.Local.ForbidPackages) != 2 || s.Paths["apt"] != "/opt/apt/apt-get" ||
		!reflect.DeepEqual(s.AptOptions, []string{"Acquire::http::Proxy=http://proxy:3128"}) || len(s.Approvers) != 1 || s.Approvers[0][31] != 1 || len(s.Ignored) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSettingsOfOthersAreIgnoredAndSaid(t *testing.T) {
	s, err := readWith(t, "nonsense: [", map[string]string{"STEWARD_AGENT_APT_OPTIONS": "-o A=b"}, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.AptOptions) != 0 || len(s.Ignored) != 2 || !strings.Contains(s.Ignored[0], "user 1000") || !strings.Contains(s.Ignored[1], "STEWARD_AGENT_APT_OPTIONS") {
		t.Errorf("%+v", s)
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	s, err := readWith(t, goodSettings, map[string]string{
		"STEWARD_AGENT_APT_OPTIONS": "-o A::B=c", "STEWARD_AGENT_ALLOW_SOURCES": "apt, dnf", "STEWARD_AGENT_CHOCOLATEY": "/x/choco.exe",
	}, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.AptOptions, []string{"A::B=c"}) || !reflect.DeepEqual(s.Local.AllowSources, []string{"apt", "dnf"}) || s.Paths["chocolatey"] != "/x/choco.exe" || len(s.Local.ForbidPackages) != 2 {
		t.Errorf("%+v", s)
	}
}

func TestWrongSettingsAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":   "server: other.example\n",
		"not yaml":      "a: [",
		"wrong type":    "allow_sources: {a: b}\n",
		"twice":         "apt_options: -o A=b\napt_options: -o A=c\n",
		"pattern":       "allow_packages: [\"[\"]\n",
		"no source":     "paths: {apk: /sbin/apk}\n",
		"relative path": "paths: {apt: apt-get}\n",
		"apt option":    "apt_options: --allow-downgrades\n",
		"approver":      "approvers: [abc]\n",
		"too large":     "# " + strings.Repeat("x", maxSettings),
	} {
		if s, err := readWith(t, text, nil, true, true); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if s, err := readWith(t, "", nil, true, true); err != nil || !reflect.DeepEqual(s.Local, Settings{}.Local) {
		t.Errorf("no file: %+v %v", s, err)
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(goodSettings))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseDocument(raw); err != nil && !errors.Is(err, ErrSettings) {
			t.Fatalf("another error: %v", err)
		}
	})
}
