package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/steward-rmm/steward/server/fault"
)

// maxFile is far above any file of the directory.
const maxFile = 256 << 10

// createDir writes all files into a new directory of mode 0700, or none: they
// are made beside it and moved into place together. It refuses a directory
// that exists and holds something.
func createDir(dir string, files map[string][]byte) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.Conflictf("keys: %s exists already", dir).
			WithNext("new keys would cut off every enrolled device; move the directory away yourself if that is meant")
	}
	fresh := dir + ".new" // what a killed start left there was never used
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	for name, data := range files {
		if err := writeNew(filepath.Join(fresh, name), data); err != nil {
			return fmt.Errorf("create keys: %w", errors.Join(err, os.RemoveAll(fresh)))
		}
	}
	if err := syncDir(fresh); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	// An empty directory, made by an installer, gives way (rename(2) needs it
	// empty; on Windows it must be gone).
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create keys: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// replaceFile writes a file of the directory anew, whole or not at all.
func replaceFile(dir, name string, data []byte) error {
	fresh := filepath.Join(dir, name+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := writeNew(fresh, data); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(dir)
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a rename survive a power cut. Windows cannot and need not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads a file of the directory after looking at who else could have.
func readFile(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	if err := checkMode(path, false); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return data, nil
}

// checkMode refuses what group or others may read or write, and anything that
// is no plain directory or file. On Windows the directory's access list, set
// by the installer, takes the place of modes.
func checkMode(path string, dir bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	if dir != info.IsDir() || !dir && !info.Mode().IsRegular() {
		return fault.New(fault.Unavailable, "keys: %s is not a plain directory or file", path)
	}
	want := os.FileMode(0o600)
	if dir {
		want = 0o700
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&^want != 0 {
		return fault.New(fault.Unavailable, "keys: %s has mode %04o: others may read it", path, info.Mode().Perm()).
			WithNext("look who had access, then: chmod %04o %s", want, path)
	}
	return nil
}
