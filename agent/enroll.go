package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/agent/transport"
	"github.com/steward-rmm/steward/proto/wire"
)

// EnrollOptions are those of one enrollment.
type EnrollOptions struct {
	Dir     string // the data directory, made when it is missing
	String  wire.Enrollment
	Class   string   // "" detects it; the string's word wins
	Tags    []string // beside the string's
	Version string
	Now     func() time.Time
	Dial    func(ctx context.Context, address string) (net.Conn, error) // as in transport.Options
}

// Enrolled is how an enrollment ended.
type Enrolled struct {
	Facts   identity.Facts
	Already bool // with this server, before
}

// ErrOtherServer: the device belongs to a server that the string does not name.
var ErrOtherServer = errors.New("this device is enrolled with another server; to move it, stop the agent and use another --data directory")

// Enroll makes this machine a device of the server that the string names. With
// the same server again it changes nothing. When the server says no, the data
// directory is as it was.
func Enroll(ctx context.Context, o EnrollOptions) (Enrolled, error) {
	vault := Vault(o.Dir)
	id, err := identity.Open(vault)
	switch {
	case err == nil && id.Trust().Knows(o.String.RootSPKI):
		return Enrolled{Facts: id.Facts(), Already: true}, nil
	case err == nil:
		return Enrolled{}, fmt.Errorf("%w (this one: %s)", ErrOtherServer, id.Facts().Address)
	case !errors.Is(err, identity.ErrNotEnrolled):
		return Enrolled{}, err
	}
	_, before := os.Stat(o.Dir)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Enrolled{}, fmt.Errorf("data directory: %w", err)
	}
	pending, err := identity.Prepare(vault, o.String)
	if err != nil {
		return Enrolled{}, err
	}
	id, err = enrollWith(ctx, o, pending)
	if err == nil {
		return Enrolled{Facts: id.Facts()}, nil
	}
	var refused *transport.RefusedError
	if errors.As(err, &refused) {
		// The key stays only while the answer may have been lost.
		err = errors.Join(err, pending.Drop())
		_ = os.Remove(filepath.Join(o.Dir, identityDir)) // if it is empty
		if errors.Is(before, fs.ErrNotExist) {
			_ = os.Remove(o.Dir)
		}
	}
	return Enrolled{}, err
}

func enrollWith(ctx context.Context, o EnrollOptions, pending *identity.Pending) (*identity.Identity, error) {
	csr, err := pending.Credential().CSR()
	if err != nil {
		return nil, err
	}
	found, _ := collect(ctx, newCollector(o.Now), o.Now())
	class := o.Class
	if class == "" {
		class, _ = inventory.DetectClass(found)
	}
	granted, err := transport.Enroll(ctx, transport.Enrollment{
		String: o.String, CSR: csr, Machine: machineOf(found), Class: class, Tags: o.Tags, Version: o.Version, Now: o.Now, Dial: o.Dial,
	})
	if err != nil {
		return nil, err
	}
	return pending.Complete(o.Now(), granted)
}
