//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyRootsFileIsHonoured(t *testing.T) {
	path := filepath.Join(t.TempDir(), SettingsFile)
	for _, c := range []struct {
		mode  os.FileMode
		uid   int
		owned bool
	}{{0o600, 0, true}, {0o644, 0, true}, {0o664, 0, false}, {0o606, 0, false}, {0o600, 1000, false}} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, c.uid, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		owned, why := ownedByRoot(f)
		f.Close()
		// Without root's rights the file is the tester's, whatever its mode.
		if want := c.owned && os.Geteuid() == 0; owned != want || !owned && why == "" {
			t.Errorf("mode %v of user %d: %v %q", c.mode, c.uid, owned, why)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
