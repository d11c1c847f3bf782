package agent

import (
	"strconv"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// sinceBoot returns the time since boot, sleep included: GetTickCount64.
func sinceBoot() time.Duration { return windows.DurationSinceBoot() }

// bootID names this boot, "" when the system does not say. Windows counts its
// boots for the prefetcher.
func bootID() string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE,
		`SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue("BootId")
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// freeBytes of the system's volume, negative when unknown.
func freeBytes() int64 {
	dir, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return -1
	}
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return -1
	}
	return int64(min(free, 1<<62))
}
