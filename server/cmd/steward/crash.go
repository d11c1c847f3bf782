//go:build crash

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// crashHook ends the process as kill -9 does when a point of the store is
// passed for the n-th time: STEWARD_CRASH=point:n. Only programs built with
// the tag crash have it, for tests that kill at every enumerated point.
func crashHook() func(point string) {
	want, text, _ := strings.Cut(os.Getenv("STEWARD_CRASH"), ":")
	n, err := strconv.ParseInt(text, 10, 64)
	if want == "" || err != nil {
		return nil
	}
	var passed atomic.Int64
	return func(point string) {
		if point == want && passed.Add(1) == n {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}
