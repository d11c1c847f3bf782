package pki

import (
	"bytes"
	"crypto/subtle"
)

// Clone is what the server remembers to tell a device from its copy. Each
// Welcome offers a new secret, which the device keeps beside its key; of two
// machines with one key only one can have the latest. The zero Clone is that
// of a key which was never seen.
type Clone struct {
	Confirmed []byte // the device has shown it; may be empty after a first Hello
	Offered   []byte // given out last, not shown yet
	Epoch     uint64 // of the server, when the secrets were set
}

// Verdict says whether a Hello came from the machine that was seen last.
type Verdict int

const (
	// OK is the same machine, as far as its secret shows.
	OK Verdict = iota
	// Conflict is an earlier state of the machine, or a copy of it. A person
	// decides; until then the device gets no jobs.
	Conflict
)

// CloneSecretSize is the length in bytes of an offered secret; a longer one is
// not ours.
const CloneSecretSize = 16

// NewCloneSecret returns a secret to offer in a Welcome.
func NewCloneSecret() []byte { return random(CloneSecretSize) }

// Present judges the secret of a Hello and returns what to remember, with
// fresh offered in the Welcome:
//
//   - the offered secret confirms it;
//   - the confirmed one is good too: the last Welcome was lost;
//   - in a server epoch in which the key was not seen yet anything is taken as
//     confirmed: the database may be older than what the device holds;
//   - everything else is a conflict, and nothing changes.
func Present(now Clone, presented []byte, epoch uint64, fresh []byte) (Verdict, Clone) {
	if len(presented) > CloneSecretSize || len(fresh) == 0 {
		return Conflict, now
	}
	unseen := len(now.Offered) == 0 || now.Epoch != epoch
	if unseen || same(presented, now.Offered) || same(presented, now.Confirmed) {
		return OK, Clone{Confirmed: bytes.Clone(presented), Offered: bytes.Clone(fresh), Epoch: epoch}
	}
	return Conflict, now
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
