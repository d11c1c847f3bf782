package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"
)

// The prefixes tell a reader, and a scanner for leaked secrets, what it is;
// and no secret of one sort passes for another.
const (
	tokenPrefix   = "stw_"
	sessionPrefix = "sws_"
	linkPrefix    = "swl_"
)

const secretBytes = 20 // 160 bits; exactly 32 characters of base32

const base32Alphabet = "abcdefghijklmnopqrstuvwxyz234567"

// Secret is a token in plain form, given out once. It prints as [secret], so
// that it does not reach a log by accident; Reveal gives the text.
type Secret struct{ plain string }

// Reveal returns the plain text, for the one place that shows or sends it.
func (s Secret) Reveal() string { return s.plain }

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[secret]" }

// MarshalText hides the secret from encoders; use Reveal on purpose.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Digest is the SHA-256 of a secret's plain text, prefix included: what is
// stored. A fast hash is right here, because the secret has 160 random bits.
type Digest [sha256.Size]byte

func newSecret(prefix string) (Secret, Digest) {
	var b [secretBytes]byte
	// crypto/rand.Read never returns an error since Go 1.24.
	_, _ = rand.Read(b[:])
	plain := prefix + base32.NewEncoding(base32Alphabet).EncodeToString(b[:])
	return Secret{plain}, sha256.Sum256([]byte(plain))
}

// parseSecret returns the digest of a well-formed plain text of the sort;
// false means that nothing stored can match.
func parseSecret(prefix, plain string) (Digest, bool) {
	body, ok := strings.CutPrefix(plain, prefix)
	if !ok || len(body) != secretBytes*8/5 {
		return Digest{}, false
	}
	for i := range len(body) {
		if strings.IndexByte(base32Alphabet, body[i]) < 0 {
			return Digest{}, false
		}
	}
	return sha256.Sum256([]byte(plain)), true
}

// equal compares in constant time.
func (d Digest) equal(o Digest) bool { return subtle.ConstantTimeCompare(d[:], o[:]) == 1 }
