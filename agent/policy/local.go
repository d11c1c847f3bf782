package policy

import (
	"path"
	"slices"
	"strings"
)

// Local is what the machine's administrator allows, from agent.yaml. Whether
// the file may be believed (owned by root or SYSTEM) is for its reader to say.
// Patterns of packages are those of path.Match over "source:package" or, without
// a colon, over the package of any source. What is forbidden wins; an empty
// list of allowed ones allows all.
type Local struct {
	AllowSources   []string `yaml:"allow_sources"`
	ForbidSources  []string `yaml:"forbid_sources"`
	AllowPackages  []string `yaml:"allow_packages"`
	ForbidPackages []string `yaml:"forbid_packages"`
}

// Source reports whether the source may be used, and by which setting not.
func (l Local) Source(source string) (allowed bool, rule string) {
	switch {
	case slices.Contains(l.ForbidSources, source):
		return false, "forbid_sources: " + source
	case len(l.AllowSources) > 0 && !slices.Contains(l.AllowSources, source):
		return false, "allow_sources does not name " + source
	}
	return true, ""
}

// Package reports whether a package may be changed, and by which setting not.
func (l Local) Package(source, pkg string) (allowed bool, rule string) {
	for _, pattern := range l.ForbidPackages {
		if matched, valid := matchPackage(pattern, source, pkg); matched || !valid {
			return false, "forbid_packages: " + pattern
		}
	}
	for _, pattern := range l.AllowPackages {
		if matched, _ := matchPackage(pattern, source, pkg); matched {
			return true, ""
		}
	}
	if len(l.AllowPackages) > 0 {
		return false, "allow_packages does not name " + source + ":" + pkg
	}
	return true, ""
}

// Check returns an error in words for the first pattern that is none.
func (l Local) Check() error {
	for _, pattern := range slices.Concat(l.ForbidPackages, l.AllowPackages) {
		if _, err := path.Match(pattern, ""); err != nil {
			return &PatternError{pattern}
		}
	}
	return nil
}

// PatternError says that a pattern of agent.yaml is none.
type PatternError struct{ Pattern string }

// Error implements error.
func (e *PatternError) Error() string {
	return "agent.yaml: the pattern " + e.Pattern + " is not one: close its bracket or drop the backslash at its end"
}

func matchPackage(pattern, source, pkg string) (matched, valid bool) {
	name := pkg
	if strings.Contains(pattern, ":") {
		name = source + ":" + pkg
	}
	matched, err := path.Match(pattern, name)
	if !matched && err == nil {
		matched, _ = path.Match(pattern, bare(name)) // openssl is openssl:i386 too
	}
	return matched, err == nil
}

// bare is a package's name without the architecture that some sources append.
func bare(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > 0 {
		return name[:i]
	}
	return name
}
