package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
)

func postgres() bool { return os.Getenv(storetest.Variable) != "" }

// A child process is this test binary with these set: it writes to the
// directory until it ends itself at the n-th passing of the point.
const (
	childDir   = "STORE_TEST_CHILD_DIR"
	childPoint = "STORE_TEST_CHILD_POINT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, os.Getenv(childPoint))
		os.Exit(3) // not reached: the child kills itself
	}
	os.Exit(m.Run())
}

// child counts in eight goroutines; each prints a number once it is durable.
func child(dir, point string) {
	var passed atomic.Int32
	s, err := store.Open(context.Background(), store.Options{Dir: dir, Exclusive: true, Reserve: -1, Hook: func(at string) {
		if at == point && passed.Add(1) == 20 {
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				_ = p.Kill()
			}
			select {}
		}
	}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 1; ; n++ {
				err := s.Tx(context.Background(), func(ctx context.Context) error {
					if err := s.SetMeta(ctx, fmt.Sprintf("w%d", w), fmt.Sprint(n)); err != nil {
						return err
					}
					return s.SetMeta(ctx, fmt.Sprintf("w%d-copy", w), fmt.Sprint(n))
				})
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Printf("w%d %d\n", w, n) // one write call: whole lines
			}
		})
	}
	wg.Wait()
}

func TestAKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	for _, point := range []string{"steward.begin", "steward.unit", "steward.before-commit", "steward.after-commit", "steward.answered"} {
		t.Run(point, func(t *testing.T) {
			dir := storetest.Dir(t)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir, childPoint+"="+point)
			out, err := cmd.Output()
			if cmd.ProcessState.Success() || strings.Contains(string(out), "error") {
				t.Fatalf("the child ended with %v: %s", err, out)
			}
			acknowledged := map[string]int{}
			lines := bufio.NewScanner(strings.NewReader(string(out)))
			for lines.Scan() {
				var key string
				var n int
				if _, err := fmt.Sscan(lines.Text(), &key, &n); err != nil {
					t.Fatalf("%q: %v", lines.Text(), err)
				}
				acknowledged[key] = max(acknowledged[key], n)
			}
			if len(acknowledged) == 0 {
				t.Fatal("the child acknowledged nothing")
			}
			s := storetest.OpenOptions(t, store.Options{Dir: dir})
			for key, n := range acknowledged {
				value, _, err := s.Meta(t.Context(), key)
				copied, _, err2 := s.Meta(t.Context(), key+"-copy")
				var kept int
				if _, err3 := fmt.Sscan(value, &kept); err != nil || err2 != nil || err3 != nil || kept < n {
					t.Errorf("%s: %d was acknowledged, %q is there (%v %v %v)", key, n, value, err, err2, err3)
				}
				if copied != value {
					t.Errorf("%s: half a transaction is there: %q and %q", key, value, copied)
				}
			}
		})
	}
}

func TestEveryPointIsPassedAndListed(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	reg := prometheus.NewRegistry()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Exclusive: true, Reserve: 4096, Registerer: reg, Hook: func(point string) {
		mu.Lock()
		seen[point] = true
		mu.Unlock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.ExecSamples(t.Context(), `INSERT INTO series (tenant_id, device_id, number, definition) VALUES ('a', 'b', 1, '')`); err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	for _, point := range store.Points() {
		if !seen[point] {
			t.Errorf("%s is listed and was not passed", point)
		}
	}
	for point := range seen {
		if !slices.Contains(store.Points(), point) {
			t.Errorf("%s was passed and is not listed", point)
		}
	}
	if got, err := reg.Gather(); err != nil || len(got) < 4 {
		t.Errorf("%d metrics, %v", len(got), err)
	}
}

// fill writes until SQLite has no page left, as on a full disk.
func fill(t *testing.T, s *store.Store) error {
	t.Helper()
	if err := s.Plain(t.Context(), `PRAGMA max_page_count = 60`); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		err := s.Tx(t.Context(), func(ctx context.Context) error {
			return s.SetMeta(ctx, fmt.Sprint("fill", i), strings.Repeat("x", 4000))
		})
		if err != nil {
			return err
		}
	}
	t.Fatal("the disk never filled")
	return nil
}

func TestAFullDiskStopsSamplesAndFreesTheReserve(t *testing.T) {
	dir := storetest.Dir(t)
	s := storetest.OpenOptions(t, store.Options{Dir: dir, Reserve: 1 << 20})
	reserve := filepath.Join(dir, "reserve")
	if info, err := os.Stat(reserve); err != nil || info.Size() != 1<<20 || !s.DiskState().Reserve {
		t.Fatalf("no reserve: %v, %+v", err, s.DiskState())
	}
	if _, err := s.Samples().Append(t.Context(), "acme", "d", nil); err != nil {
		t.Fatalf("samples before: %v", err)
	}
	if err := fill(t, s); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(reserve); !os.IsNotExist(err) {
		t.Errorf("the reserve is still there: %v", err)
	}
	state := s.DiskState()
	if !state.Full || !state.Low || state.Reserve || state.Since.IsZero() {
		t.Errorf("state = %+v", state)
	}
	if _, err := s.Samples().Append(t.Context(), "acme", "d", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("samples on a full disk: %v", err)
	}
	if got := s.DiskState().SamplesRefused; got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
	if err := s.Plain(t.Context(), `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if err := s.Tx(t.Context(), func(ctx context.Context) error { return s.SetMeta(ctx, "a", "1") }); err != nil {
		t.Errorf("state with room again: %v", err)
	}
}

func TestACopyIsWholeWhileOthersWrite(t *testing.T) {
	s := storetest.Open(t)
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			err := s.Tx(t.Context(), func(ctx context.Context) error {
				if err := s.SetMeta(ctx, "a", fmt.Sprint(n)); err != nil {
					return err
				}
				return s.SetMeta(ctx, "b", fmt.Sprint(n))
			})
			select {
			case <-stop:
				ended <- err
				return
			default:
			}
		}
	}()
	dir := t.TempDir()
	for i := range 5 {
		to := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, "steward.db")
		if err := s.CopyTo(t.Context(), path, filepath.Join(to, "samples.db")); err != nil {
			t.Fatal(err)
		}
		if err := s.CopyTo(t.Context(), path, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("a copy over a file: %v", err)
		}
		copied := storetest.OpenOptions(t, store.Options{Dir: to})
		a, _, err := copied.Meta(t.Context(), "a")
		b, _, err2 := copied.Meta(t.Context(), "b")
		if a != b || err != nil || err2 != nil {
			t.Errorf("copy %d: %q and %q (%v %v)", i, a, b, err, err2)
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
