//go:build crash

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// crashHook ends the process as kill -9 does when a point of the store is
// passed for the n-th time: STEWARD_CRASH=point:n. STEWARD_CRASH=list:0 prints
// each point as it is passed, to stderr. Only programs built with the tag crash
// have it, for tests that kill at every enumerated point.
func crashHook() func(point string) {
	want, text, _ := strings.Cut(os.Getenv("STEWARD_CRASH"), ":")
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case want == "" || err != nil:
		return nil
	case want == "list":
		return func(point string) { fmt.Fprintln(os.Stderr, "crash point", point) }
	}
	var passed atomic.Int64
	return func(point string) {
		if point == want && passed.Add(1) == n {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
	}
}
