//go:build linux || darwin

package osexec

import (
	"os"
	"os/exec"
	"syscall"
)

const rootDir = "/"

// tree is a process and all it started.
type tree struct{ pid int }

// prepareTree makes the process the leader of a new process group.
func prepareTree(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// adoptTree takes hold of a started process. Whether it dies with the agent is
// for the init system to say; see tree_windows.go.
func adoptTree(cmd *exec.Cmd, _ bool) *tree { return &tree{pid: cmd.Process.Pid} }

// terminate asks the group to end and returns the processes that have left the
// group (a program on a pseudo terminal has a session of its own) but descend
// from the leader.
func (t *tree) terminate() []member {
	family := descendants(t.pid)
	t.signal(family, syscall.SIGTERM)
	return family
}

// kill ends what is left of the group and of the family.
func (t *tree) kill(family []member) {
	t.signal(append(family, descendants(t.pid)...), syscall.SIGKILL)
}

// signal ignores errors: a process that is gone is what was wanted. The group
// id cannot be someone else's while a member lives.
func (t *tree) signal(family []member, sig syscall.Signal) {
	_ = syscall.Kill(-t.pid, sig)
	for _, m := range family {
		if m.alive() {
			_ = syscall.Kill(m.pid, sig)
		}
	}
}

func (t *tree) close() {}

// openStatus gives the process file descriptor 3.
func openStatus(cmd *exec.Cmd, sink *capture) (*statusReader, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{w}
	return &statusReader{r: r, w: w, sink: sink}, nil
}
