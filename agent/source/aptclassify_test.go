package source

import (
	"slices"
	"strings"
	"testing"
)

// Every way to fail that could be provoked on a Debian machine, by the name of
// its recorded output.
func TestFailuresAreClassifiedAsRecorded(t *testing.T) {
	for name, want := range map[string]struct {
		code Code
		pkg  string
		busy Busy // process name
		text string
	}{
		"held":                 {code: CodeHeld},
		"no-package":           {code: CodePackageNotFound, text: "steward-sample-nosuch"},
		"no-version":           {code: CodeVersionNotFound, text: "9.9"},
		"no-remove":            {code: CodeWouldRemove},
		"downgrade":            {code: CodeDowngradeRefused},
		"lock-waited":          {code: CodeBusy, busy: Busy{Process: "python3"}, text: "python3"},
		"lock-at-once":         {code: CodeBusy, busy: Busy{Process: "python3"}, text: "python3"},
		"lock-dpkg":            {code: CodeBusy, text: "process "},
		"not-root":             {code: CodeNotPermitted},
		"script-failed":        {code: CodeScriptFailed, pkg: "steward-sample-bad", text: "exit status 3"},
		"install-other-failed": {code: CodeScriptFailed, pkg: "steward-sample-bad", text: "exit status 3"},
		"configure-failed":     {code: CodeScriptFailed, pkg: "steward-sample-bad"},
		"conffile-prompt":      {code: CodeNeedsAnswer},
		"dependency-problem":   {code: CodeDependenciesBroken},
		"unmet":                {code: CodeDependenciesBroken},
		"interrupted":          {code: CodeInterrupted, text: "dpkg --configure -a"},
		"disk-full-apt":        {code: CodeDiskFull},
		"disk-full-dpkg":       {code: CodeDiskFull},
		"offline-any":          {code: CodeNetwork, text: "nosuch.invalid"},
		"refused":              {code: CodeNetwork, text: "127.0.0.1"},
		"archive-missing":      {code: CodeNetwork, text: "steward-sample-dep_1.1.0.deb"},
		"hash-mismatch":        {code: CodeDownloadCorrupt},
		"unsigned":             {code: CodeUntrusted},
		"no-key":               {code: CodeUntrusted, text: "NO_PUBKEY"},
		"release-expired":      {code: CodeUntrusted, text: "expired"},
		"malformed":            {code: CodeBadConfiguration, text: "entry 1"},
		"bad-option":           {code: CodeBadConfiguration},
	} {
		f := load(t, name)
		e := classify("apt-get install", f.exit, f.stdout, f.stderr)
		if e.Code != want.code || e.Package != want.pkg || !strings.Contains(e.Message, want.text) || e.ExitCode != f.exit || f.exit == 0 {
			t.Errorf("%s: code %s package %q exit %d: %s\nwant %s %q and %q in the text", name, e.Code, e.Package, e.ExitCode, e.Message, want.code, want.pkg, want.text)
		}
		if (e.Busy != nil) != (want.code == CodeBusy) || e.Busy != nil && (e.Busy.PID == 0 || e.Busy.Process != want.busy.Process) {
			t.Errorf("%s: held by %+v, want %+v", name, e.Busy, want.busy)
		}
		if strings.ContainsAny(e.Message, "\n\r\x1b") {
			t.Errorf("%s: the message is not one line: %q", name, e.Message)
		}
	}
}

func TestUnknownFailuresAreToldAsTheyAre(t *testing.T) {
	if e := classify("apt-get install", 100, nil, []byte("W: x\nE: Something new under the sun\n")); e.Code != CodeFailed || !strings.Contains(e.Message, "new under the sun") {
		t.Errorf("%s: %s", e.Code, e.Message)
	}
	for name, out := range map[string][]byte{"nothing": nil, "two megabytes": []byte(strings.Repeat("\x00garbage\xff", 200_000))} {
		if e := classify("apt-get install", 7, out, out); e.Code != CodeGarbage || len(e.Message) > 500 {
			t.Errorf("%s: %s, %d bytes of message", name, e.Code, len(e.Message))
		}
	}
}

func TestEveryCodeHasAState(t *testing.T) {
	all := Codes()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) || n != 28 {
		t.Errorf("%d codes, %d of them different; a new one also needs a row in the test of its cause", len(all), n)
	}
	states := map[State]int{}
	for _, c := range all {
		states[c.State()]++
	}
	for _, s := range []State{StateInstalled, StateFailed, StateNeedsUser, StateNotApplicable, StateSuperseded, StateBusy} {
		if states[s] == 0 {
			t.Errorf("no code ends in %s", s)
		}
	}
}
