package pki

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestPresentJudgesASecret(t *testing.T) {
	known := Clone{Confirmed: []byte("one"), Offered: []byte("two"), Epoch: 5}
	for _, c := range []struct {
		name      string
		now       Clone
		presented string
		epoch     uint64
		want      Verdict
	}{
		{"a new key without a secret", Clone{}, "", 5, OK},
		{"a new key with one", Clone{}, "x", 5, OK},
		{"the offered one", known, "two", 5, OK},
		{"the confirmed one: its Welcome was lost", known, "one", 5, OK},
		{"a stale one", known, "zero", 5, Conflict},
		{"none, though it had one", known, "", 5, Conflict},
		{"anything in a new epoch", known, "zero", 6, OK},
		{"none in a new epoch", known, "", 6, OK},
		{"none again after a first Hello without", Clone{Offered: []byte("two"), Epoch: 5}, "", 5, OK},
		{"too long in a new epoch", known, "12345678901234567", 6, Conflict},
	} {
		verdict, next := Present(c.now, []byte(c.presented), c.epoch, []byte("new"))
		if verdict != c.want {
			t.Errorf("%s: %v", c.name, verdict)
		}
		if verdict == Conflict && fmt.Sprint(next) != fmt.Sprint(c.now) {
			t.Errorf("%s: a conflict changed %v to %v", c.name, c.now, next)
		}
		if verdict == OK && (string(next.Confirmed) != c.presented || string(next.Offered) != "new" || next.Epoch != c.epoch) {
			t.Errorf("%s: %v", c.name, next)
		}
	}
	if verdict, _ := Present(known, []byte("two"), 5, nil); verdict != Conflict {
		t.Error("an empty offer was made")
	}
	if a := NewCloneSecret(); len(a) != CloneSecretSize || bytes.Equal(a, NewCloneSecret()) {
		t.Error("secrets repeat")
	}
}

// A machine keeps the secret of the last Welcome that reached it.
type machine struct{ secret []byte }

func TestOneMachineNeverConflictsAndACopyAlwaysDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state Clone
		epoch, offers := uint64(1), 0
		hello := func(m *machine, welcomeArrives bool) Verdict {
			offers++
			fresh := fmt.Appendf(nil, "s%d", offers)
			var v Verdict
			if v, state = Present(state, m.secret, epoch, fresh); v == OK && welcomeArrives {
				m.secret = fresh
			}
			return v
		}
		original := &machine{}
		for range rapid.IntRange(0, 20).Draw(t, "hellos") {
			if rapid.IntRange(0, 9).Draw(t, "restore") == 0 {
				epoch++
			}
			if hello(original, rapid.Bool().Draw(t, "arrives")) != OK {
				t.Fatal("a machine alone was taken for a copy")
			}
		}
		if hello(original, true) != OK {
			t.Fatal("a machine alone was taken for a copy")
		}
		// Both live on from here in one epoch: it must show within three
		// Hellos that arrive, whoever comes first.
		copied := &machine{bytes.Clone(original.secret)}
		both := []*machine{original, copied}
		first := rapid.IntRange(0, 1).Draw(t, "first")
		conflict := false
		for i := range 3 {
			conflict = hello(both[(first+i)%2], true) == Conflict || conflict
		}
		if !conflict {
			t.Fatal("two machines with one key were not noticed")
		}
	})
}
