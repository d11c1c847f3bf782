package spool_test

import (
	"os"
	"testing"

	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/spool/spooltest"
)

func TestMemory(t *testing.T) {
	spooltest.Exercise(t, func(t testing.TB, o spool.Options) *spool.Journal {
		t.Helper()
		j, err := spool.NewMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		return j
	})
}

func TestFile(t *testing.T) {
	spooltest.Exercise(t, func(t testing.TB, o spool.Options) *spool.Journal {
		t.Helper()
		o.ReserveBytes = 4096
		return open(t, t.TempDir(), o)
	})
}

func open(t testing.TB, dir string, o spool.Options) *spool.Journal {
	t.Helper()
	j, err := spool.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}
