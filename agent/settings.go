package agent

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/proto/wire"
)

// SettingsFile is the name of the machine's own settings in the data directory.
const SettingsFile = "agent.yaml"

// maxSettings bounds the file, in bytes.
const maxSettings = 64 << 10

// envPrefix begins the name of every variable that the agent reads.
const envPrefix = "STEWARD_AGENT_"

// Settings are what the machine's administrator allows and says. Nothing that a
// server sends changes them.
type Settings struct {
	Local policy.Local
	// Paths are programs of package managers by the name of their source.
	Paths map[string]string
	// AptOptions are extra Key=Value settings for apt.
	AptOptions []string
	// Approvers are SHA-256 hashes of keys whose signature a permit needs.
	Approvers [][32]byte
	// Ignored says which settings were not honoured, and why.
	Ignored []string
}

// ErrSettings is in the chain of errors about what an administrator wrote.
var ErrSettings = errors.New("wrong setting")

// document is agent.yaml.
type document struct {
	policy.Local `yaml:",inline"`
	Paths        map[string]string `yaml:"paths"`
	AptOptions   string            `yaml:"apt_options"`
	Approvers    []string          `yaml:"approvers"`
}

// SettingsOptions say where settings come from.
type SettingsOptions struct {
	Dir    string                           // the data directory
	Lookup func(name string) (string, bool) // of the environment
	// Privileged: the process runs as root or administrator, so whoever set its
	// environment may do everything here anyway.
	Privileged bool
	// Owned reports whether an open file belongs to root or SYSTEM alone, and
	// if not, why not.
	Owned func(f *os.File) (owned bool, why string)
}

// MachineSettings reads the settings of this process: agent.yaml in the data
// directory, and over it the environment.
func MachineSettings(dir string) (Settings, error) {
	return ReadSettings(SettingsOptions{Dir: dir, Lookup: os.LookupEnv, Privileged: privileged(), Owned: ownedByRoot})
}

// ReadSettings reads agent.yaml and the environment, which wins. What does not
// come from the machine's administrator is left out and named in Ignored. A
// setting that is wrong is an error with ErrSettings in its chain.
func ReadSettings(o SettingsOptions) (Settings, error) {
	doc, ignored, err := readDocument(o)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Ignored: ignored}
	if names := fromEnvironment(o.Lookup, &doc, o.Privileged); len(names) > 0 && !o.Privileged {
		s.Ignored = append(s.Ignored, fmt.Sprintf("%s: the agent does not run as root or administrator, so its environment is not the administrator's word", strings.Join(names, ", ")))
	}
	s.Local, s.Paths = doc.Local, doc.Paths
	if err := s.Local.Check(); err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	for name, path := range s.Paths {
		if !slices.Contains(knownSources(), name) {
			return Settings{}, fmt.Errorf("%w: paths: %q is no source; known are %s", ErrSettings, name, strings.Join(knownSources(), ", "))
		}
		if !filepath.IsAbs(path) {
			return Settings{}, fmt.Errorf("%w: paths: %s: %q is not an absolute path", ErrSettings, name, path)
		}
	}
	if s.AptOptions, err = source.ParseAptOptions(doc.AptOptions); err != nil {
		return Settings{}, fmt.Errorf("%w: apt_options: %w", ErrSettings, err)
	}
	if len(doc.Approvers) > wire.MaxApprovers {
		return Settings{}, fmt.Errorf("%w: approvers: %d, at most %d", ErrSettings, len(doc.Approvers), wire.MaxApprovers)
	}
	for _, text := range doc.Approvers {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != 32 {
			return Settings{}, fmt.Errorf("%w: approvers: want 64 hexadecimal digits, the SHA-256 of a public key", ErrSettings)
		}
		s.Approvers = append(s.Approvers, [32]byte(raw))
	}
	return s, nil
}

// readDocument reads agent.yaml, if it is there and the administrator's.
func readDocument(o SettingsOptions) (doc document, ignored []string, err error) {
	path := filepath.Join(o.Dir, SettingsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil, nil
	}
	if err != nil {
		return doc, nil, fmt.Errorf("settings: %w", err)
	}
	defer f.Close()
	if owned, why := o.Owned(f); !owned {
		return doc, []string{fmt.Sprintf("%s: %s", path, why)}, nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return doc, nil, fmt.Errorf("settings: %w", err)
	}
	if doc, err = parseDocument(raw); err != nil {
		return doc, nil, fmt.Errorf("%s: %w", path, err)
	}
	return doc, nil, nil
}

// parseDocument decodes agent.yaml strictly: an unknown key is an error with
// its line.
func parseDocument(raw []byte) (doc document, err error) {
	defer func() {
		if r := recover(); r != nil { // a parser of foreign making meets a file of foreign making
			err = fmt.Errorf("%w: not YAML", ErrSettings)
		}
	}()
	if len(raw) > maxSettings {
		return doc, fmt.Errorf("%w: the file is over %d bytes", ErrSettings, maxSettings)
	}
	err = yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&doc)
	if err != nil && !errors.Is(err, io.EOF) {
		return document{}, fmt.Errorf("%w: %s", ErrSettings, strings.Join(strings.Fields(yaml.FormatError(err, false, false)), " "))
	}
	return doc, nil
}

// fromEnvironment puts the variables that are set over the document, when they
// count, and returns the names of all that are set.
func fromEnvironment(lookup func(string) (string, bool), doc *document, counts bool) (names []string) {
	take := func(name string, set func(value string)) {
		if value, ok := lookup(envPrefix + name); ok {
			names = append(names, envPrefix+name)
			if counts {
				set(value)
			}
		}
	}
	list := func(name string, into *[]string) {
		take(name, func(v string) {
			*into = slices.DeleteFunc(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }), func(s string) bool { return s == "" })
		})
	}
	list("ALLOW_SOURCES", &doc.AllowSources)
	list("FORBID_SOURCES", &doc.ForbidSources)
	list("ALLOW_PACKAGES", &doc.AllowPackages)
	list("FORBID_PACKAGES", &doc.ForbidPackages)
	list("APPROVERS", &doc.Approvers)
	take("APT_OPTIONS", func(v string) { doc.AptOptions = v })
	for _, name := range knownSources() {
		take(strings.ToUpper(name), func(v string) {
			if doc.Paths == nil {
				doc.Paths = map[string]string{}
			}
			doc.Paths[name] = v
		})
	}
	return names
}

// knownSources are the names of all update sources, of any system.
func knownSources() []string {
	return []string{"apt", "chocolatey", "dnf", "homebrew", "softwareupdate", "windowsupdate", "winget"}
}
