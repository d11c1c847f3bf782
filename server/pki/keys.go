// Package pki holds the server's keys and decides which devices may have a
// certificate: the certificate authority, enrollment, renewal, the keys that
// sign jobs, and the detection of copied devices.
//
// The keys live in one directory (mode 0700, files 0600) and never in the
// database; the database holds their fingerprints only.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/fault"
)

// The files of the directory.
const (
	fileRootKey  = "root.key"    // may be moved away
	fileRootCert = "root.crt"    // stays
	fileIssuing  = "issuing.pem" // key, its certificate, then earlier certificates
	fileServer   = "server.pem"  // the TLS key and certificate, renewed by Maintain
	fileJob      = "job.json"
	fileAudit    = "audit.key"
	fileSecrets  = "secrets.json"
	fileTickets  = "tickets.json"
)

// Keys is the server's key set. Its methods may be called at the same time.
type Keys struct {
	dir     string
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey // nil when it was moved away
	job     jobFile
	audit   ed25519.PrivateKey
	secrets [32]byte
	proven  provenSet

	mu         sync.RWMutex // what Maintain replaces
	issuing    issuer
	leaf       *tls.Certificate // nil until the first Maintain
	tickets    []ticket         // newest first
	generation uint64           // rises with each change of leaf or tickets
}

// issuer is the certificate authority that signs devices and the server.
type issuer struct {
	key   *ecdsa.PrivateKey
	certs []*x509.Certificate // the present one first, then earlier ones
}

type jobFile struct {
	Seed     []byte       `json:"seed"`   // 32 bytes
	Bundle   uint64       `json:"bundle"` // version of the bundle; rises with any change of roots or job keys
	Versions []jobVersion `json:"versions"`
}

type jobVersion struct {
	Version   int       `json:"version"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

type secretsFile struct {
	Key []byte `json:"key"` // 32 bytes
}

// Create makes a new key set in dir, which must not exist or be empty. It is
// there whole or not at all.
func Create(dir string, now time.Time) (*Keys, error) {
	files, err := newFiles(now)
	if err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	if err := createDir(dir, files); err != nil {
		return nil, err
	}
	return Load(dir)
}

func newFiles(now time.Time) (map[string][]byte, error) {
	rootKey, rootCert, err := newRoot(now)
	if err != nil {
		return nil, err
	}
	issuingKey, issuingCert, err := newIssuing(rootKey, rootCert, now)
	if err != nil {
		return nil, err
	}
	_, auditKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	job := jobFile{Seed: random(32), Bundle: 1, Versions: []jobVersion{{1, rootCert.NotBefore, rootCert.NotAfter}}}
	files := make(map[string][]byte)
	files[fileRootCert] = encodeCerts(rootCert)
	for name, key := range map[string]crypto.PrivateKey{fileRootKey: rootKey, fileIssuing: issuingKey, fileAudit: auditKey} {
		if files[name], err = encodeKey(key); err != nil {
			return nil, err
		}
	}
	files[fileIssuing] = append(files[fileIssuing], encodeCerts(issuingCert)...)
	for name, v := range map[string]any{fileJob: job, fileSecrets: secretsFile{random(32)}, fileTickets: rotate(nil, now)} {
		if files[name], err = json.MarshalIndent(v, "", "  "); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// random returns n random bytes. crypto/rand.Read never fails since Go 1.24.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Load reads the key set. It refuses files that others may read, keys that do
// not fit their certificates, and chains that do not hold.
func Load(dir string) (*Keys, error) {
	if err := checkMode(dir, true); err != nil {
		return nil, err
	}
	k := &Keys{dir: dir}
	for _, load := range []func() error{k.loadRoot, k.loadIssuing, k.loadServer, k.loadJob, k.loadRest} {
		if err := load(); err != nil {
			return nil, fmt.Errorf("load keys from %s: %w", dir, err)
		}
	}
	return k, nil
}

func (k *Keys) loadRoot() error {
	data, err := readFile(k.dir, fileRootCert)
	if err != nil {
		return err
	}
	certs, err := decodeCerts(data)
	if err != nil || len(certs) != 1 {
		return fmt.Errorf("%s: want one certificate: %w", fileRootCert, err)
	}
	k.root = certs[0]
	data, err = readFile(k.dir, fileRootKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	k.rootKey, _, err = decodePair(data, k.root)
	return named(fileRootKey, err)
}

func (k *Keys) loadIssuing() error {
	data, err := readFile(k.dir, fileIssuing)
	if err != nil {
		return err
	}
	key, certs, err := decodePair(data, nil)
	if err != nil {
		return named(fileIssuing, err)
	}
	for _, c := range certs {
		if err := c.CheckSignatureFrom(k.root); err != nil {
			return fmt.Errorf("%s is not signed by the root: %w", fileIssuing, err)
		}
	}
	k.issuing = issuer{key, certs}
	return nil
}

func (k *Keys) loadServer() error {
	data, err := readFile(k.dir, fileServer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, certs, err := decodePair(data, nil)
	if err != nil {
		return named(fileServer, err)
	}
	k.leaf = serverCertificate(key, append(certs, k.root))
	return nil
}

func (k *Keys) loadJob() error {
	if err := k.loadJSON(fileJob, &k.job); err != nil {
		return err
	}
	if len(k.job.Seed) != 32 || k.job.Bundle == 0 || len(k.job.Versions) == 0 {
		return fmt.Errorf("%s: seed, bundle or versions are missing", fileJob)
	}
	for i, v := range k.job.Versions {
		if v.Version < 1 || i > 0 && v.Version <= k.job.Versions[i-1].Version {
			return fmt.Errorf("%s: versions must rise from 1", fileJob)
		}
	}
	return nil
}

func (k *Keys) loadRest() error {
	data, err := readFile(k.dir, fileAudit)
	if err != nil {
		return err
	}
	parsed, _, err := decodeKey(data)
	if err != nil {
		return named(fileAudit, err)
	}
	audit, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return fmt.Errorf("%s: not an Ed25519 key", fileAudit)
	}
	k.audit = audit
	var secrets secretsFile
	if err := k.loadJSON(fileSecrets, &secrets); err != nil {
		return err
	}
	if len(secrets.Key) != len(k.secrets) {
		return fmt.Errorf("%s: want a key of 32 bytes", fileSecrets)
	}
	copy(k.secrets[:], secrets.Key)
	return k.loadTickets()
}

func (k *Keys) loadJSON(name string, into any) error {
	data, err := readFile(k.dir, name)
	if err != nil {
		return err
	}
	// The cause is left out: it could quote a secret.
	if json.Unmarshal(data, into) != nil {
		return fmt.Errorf("%s is damaged; restore it from a backup", name)
	}
	return nil
}

func named(file string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Fingerprints returns a hash of each lasting key, by name, for the database
// to hold. None of them helps to find the key.
func (k *Keys) Fingerprints() map[string]string {
	auditKey := sha256.Sum256(k.audit.Public().(ed25519.PublicKey))
	return map[string]string{
		"root":    hexHash(SPKIHash(k.root)),
		"job":     hexHash(derive(k.job.Seed, "steward fingerprint v1\x00job")),
		"audit":   hexHash(auditKey),
		"secrets": hexHash(derive(k.secrets[:], "steward fingerprint v1\x00secrets")),
	}
}

// Verify compares the keys with the fingerprints that the database holds. A
// server whose keys are others' must not start: it would sign what no device
// accepts and could not read its own secrets.
func (k *Keys) Verify(stored map[string]string) error {
	have := k.Fingerprints()
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if stored[name] != have[name] {
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "the keys in %s do not belong to this database: %v differ", k.dir, differ).
		WithNext("put back the keys directory that was used with this database, or restore both from one backup")
}

// SecretsKey returns the AES-256 key of secrets that are kept in the database.
func (k *Keys) SecretsKey() [32]byte { return k.secrets }

// SignAudit signs a head or checkpoint of the audit record (Ed25519).
func (k *Keys) SignAudit(message []byte) []byte { return ed25519.Sign(k.audit, message) }

// CheckAudit reports whether SignAudit of this key set made the signature.
func (k *Keys) CheckAudit(message, signature []byte) bool {
	return ed25519.Verify(k.audit.Public().(ed25519.PublicKey), message, signature)
}

// derive returns 32 bytes for one purpose from a secret (HKDF-SHA256, RFC 5869).
func derive(secret []byte, purpose string) [32]byte {
	out, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		// Only for more than 255 hashes of output, or a FIPS-forbidden short key.
		panic("pki: HKDF of 32 bytes failed: " + err.Error())
	}
	return [32]byte(out)
}

func hexHash(h [32]byte) string { return hex.EncodeToString(h[:]) }
