package inventory

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// readFile reads at most maxFile bytes: a file of procfs or sysfs says nothing
// of its size beforehand.
func readFile(parts ...string) ([]byte, error) {
	f, err := os.Open(filepath.Join(parts...))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", f.Name(), maxFile)
	}
	return raw, nil
}
