package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/steward-rmm/steward/agent/identity"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/agent/transport"
	"github.com/steward-rmm/steward/proto/wire"
)

// Status is what `steward-agent status` prints.
type Status struct {
	Running              bool       `json:"running"` // a `run` works on this data directory
	Server               string     `json:"server"`
	DeviceID             string     `json:"device_id"`
	Tenant               string     `json:"tenant"`
	Site                 string     `json:"site"`
	Connected            bool       `json:"connected"`
	LastContact          *time.Time `json:"last_contact"`
	Problem              string     `json:"problem"` // why there is no session
	CertificateExpiresAt *time.Time `json:"certificate_expires_at"`
	Journal              Journal    `json:"journal"`
	SpoolBytes           int64      `json:"spool_bytes"` // size of the journal's file
	ReportsDropped       uint64     `json:"reports_dropped"`
	NextWindow           *time.Time `json:"next_window"` // when the next held job may start
	SettingsIgnored      []string   `json:"settings_ignored"`
	Version              string     `json:"version"` // of the agent that runs
	WrittenAt            *time.Time `json:"written_at"`
}

// Journal counts what the journal holds.
type Journal struct {
	Queued     int    `json:"queued"`     // leases that have not started
	Running    int    `json:"running"`    // jobs that started and have not ended
	Unreported uint64 `json:"unreported"` // events that the server has not acknowledged
}

const (
	statusFile  = "status.json"
	lockName    = "run.lock"
	identityDir = "identity"
	statusEvery = 5 * time.Second  // looked, while something goes on
	statusIdle  = 15 * time.Second // looked, while the journal was empty
	statusFresh = 30 * time.Second // written at the latest
)

// Vault returns the identity's files in a data directory.
func Vault(dir string) identity.Vault { return identity.Directory(filepath.Join(dir, identityDir)) }

// ReadStatus tells how the agent on a data directory does, whether it runs or
// not. It is identity.ErrNotEnrolled when there is no device.
func ReadStatus(dir string) (Status, error) {
	id, err := identity.Open(Vault(dir))
	if err != nil {
		return Status{}, err
	}
	var s Status
	raw, err := os.ReadFile(filepath.Join(dir, statusFile))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	if s.DeviceID != id.Facts().Device { // of an earlier enrollment
		s = Status{}
	}
	s.identify(id)
	s.Running = lockHeld(dir)
	if !s.Running {
		s.Connected, s.Problem = false, "the agent does not run"
	}
	if s.SettingsIgnored == nil {
		s.SettingsIgnored = []string{}
	}
	return s, nil
}

func (s *Status) identify(id *identity.Identity) {
	facts := id.Facts()
	s.Server, s.DeviceID, s.Tenant, s.Site = facts.Address, facts.Device, facts.Tenant, facts.Site
	end := id.Current().NotAfter().UTC()
	s.CertificateExpiresAt = &end
}

// lockHeld reports whether a `run` works on the directory. It tries the lock, so
// a process that was killed does not look alive.
func lockHeld(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	held, _ := lock(f)
	return held
}

// ErrRunning: another `run` works on the data directory.
var ErrRunning = errors.New("another steward-agent runs on this data directory; stop it first")

// takeLock makes this process the one that runs on the directory.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// A `status` that looks at this moment holds it for an instant.
	held, err := lock(f)
	for try := 0; held && try < lockTries; try++ {
		<-time.After(lockPause)
		held, err = lock(f)
	}
	if held {
		err = ErrRunning
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

const (
	lockTries = 5
	lockPause = 50 * time.Millisecond
)

// teller keeps the status file.
type teller struct {
	dir      string
	version  string
	ignored  []string
	identity *identity.Identity
	journal  *spool.Journal
	client   *transport.Client
	now      func() time.Time
	log      *slog.Logger
	ended    func() // told when a job ended
	last     Status // as written
	looked   time.Time
	problem  string // when looked
}

// idle reports whether nothing can have changed that is worth a look into the
// journal: an agent sleeps most of its life.
func (t *teller) idle(now time.Time) bool {
	connected, _ := t.client.Contact()
	_, problem := t.client.LastContact()
	quiet := t.last.Journal == Journal{} && connected == t.last.Connected && problem == t.problem
	return quiet && !now.Before(t.looked) && now.Sub(t.looked) < statusIdle
}

func (t *teller) run(ctx context.Context) error {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		if err := t.runOnce(t.now()); err != nil {
			t.log.Warn("the status is not written", "why", err)
		}
		tidy()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// runOnce writes the status when it changed or is old.
func (t *teller) runOnce(now time.Time) error {
	if t.idle(now) {
		return nil
	}
	s, err := t.look(now)
	if err != nil {
		return err
	}
	t.looked, t.problem = now, s.Problem
	if s.Journal.Running < t.last.Journal.Running {
		t.ended()
	}
	old, fresh := t.last, s
	old.LastContact, old.WrittenAt, fresh.LastContact, fresh.WrittenAt, old.SpoolBytes, fresh.SpoolBytes = nil, nil, nil, nil, 0, 0
	if t.last.WrittenAt != nil && now.Sub(*t.last.WrittenAt) < statusFresh && !now.Before(*t.last.WrittenAt) && reflect.DeepEqual(old, fresh) {
		return nil
	}
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(t.dir, statusFile), raw); err != nil {
		return err
	}
	t.last = s
	return nil
}

// replace writes a file as a whole. It is not synced: after a power cut the
// status is that of nobody anyway.
func replace(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func (t *teller) look(now time.Time) (Status, error) {
	at := now.UTC().Truncate(time.Second)
	s := Status{Running: true, Version: t.version, SettingsIgnored: append([]string{}, t.ignored...), WrittenAt: &at}
	s.identify(t.identity)
	s.Connected, _ = t.client.Contact()
	contact, problem := t.client.LastContact()
	s.Problem = problem
	if s.Connected { // the heartbeat says so
		contact = now
	}
	if !contact.IsZero() {
		contact = contact.UTC().Truncate(time.Second)
		s.LastContact = &contact
	}
	held, err := t.journal.Held()
	if err != nil {
		return s, err
	}
	running, err := t.journal.Unfinished()
	if err != nil {
		return s, err
	}
	first, next, err := t.journal.EventRange()
	if err != nil {
		return s, err
	}
	if s.ReportsDropped, err = t.journal.ReportsDropped(); err != nil {
		return s, err
	}
	s.Journal = Journal{Queued: len(held), Running: len(running), Unreported: next - first}
	for _, h := range held {
		// Shown only: whether the job may run is decided by its signature.
		if j, err := wire.DecodeJob(h.Bytes); err == nil && (s.NextWindow == nil || j.NotBefore.Before(*s.NextWindow)) {
			s.NextWindow = &j.NotBefore
		}
	}
	if info, err := os.Stat(filepath.Join(t.dir, spool.FileName)); err == nil {
		s.SpoolBytes = info.Size()
	}
	return s, nil
}
