package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"sync"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Files of a vault.
const (
	fileFacts   = "identity.json" // its presence makes the device enrolled
	fileDevice  = "device.pem"    // key and certificates
	fileNext    = "device-next.pem"
	filePending = "device-pending.pem"
	fileBundle  = "bundle"
	fileClone   = "clone"
	fileTLS     = "tls-session"
)

// MaxCloneSecret bounds the secret that tells a device from its copy, in bytes.
const MaxCloneSecret = 64

// ErrNotEnrolled: there is no identity yet.
var ErrNotEnrolled = errors.New("this device is not enrolled; run: steward-agent enroll")

// Facts are what enrollment said. They change with a new enrollment only.
type Facts struct {
	Address    string // of the server, host:port
	Pin        [32]byte
	Approvers  [][32]byte
	Device     string
	Tenant     string
	Site       string
	Class      string
	Tags       []string
	MayInstall bool
	EnrolledAt time.Time
}

// check refuses what no honest server grants.
func (f Facts) check() error {
	for name, text := range map[string]string{"device": f.Device, "tenant": f.Tenant} {
		if text == "" || len(text) > wire.MaxText {
			return fmt.Errorf("the server's answer: a %s id of %d bytes", name, len(text))
		}
	}
	if len(f.Site) > wire.MaxText || len(f.Class) > wire.MaxText || len(f.Tags) > wire.MaxTags {
		return errors.New("the server's answer passes the limits of the protocol")
	}
	for _, t := range f.Tags {
		if len(t) > wire.MaxText {
			return errors.New("the server's answer: a tag is too long")
		}
	}
	return wire.CheckAddress(f.Address)
}

// factsFile is Facts as identity.json.
type factsFile struct {
	Address    string    `json:"address"`
	Pin        string    `json:"root_sha256"`
	Approvers  []string  `json:"approvers,omitempty"`
	Device     string    `json:"device"`
	Tenant     string    `json:"tenant"`
	Site       string    `json:"site,omitempty"`
	Class      string    `json:"class,omitempty"`
	Tags       []string  `json:"tags,omitempty"`
	MayInstall bool      `json:"may_install"`
	EnrolledAt time.Time `json:"enrolled_at"`
}

func (f Facts) encode() ([]byte, error) {
	out := factsFile{
		Address: f.Address, Pin: hex.EncodeToString(f.Pin[:]), Device: f.Device, Tenant: f.Tenant, Site: f.Site,
		Class: f.Class, Tags: f.Tags, MayInstall: f.MayInstall, EnrolledAt: f.EnrolledAt,
	}
	for _, a := range f.Approvers {
		out.Approvers = append(out.Approvers, hex.EncodeToString(a[:]))
	}
	return json.MarshalIndent(out, "", "  ")
}

func decodeFacts(data []byte) (Facts, error) {
	var in factsFile
	if err := json.Unmarshal(data, &in); err != nil {
		return Facts{}, err
	}
	f := Facts{
		Address: in.Address, Device: in.Device, Tenant: in.Tenant, Site: in.Site, Class: in.Class, Tags: in.Tags,
		MayInstall: in.MayInstall, EnrolledAt: in.EnrolledAt,
	}
	hash := func(text string) (out [32]byte, err error) {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(out) {
			return out, errors.New("a hash is not 64 hexadecimal digits")
		}
		return [32]byte(raw), nil
	}
	var err error
	if f.Pin, err = hash(in.Pin); err != nil {
		return Facts{}, err
	}
	for _, a := range in.Approvers {
		h, err := hash(a)
		if err != nil {
			return Facts{}, err
		}
		f.Approvers = append(f.Approvers, h)
	}
	return f, f.check()
}

// Identity is an enrolled device. Its methods may be called from several
// goroutines.
type Identity struct {
	vault Vault

	mu      sync.Mutex
	facts   Facts
	current *Credential
	next    *Credential // made by a renewal, has opened no session yet
	trust   Trust
	bundle  wire.Bundle
	clone   []byte
}

// Open reads the identity of a device; ErrNotEnrolled when there is none.
func Open(v Vault) (*Identity, error) {
	raw, err := v.Read(fileFacts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	id := &Identity{vault: v}
	if id.facts, err = decodeFacts(raw); err != nil {
		return nil, damaged(fileFacts, err)
	}
	if raw, err = v.Read(fileDevice); err != nil {
		return nil, damaged(fileDevice, err)
	}
	if id.current, err = decodeCredential(raw); err == nil && len(id.current.chain) == 0 {
		err = errors.New("it holds no certificate")
	}
	if err != nil {
		return nil, damaged(fileDevice, err)
	}
	if raw, err = v.Read(fileBundle); err != nil {
		return nil, damaged(fileBundle, err)
	}
	// Its signature was checked when it came; the file is this machine's own.
	signed, err := wire.ParseSignedBundle(raw)
	if err != nil {
		return nil, damaged(fileBundle, err)
	}
	fresh, err := openBundle(signed)
	if err != nil {
		return nil, damaged(fileBundle, err)
	}
	fresh.take(id)
	if raw, err := v.Read(fileNext); err == nil {
		// One that cannot be read is made anew.
		if c, err := decodeCredential(raw); err == nil && len(c.chain) > 0 {
			id.next = c
		}
	}
	if raw, err := v.Read(fileClone); err == nil && len(raw) <= MaxCloneSecret {
		id.clone = raw
	}
	return id, nil
}

func damaged(file string, err error) error {
	return fmt.Errorf("identity: %s: %w; restore it from a backup or enroll the device again", file, err)
}

// Facts returns what enrollment said.
func (id *Identity) Facts() Facts {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.facts
}

// Trust returns by what the server is known now.
func (id *Identity) Trust() Trust {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.trust
}

// Current returns the key that opened the last session, and Next the one that a
// renewal made and that has opened none yet, nil without one.
func (id *Identity) Current() *Credential {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.current
}

// Next: see Current.
func (id *Identity) Next() *Credential {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.next
}

// CloneSecret returns what the last Welcome handed out; nil before the first.
func (id *Identity) CloneSecret() []byte {
	id.mu.Lock()
	defer id.mu.Unlock()
	return bytes.Clone(id.clone)
}

// KeepClone keeps the secret for the next Hello. Nothing may be sent in a
// session before it is kept.
func (id *Identity) KeepClone(secret []byte) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if len(secret) > MaxCloneSecret {
		return fmt.Errorf("a clone secret of %d bytes, at most %d", len(secret), MaxCloneSecret)
	}
	if bytes.Equal(secret, id.clone) {
		return nil
	}
	if err := id.vault.Write(fileClone, secret); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	id.clone = bytes.Clone(secret)
	return nil
}

// certificates returns all roots of the bundle, whatever the time.
func (id *Identity) certificates() (out []*x509.Certificate) {
	for _, r := range id.trust.roots {
		out = append(out, r.cert)
	}
	return out
}

// bundleView is a bundle with its roots parsed.
type bundleView struct {
	bundle wire.Bundle
	roots  []root
}

func (b bundleView) take(id *Identity) { id.bundle, id.trust.roots = b.bundle, b.roots }

func openBundle(s wire.SignedBundle) (bundleView, error) {
	b, err := wire.ParseBundle(s.Bytes)
	if err != nil {
		return bundleView{}, err
	}
	roots, err := rootsOf(b)
	return bundleView{b, roots}, err
}

// readBundle checks a bundle that a server sent.
func (id *Identity) readBundle(data []byte, have uint64) (bundleView, error) {
	signed, err := wire.ParseSignedBundle(data)
	if err != nil {
		return bundleView{}, err
	}
	if _, err := signed.Verify(id.trust.pins(), id.facts.Tenant, have); err != nil {
		return bundleView{}, err
	}
	return openBundle(signed)
}

// TakeBundle keeps a newer bundle of the server; the same version again changes
// nothing, an older or untrusted one is an error. What the new bundle still
// lists stays trusted: old and new roots and keys count together as it says.
func (id *Identity) TakeBundle(data []byte) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	fresh, err := id.readBundle(data, id.bundle.Version)
	if err != nil || fresh.bundle.Version == id.bundle.Version {
		return err
	}
	if err := id.vault.Write(fileBundle, data); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	fresh.take(id)
	return nil
}

// BundleVersion returns the version of the bundle that the device holds.
func (id *Identity) BundleVersion() uint64 {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.bundle.Version
}

// JobKey returns the tenant's public key of a version, for checking jobs.
func (id *Identity) JobKey(version uint32) (key wire.BundleKey, known bool) {
	id.mu.Lock()
	defer id.mu.Unlock()
	for _, k := range id.bundle.JobKeys {
		if k.Version == version {
			return k, true
		}
	}
	return wire.BundleKey{}, false
}

// RenewDue reports whether a new certificate is wanted: after two thirds of the
// certificate's life (day 20 of 30) and up to a fifteenth later, by the device,
// so that a fleet enrolled in one hour does not renew in one.
func (id *Identity) RenewDue(now time.Time) bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.next != nil && now.Before(id.next.NotAfter()) {
		return false
	}
	leaf := id.current.chain[0]
	issued := leaf.NotBefore.Add(wire.CertificateBackdate)
	if !issued.Before(leaf.NotAfter) {
		issued = leaf.NotBefore
	}
	life := leaf.NotAfter.Sub(issued)
	h := fnv.New64a()
	_, _ = h.Write([]byte(id.facts.Device))
	spread := time.Duration(h.Sum64() % uint64(life/15+1))
	return !now.Before(issued.Add(life*2/3 + spread))
}

// NewKey makes a key for a renewal. It is kept only by Stage.
func (id *Identity) NewKey() (*Credential, error) { return newKey() }

// Stage keeps a renewed key beside the present one, with the server's chain.
// bundle may be empty.
func (id *Identity) Stage(c *Credential, chain [][]byte, bundle []byte) error {
	if len(bundle) > 0 {
		if err := id.TakeBundle(bundle); err != nil {
			return err
		}
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if err := c.certify(chain, id.certificates()); err != nil {
		return err
	}
	raw, err := c.encode()
	if err != nil {
		return err
	}
	if err := id.vault.Write(fileNext, raw); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	id.next = c
	return nil
}

// Opened notes that a key opened a session. The renewed one becomes the device's
// own with it, and the old one is gone.
func (id *Identity) Opened(c *Credential) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.next == nil || c != id.next {
		return nil
	}
	raw, err := c.encode()
	if err != nil {
		return err
	}
	if err := id.vault.Write(fileDevice, raw); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	id.current, id.next = c, nil
	return id.vault.Remove(fileNext)
}

// DropNext forgets a renewed key that the server does not know (its database
// was restored, say) while it knows the old one.
func (id *Identity) DropNext() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.next = nil
	return id.vault.Remove(fileNext)
}

// Erase forgets everything: the device was retired. The key goes first.
func (id *Identity) Erase() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	var errs []error
	for _, name := range []string{fileDevice, fileNext, filePending, fileTLS, fileClone, fileBundle, fileFacts} {
		errs = append(errs, id.vault.Remove(name))
	}
	return errors.Join(errs...)
}
