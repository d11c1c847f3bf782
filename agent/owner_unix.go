//go:build unix

package agent

import (
	"fmt"
	"os"
	"syscall"
)

// privileged reports whether the process runs as root.
func privileged() bool { return os.Geteuid() == 0 }

// ownedByRoot reports whether a file is root's and writable by root alone.
func ownedByRoot(f *os.File) (bool, string) {
	info, err := f.Stat()
	if err != nil {
		return false, err.Error()
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false, "its owner is not known"
	case !info.Mode().IsRegular():
		return false, "it is not a regular file"
	case st.Uid != 0:
		return false, fmt.Sprintf("it belongs to user %d; only root's file is honoured", st.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return false, fmt.Sprintf("others may write it (mode %04o); only a file that root alone may write is honoured", info.Mode().Perm())
	}
	return true, ""
}
