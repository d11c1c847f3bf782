package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steward-rmm/steward/server/ident"
)

// mutations are what someone with the database alone could do to one sealed
// row. Each returns false when it would change nothing.
var mutations = map[string]func(t *rapid.T, m *memory, i int) bool{
	"id": func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ID += "0"; return true },
	"time": func(_ *rapid.T, m *memory, i int) bool {
		m.rows[i].At = m.rows[i].At.Add(time.Millisecond)
		return true
	},
	"time below":   func(_ *rapid.T, m *memory, i int) bool { m.rows[i].At = m.rows[i].At.Add(1); return true },
	"actor":        func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ActorID = "p-2"; return true },
	"actor kind":   func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ActorKind = ident.Token; return true },
	"actor tenant": func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ActorTenant = "acme"; return true },
	"action":       func(_ *rapid.T, m *memory, i int) bool { m.rows[i].Action = "deployment.resumed"; return true },
	"object kind":  func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ObjectKind = "device"; return true },
	"object":       func(_ *rapid.T, m *memory, i int) bool { m.rows[i].ObjectID = "other"; return true },
	"border": func(_ *rapid.T, m *memory, i int) bool {
		r := &m.rows[i]
		r.ObjectKind, r.ObjectID = r.ObjectKind+r.ObjectID[:1], r.ObjectID[1:]
		return true
	},
	"moved away": func(_ *rapid.T, m *memory, i int) bool { m.rows[i].Tenant = "bolt"; return true },
	"unsealed":   func(_ *rapid.T, m *memory, i int) bool { m.rows[i].Seq = 0; return true },
	"renumbered": func(t *rapid.T, m *memory, i int) bool {
		m.rows[i].Seq += rapid.Uint64Range(1, 9).Draw(t, "by")
		return true
	},
	"removed":      func(_ *rapid.T, m *memory, i int) bool { m.rows = slices.Delete(m.rows, i, i+1); return true },
	"text removed": func(_ *rapid.T, m *memory, i int) bool { m.rows[i].Payload = nil; return true },
	"text": func(t *rapid.T, m *memory, i int) bool {
		p := bytes.Clone(m.rows[i].Payload)
		p[rapid.IntRange(0, len(p)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		m.rows[i].Payload = p
		return true
	},
	"text hash": func(t *rapid.T, m *memory, i int) bool {
		m.rows[i].PayloadHash[rapid.IntRange(0, 31).Draw(t, "byte")]++
		return true
	},
	"hash": func(t *rapid.T, m *memory, i int) bool {
		m.rows[i].Hash[rapid.IntRange(0, 31).Draw(t, "byte")]++
		return true
	},
	"prev": func(t *rapid.T, m *memory, i int) bool {
		m.rows[i].Prev[rapid.IntRange(0, 31).Draw(t, "byte")]++
		return true
	},
	"swapped": func(t *rapid.T, m *memory, i int) bool {
		j := rapid.IntRange(0, len(m.rows)-1).Draw(t, "with")
		m.rows[i].Seq, m.rows[j].Seq = m.rows[j].Seq, m.rows[i].Seq
		return i != j
	},
	"swapped and linked": func(t *rapid.T, m *memory, i int) bool {
		j := rapid.IntRange(0, len(m.rows)-1).Draw(t, "with")
		a, b := m.rows[i], m.rows[j]
		m.rows[i].Seq, m.rows[i].Prev = b.Seq, b.Prev
		m.rows[j].Seq, m.rows[j].Prev = a.Seq, a.Prev
		m.rows[i].Hash, m.rows[j].Hash = chainHash(m.rows[i]), chainHash(m.rows[j])
		return i != j
	},
	"inserted twice": func(_ *rapid.T, m *memory, i int) bool { m.rows = append(m.rows, m.rows[i]); return true },
	"rewritten": func(_ *rapid.T, m *memory, i int) bool { // and its own hash made good
		m.rows[i].ActorID = "p-2"
		m.rows[i].Hash = chainHash(m.rows[i])
		return true
	},
}

func TestAnyMutationOfASealedEntryIsNoticed(t *testing.T) {
	for name, mutate := range mutations {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s, m := newRecord()
			n := rapid.IntRange(2, 12).Draw(t, "entries")
			for i := range n {
				if err := s.Record(t.Context(), entryOf("acme", i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.RunOnce(t.Context(), start); err != nil {
				t.Fatal(err)
			}
			i := rapid.IntRange(0, n-1).Draw(t, "row")
			seq := m.rows[i].Seq
			if !mutate(t, m, i) {
				return
			}
			r, err := s.Verify(t.Context(), "acme", nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Good() || r.Problem == "" {
				t.Fatalf("entry %d of %d: not noticed: %+v", seq, n, r)
			}
			if r.FirstBad > seq+1 {
				t.Fatalf("entry %d was changed, %d was named", seq, r.FirstBad)
			}
		}))
	}
}

// rewrite makes every hash from an entry on good again, as one who knows the
// format could.
func rewrite(m *memory, tenant ident.TenantID) {
	at := Tip{tenant, 0, genesis(tenant)}
	for i, r := range m.rows {
		if r.Tenant == tenant && r.Sealed() {
			m.rows[i] = seal(r, at)
			at = Tip{tenant, m.rows[i].Seq, m.rows[i].Hash}
		}
	}
}

func TestRewrittenChainIsNoticedByItsHeads(t *testing.T) {
	s, m := newRecord()
	fill(t, s, "acme", 20)
	noted := verify(t, s, "acme", nil).Tip
	m.rows[4].ActorID = "p-2"
	rewrite(m, "acme")
	if r := verify(t, s, "acme", nil); r.Good() || !strings.Contains(r.Problem, "signed head") {
		t.Errorf("with the stored head: %+v", r)
	}
	m.heads = nil
	if r := verify(t, s, "acme", nil); !r.Good() {
		t.Errorf("without any head nothing can show it: %+v", r)
	}
	if r := verify(t, s, "acme", &noted); r.FirstBad != 20 || !strings.Contains(r.Problem, "given head") {
		t.Errorf("with the noted head: %+v", r)
	}
}

func TestCutTailIsNoticedByAHead(t *testing.T) {
	s, m := newRecord()
	fill(t, s, "acme", 20)
	noted := verify(t, s, "acme", nil).Tip
	m.rows = m.rows[:15]
	if r := verify(t, s, "acme", nil); r.FirstBad != 16 {
		t.Errorf("with the stored head: %+v", r)
	}
	m.heads = nil
	if r := verify(t, s, "acme", &noted); r.FirstBad != 16 || r.Sealed != 15 {
		t.Errorf("with the noted head: %+v", r)
	}
	m.rows = nil
	if r := verify(t, s, "acme", &noted); r.FirstBad != 1 {
		t.Errorf("nothing left: %+v", r)
	}
}

func TestForgedHeadsAreNoticed(t *testing.T) {
	for name, forge := range map[string]func(h *SignedHead){
		"sequence":  func(h *SignedHead) { h.Seq-- },
		"hash":      func(h *SignedHead) { h.Hash[3]++ },
		"time":      func(h *SignedHead) { h.At = h.At.Add(time.Hour) },
		"signature": func(h *SignedHead) { h.Signature[9]++ },
		"other key": func(h *SignedHead) { *h = signHead(newSigner(2), Tip{h.Tenant, h.Seq, h.Hash}, h.At) },
		"other chain": func(h *SignedHead) {
			h.Signature = newSigner(1).SignAudit(SignedHead{"bolt", h.Seq, h.Hash, h.At, nil}.message())
		},
	} {
		s, m := newRecord()
		fill(t, s, "acme", 3)
		forge(&m.heads[0])
		if r := verify(t, s, "acme", nil); r.Good() {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestRestoreIsReportedAndExplainsALostHead(t *testing.T) {
	s, m := newRecord()
	fill(t, s, "acme", 20)
	noted := verify(t, s, "acme", nil).Tip
	m.rows, m.heads = m.rows[:10], nil // the backup was made then
	e := entryOf("acme", 100)
	e.Action = ActionRestored
	if err := s.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		if err := s.Record(t.Context(), entryOf("acme", 200+i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RunOnce(t.Context(), start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, "acme", nil); !r.Good() || !slices.Equal(r.Restored, []uint64{11}) {
		t.Errorf("%+v", r)
	}
	if r := verify(t, s, "acme", &noted); r.Good() || !strings.Contains(r.Problem, "restore from a backup, recorded as entry 11") {
		t.Errorf("%+v", r)
	}
}

func TestTenThousandEntriesVerifyFast(t *testing.T) {
	s, m := newRecord()
	at := Tip{"acme", 0, genesis("acme")}
	for i := range 10_000 {
		e := entryOf("acme", i)
		e.ID = ident.EntryID(ident.New(e.At))
		r := seal(newRow(e, [saltSize]byte{}), at)
		at = Tip{"acme", r.Seq, r.Hash}
		m.rows = append(m.rows, r)
	}
	began := time.Now()
	r := verify(t, s, "acme", &Head{at.Seq, at.Hash})
	if !r.Good() || r.Sealed != 10_000 {
		t.Fatalf("%+v", r)
	}
	// Two SHA-256 sums an entry are some 20 ms; the bound is for a slow machine.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestHeadIsReadAsWritten(t *testing.T) {
	h := Head{42, genesis("acme")}
	if got, err := ParseHead(" " + h.String() + "\n"); err != nil || got != h {
		t.Errorf("%v %v", got, err)
	}
	for _, s := range []string{"", "1", "1:", ":ab", "0:" + h.String()[3:], "-1:" + h.String()[3:], h.String() + "00", fmt.Sprintf("1:%s", strings.Repeat("zz", 32))} {
		if _, err := ParseHead(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add(Head{42, genesis("acme")}.String())
	f.Add("1:00")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHead(s)
		if err != nil {
			return
		}
		if again, err := ParseHead(h.String()); err != nil || again != h {
			t.Fatalf("%q: %v became %v, %v", s, h, again, err)
		}
	})
}

func FuzzDecodePayload(f *testing.F) {
	f.Add(newRow(entryOf("acme", 1), [saltSize]byte{1}).Payload)
	f.Add([]byte(payloadMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePayload(b)
		if err == nil && !bytes.Equal(encodePayload(p), b) {
			t.Fatalf("%x is not what was written", b)
		}
	})
}
