//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// count is how many tests ended how. A test with subtests counts by those.
type count struct{ passed, failed, skipped int }

func (c count) plus(d count) count {
	return count{c.passed + d.passed, c.failed + d.failed, c.skipped + d.skipped}
}

func (c count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// event is one line of go test -json (go doc cmd/test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
}

// tally reads events, prints what belongs to failures in full, and counts.
type tally struct {
	out    io.Writer
	count  count
	text   map[string]*strings.Builder // output by package and test, kept until it ends
	within map[string]bool             // tests that have subtests
	broken map[string]bool             // tests and packages with a failed test below them
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, text: map[string]*strings.Builder{}, within: map[string]bool{}, broken: map[string]bool{}}
}

// read takes in a whole stream. A line that is no event is printed as it is.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
				t.add(e)
			} else {
				fmt.Fprint(t.out, line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	if e.ImportPath != "" {
		key = "build " + e.ImportPath
	}
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			t.within[e.Package+" "+e.Test[:i]] = true
		}
	case "output", "build-output":
		if t.text[key] == nil {
			t.text[key] = &strings.Builder{}
		}
		t.text[key].WriteString(e.Output)
	case "build-fail":
		t.print(key)
	case "pass", "skip", "fail":
		t.end(e, key)
	}
}

// end counts a test or a package that is over.
func (t *tally) end(e event, key string) {
	failed := e.Action == "fail"
	if failed {
		t.print(key)
		// Names are cut from the right: the parent test, then the package.
		for at := e.Test; at != ""; {
			at = at[:max(0, strings.LastIndexByte(at, '/'))]
			t.broken[e.Package+" "+at] = true
		}
	}
	delete(t.text, key)
	switch {
	case failed && t.broken[key]:
		// Counted by the test that broke it.
	case failed:
		t.count.failed++
	case e.Test == "" || t.within[key]:
		// Packages, and tests that only hold others.
	case e.Action == "skip":
		t.count.skipped++
	default:
		t.count.passed++
	}
}

func (t *tally) print(key string) {
	if text := t.text[key]; text != nil {
		fmt.Fprint(t.out, text.String())
		delete(t.text, key)
	}
}
