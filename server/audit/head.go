package audit

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Head is a place in a chain as a person notes it: SEQ:HASH.
type Head struct {
	Seq  uint64
	Hash Hash
}

// String returns SEQ:HASH, the hash in lower-case hexadecimal.
func (h Head) String() string {
	return strconv.FormatUint(h.Seq, 10) + ":" + hex.EncodeToString(h.Hash[:])
}

// ParseHead reads SEQ:HASH.
func ParseHead(s string) (Head, error) {
	seq, sum, ok := strings.Cut(strings.TrimSpace(s), ":")
	n, err := strconv.ParseUint(seq, 10, 63)
	raw, err2 := hex.DecodeString(sum)
	if !ok || err != nil || err2 != nil || n == 0 || len(raw) != len(Hash{}) {
		return Head{}, fault.Invalidf("head", "not a head").
			WithNext("give SEQ:HASH as printed by: steward audit head")
	}
	return Head{n, Hash(raw)}, nil
}

// Tip is the last sealed place of a chain. Seq is 0 and Hash the genesis in an
// empty chain.
type Tip struct {
	Tenant ident.TenantID
	Seq    uint64
	Hash   Hash
}

// Signer signs and checks with the server's audit key. Of the keys it alone is
// used here, and only for heads and checkpoints.
type Signer interface {
	SignAudit(message []byte) []byte
	CheckAudit(message, signature []byte) bool
}

// SignedHead says: at that time the chain ended so.
type SignedHead struct {
	Tenant    ident.TenantID
	Seq       uint64
	Hash      Hash
	At        time.Time // UTC, whole milliseconds
	Signature []byte
}

// Head returns the place that was signed.
func (h SignedHead) Head() Head { return Head{h.Seq, h.Hash} }

func (h SignedHead) message() []byte {
	return signedPlace(headContext, h.Tenant, h.Seq, h.Hash, h.At.UnixMilli())
}

func signHead(signer Signer, tip Tip, now time.Time) SignedHead {
	h := SignedHead{Tenant: tip.Tenant, Seq: tip.Seq, Hash: tip.Hash, At: millis(now)}
	h.Signature = signer.SignAudit(h.message())
	return h
}

// Checkpoint stands for the entries up to Seq, which retention removed.
type Checkpoint struct {
	Tenant    ident.TenantID
	Seq       uint64 // of the last removed entry; 0: nothing was removed
	Hash      Hash   // of the last removed entry
	At        time.Time
	Signature []byte
}

func (c Checkpoint) message() []byte {
	return signedPlace(checkpointContext, c.Tenant, c.Seq, c.Hash, c.At.UnixMilli())
}

// start returns the place that the first kept entry follows.
func (c Checkpoint) start(tenant ident.TenantID) Tip {
	if c.Seq == 0 {
		return Tip{tenant, 0, genesis(tenant)}
	}
	return Tip{tenant, c.Seq, c.Hash}
}

// PlanRetention returns the checkpoint that removes the longest prefix of rows
// older than before, unsigned, and false when there is nothing to remove. Rows
// are the beginning of a chain in order; the entry at the tip is always kept,
// so that the chain can be continued.
func PlanRetention(before time.Time, rows []Row, tip Tip) (Checkpoint, bool) {
	var c Checkpoint
	for _, r := range rows {
		if !r.At.Before(before) || r.Seq >= tip.Seq {
			break
		}
		c = Checkpoint{Tenant: r.Tenant, Seq: r.Seq, Hash: r.Hash}
	}
	return c, c.Seq != 0
}

func signCheckpoint(signer Signer, c Checkpoint, now time.Time) Checkpoint {
	c.At = millis(now)
	c.Signature = signer.SignAudit(c.message())
	return c
}

func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
