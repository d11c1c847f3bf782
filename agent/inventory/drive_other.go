//go:build !windows

package inventory

// localDrive is asked on Windows only.
func localDrive(string) bool { return false }
