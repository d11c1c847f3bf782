package main

import (
	"bytes"
	"testing"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name        string
		args        []string
		code        int
		out, errOut string
	}{
		{"version", []string{"version"}, 0, "steward-swarm dev\n", ""},
		{"version as a flag", []string{"--version"}, 0, "steward-swarm dev\n", ""},
		{"nothing", nil, 2, "", "steward-swarm: not in this version\n"},
		{"a fleet", []string{"--enroll", "x", "--devices", "3"}, 2, "", "steward-swarm: not in this version\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := run(c.args, &out, &errOut); code != c.code || out.String() != c.out || errOut.String() != c.errOut {
				t.Errorf("run(%q) = %d, %q, %q; want %d, %q, %q", c.args, code, out.String(), errOut.String(), c.code, c.out, c.errOut)
			}
		})
	}
}
