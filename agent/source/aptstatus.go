package source

import (
	"strconv"
	"strings"
)

// aptStatus is one line that apt writes to APT::Status-Fd. It is, recorded,
//
//	dlstatus:1:0.0000:Retrieving file 1 of 2
//	pmstatus:steward-sample-a:20.0000:Unpacking steward-sample-a (amd64)
//	pmerror:steward-sample-bad:60.0000:installed … post-installation script …
//	pmconffile:/etc/x:40.0000:'/etc/x' '/etc/x.dpkg-new' 1 1
type aptStatus struct {
	word    string // dlstatus, pmstatus, pmerror or pmconffile
	subject string // package, number of the file, or path
	percent float64
	text    string
}

// installing tells that dpkg has been, or is about to be, started.
func (s aptStatus) installing() bool { return s.word != "dlstatus" }

// parseStatus reads one line; ok is false for lines of other kinds. The
// subject may itself hold colons (libc6:amd64), so the percentage, which apt
// prints with decimals, tells where it ends.
func parseStatus(line string) (aptStatus, bool) {
	word, rest, _ := strings.Cut(line, ":")
	switch word {
	case "dlstatus", "pmstatus", "pmerror", "pmconffile":
	default:
		return aptStatus{}, false
	}
	f := strings.Split(rest, ":")
	for i := 1; i < len(f); i++ {
		if !strings.Contains(f[i], ".") || !only(f[i], func(c byte) bool { return isDigit(c) || c == '.' }) {
			continue
		}
		p, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			continue
		}
		return aptStatus{
			word:    word,
			subject: strings.Join(f[:i], ":"),
			percent: min(p, 100),
			text:    strings.Join(f[i+1:], ":"),
		}, true
	}
	return aptStatus{}, false
}
