//go:build e2e

package rig

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system in memory, to be filled.
type Disk struct {
	t   testing.TB
	Dir string
}

// NewDisk mounts a file system of a size like "8m" until the test ends. It
// needs root.
func NewDisk(t testing.TB, size string) *Disk {
	t.Helper()
	d := &Disk{t: t, Dir: filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(d.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.Dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small disk: %v: it needs root, and in a container the right to mount", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.Dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", d.Dir, err)
		}
	})
	return d
}

// Free is the room that is left, in bytes.
func (d *Disk) Free() int64 {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.Dir, &s); err != nil {
		d.t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// Fill takes all room but what is to be left, in bytes.
func (d *Disk) Fill(left int64) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for {
		n := min(d.Free()-left, int64(len(block)))
		if n <= 0 {
			return
		}
		if _, err := f.Write(block[:n]); err != nil {
			return // full to the last byte
		}
	}
}

// Empty gives back what Fill took.
func (d *Disk) Empty() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.Dir, "filler")); err != nil {
		d.t.Fatal(err)
	}
}
