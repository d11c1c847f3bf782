package spool

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

func openFile(t *testing.T, dir string) (*Journal, *bolt) {
	t.Helper()
	j, err := Open(dir, Options{ReserveBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, j.b.(*bolt)
}

var errNoSpace = &os.PathError{Op: "write", Path: "journal.db", Err: syscall.ENOSPC}

func TestAFullDiskTakesReportsAndKeepsJobEvents(t *testing.T) {
	dir := t.TempDir()
	j, b := openFile(t, dir)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range 100 {
		if err := j.AppendReport(Report{At: at.Add(time.Duration(i) * time.Second), Values: []Value{{Signal: wire.SignalUptime, Value: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	// Full from here on: what is written works only without the reserve file,
	// as on a disk whose last room the reserve is.
	reserve := filepath.Join(dir, reserveName)
	b.fault = func() error {
		if _, err := os.Stat(reserve); err == nil {
			return errNoSpace
		}
		return nil
	}
	l := Lease{Key: Key{"a", 1}, Bytes: []byte("x"), Signature: []byte("y")}
	if _, err := j.ApplyDesired(at, Desired{Version: 1, Leases: []Lease{l}}); err != nil {
		t.Fatalf("the reserve did not help: %v", err)
	}
	left, err := j.Reports(time.Time{}, 1000)
	if err != nil || len(left) == 0 || len(left) > 80 {
		t.Fatalf("%d reports left: %v", len(left), err)
	}
	if n, _ := j.ReportsDropped(); int(n) != 100-len(left) {
		t.Fatalf("%d dropped, %d left", n, len(left))
	}
	// Now nothing can be written: reports and events say so in words.
	b.fault = func() error { return errNoSpace }
	before, _ := j.ReportsDropped()
	if err := j.AppendReport(Report{At: at.Add(time.Hour)}); !errors.Is(err, ErrFull) {
		t.Fatalf("report: %v", err)
	}
	if n, _ := j.ReportsDropped(); n != before+1 {
		t.Fatalf("%d dropped, want %d", n, before+1)
	}
	if err := j.Start(at, l.Key, false); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("start: %v", err)
	}
	// And room again: the count is stored, the reserve comes back, the job starts.
	b.fault = nil
	if err := j.AppendReport(Report{At: at.Add(2 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if n, _ := j.ReportsDropped(); n != before+1 || j.lost.Load() != 0 {
		t.Fatalf("%d dropped, want %d", n, before+1)
	}
	if info, err := os.Stat(reserve); err != nil || info.Size() != 64<<10 {
		t.Fatalf("reserve %v %v", info, err)
	}
	if err := j.Start(at, l.Key, false); err != nil {
		t.Fatal(err)
	}
}

func TestAJournalOfANewerAgentIsKept(t *testing.T) {
	dir := t.TempDir()
	j, b := openFile(t, dir)
	err := b.update("test", func(t tx) error {
		if err := t.put(bucketEvents, "new", []byte("something newer")); err != nil {
			return err
		}
		return write(t, bucketMeta, metaKey, meta{Format: format + 1, ID: "x", NextEvent: 1})
	})
	if err != nil || j.Close() != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer agent") {
		t.Fatalf("opened: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, brokenName)); err == nil {
		t.Fatal("it was set aside")
	}
}

func TestAFailedTransactionLeavesMemoryAsItWas(t *testing.T) {
	m := newMemory(func(string) {})
	put := func(t tx) error {
		return errors.Join(t.put(bucketEvents, "b", []byte("1")), t.put(bucketEvents, "d", []byte("2")))
	}
	if err := m.update("test", put); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := m.update("test", func(t tx) error {
		return errors.Join(t.delete(bucketEvents, "b"), t.put(bucketEvents, "c", nil), t.put(bucketEvents, "a", []byte("3")),
			t.put(bucketEvents, "a", []byte("4")), t.put(bucketEvents, "d", []byte("5")), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	got := ""
	_ = m.view(func(t tx) error {
		return t.each(bucketEvents, "", func(k string, v []byte) (bool, error) {
			got += k + string(v)
			return true, nil
		})
	})
	if got != "b1d2" {
		t.Fatalf("after a failure %q", got)
	}
}

// FuzzStoredValue: whatever a value has become, looking at it ends in an answer
// or in ErrCorrupt, and what passes can be read.
func FuzzStoredValue(f *testing.F) {
	j, err := NewMemory(Options{})
	if err != nil {
		f.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	k := Key{"a", 1}
	for _, err := range []error{
		func() error {
			_, err := j.ApplyDesired(at, Desired{Version: 1, Leases: []Lease{{Key: k, Bytes: []byte("x")}, {Key: Key{"b", 1}}}, Cancels: []Cancel{{Key: Key{"z", 1}}}})
			return err
		}(),
		j.Start(at, k, false),
		j.Tell(at, JobEvent{Key: k, Step: StepResult, Source: "apt", Package: "p"}),
		j.Rebooting(at, k),
		j.AppendReport(Report{At: at, Values: []Value{{Signal: wire.SignalUptime, Value: 2}}}),
		j.RecordInstalled([]Installed{{"apt", "p", "1"}}),
		func() error {
			_, err := j.RecordInventory(at, wire.SectionOS, []wire.Item{{Key: "os"}}, at, "start")
			return err
		}(),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	names := buckets()
	_ = j.b.view(func(t tx) error {
		for i, name := range names {
			_ = t.each(name, "", func(key string, raw []byte) (bool, error) {
				if err := checkValue(name, key, raw); err != nil {
					f.Errorf("%s: %v", name, err)
				}
				f.Add(uint8(i), key, raw)
				return true, nil
			})
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, which uint8, key string, raw []byte) {
		bucket := names[int(which)%len(names)]
		err := checkValue(bucket, key, raw)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%v is not ErrCorrupt", err)
		}
		if (err == nil) && !json.Valid(raw) {
			t.Fatal("passed without being JSON")
		}
		readAll(t, bucket, key, raw)
	})
}

// readAll puts a value into a journal and calls everything that reads.
func readAll(t *testing.T, bucket, key string, raw []byte) {
	j, err := NewMemory(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.b.update("test", func(t tx) error { return t.put(bucket, key, raw) }); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	_, err = j.Held()
	add(err)
	_, err = j.Unfinished()
	add(err)
	_, err = j.Unconfirmed()
	add(err)
	_, err = j.Events(0, 10)
	add(err)
	_, err = j.Reports(time.Time{}, 10)
	add(err)
	_, err = j.Confirmed()
	add(err)
	_, err = j.ApplyDesired(at, Desired{Version: 1, Leases: []Lease{{Key: Key{"a", 1}}}})
	add(err)
	_, err = j.ResendSection(at, wire.SectionOS)
	add(err)
	add(j.Acknowledge(1))
	add(j.Renumber())
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrBehind) {
			t.Fatalf("%v is not ErrCorrupt", err)
		}
	}
}
