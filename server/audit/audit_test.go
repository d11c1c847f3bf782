package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var alice = ident.Actor{Kind: ident.Person, ID: "p-1", Name: "Alice Example", Tenant: ident.MSP}

func entryOf(tenant ident.TenantID, i int) Entry {
	return Entry{
		Tenant: tenant, At: start.Add(time.Duration(i) * time.Second), Actor: alice, Action: "deployment.halted",
		Object: Object{"deployment", fmt.Sprint("d-", i), "firefox 130"}, Reason: "crashes at start",
		Detail: map[string]string{"ring": "canary", "failed": fmt.Sprint(i)},
	}
}

// fill records and seals n entries of a tenant and signs the head.
func fill(t testing.TB, s *Service, tenant ident.TenantID, n int) {
	t.Helper()
	for i := range n {
		if err := s.Record(t.Context(), entryOf(tenant, i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RunOnce(t.Context(), start.Add(time.Duration(n)*time.Second)); err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, s *Service, tenant ident.TenantID, head *Head) Report {
	t.Helper()
	r, err := s.Verify(t.Context(), tenant, head)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBytesNeverChange(t *testing.T) {
	e := entryOf("acme", 7)
	e.ID = "01960000-0000-7000-8000-000000000001"
	r := seal(newRow(e, [saltSize]byte{1, 2, 3}), Tip{"acme", 0, genesis("acme")})
	h := signHead(newSigner(1), Tip{"acme", 1, r.Hash}, start)
	c := signCheckpoint(newSigner(1), Checkpoint{Tenant: "acme", Seq: 1, Hash: r.Hash}, start)
	got := fmt.Sprintf("payload %s\ngenesis %x\nentry %x\nhead %x\ncheckpoint %x\n",
		hex.EncodeToString(r.Payload), r.Prev, r.Hash, h.message(), c.message())
	want, err := os.ReadFile("testdata/v1.golden")
	if err != nil || string(want) != got {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, got, want)
	}
}

func TestRecordIsSealedAndRead(t *testing.T) {
	s, _ := newRecord()
	if err := s.Record(t.Context(), entryOf("acme", 1)); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, "acme", nil); r.Unsealed != 1 || r.Sealed != 0 || !r.Good() {
		t.Errorf("before sealing: %+v", r)
	}
	n, err := s.RunOnce(t.Context(), start)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	r := verify(t, s, "acme", nil)
	if r.Unsealed != 0 || r.Sealed != 1 || r.Heads != 1 || !r.Good() {
		t.Errorf("after sealing: %+v", r)
	}
	list, next, err := s.List(t.Context(), ident.NewScopeAll(), Filter{}, "", 10)
	if err != nil || next != "" || len(list) != 1 || list[0].Seq != 1 {
		t.Fatal(list, next, err)
	}
	want := entryOf("acme", 1)
	want.ID = list[0].ID
	if !reflect.DeepEqual(list[0].Entry, want) {
		t.Errorf("got %+v, want %+v", list[0].Entry, want)
	}
}

func TestEntryIsKeptExactlyWithItsEffect(t *testing.T) {
	s, m := newRecord()
	halted := errors.New("the effect failed")
	err := m.Tx(t.Context(), func(ctx context.Context) error {
		if err := s.Record(ctx, entryOf("acme", 1)); err != nil {
			return err
		}
		return halted
	})
	if !errors.Is(err, halted) || len(m.rows) != 0 {
		t.Errorf("%v, %d rows", err, len(m.rows))
	}
}

func TestChainsOfTenantsAreTheirOwn(t *testing.T) {
	s, _ := newRecord()
	for i := range 30 {
		if err := s.Record(t.Context(), entryOf([]ident.TenantID{"acme", "bolt", ident.MSP}[i%3], i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RunOnce(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []ident.TenantID{"acme", "bolt", ident.MSP} {
		if r := verify(t, s, tenant, nil); r.Sealed != 10 || !r.Good() {
			t.Errorf("%s: %+v", tenant, r)
		}
	}
	scope := ident.NewScope(map[ident.TenantID][]ident.SiteID{"bolt": nil})
	list, _, err := s.List(t.Context(), scope, Filter{}, "", 0)
	if err != nil || len(list) != 10 {
		t.Fatal(len(list), err)
	}
	for _, l := range list {
		if l.Tenant != "bolt" {
			t.Errorf("an entry of %s was shown", l.Tenant)
		}
	}
	if list, _, err := s.List(t.Context(), ident.Scope{}, Filter{}, "", 0); err != nil || len(list) != 0 {
		t.Errorf("nobody saw %d entries, %v", len(list), err)
	}
}

func TestListPagesAndFilters(t *testing.T) {
	s, _ := newRecord()
	fill(t, s, "acme", 25)
	seen, cursor := 0, ident.EntryID("")
	for {
		page, next, err := s.List(t.Context(), ident.NewScopeAll(), Filter{}, cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page {
			if want := fmt.Sprint("d-", 24-seen); l.Object.ID != want {
				t.Errorf("entry %d is %s, want %s", seen, l.Object.ID, want)
			}
			seen++
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if seen != 25 {
		t.Errorf("saw %d of 25", seen)
	}
	list, _, err := s.List(t.Context(), ident.NewScopeAll(), Filter{ObjectID: "d-3", From: start, To: start.Add(time.Minute)}, "", 0)
	if err != nil || len(list) != 1 {
		t.Errorf("%d entries, %v", len(list), err)
	}
	if _, _, err := s.List(t.Context(), ident.NewScopeAll(), Filter{}, "x", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("a wrong cursor: %v", err)
	}
}

func TestRecordRefusesWhatCannotBeFoundAgain(t *testing.T) {
	s, m := newRecord()
	for name, change := range map[string]func(*Entry){
		"no tenant":  func(e *Entry) { e.Tenant = "" },
		"bad tenant": func(e *Entry) { e.Tenant = "A B" },
		"no action":  func(e *Entry) { e.Action = "" },
		"no actor":   func(e *Entry) { e.Actor = ident.Actor{} },
		"no time":    func(e *Entry) { e.At = time.Time{} },
		"long id":    func(e *Entry) { e.Object.ID = strings.Repeat("x", 256) },
		"empty key":  func(e *Entry) { e.Detail = map[string]string{"": "x"} },
		"many details": func(e *Entry) {
			e.Detail = map[string]string{}
			for i := range 65 {
				e.Detail[fmt.Sprint(i)] = ""
			}
		},
	} {
		e := entryOf("acme", 1)
		change(&e)
		if err := s.Record(t.Context(), e); err == nil || len(m.rows) != 0 {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestLongTextsAreCutAndNeverRefused(t *testing.T) {
	s, _ := newRecord()
	e := entryOf("acme", 1)
	e.Reason = strings.Repeat("é", 5000) + "\xff"
	e.Detail["log"] = "\xff" + strings.Repeat("x", 5000)
	if err := s.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.List(t.Context(), ident.NewScopeAll(), Filter{}, "", 1)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if r := list[0].Reason; len(r) > maxText || !strings.HasSuffix(r, "é…") {
		t.Errorf("cut to %d bytes: …%q", len(r), r[len(r)-8:])
	}
}

func TestErasedTextIsGoneAndTheChainHolds(t *testing.T) {
	s, m := newRecord()
	fill(t, s, "acme", 5)
	id := m.chain("acme")[2].ID
	if err := s.Erase(t.Context(), "acme", id, alice, "", start); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	if err := s.Erase(t.Context(), "bolt", id, alice, "request", start); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant: %v", err)
	}
	if err := s.Erase(t.Context(), "acme", id, alice, "request of the person", start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, "acme", nil); !r.Good() || r.Erased != 1 || r.Unsealed != 1 {
		t.Errorf("before its reason is sealed: %+v", r)
	}
	if _, err := s.RunOnce(t.Context(), start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, "acme", nil); !r.Good() || r.Erased != 1 || r.Sealed != 6 {
		t.Errorf("after: %+v", r)
	}
	list, _, err := s.List(t.Context(), ident.NewScopeAll(), Filter{ObjectID: "d-2"}, "", 1)
	if err != nil || len(list) != 1 || !list[0].Erased || list[0].Reason != "" || list[0].Actor.Name != "" {
		t.Errorf("%+v %v", list, err)
	}
}

func TestHeadsAreSignedHourlyAndOnlyWhenTheChainGrew(t *testing.T) {
	s, m := newRecord()
	fill(t, s, "acme", 1)
	run := func(after time.Duration, want int) {
		t.Helper()
		if _, err := s.RunOnce(t.Context(), start.Add(after)); err != nil || len(m.heads) != want {
			t.Errorf("after %v: %d heads, want %d, %v", after, len(m.heads), want, err)
		}
	}
	run(2*time.Second, 1)
	if err := s.Record(t.Context(), entryOf("acme", 2)); err != nil {
		t.Fatal(err)
	}
	run(30*time.Minute, 1)
	s = New(s.Options) // a restart does not begin a new hour
	run(45*time.Minute, 1)
	run(61*time.Minute, 2)
	run(3*time.Hour, 2)
	h, ok, err := s.Head(t.Context(), "acme")
	if err != nil || !ok || h.Seq != 2 {
		t.Errorf("%+v %v %v", h, ok, err)
	}
	if _, ok, _ := s.Head(t.Context(), "bolt"); ok {
		t.Error("a head of an empty chain")
	}
}

func TestRetentionRemovesAPrefixBehindACheckpoint(t *testing.T) {
	s, m := newRecord()
	s.Keep = time.Minute
	fill(t, s, "acme", 100)
	now := start.Add(110 * time.Second) // entries 0 to 49 are older than a minute
	if err := s.Retain(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	r := verify(t, s, "acme", nil)
	if !r.Good() || r.Pruned != 50 || r.Sealed != 50 || r.Unsealed != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := s.RunOnce(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	old := verify(t, s, "acme", nil).Tip
	for i := range 3 { // everything is old: the tip stays, and is continued
		if err := s.Retain(t.Context(), now.Add(time.Hour)); err != nil {
			t.Fatal(i, err)
		}
		if _, err := s.RunOnce(t.Context(), now.Add(time.Hour)); err != nil {
			t.Fatal(i, err)
		}
	}
	r = verify(t, s, "acme", &old)
	if !r.Good() && !strings.Contains(r.Problem, "removed by retention") {
		t.Errorf("%+v", r)
	}
	if r := verify(t, s, "acme", nil); !r.Good() || r.Sealed == 0 {
		t.Errorf("%+v", r)
	}
	for name, change := range map[string]func(c *Checkpoint){
		"moved":    func(c *Checkpoint) { c.Seq-- },
		"other":    func(c *Checkpoint) { c.Hash[0]++ },
		"unsigned": func(c *Checkpoint) { c.Signature = nil },
		"removed":  func(c *Checkpoint) { *c = Checkpoint{} },
	} {
		good := m.points["acme"]
		bad := good
		change(&bad)
		m.points["acme"] = bad
		if r := verify(t, s, "acme", nil); r.Good() {
			t.Errorf("checkpoint %s: not noticed", name)
		}
		m.points["acme"] = good
	}
}

func TestRetentionDoesNotHideAChangedEntry(t *testing.T) {
	s, m := newRecord()
	s.Keep = time.Minute
	fill(t, s, "acme", 100)
	m.rows[10].ActorID = "p-2"
	if err := s.Retain(t.Context(), start.Add(time.Hour)); err == nil || len(m.rows) != 100 {
		t.Errorf("%d rows left, %v", len(m.rows), err)
	}
}
