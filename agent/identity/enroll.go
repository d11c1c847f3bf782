package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// Pending is a device that asks to be let in. Its key is kept before it asks, so
// that a second try with the same string, after an answer that was lost, is the
// same device.
type Pending struct {
	vault      Vault
	enrollment wire.Enrollment
	credential *Credential
}

// Granted is the server's answer to an enrollment.
type Granted struct {
	Device, Tenant, Site, Class string
	Tags                        []string
	MayInstall                  bool
	Chain                       [][]byte // DER, the leaf first
	Bundle                      []byte   // wire.SignedBundle, encoded
}

// ErrEnrolled: the device belongs to a server already.
var ErrEnrolled = errors.New("this device is enrolled already")

// Prepare makes the key of a device that is to enroll, or takes up the one made
// for the same token. It is ErrEnrolled when the vault holds an identity.
func Prepare(v Vault, e wire.Enrollment) (*Pending, error) {
	_, err := v.Read(fileFacts)
	if err == nil {
		return nil, ErrEnrolled
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("identity: %w", err)
	}
	p := &Pending{vault: v, enrollment: e}
	head := pendingHead(e)
	if raw, err := v.Read(filePending); err == nil && bytes.HasPrefix(raw, head) {
		if c, err := decodeCredential(raw[len(head):]); err == nil {
			p.credential = c
			return p, nil
		}
	}
	if p.credential, err = newKey(); err != nil {
		return nil, err
	}
	raw, err := p.credential.encode()
	if err != nil {
		return nil, err
	}
	if err := v.Write(filePending, append(head, raw...)); err != nil {
		return nil, fmt.Errorf("identity: keep the new key: %w", err)
	}
	return p, nil
}

// pendingHead ties the key to its token without holding the token.
func pendingHead(e wire.Enrollment) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), e.RootSPKI[:]...), e.Token[:]...))
	return []byte(hex.EncodeToString(sum[:]) + "\n")
}

// Credential returns the new key, for the request.
func (p *Pending) Credential() *Credential { return p.credential }

// Drop forgets the key: the server refused it for good.
func (p *Pending) Drop() error { return p.vault.Remove(filePending) }

// Complete checks what the server granted and keeps it. The last file that is
// written makes the device enrolled; before it nothing has changed.
func (p *Pending) Complete(now time.Time, g Granted) (*Identity, error) {
	facts := Facts{
		Address: p.enrollment.Address, Pin: p.enrollment.RootSPKI, Approvers: p.enrollment.Approvers,
		Device: g.Device, Tenant: g.Tenant, Site: g.Site, Class: g.Class, Tags: g.Tags,
		// Both must allow it: the string is the machine's owner's word.
		MayInstall: g.MayInstall && p.enrollment.MayInstall, EnrolledAt: now.UTC().Truncate(time.Second),
	}
	if err := facts.check(); err != nil {
		return nil, err
	}
	id := &Identity{vault: p.vault, facts: facts, trust: Pinned(facts.Pin)}
	fresh, err := id.readBundle(g.Bundle, 0)
	if err != nil {
		return nil, err
	}
	fresh.take(id)
	if err := p.credential.certify(g.Chain, id.certificates()); err != nil {
		return nil, err
	}
	id.current = p.credential
	raw, err := id.current.encode()
	if err != nil {
		return nil, err
	}
	facts0, err := facts.encode()
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{fileDevice, raw}, {fileBundle, g.Bundle}, {fileFacts, facts0}} {
		if err := p.vault.Write(f.name, f.data); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return id, p.vault.Remove(filePending)
}
