package audit

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/steward-rmm/steward/server/ident"
)

// Report is what Verify found in one chain.
type Report struct {
	Tenant   ident.TenantID
	Sealed   uint64 // entries in the chain that were checked and are good
	Unsealed uint64 // entries that wait for the sealer; nothing is known of them
	Pruned   uint64 // entries that retention removed behind a signed checkpoint
	Erased   uint64 // entries without their text, each with the entry that says so
	Restored []uint64
	Heads    int    // signed heads that fit
	Tip      Head   // the last good place; compare it with one noted elsewhere
	FirstBad uint64 // the first sequence that does not fit; 0: all fit
	Problem  string // what is wrong with FirstBad, for a person
}

// Good reports whether nothing is wrong.
func (r Report) Good() bool { return r.FirstBad == 0 }

// Verify reads a tenant's whole chain and checks every hash, number and
// signature. It notices a sealed entry that was changed, removed, inserted or
// moved. That the tail was cut off shows only against a head: the signed ones
// that the store still has, and head, which the caller noted elsewhere.
func (s *Service) Verify(ctx context.Context, tenant ident.TenantID, head *Head) (Report, error) {
	for {
		before, err := s.Archive.Checkpoint(ctx, tenant)
		if err != nil {
			return Report{}, fmt.Errorf("verify audit of %s: %w", tenant, err)
		}
		r, err := s.verify(ctx, tenant, before, head)
		if err != nil {
			return Report{}, fmt.Errorf("verify audit of %s: %w", tenant, err)
		}
		after, err := s.Archive.Checkpoint(ctx, tenant)
		if err != nil {
			return Report{}, fmt.Errorf("verify audit of %s: %w", tenant, err)
		}
		// Retention may have removed what was about to be read.
		if r.Good() || after.Seq <= before.Seq {
			return r, nil
		}
	}
}

type defect struct {
	seq     uint64
	problem string
}

// checkRows checks that rows follow the place, or names the first that does
// not. Of an entry that is missing it names the missing sequence.
func checkRows(rows []Row, at Tip) *defect {
	for _, r := range rows {
		switch {
		case r.Seq > at.Seq+1:
			return &defect{at.Seq + 1, "the entry is missing"}
		case r.Seq != at.Seq+1:
			return &defect{r.Seq, "the entry is there twice"}
		case r.Tenant != at.Tenant:
			return &defect{r.Seq, "the entry belongs to another chain"}
		case r.Prev != at.Hash:
			return &defect{r.Seq, "the entry does not follow the one before it"}
		case !r.At.Equal(millis(r.At)):
			return &defect{r.Seq, "the entry's time was changed"}
		case r.Hash != chainHash(r):
			return &defect{r.Seq, "the entry was changed"}
		case r.Payload != nil && r.PayloadHash != sha256.Sum256(r.Payload):
			return &defect{r.Seq, "the entry's text was changed"}
		}
		at = Tip{at.Tenant, r.Seq, r.Hash}
	}
	return nil
}

// walk is the state of one verification.
type walk struct {
	Report
	tenant ident.TenantID
	at     Tip
	marks  map[uint64][]mark // places that are claimed from outside of the chain
	erased map[ident.EntryID]uint64
}

// mark is a claim that the entry at a sequence has a hash.
type mark struct {
	hash  Hash
	given bool // by the caller, not by a stored head
}

func (w *walk) bad(seq uint64, format string, args ...any) {
	if w.FirstBad == 0 || seq < w.FirstBad {
		w.FirstBad, w.Problem = seq, fmt.Sprintf(format, args...)
	}
}

func (s *Service) verify(ctx context.Context, tenant ident.TenantID, c Checkpoint, head *Head) (Report, error) {
	w := &walk{
		Report: Report{Tenant: tenant, Pruned: c.Seq}, tenant: tenant, at: c.start(tenant),
		marks: make(map[uint64][]mark), erased: make(map[ident.EntryID]uint64),
	}
	if c.Seq != 0 && (c.Tenant != tenant || !s.Signer.CheckAudit(c.message(), c.Signature)) {
		w.bad(c.Seq, "the checkpoint of retention is not signed by this server")
	}
	if err := s.claims(ctx, w, c, head); err != nil {
		return Report{}, err
	}
	for w.Good() {
		rows, err := s.Store.Chain(ctx, tenant, w.at.Seq+1, verifyBatch)
		if err != nil {
			return Report{}, err
		}
		w.take(rows)
		if len(rows) < verifyBatch {
			break
		}
	}
	return s.finish(ctx, w)
}

// claims collects the signed heads and the caller's head.
func (s *Service) claims(ctx context.Context, w *walk, c Checkpoint, head *Head) error {
	heads, err := s.Store.Heads(ctx, w.tenant, 1<<30)
	if err != nil {
		return err
	}
	for _, h := range heads {
		switch {
		case h.Tenant != w.tenant || !s.Signer.CheckAudit(h.message(), h.Signature):
			w.bad(max(h.Seq, 1), "the stored head of %s is not signed by this server", h.At.UTC().Format("2006-01-02 15:04"))
		case h.Seq > c.Seq:
			w.marks[h.Seq] = append(w.marks[h.Seq], mark{hash: h.Hash})
		case h.Seq == c.Seq && h.Hash != c.Hash:
			w.bad(c.Seq, "the checkpoint of retention and a stored head differ")
		}
	}
	switch {
	case head == nil:
	case head.Seq > c.Seq:
		w.marks[head.Seq] = append(w.marks[head.Seq], mark{head.Hash, true})
	case head.Seq < c.Seq:
		w.bad(head.Seq, "the given head was removed by retention and can no longer be compared")
	case head.Hash != c.Hash:
		w.bad(c.Seq, "the given head is not the entry that was there")
	}
	return nil
}

// take checks the next rows of the chain, and the claims about them.
func (w *walk) take(rows []Row) {
	broken := checkRows(rows, w.at)
	for _, r := range rows {
		if broken != nil && r.Seq >= broken.seq {
			break
		}
		for _, m := range w.marks[r.Seq] {
			if m.hash != r.Hash {
				w.bad(r.Seq, "the entry is not the one of the %s%s", m.whose(), w.restoredHint())
				return
			}
			w.Heads++
		}
		delete(w.marks, r.Seq)
		w.note(r)
		w.Sealed++
		w.at = Tip{w.tenant, r.Seq, r.Hash}
	}
	if broken != nil {
		w.bad(broken.seq, "%s", broken.problem)
	}
}

func (m mark) whose() string {
	if m.given {
		return "given head"
	}
	return "signed head"
}

func (w *walk) restoredHint() string {
	if len(w.Restored) == 0 {
		return ""
	}
	return fmt.Sprintf("; a restore from a backup, recorded as entry %d, can be the cause", w.Restored[len(w.Restored)-1])
}

func (w *walk) note(r Row) {
	if r.Payload == nil {
		w.erased[r.ID] = r.Seq
		w.Erased++
	}
	switch {
	case r.Action == ActionRestored:
		w.Restored = append(w.Restored, r.Seq)
	case r.Action == ActionErased && r.ObjectKind == ObjectEntry:
		delete(w.erased, ident.EntryID(r.ObjectID))
	}
}

// finish looks at what must be beyond the chain's end: nothing that a head
// knows, and the reasons of all erasures.
func (s *Service) finish(ctx context.Context, w *walk) (Report, error) {
	if w.at.Seq > 0 {
		w.Tip = Head{w.at.Seq, w.at.Hash}
	}
	if w.Good() {
		for _, marks := range w.marks {
			for _, m := range marks {
				w.bad(w.at.Seq+1, "the chain ends before the %s%s", m.whose(), w.restoredHint())
			}
		}
	}
	var err error
	if w.Unsealed, err = s.Archive.CountUnsealed(ctx, w.tenant); err != nil {
		return Report{}, err
	}
	if len(w.erased) > 0 && w.Good() {
		if err := s.unsealedErasures(ctx, w); err != nil {
			return Report{}, err
		}
		for _, seq := range w.erased {
			w.bad(seq, "the entry's text was removed and no entry says by whom")
		}
	}
	return w.Report, nil
}

// unsealedErasures finds the reasons that still wait for the sealer.
func (s *Service) unsealedErasures(ctx context.Context, w *walk) error {
	for id := range w.erased {
		rows, err := s.Archive.List(ctx, Query{
			Tenants: []ident.TenantID{w.tenant}, Limit: 1,
			Filter: Filter{Action: ActionErased, ObjectKind: ObjectEntry, ObjectID: string(id)},
		})
		if err != nil {
			return err
		}
		if len(rows) == 1 {
			delete(w.erased, id)
		}
	}
	return nil
}
