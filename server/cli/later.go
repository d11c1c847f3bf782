package cli

import (
	"errors"
	"regexp"

	"github.com/alecthomas/kong"

	"github.com/steward-rmm/steward/server/fault"
)

// later is a command that the contract names and this version has not. It
// takes whatever follows, so that the answer is always the same.
type later struct {
	Rest []string `arg:"" optional:"" help:"Taken, and not looked at."`
}

var verb = regexp.MustCompile(`^(list|ack|create|expire|test|redeliver|export|sign|import|assign|done|apply|diff)$`)

// Run says so.
func (l *later) Run(c *kong.Context, x *call) error {
	name := "steward " + nameOf(c)
	if len(l.Rest) > 0 && verb.MatchString(l.Rest[0]) {
		name += " " + l.Rest[0]
	}
	return x.notYet(name)
}

// notYet prints the line of the contract: the command's name and nothing else
// before it.
func (e *Env) notYet(name string) error {
	var f *fault.Error
	if errors.As(fault.NotYetf(name), &f) {
		_, _ = e.Stderr.Write([]byte(f.Message + "\n"))
	}
	return ending{2}
}
