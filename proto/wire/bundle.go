package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Bundle is everything a tenant's devices trust of their server: the roots and
// the keys that sign jobs, each with its validity. It is signed by a root the
// device trusts already, so trust can move to a new root or job key.
//
// Its bytes, with big-endian numbers and times in Unix seconds:
//
//	18  "steward bundle v1" and a zero byte
//	2+n tenant: length, text
//	8   version; a higher one replaces a lower one
//	1   number of roots, 1 to MaxBundleRoots; each:
//	      8 not before, 8 not after, 2+n certificate in DER
//	1   number of job keys, 1 to MaxBundleKeys; each:
//	      4 version, 8 not before, 8 not after, 32 Ed25519 public key
//
// Job keys are in rising order of their version. Nothing follows.
type Bundle struct {
	Tenant  string
	Version uint64
	Roots   []BundleRoot
	JobKeys []BundleKey
}

// BundleRoot is one trusted root. A server's chain must end in it between
// NotBefore and NotAfter, both included (whole seconds, UTC).
type BundleRoot struct {
	NotBefore, NotAfter time.Time
	Certificate         []byte // DER
}

// BundleKey is one key that signs the tenant's jobs, good for jobs issued
// between NotBefore and NotAfter, both included (whole seconds, UTC).
type BundleKey struct {
	Version             uint32
	NotBefore, NotAfter time.Time
	Public              [ed25519.PublicKeySize]byte
}

// SignedBundle is a bundle as it travels and is kept.
type SignedBundle struct {
	Bytes     []byte // of Bundle.Encode
	Signer    []byte // the signing root's SubjectPublicKeyInfo, DER
	Signature []byte // ECDSA P-256 over BundleDigest, ASN.1
}

// Limits of a bundle; anything larger is refused.
const (
	MaxBundleRoots = 4
	MaxBundleKeys  = 16
	MaxBundleBytes = 16 << 10
	maxBundleCert  = 2 << 10
	maxBundleName  = 63
)

const (
	bundleMagic   = "steward bundle v1\x00"
	bundleContext = "steward bundle signature v1\x00"
)

// BundleDigest returns what the root signs: SHA-256 over a context and the
// bundle's bytes.
func BundleDigest(encoded []byte) [32]byte {
	return sha256.Sum256(append([]byte(bundleContext), encoded...))
}

// Encode returns the bundle's one byte form. It fails on what ParseBundle
// would refuse.
func (b Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	out := []byte(bundleMagic)
	out = binary.BigEndian.AppendUint16(out, uint16(len(b.Tenant)))
	out = append(out, b.Tenant...)
	out = binary.BigEndian.AppendUint64(out, b.Version)
	out = append(out, byte(len(b.Roots)))
	for _, r := range b.Roots {
		out = appendSpan(out, r.NotBefore, r.NotAfter)
		out = binary.BigEndian.AppendUint16(out, uint16(len(r.Certificate)))
		out = append(out, r.Certificate...)
	}
	out = append(out, byte(len(b.JobKeys)))
	for _, k := range b.JobKeys {
		out = binary.BigEndian.AppendUint32(out, k.Version)
		out = appendSpan(out, k.NotBefore, k.NotAfter)
		out = append(out, k.Public[:]...)
	}
	return out, nil
}

func appendSpan(out []byte, from, to time.Time) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(from.Unix()))
	return binary.BigEndian.AppendUint64(out, uint64(to.Unix()))
}

// check holds the rules that both directions share.
func (b Bundle) check() error {
	switch {
	case b.Tenant == "" || len(b.Tenant) > maxBundleName:
		return fmt.Errorf("bundle: %w: a tenant of 1 to %d bytes is missing", ErrMalformed, maxBundleName)
	case b.Version == 0:
		return fmt.Errorf("bundle: %w: versions begin at 1", ErrMalformed)
	case len(b.Roots) == 0 || len(b.Roots) > MaxBundleRoots:
		return fmt.Errorf("bundle: %w: %d roots, want 1 to %d", ErrMalformed, len(b.Roots), MaxBundleRoots)
	case len(b.JobKeys) == 0 || len(b.JobKeys) > MaxBundleKeys:
		return fmt.Errorf("bundle: %w: %d job keys, want 1 to %d", ErrMalformed, len(b.JobKeys), MaxBundleKeys)
	}
	for i, r := range b.Roots {
		if err := checkSpan(r.NotBefore, r.NotAfter); err != nil {
			return fmt.Errorf("bundle: root %d: %w", i, err)
		}
		if len(r.Certificate) == 0 || len(r.Certificate) > maxBundleCert {
			return fmt.Errorf("bundle: root %d: %w: certificate of %d bytes, want 1 to %d", i, ErrMalformed, len(r.Certificate), maxBundleCert)
		}
	}
	for i, k := range b.JobKeys {
		if err := checkSpan(k.NotBefore, k.NotAfter); err != nil {
			return fmt.Errorf("bundle: job key %d: %w", i, err)
		}
		if k.Version == 0 || i > 0 && k.Version <= b.JobKeys[i-1].Version {
			return fmt.Errorf("bundle: job key %d: %w: versions must rise from 1", i, ErrMalformed)
		}
	}
	return nil
}

// Years beyond 9999 have no text form and are surely a mistake.
const bundleLastSecond = 253402300799

func checkSpan(from, to time.Time) error {
	if from.Unix() < 0 || to.Unix() < from.Unix() || to.Unix() > bundleLastSecond {
		return fmt.Errorf("%w: its validity ends before it begins or lies outside of 1970 to 9999", ErrMalformed)
	}
	return nil
}

// ParseBundle reads the bytes of Encode. It accepts exactly those and says
// nothing about who made them: see SignedBundle.Verify.
func ParseBundle(encoded []byte) (Bundle, error) {
	if len(encoded) > MaxBundleBytes {
		return Bundle{}, fmt.Errorf("bundle: %w: %d bytes, at most %d", ErrMalformed, len(encoded), MaxBundleBytes)
	}
	rest, ok := bytes.CutPrefix(encoded, []byte(bundleMagic))
	if !ok {
		return Bundle{}, fmt.Errorf("bundle: %w: not a bundle of version 1", ErrMalformed)
	}
	in := &bundleReader{rest: rest}
	var b Bundle
	b.Tenant = string(in.take(int(in.number(2))))
	b.Version = in.number(8)
	for range in.number(1) {
		r := BundleRoot{NotBefore: in.time(), NotAfter: in.time()}
		r.Certificate = bytes.Clone(in.take(int(in.number(2))))
		b.Roots = append(b.Roots, r)
	}
	for range in.number(1) {
		k := BundleKey{Version: uint32(in.number(4)), NotBefore: in.time(), NotAfter: in.time()}
		copy(k.Public[:], in.take(len(k.Public)))
		b.JobKeys = append(b.JobKeys, k)
	}
	if in.short || len(in.rest) != 0 {
		return Bundle{}, fmt.Errorf("bundle: %w: it is cut off or has something behind its end", ErrMalformed)
	}
	if err := b.check(); err != nil {
		return Bundle{}, err
	}
	return b, nil
}

// bundleReader takes fields off the front; after the end it gives zeros and
// remembers that it did.
type bundleReader struct {
	rest  []byte
	short bool
}

func (r *bundleReader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *bundleReader) number(width int) (v uint64) {
	for _, c := range r.take(width) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *bundleReader) time() time.Time { return time.Unix(int64(r.number(8)), 0).UTC() }

// ErrUntrusted is in the chain of errors about a bundle that is well formed
// but not for this device or not signed by a root it trusts.
var ErrUntrusted = errors.New("not trusted")

// Verify returns the bundle when one of the trusted roots (SHA-256 of its
// SubjectPublicKeyInfo) signed it, it is for the tenant, and its version is not
// lower than have, the version the device holds (0: none).
func (s SignedBundle) Verify(trusted [][32]byte, tenant string, have uint64) (Bundle, error) {
	key, err := s.signer(trusted)
	if err != nil {
		return Bundle{}, err
	}
	digest := BundleDigest(s.Bytes)
	if !ecdsa.VerifyASN1(key, digest[:], s.Signature) {
		return Bundle{}, fmt.Errorf("bundle: %w: its signature does not fit", ErrUntrusted)
	}
	b, err := ParseBundle(s.Bytes)
	switch {
	case err != nil:
		return Bundle{}, err
	case b.Tenant != tenant:
		return Bundle{}, fmt.Errorf("bundle: %w: it is for another tenant", ErrUntrusted)
	case b.Version < have:
		return Bundle{}, fmt.Errorf("bundle: %w: version %d is older than %d, which this device holds", ErrUntrusted, b.Version, have)
	}
	return b, nil
}

func (s SignedBundle) signer(trusted [][32]byte) (*ecdsa.PublicKey, error) {
	hash, known := sha256.Sum256(s.Signer), false
	for _, t := range trusted {
		known = known || t == hash
	}
	if !known {
		return nil, fmt.Errorf("bundle: %w: its signer is none of the %d roots this device trusts", ErrUntrusted, len(trusted))
	}
	parsed, err := x509.ParsePKIXPublicKey(s.Signer)
	if err != nil {
		return nil, fmt.Errorf("bundle: signer: %w: no public key", ErrMalformed)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("bundle: signer: %w: not a P-256 key", ErrMalformed)
	}
	return key, nil
}
