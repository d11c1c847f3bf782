package source

import (
	"os"
	"strconv"
	"syscall"
)

// lockHolder tells who holds a lock of apt's or dpkg's on the file: they use
// fcntl locks, which the kernel can be asked about without taking one. nil is
// nobody, or a file that cannot be read.
func lockHolder(path string) *Busy {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
		return nil
	}
	b := &Busy{PID: max(int(lock.Pid), 0)} // 0 or -1 from another PID namespace
	if b.PID > 0 {
		if name, err := os.ReadFile("/proc/" + strconv.Itoa(b.PID) + "/comm"); err == nil {
			b.Process = clip(string(name))
		}
	}
	return b
}
