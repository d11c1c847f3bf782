package agent

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since boot, sleep included.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// bootID names this boot, "" when the system does not say; see random(4).
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// freeBytes of the volume that downloads go to, negative when unknown.
func freeBytes() int64 {
	var st unix.Statfs_t
	if unix.Statfs("/var/cache", &st) != nil && unix.Statfs("/", &st) != nil {
		return -1
	}
	return int64(st.Bavail) * st.Bsize
}
