package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// grown returns the bytes of a journal large enough to have pages of every
// kind, and its id.
func grown(t testing.TB) (raw []byte, id string) {
	t.Helper()
	dir := t.TempDir()
	j, err := Open(dir, Options{ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range 60 {
		err := j.AppendReport(Report{At: at.Add(time.Duration(i) * time.Second), Values: []Value{{Signal: wire.SignalUptime, Value: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.RecordInventory(at, wire.SectionOS, []wire.Item{{Key: fmt.Sprint(i)}}, at, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if id, err = j.ID(); err != nil || j.Close() != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	return raw, id
}

// reopened opens a file and tells the journal's id and what was set aside. What
// comes of any file is a journal.
func reopened(t *testing.T, raw []byte) (id, aside string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, Options{ReserveBytes: 4096})
	if err != nil {
		t.Fatalf("no journal: %v", err)
	}
	id, err = j.ID()
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	return id, j.SetAside()
}

func TestASoundJournalPassesItsInspection(t *testing.T) {
	raw, id := grown(t)
	if got, aside := reopened(t, raw); got != id || aside != "" {
		t.Fatalf("id %s, was %s, set aside %q", got, id, aside)
	}
}

func TestHeadersOfPagesMayBeAnything(t *testing.T) {
	raw, id := grown(t)
	random := rand.New(rand.NewPCG(1, 2))
	set := 0
	for range 150 {
		b := bytes.Clone(raw)
		page := (2 + random.IntN(len(raw)/os.Getpagesize()-2)) * os.Getpagesize()
		for range 1 + random.IntN(3) {
			b[page+random.IntN(64)] = byte(random.IntN(256))
		}
		got, aside := reopened(t, b)
		if aside == "" && got != id {
			t.Fatalf("another journal, %s, and none was set aside", got)
		}
		if aside != "" {
			set++
		}
	}
	if set < 20 || set > 130 { // some pages are free, and some bytes the same
		t.Fatalf("%d of 150 set aside", set)
	}
}

// FuzzDamagedFile writes some bytes over a journal.
func FuzzDamagedFile(f *testing.F) {
	raw, _ := grown(f)
	f.Add(uint32(0), []byte{})
	f.Add(uint32(0), []byte("another file altogether"))
	f.Add(uint32(2*4096+8), []byte{1, 0, 255, 255})        // a page becomes a branch
	f.Add(uint32(3*4096), []byte{2, 0, 0, 0, 0, 0, 0, 0})  // a page takes another's number
	f.Add(uint32(4096+16+16), []byte{9, 9, 9, 9, 9, 9, 9}) // a head points elsewhere
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(raw)
		copy(b[int(at)%len(b):], patch)
		if id, _ := reopened(t, b); id == "" {
			t.Fatal("a journal without an id")
		}
	})
}
