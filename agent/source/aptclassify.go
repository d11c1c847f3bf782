package source

import (
	"regexp"
	"strconv"
	"strings"
)

// What apt and dpkg print when something is wrong, in LC_ALL=C. Every pattern
// has a fixture in testdata/apt, recorded or with its origin noted there.
var (
	aptLockHeld   = regexp.MustCompile(`Could not get lock (\S+?)\.? It is held by process (\d+)(?: \(([^)]*)\))?`)
	dpkgLockHeld  = regexp.MustCompile(`was locked by another process with pid (\d+)`)
	scriptFailure = regexp.MustCompile(`^(?:new |old |installed )?(\S+) package (\S+) script subprocess (returned error exit status|was killed by signal|failed)(?: [^\d]*(\d+))?`)
	dpkgFailedOn  = regexp.MustCompile(`error processing (?:package|archive) (\S+) \(--`)
)

// aptRule is one way to fail. The first rule with a needle in the output
// decides, so causes stand before their consequences.
type aptRule struct {
	code    Code
	needles []string
	advice  string
}

func aptRules() []aptRule {
	return []aptRule{
		{CodeInterrupted, []string{"dpkg was interrupted, you must manually run"}, "an earlier run was interrupted; repairing the source runs dpkg --configure -a"},
		{CodeBusy, []string{"Could not get lock ", "is another process using it?", "was locked by another process"}, "wait for the other process to end"},
		{CodeNotPermitted, []string{"are you root?", "requires superuser privilege"}, "the agent must run as root"},
		{CodeDiskFull, []string{"You don't have enough free space in", "No space left on device"}, "free some space"},
		{CodeNeedsAnswer, []string{"end of file on stdin at conffile prompt"}, "a changed configuration file needs a person's decision"},
		{CodeScriptFailed, []string{"script subprocess returned error exit status", "script subprocess was killed by signal", "script subprocess failed"}, "see the log of the installation"},
		{CodeHeld, []string{"Held packages were changed and -y was used"}, "a package is on hold on this machine (apt-mark unhold releases it)"},
		{CodeWouldRemove, []string{"Packages need to be removed but remove is disabled", "Essential packages were removed and -y was used"}, "it would remove other packages"},
		{CodeDowngradeRefused, []string{"Packages were downgraded and -y was used"}, "a package would go back to an older version"},
		{CodeVersionNotFound, []string{"' was not found"}, "the machine's sources no longer offer this version"},
		{CodePackageNotFound, []string{"Unable to locate package", "has no installation candidate"}, "no source of this machine has the package"},
		{CodeDependenciesBroken, []string{"Unmet dependencies", "unmet dependencies", "you have held broken packages", "pkgProblemResolver::Resolve generated breaks", "dependency problems"}, "the machine's packages do not fit together"},
		{CodeUntrusted, []string{"NO_PUBKEY", "EXPKEYSIG", "The following signatures", "could not be authenticated", "unauthenticated packages", "is not signed", "does not have a Release file", "is expired (invalid since", "is not valid yet (invalid for"}, "check the source's key, address and date"},
		{CodeDownloadCorrupt, []string{"Hash Sum mismatch", "File has unexpected size"}, "the mirror may be in the middle of an update; fetch the lists again later"},
		{CodeNetwork, []string{"Could not resolve", "Temporary failure resolving", "Could not connect", "Cannot initiate the connection", "Connection timed out", "connection timed out", "Connection failed", "Network is unreachable", "Failed to fetch", "Unable to fetch some archives", "Some files failed to download", "Some index files failed to download"}, "check the machine's network and its sources"},
		{CodeBadConfiguration, []string{"Malformed entry", "The list of sources could not be read", "Malformed stanza", "Syntax error ", "Configuration item specification must have", "Command line option"}, "correct the machine's apt configuration"},
	}
}

// classify finds out what a failed apt or dpkg was about. command names what
// ran, for the message.
func classify(command string, exit int, stdout, stderr []byte) *Error {
	text := append(lines(stderr), lines(stdout)...)
	e := &Error{Code: CodeFailed, ExitCode: exit}
	advice := ""
	line := ""
	for _, rule := range aptRules() {
		if line = findLine(text, rule.needles); line != "" {
			e.Code, advice = rule.code, rule.advice
			break
		}
	}
	switch e.Code {
	case CodeBusy:
		e.Busy = holder(text)
		line = busyText(e.Busy, line)
	case CodeScriptFailed:
		e.Package = failedPackage(text)
	case CodeFailed:
		if line = firstError(text); line == "" {
			e.Code = CodeGarbage
			line = "it printed no error that could be read"
		}
	}
	e.Message = command + " ended with code " + strconv.Itoa(exit) + ": " + clip(line)
	if advice != "" {
		e.Message += "; " + advice
	}
	return e
}

func findLine(text, needles []string) string {
	for _, n := range needles {
		for _, l := range text {
			if strings.Contains(l, n) {
				return l
			}
		}
	}
	return ""
}

// firstError is the first line apt or dpkg marks as an error.
func firstError(text []string) string {
	for _, mark := range []string{"E: ", "dpkg: error", "dpkg-query: error", "dpkg-query: ", "W: "} {
		for _, l := range text {
			if strings.HasPrefix(l, mark) {
				return l
			}
		}
	}
	return ""
}

// holder finds who holds the lock. With a lock timeout apt names the process
// only while it waits, on stdout.
func holder(text []string) *Busy {
	for _, l := range text {
		if m := aptLockHeld.FindStringSubmatch(l); m != nil {
			return busy(m[2], m[3])
		}
		if m := dpkgLockHeld.FindStringSubmatch(l); m != nil {
			return busy(m[1], "")
		}
	}
	return &Busy{}
}

func busy(pid, name string) *Busy {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return &Busy{}
	}
	return &Busy{PID: n, Process: clip(name)}
}

func busyText(b *Busy, line string) string {
	if b.PID == 0 {
		return line
	}
	s := "another process holds the package manager: process " + strconv.Itoa(b.PID)
	if b.Process != "" {
		s += " (" + b.Process + ")"
	}
	return s
}

// failedPackage names the package whose script failed.
func failedPackage(text []string) string {
	for _, l := range text {
		if m := scriptFailure.FindStringSubmatch(strings.TrimSpace(l)); m != nil && validDebianPackage(m[1]) {
			return m[1]
		}
		if m := dpkgFailedOn.FindStringSubmatch(l); m != nil && validDebianPackage(m[1]) {
			return m[1]
		}
	}
	return ""
}
