//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// need is something outside of Go that tests use, and the Debian packages that
// bring it.
type need struct {
	what     string
	commands []string // all must be in PATH
	files    []string // a match for each must exist
	packages []string
	suite    string // only for this folder of scripts/e2e; "" for all
}

var needs = []need{
	{what: "a C compiler (race detector)", commands: []string{"gcc"}, files: []string{"/usr/include/stdlib.h"}, packages: []string{"gcc", "libc6-dev"}},
	{what: "PostgreSQL's server", files: []string{serverPrograms + "/initdb"}, packages: []string{"postgresql"}},
	{what: "dpkg-scanpackages", commands: []string{"dpkg-deb", "dpkg-scanpackages"}, packages: []string{"dpkg-dev"}, suite: "apt"},
	{what: "ip", commands: []string{"ip"}, packages: []string{"iproute2"}, suite: "chaos"},
	{what: "Chromium", commands: []string{"chromium"}, packages: []string{"chromium"}, suite: "browser"},
	{what: "Wine", commands: []string{"wine"}, packages: []string{"wine", "wine64"}, suite: "wine"},
}

// missing returns the needs of the suites at hand that the machine lacks.
func missing(suites []string) []need {
	return slices.DeleteFunc(slices.Clone(needs), func(n need) bool {
		return n.suite != "" && !slices.Contains(suites, n.suite) || n.met()
	})
}

func (n need) met() bool {
	for _, c := range n.commands {
		if _, err := exec.LookPath(c); err != nil {
			return false
		}
	}
	for _, f := range n.files {
		if found, err := filepath.Glob(f); err != nil || len(found) == 0 {
			return false
		}
	}
	return true
}

// setup installs what is missing, or says what that is and fails.
func (s *suite) setup(ctx context.Context) error {
	suites := folders(filepath.Join(s.root, "scripts", "e2e"))
	lacking := missing(suites)
	if len(lacking) == 0 {
		fmt.Fprintln(s.out, "everything is here")
		return nil
	}
	var packages []string
	for _, n := range lacking {
		fmt.Fprintf(s.out, "missing: %s (Debian: %s)\n", n.what, strings.Join(n.packages, " "))
		packages = append(packages, n.packages...)
	}
	if _, err := exec.LookPath("apt-get"); errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return errors.New("this machine has no apt-get: install what is missing by hand and run it again")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root: run apt-get install %s, then run it again", strings.Join(packages, " "))
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	lock := []string{"-o", "DPkg::Lock::Timeout=600", "-q"}
	if err := s.command(ctx, env, "apt-get", append(lock, "update")...); err != nil {
		return err
	}
	install := slices.Concat(lock, []string{"install", "-y", "--no-install-recommends"}, packages)
	if err := s.command(ctx, env, "apt-get", install...); err != nil {
		return err
	}
	if still := missing(suites); len(still) > 0 {
		return fmt.Errorf("%s is still missing after installing %s", still[0].what, strings.Join(still[0].packages, " "))
	}
	return nil
}
