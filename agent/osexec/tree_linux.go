package osexec

import (
	"bytes"
	"os"
	"strconv"
)

// member is a process, known by its id and the moment it started, so that an
// id given to someone else since is not mistaken for it.
type member struct {
	pid   int
	start string // field 22 of /proc/PID/stat, proc(5)
}

func (m member) alive() bool {
	_, start, ok := stat(m.pid)
	return ok && start == m.start
}

// descendants lists the children of root and theirs, as /proc shows them now.
func descendants(root int) []member {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]member{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, start, ok := stat(pid); ok {
			children[parent] = append(children[parent], member{pid: pid, start: start})
		}
	}
	var out []member
	queue := []int{root}
	for len(queue) > 0 && len(out) < 10000 {
		for _, m := range children[queue[0]] {
			out = append(out, m)
			queue = append(queue, m.pid)
		}
		queue = queue[1:]
	}
	return out
}

// stat reads parent and start time of a process. The name in the second field
// may hold spaces and brackets; it ends at the last ')'.
func stat(pid int) (parent int, start string, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, "", false
	}
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, "", false
	}
	f := bytes.Fields(b[i+1:]) // f[0] is field 3, the state
	if len(f) < 20 {
		return 0, "", false
	}
	parent, err = strconv.Atoi(string(f[1]))
	return parent, string(f[19]), err == nil
}
