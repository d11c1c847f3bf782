package source

import (
	"regexp"
	"strconv"
	"strings"
)

// dpkgFormat is the table asked of dpkg-query; binary:Package carries the
// architecture only where that is needed to tell packages apart.
const dpkgFormat = `${binary:Package}\t${Version}\t${Architecture}\t${Installed-Size}\t${db:Status-Abbrev}\n`

// dpkgRow is one line of that table. status is dpkg's abbreviation: wanted
// action (i install, h hold, r remove, p purge), then state (n not installed,
// c config files, H half installed, U unpacked, F half configured, W and t
// triggers, i installed), then R when it must be reinstalled; see dpkg-query(1).
type dpkgRow struct {
	name, version, arch string
	sizeKiB             int64
	status              string
}

// present: some version of the package is on the machine, whole or not.
func (r dpkgRow) present() bool { return strings.ContainsRune("HUFWti", rune(r.status[1])) }

// whole: the package is installed and configured. Waiting for or having
// pending triggers is configured, too.
func (r dpkgRow) whole() bool {
	return strings.ContainsRune("iWt", rune(r.status[1])) && r.status[2] == ' '
}

func (r dpkgRow) held() bool { return r.status[0] == 'h' }

// state says in words what dpkg has.
func (r dpkgRow) state() string {
	if len(r.status) != 3 {
		return "not installed"
	}
	switch r.status[1] {
	case 'H':
		return "half installed"
	case 'U':
		return "unpacked but not configured"
	case 'F':
		return "half configured"
	case 'n', 'c':
		return "not installed"
	}
	if r.status[2] != ' ' {
		return "to be installed anew"
	}
	return "installed"
}

// parseDpkgTable reads the whole table and refuses it with the number of the
// first line that is none of its own.
func parseDpkgTable(out []byte) ([]dpkgRow, error) {
	var rows []dpkgRow
	for i, line := range strings.Split(string(out), "\n") {
		if line == "" {
			continue
		}
		f := strings.Split(line, "\t")
		bad := fail(CodeGarbage, "dpkg-query: cannot read line %d: %q", i+1, clip(line))
		if len(f) != 5 || !validDebianPackage(f[0]) || len(f[4]) != 3 ||
			!strings.ContainsRune("uihrp", rune(f[4][0])) || !strings.ContainsRune("ncHUFWti", rune(f[4][1])) {
			return nil, bad
		}
		r := dpkgRow{name: f[0], version: f[1], arch: f[2], status: f[4]}
		if f[3] != "" {
			n, err := strconv.ParseInt(f[3], 10, 64)
			if err != nil || n < 0 || n > 1<<40 {
				return nil, bad
			}
			r.sizeKiB = n
		}
		if r.present() && (r.version == "" || strings.ContainsAny(r.version, " \r")) {
			return nil, bad
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// parseNames reads a list of package names, one a line (`apt-mark showhold`).
func parseNames(out []byte) ([]string, error) {
	var names []string
	for _, line := range lines(out) {
		if line = strings.TrimSpace(line); !validDebianPackage(line) {
			return nil, fail(CodeGarbage, "apt-mark: %q is not a package name", clip(line))
		}
		names = append(names, line)
	}
	return names, nil
}

// aptPolicy is what `apt-cache policy` says of one package.
type aptPolicy struct {
	installed, candidate string
	origins              []string // the sources of the candidate
	phased               int      // percent, -1 when not phased
}

// policyVersion is a line of the version table: " *** 1.0.0 500", "     1.1.0
// 500 (phased 0%)".
var policyVersion = regexp.MustCompile(`^ (?:\*\*\*|   ) (\S+) -?\d+(?: \(phased (\d{1,3})%\))?$`)

// parsePolicy reads the blocks of `apt-cache policy pkg…`, by name.
func parsePolicy(out []byte) (map[string]aptPolicy, error) {
	all := map[string]aptPolicy{}
	name, version := "", ""
	for _, line := range lines(out) {
		p := all[name]
		switch {
		case !strings.HasPrefix(line, " "):
			name, version = strings.TrimSuffix(line, ":"), ""
			if !strings.HasSuffix(line, ":") || !validDebianPackage(name) {
				return nil, fail(CodeGarbage, "apt-cache policy: cannot read the line %q", clip(line))
			}
			p = aptPolicy{phased: -1}
		case name == "":
			return nil, fail(CodeGarbage, "apt-cache policy: cannot read the line %q", clip(line))
		case strings.HasPrefix(line, "  Installed: "):
			p.installed = noneIsEmpty(line[len("  Installed: "):])
		case strings.HasPrefix(line, "  Candidate: "):
			p.candidate = noneIsEmpty(line[len("  Candidate: "):])
		case policyVersion.MatchString(line):
			m := policyVersion.FindStringSubmatch(line)
			if version = m[1]; version == p.candidate && m[2] != "" {
				p.phased, _ = strconv.Atoi(m[2]) // the pattern allows digits only
			}
		case version != "" && version == p.candidate && strings.HasPrefix(line, "        "):
			// "500 http://security.debian.org bookworm-security/main amd64 Packages"
			if f := strings.Fields(line); len(f) >= 3 {
				p.origins = append(p.origins, f[1]+" "+f[2])
			}
		}
		all[name] = p
	}
	return all, nil
}

func noneIsEmpty(s string) string {
	if s = strings.TrimSpace(s); s == "(none)" {
		return ""
	}
	return s
}

// isSecurityPolicy is isSecurity for sources as `apt-cache policy` prints them:
// address and suite/component.
func isSecurityPolicy(origins []string) bool {
	for _, o := range origins {
		_, suite, _ := strings.Cut(o, " ")
		suite, _, _ = strings.Cut(suite, "/")
		if strings.HasSuffix(suite, "-security") || strings.Contains(o, "//security.debian.org") {
			return true
		}
	}
	return false
}

// aptSize is the download size of one package.
type aptSize struct {
	name, version, arch string
	bytes               int64
}

// parseSizes reads the stanzas of `apt-cache show pkg=version…`. It takes what
// it can read: a size is a nicety, and one missing is unknown.
func parseSizes(out []byte) []aptSize {
	var sizes []aptSize
	var s aptSize
	put := func() {
		if s.name != "" && s.bytes > 0 {
			sizes = append(sizes, s)
		}
		s = aptSize{}
	}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			put()
		case key == "Package":
			s.name = value
		case key == "Version":
			s.version = value
		case key == "Architecture":
			s.arch = value
		case key == "Size":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				s.bytes = n
			}
		}
	}
	put()
	return sizes
}
