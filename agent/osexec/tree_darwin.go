package osexec

// member is a process outside the group; macOS has no /proc to find one, so
// there the group alone is killed.
type member struct{ pid int }

func (m member) alive() bool { return false }

func descendants(int) []member { return nil }
