//go:build !windows

package spool

import (
	"errors"
	"syscall"
)

// isFull reports whether an error says that the disk, or the quota, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
