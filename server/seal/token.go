package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"
)

// tokenBytes is 160 bits, 32 characters of base32 without padding.
const tokenBytes = 20

// NewToken makes a token that a person can copy and a scanner can find: the
// prefix, an underscore, and 160 random bits in lower-case base32. Show plain
// once and store only hash, which is HashToken(plain).
func NewToken(prefix string) (plain string, hash [sha256.Size]byte) {
	var random [tokenBytes]byte
	rand.Read(random[:]) // never fails: the process ends first
	plain = prefix + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
	return plain, HashToken(plain)
}

// HashToken returns what is stored and looked up for a token, its SHA-256. The
// token's 160 random bits need no salt and no slow hash; passwords do.
func HashToken(plain string) [sha256.Size]byte { return sha256.Sum256([]byte(plain)) }

// ConstantTimeEqual compares secrets, or hashes of them, in a time that
// depends on their lengths alone.
func ConstantTimeEqual(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
