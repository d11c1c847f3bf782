package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/steward-rmm/steward/server/fault"
)

// Params are argon2id's costs (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultParams is OWASP's recommendation in the Password Storage Cheat Sheet:
// 19 MiB, two passes, one thread.
func DefaultParams() Params { return Params{Memory: 19 * 1024, Passes: 2, Threads: 1} }

const (
	saltBytes = 16
	keyBytes  = 32
	// Bounds on stored parameters, so that a damaged row cannot take the
	// machine's memory or hours of work.
	maxMemory  = 1 << 20 // KiB: 1 GiB
	maxPasses  = 16
	maxThreads = 16
)

func (p Params) valid() bool {
	return p.Passes >= 1 && p.Passes <= maxPasses && p.Threads >= 1 && p.Threads <= maxThreads &&
		p.Memory >= 8*uint32(p.Threads) && p.Memory <= maxMemory
}

// hash is a stored password: $argon2id$v=19$m=19456,t=2,p=1$salt$key, the PHC
// string format with unpadded base64.
type hash struct {
	params    Params
	salt, key []byte
}

func (h hash) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Passes, h.params.Threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// parseHash reads what hash.String wrote and nothing else: each hash has one
// spelling.
func parseHash(s string) (hash, error) {
	bad := func(what string) (hash, error) { return hash{}, fmt.Errorf("stored password: bad %s", what) }
	parts := strings.Split(s, "$")
	if len(s) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return bad("form")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("version")
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return bad("costs")
	}
	var n [3]uint64
	for i, prefix := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(costs[i], prefix)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || v > maxMemory {
			return bad("costs")
		}
		n[i] = v
	}
	if n[2] > maxThreads {
		return bad("costs")
	}
	h := hash{params: Params{Memory: uint32(n[0]), Passes: uint32(n[1]), Threads: uint8(n[2])}}
	if !h.params.valid() {
		return bad("costs")
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return bad("salt")
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return bad("key")
	}
	if h.String() != s {
		return bad("spelling")
	}
	return h, nil
}

// Hasher computes password hashes, a few at a time: each takes Params.Memory,
// and a flood of sign-ins must not take the machine.
type Hasher struct {
	params  Params
	turns   chan struct{}
	queue   int64
	waiting atomic.Int64
	dummy   hash
	onRun   func() // tests count runs here
}

// NewHasher makes a Hasher. Zero values mean DefaultParams, one hash per CPU
// at once, and 64 callers waiting.
func NewHasher(p Params, concurrent, queue int) (*Hasher, error) {
	if p == (Params{}) {
		p = DefaultParams()
	}
	if !p.valid() {
		return nil, fmt.Errorf("argon2id: costs m=%d KiB, t=%d, p=%d are out of bounds", p.Memory, p.Passes, p.Threads)
	}
	if concurrent <= 0 {
		concurrent = runtime.NumCPU()
	}
	if queue <= 0 {
		queue = 64
	}
	h := &Hasher{params: p, turns: make(chan struct{}, concurrent), queue: int64(queue), onRun: func() {}}
	// No password gives this random key, and Verify refuses it anyway.
	h.dummy = hash{params: p, salt: random(saltBytes), key: random(keyBytes)}
	return h, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return b
}

// Hash returns the stored form of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	made := hash{params: h.params, salt: random(saltBytes)}
	key, err := h.run(ctx, password, made.salt, made.params, keyBytes)
	if err != nil {
		return "", err
	}
	made.key = key
	return made.String(), nil
}

// Verify reports whether the password is the stored one, and whether the
// stored form was made with other costs and should be made anew. An empty
// stored form (nobody of that name, no password yet) takes the same work and
// is never right.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	against := h.dummy
	if stored != "" {
		if against, err = parseHash(stored); err != nil {
			return false, false, err
		}
	}
	key, err := h.run(ctx, password, against.salt, against.params, len(against.key))
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(key, against.key) == 1
	return same && stored != "", against.params != h.params, nil
}

// run waits for a turn and computes. It fails with Unavailable when too many
// wait already, or when ctx ends first.
func (h *Hasher) run(ctx context.Context, password string, salt []byte, p Params, size int) ([]byte, error) {
	if h.waiting.Add(1) > h.queue+int64(cap(h.turns)) {
		h.waiting.Add(-1)
		return nil, busy(nil)
	}
	defer h.waiting.Add(-1)
	if ctx.Err() != nil {
		return nil, busy(ctx.Err())
	}
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, busy(ctx.Err())
	}
	defer func() { <-h.turns }()
	h.onRun()
	// The same password typed on two systems may come in two Unicode forms
	// (NIST SP 800-63B, section 5.1.1.2).
	text := norm.NFKC.String(password)
	return argon2.IDKey([]byte(text), salt, p.Passes, p.Memory, p.Threads, uint32(size)), nil
}

func busy(cause error) error {
	return fault.New(fault.Unavailable, "too many people are signing in at this moment").
		WithNext("try again in a few seconds").WithCause(cause)
}
