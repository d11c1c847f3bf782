// Package seal keeps secrets at rest: a box that encrypts what the database
// holds (channels' secrets, seeds of one-time passwords), and tokens of which
// only a hash is stored.
//
// A sealed value is one version byte, then what the version says. Version 1 is
// AES-256-GCM: a random nonce of 12 bytes, the ciphertext, a tag of 16 bytes.
// Random nonces are safe for about 2^32 values under one key, far above what a
// server ever seals.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/steward-rmm/steward/server/fault"
)

const (
	// KeySize is the length of a box's key in bytes.
	KeySize = 32
	// Overhead is how much longer a sealed value is than its plaintext.
	Overhead = 1 + 12 + 16

	version1 = 1
)

// ErrOpen is in the chain of every error of Open. It does not say which of
// key, place and content was wrong: nobody can tell.
var ErrOpen = errors.New("not sealed by this key for this place, or changed since")

// Place is where a secret belongs. A value sealed for one place opens at no
// other, so a row copied to another tenant, or another column, is of no use.
type Place struct {
	Purpose string // what it is, for example "channel secret"
	Tenant  string // whose it is
	ID      string // the row
}

// bytes gives each place its own text: every field is led by its length.
func (p Place) bytes() []byte {
	out := []byte{version1}
	for _, field := range []string{p.Purpose, p.Tenant, p.ID} {
		out = binary.AppendUvarint(out, uint64(len(field)))
		out = append(out, field...)
	}
	return out
}

// Box seals and opens with one key. It may be shared by goroutines.
type Box struct {
	aead cipher.AEAD
}

// NewBox makes a box from a key of KeySize bytes, which the caller loads and
// may wipe afterwards. A key of another length or of zeros is a fault of kind
// Invalid.
func NewBox(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fault.Invalidf("key", "a box needs a key of %d bytes, this one has %d", KeySize, len(key)).
			WithNext("restore the key file from the backup")
	}
	if ConstantTimeEqual(key, make([]byte, KeySize)) {
		return nil, fault.Invalidf("key", "the key is all zeros").WithNext("restore the key file from the backup")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal mode: %w", err)
	}
	return &Box{aead: aead}, nil
}

// Seal encrypts plaintext for a place. Sealing the same twice gives different
// bytes, each Overhead longer than the plaintext.
func (b *Box) Seal(place Place, plaintext []byte) []byte {
	out := make([]byte, 1, len(plaintext)+Overhead)
	out[0] = version1
	return b.aead.Seal(out, nil, plaintext, place.bytes())
}

// Open returns what was sealed for the place; an error wraps ErrOpen and names
// the place, never the content.
func (b *Box) Open(place Place, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("open %s of %s: %d bytes are too short: %w", place.Purpose, place.ID, len(sealed), ErrOpen)
	}
	if sealed[0] != version1 {
		return nil, fmt.Errorf("open %s of %s: version %d is not known here: %w", place.Purpose, place.ID, sealed[0], ErrOpen)
	}
	plaintext, err := b.aead.Open(nil, nil, sealed[1:], place.bytes())
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", place.Purpose, place.ID, ErrOpen)
	}
	return plaintext, nil
}

// Format keeps the key out of logs, whatever the verb.
func (b *Box) Format(f fmt.State, _ rune) { fmt.Fprint(f, "seal.Box") }
