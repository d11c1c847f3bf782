package pki

import (
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// JobKey returns the key that signs a tenant's jobs, in a version. It is
// derived from the seed (HKDF-SHA256 with the info "steward job key v1", zero,
// tenant, zero, version in four big-endian bytes), so nothing is stored per
// tenant and no tenant's devices accept another's jobs.
func (k *Keys) JobKey(tenant ident.TenantID, version int) ed25519.PrivateKey {
	info := append([]byte("steward job key v1\x00"), tenant...)
	info = binary.BigEndian.AppendUint32(append(info, 0), uint32(version))
	seed := derive(k.job.Seed, string(info))
	return ed25519.NewKeyFromSeed(seed[:])
}

// JobPublicKey returns the public half of JobKey.
func (k *Keys) JobPublicKey(tenant ident.TenantID, version int) ed25519.PublicKey {
	return k.JobKey(tenant, version).Public().(ed25519.PublicKey)
}

// JobSigner signs one tenant's jobs.
type JobSigner struct {
	Version int // of the key
	key     ed25519.PrivateKey
}

// Sign returns the signature of an encoded job, as wire.VerifyJob checks it.
func (s JobSigner) Sign(encoded []byte) []byte { return wire.SignJob(s.key, encoded) }

// Public returns the key that checks Sign.
func (s JobSigner) Public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// JobSigner returns the signer of the newest version that is valid now.
func (k *Keys) JobSigner(tenant ident.TenantID, now time.Time) (JobSigner, error) {
	for i := len(k.job.Versions) - 1; i >= 0; i-- {
		v := k.job.Versions[i]
		if !now.Before(v.NotBefore) && !now.After(v.NotAfter) {
			return JobSigner{v.Version, k.JobKey(tenant, v.Version)}, nil
		}
	}
	return JobSigner{}, fault.New(fault.Unavailable, "no key that signs jobs is valid now").
		WithNext("check the server's clock")
}

// Bundle returns what the tenant's devices trust, signed by the root. The same
// keys give the same bytes and signature. Without the root's key it fails: keep
// the bundle of each tenant when the key is about to be moved away.
func (k *Keys) Bundle(tenant ident.TenantID) (wire.SignedBundle, error) {
	if k.rootKey == nil {
		return wire.SignedBundle{}, fault.New(fault.Unavailable, "the root's key is not here, so no bundle can be signed").
			WithNext("put %s back into %s for as long as it takes", fileRootKey, k.dir)
	}
	b := wire.Bundle{
		Tenant: string(tenant), Version: k.job.Bundle,
		Roots: []wire.BundleRoot{{NotBefore: k.root.NotBefore, NotAfter: k.root.NotAfter, Certificate: k.root.Raw}},
	}
	for _, v := range k.job.Versions {
		b.JobKeys = append(b.JobKeys, wire.BundleKey{
			Version: uint32(v.Version), NotBefore: v.NotBefore, NotAfter: v.NotAfter,
			Public: [32]byte(k.JobPublicKey(tenant, v.Version)),
		})
	}
	encoded, err := b.Encode()
	if err != nil {
		return wire.SignedBundle{}, fmt.Errorf("bundle of %s: %w", tenant, err)
	}
	digest := wire.BundleDigest(encoded)
	// Without a source of randomness the signature is deterministic (RFC 6979).
	signature, err := k.rootKey.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return wire.SignedBundle{}, fmt.Errorf("bundle of %s: %w", tenant, err)
	}
	return wire.SignedBundle{Bytes: encoded, Signer: k.root.RawSubjectPublicKeyInfo, Signature: signature}, nil
}
