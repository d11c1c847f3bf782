package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since boot, sleep included, as CLOCK_MONOTONIC
// counts it on macOS; see clock_gettime(3) there.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// bootID names this boot, "" when the system does not say.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// freeBytes of the volume that downloads go to, negative when unknown.
func freeBytes() int64 {
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
