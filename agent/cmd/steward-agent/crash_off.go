//go:build !crash

package main

// crashHook is nothing in a program that people use; see crash.go.
func crashHook() func(point string) { return nil }
