// Package server wires the rooms of the server together. New builds everything
// in one straight function, loops.go lists what runs, and nothing here decides.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/store"
)

// Data says where the state of a server is.
type Data struct {
	Dir      string // the data directory
	Database string // "" for SQLite in Dir, or postgres://…
}

// foundation is what every command on the server's machine stands on: the
// database, the keys that belong to it, the record and the people.
type foundation struct {
	store *store.Store
	keys  *pki.Keys
	audit *audit.Service
	auth  *auth.Service
	epoch uint64
}

type openOptions struct {
	exclusive  bool
	log        *slog.Logger
	registerer prometheus.Registerer
	hook       func(point string)
}

// Rows of the store's meta table.
const (
	metaEpoch      = "server_epoch"
	metaConsoleURL = "console_url"
	metaKeys       = "keys_" // + name: fingerprint
)

func (d Data) keysDir() string { return filepath.Join(d.Dir, "keys") }

// hasKeys reports whether the directory holds a server's keys.
func (d Data) hasKeys() (bool, error) {
	_, err := os.Stat(d.keysDir())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// open opens an initialised data directory. Keys that do not belong to the
// database are refused: a server with the wrong ones would be a stranger to its
// agents.
func (d Data) open(ctx context.Context, o openOptions) (f *foundation, err error) {
	ready, err := d.hasKeys()
	if err != nil {
		return nil, fault.Invalidf("data", "%s cannot be read", d.Dir).WithCause(err)
	}
	if !ready {
		return nil, d.noServer()
	}
	f = &foundation{}
	f.store, err = store.Open(ctx, store.Options{Dir: d.Dir, Database: d.Database, Exclusive: o.exclusive, Logger: o.log, Registerer: o.registerer, Hook: o.hook})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.store.Close())
		}
	}()
	if f.keys, err = pki.Load(d.keysDir()); err != nil {
		return nil, err
	}
	found, err := f.identity(ctx)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, d.noServer()
	}
	return f, f.people(o.log)
}

func (d Data) noServer() error {
	return fault.Invalidf("data", "%s holds no server", d.Dir).WithNext("run steward init --data %s --admin EMAIL first", d.Dir)
}

// identity reads the epoch and compares the keys with the fingerprints that
// the database keeps; found is false in a fresh database.
func (f *foundation) identity(ctx context.Context) (found bool, err error) {
	text, found, err := f.store.Meta(ctx, metaEpoch)
	if err != nil || !found {
		return false, err
	}
	if f.epoch, err = strconv.ParseUint(text, 10, 64); err != nil {
		return false, fmt.Errorf("stored %s %q: %w", metaEpoch, text, err)
	}
	stored := map[string]string{}
	for name := range f.keys.Fingerprints() {
		value, found, err := f.store.Meta(ctx, metaKeys+name)
		if err != nil {
			return false, err
		}
		if found {
			stored[name] = value
		}
	}
	return true, f.keys.Verify(stored)
}

func (f *foundation) people(log *slog.Logger) (err error) {
	f.audit = audit.New(audit.Options{Store: f.store.Audit(), Archive: f.store.Audit(), Signer: f.keys})
	f.auth, err = auth.New(auth.Options{People: f.store.People(), Sessions: f.store.SignIns(), Tokens: f.store.Tokens(), Links: f.store.Links(),
		Recorder: recorder{f.audit}, Tx: f.store.Tx, Log: log})
	return err
}

// found makes the keys and the first rows of a fresh directory. Cut off at any
// point it can be run again.
func (d Data) found(ctx context.Context, now time.Time, log *slog.Logger, consoleURL string) (f *foundation, err error) {
	f = &foundation{}
	if f.store, err = store.Open(ctx, store.Options{Dir: d.Dir, Database: d.Database, Exclusive: true, Logger: log}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.store.Close())
		}
	}()
	_, known, err := f.store.Meta(ctx, metaEpoch)
	if err != nil {
		return nil, err
	}
	made, err := d.hasKeys()
	switch {
	case err != nil:
		return nil, err
	case known && !made:
		return nil, fault.Conflictf("the database belongs to a server whose keys are not in %s", d.keysDir()).
			WithNext("bring its keys back, or restore a backup")
	case made:
		f.keys, err = pki.Load(d.keysDir())
	default:
		f.keys, err = pki.Create(d.keysDir(), now)
	}
	if err != nil {
		return nil, err
	}
	if !known {
		if err := f.name(ctx, consoleURL); err != nil {
			return nil, err
		}
	}
	if _, err := f.identity(ctx); err != nil {
		return nil, err
	}
	return f, f.people(log)
}

// name gives the database its epoch and the fingerprints of its keys.
func (f *foundation) name(ctx context.Context, consoleURL string) error {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	epoch := binary.BigEndian.Uint64(b[:]) >> 1
	return f.store.Tx(ctx, func(ctx context.Context) error {
		for name, value := range f.keys.Fingerprints() {
			if err := f.store.SetMeta(ctx, metaKeys+name, value); err != nil {
				return err
			}
		}
		return errors.Join(f.store.SetMeta(ctx, metaConsoleURL, consoleURL), f.store.SetMeta(ctx, metaEpoch, strconv.FormatUint(epoch, 10)))
	})
}

// Init makes a server in a fresh data directory and returns the one-time link
// by which its first owner signs in. It refuses once there is an owner.
func Init(ctx context.Context, d Data, admin, consoleURL string, now time.Time, log *slog.Logger) (link string, err error) {
	if !strings.Contains(admin, "@") {
		return "", fault.Invalidf("admin", "%q is no e-mail address", admin)
	}
	f, err := d.found(ctx, now, log, consoleURL)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.store.Close()) }()
	secret, err := f.auth.FirstOwner(ctx, now, admin, auth.Init)
	if err != nil {
		return "", err
	}
	if consoleURL == "" {
		consoleURL = usualConsoleURL // nothing is kept: serve names itself as it is bound
	}
	return signInURL(consoleURL, secret), nil
}

// usualConsoleURL is where the console is when nobody said otherwise.
const usualConsoleURL = "http://127.0.0.1:7080"

// signInURL is where a one-time link leads.
func signInURL(consoleURL string, s auth.Secret) string {
	return strings.TrimSuffix(consoleURL, "/") + "/link/" + s.Reveal()
}
