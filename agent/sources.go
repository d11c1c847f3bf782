package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/steward-rmm/steward/agent/osexec"
	"github.com/steward-rmm/steward/agent/runner"
	"github.com/steward-rmm/steward/agent/source"
)

// machineSources are the update sources that this system can have and this
// version knows.
func machineSources(s Settings, now func() time.Time) ([]runner.Source, error) {
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	o := source.AptOptions{Options: s.AptOptions, Runner: osexec.System{Now: now}, Now: now}
	if path := s.Paths["apt"]; path != "" {
		// Its companions stand beside apt-get; dpkg stays the system's.
		dir := filepath.Dir(path)
		o.AptGet, o.AptCache, o.AptMark = path, filepath.Join(dir, "apt-cache"), filepath.Join(dir, "apt-mark")
	}
	apt, err := source.NewApt(o)
	if err != nil {
		return nil, fmt.Errorf("apt: %w", err)
	}
	return []runner.Source{apt}, nil
}

// missingSources are what this system has and this version does not.
func missingSources(goos string, there func(path string) bool) []Refusal {
	notYet := func(subject, text string) Refusal {
		return Refusal{Subject: subject, Code: CodeNotInVersion, Text: text + ": not in this version"}
	}
	switch goos {
	case "windows":
		return []Refusal{
			notYet("software", "the list of installed programs"), notYet("chocolatey", "updates from Chocolatey"),
			notYet("winget", "updates from winget"), notYet("windowsupdate", "updates from Windows Update"),
		}
	case "darwin":
		return []Refusal{
			notYet("software", "the list of installed applications"), notYet("homebrew", "updates from Homebrew"),
			notYet("softwareupdate", "updates from softwareupdate"),
		}
	case "linux":
		if there("/usr/bin/dnf") || there("/usr/bin/dnf5") {
			return []Refusal{notYet("dnf", "software and updates from dnf")}
		}
	}
	return nil
}

// there reports whether a path leads to something.
func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// programs starts what agent/inventory asks for.
type programs struct{ system osexec.System }

// programTimeout bounds system_profiler, which takes some seconds.
const programTimeout = time.Minute

// Run implements inventory.Runner.
func (p programs) Run(ctx context.Context, path string, args ...string) ([]byte, error) {
	r, err := p.system.Run(ctx, osexec.Command{Path: path, Args: args, Env: []string{"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, Timeout: programTimeout, OutputLimit: 8 << 20})
	if err == nil && r.ExitCode != 0 {
		err = fmt.Errorf("%s ended with code %d", path, r.ExitCode)
	}
	return r.Stdout, err
}
