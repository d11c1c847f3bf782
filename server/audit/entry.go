// Package audit keeps the record of what people, tokens, device identities and
// automatic halts did: append-only, one chain of hashes per tenant and one for
// the server itself, whose heads are signed and leave the house.
//
// An entry is inserted unsealed in the transaction it records, so it exists
// exactly when its effect does. The active server's sealer gives it a number
// and a place in the chain within a second. The chain covers the hash of an
// entry's payload (names, reason, detail), so a payload can be erased for
// privacy and the chain still holds.
package audit

import (
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Entry is one thing that was done.
type Entry struct {
	Tenant ident.TenantID // whose record it stands in; ident.MSP for the server's own
	ID     ident.EntryID  // given by Record when empty
	At     time.Time      // UTC, whole milliseconds
	Actor  ident.Actor
	Action string // noun.verb: "deployment.halted"
	Object Object
	Reason string            // what the person wrote; may be empty
	Detail map[string]string // what else a reader needs; no secrets
}

// Object is what the action was done to.
type Object struct {
	Kind string // "deployment", "device", …
	ID   string
	Name string // as a person knew it at that time
}

// Actions that the record itself writes or understands.
const (
	// ActionErased records that an entry's payload was erased; its object is
	// the entry.
	ActionErased = "audit.erased"
	// ActionPruned records that retention removed a prefix of the chain.
	ActionPruned = "audit.pruned"
	// ActionRestored records that the server was restored from a backup; its
	// detail holds the head that the backup ended with.
	ActionRestored = "server.restored"
)

// ObjectEntry is the kind of an object that is an entry of this record.
const ObjectEntry = "audit_entry"

// Limits of an entry. What identifies is refused beyond them, what explains is
// cut: a long reason must not undo the halt that it explains.
const (
	maxName    = 255  // bytes of an id, a kind, an action, a detail's key
	maxText    = 1024 // bytes of a name, a reason, a detail
	maxDetails = 64   // pairs
)

// check refuses entries that could not be found again.
func (e Entry) check() error {
	if e.Tenant != ident.MSP && !ident.ValidSlug(string(e.Tenant)) {
		return fault.New(fault.Internal, "audit entry %q: its tenant is missing or no slug", e.Action)
	}
	if e.Action == "" || e.Actor.Kind == "" || e.At.IsZero() {
		return fault.New(fault.Internal, "audit entry %q: action, actor and time are required", e.Action)
	}
	for _, s := range []string{string(e.ID), string(e.Actor.Kind), e.Actor.ID, string(e.Actor.Tenant), e.Action, e.Object.Kind, e.Object.ID} {
		if len(s) > maxName {
			return fault.New(fault.Internal, "audit entry %q: a name of %d bytes, at most %d", e.Action, len(s), maxName)
		}
	}
	if len(e.Detail) > maxDetails {
		return fault.New(fault.Internal, "audit entry %q: %d details, at most %d", e.Action, len(e.Detail), maxDetails)
	}
	for k := range e.Detail {
		if k == "" || len(k) > maxName {
			return fault.New(fault.Internal, "audit entry %q: a detail's key of %d bytes, want 1 to %d", e.Action, len(k), maxName)
		}
	}
	return nil
}

// Hash is a SHA-256 sum.
type Hash [32]byte

// Row is an entry as the store keeps it. The columns beside Payload are there
// to be searched; all of them are covered by the chain.
type Row struct {
	Tenant      ident.TenantID
	ID          ident.EntryID
	At          time.Time // UTC, whole milliseconds
	ActorKind   ident.ActorKind
	ActorID     string
	ActorTenant ident.TenantID
	Action      string
	ObjectKind  string
	ObjectID    string
	Payload     []byte // encodePayload's bytes; nil once erased
	PayloadHash Hash   // of the payload, also once it is erased

	Seq  uint64 // from 1 in each chain; 0 while unsealed
	Prev Hash   // the hash of the entry before, or the chain's genesis
	Hash Hash   // of everything above but Payload itself
}

// Sealed reports whether the row has its place in the chain.
func (r Row) Sealed() bool { return r.Seq != 0 }
