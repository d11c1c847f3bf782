// Package sessiontest gives tests a session service with the real rooms around
// it on a real database, and devices that were enrolled there.
package sessiontest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/session"
	"github.com/steward-rmm/steward/server/store"
	"github.com/steward-rmm/steward/server/store/storetest"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/wake"
)

// Start is when every test begins.
var Start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Jobs stands for server/job: it holds what a test puts there.
type Jobs struct {
	mu      sync.Mutex
	Leases  []job.Lease
	Steps   []job.Step
	After   job.State // of the job after a step
	Lost    int
	Drop    []string
	Refuse  error
	Started []ident.JobID
}

// Give puts leases there, also while sessions ask.
func (j *Jobs) Give(leases []job.Lease) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Leases = leases
}

// Desired implements session.Jobs.
func (j *Jobs) Desired(context.Context, time.Time, ident.TenantID, ident.DeviceID) ([]job.Lease, []job.Cancel, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Leases, nil, nil
}

// MayStart implements session.Jobs.
func (j *Jobs) MayStart(_ context.Context, _ time.Time, _ ident.TenantID, _ ident.DeviceID, id ident.JobID, _ int) (job.Answer, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Started = append(j.Started, id)
	return job.Answer{Verdict: job.Start}, nil
}

// Step implements session.Jobs.
func (j *Jobs) Step(_ context.Context, _ time.Time, tenant ident.TenantID, device ident.DeviceID, s job.Step) (job.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.Refuse != nil {
		return job.Job{}, j.Refuse
	}
	j.Steps = append(j.Steps, s)
	return job.Job{Tenant: tenant, Device: device, ID: s.Job, State: j.After, Releases: []job.Release{{Source: s.Source, Package: s.Package, Version: "2"}}}, nil
}

// JournalLost implements session.Jobs.
func (j *Jobs) JournalLost(context.Context, time.Time, ident.TenantID, ident.DeviceID) error {
	j.Lost++
	return nil
}

// DropLeases implements session.Jobs.
func (j *Jobs) DropLeases(context.Context, time.Time, ident.TenantID, ident.DeviceID, []string) ([]string, error) {
	return j.Drop, nil
}

// House is the server's rooms around a session service, on a real database.
type House struct {
	Store     *store.Store
	Fleet     *fleet.Service
	Inventory *inventory.Service
	Patch     *patch.Service
	Samples   *telemetry.Service
	Keys      *pki.Keys
	Tokens    *pki.Enrollments
	Jobs      *Jobs
	Hub       *wake.Hub
	*session.Service
}

// Open makes a house with the tenants acme and other.
func Open(t testing.TB) *House { return OpenEpoch(t, storetest.Open(t), nil, 1) }

// OpenEpoch makes a house on a database and keys that are there already, as after
// a restart; with nil keys it makes keys and the tenants acme and other.
func OpenEpoch(t testing.TB, st *store.Store, keys *pki.Keys, epoch uint64) *House {
	t.Helper()
	h := &House{Store: st, Jobs: &Jobs{}, Hub: &wake.Hub{}, Keys: keys}
	ctx := context.Background()
	record := audit.New(audit.Options{Store: st.Audit()})
	h.Fleet = fleet.New(fleet.Options{Tenants: st.Fleet(), Devices: st.Fleet(), Tx: st.Tx, After: st.After, Audit: record, Wake: h.Hub})
	h.Inventory = inventory.New(inventory.Options{Store: st.Inventory(), Catalogue: st.Inventory(), Tx: st.Tx})
	policies := policy.New(policy.Options{Store: st.Policy(), Tx: st.Tx, After: st.After, Audit: record, Wake: h.Hub})
	h.Patch = patch.New(patch.Options{Store: st.Patch(), Scans: h.Inventory, Policies: policies, Devices: h.Fleet, Tx: st.Tx, After: st.After, Wake: h.Hub})
	var err error
	if h.Samples, err = telemetry.New(st.Samples(), telemetry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Samples.Close() })
	if h.Keys == nil {
		if h.Keys, err = pki.Create(filepath.Join(t.TempDir(), "keys"), Start.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []ident.TenantID{"acme", "other"} {
			if err := h.Fleet.CreateTenant(ctx, Start, ident.Steward("test"), fleet.Tenant{ID: tenant, TimeZone: "Europe/Paris", Mode: fleet.Live}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.Keys.Maintain(Start.Add(-time.Hour), []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Fleet.Load(ctx); err != nil {
		t.Fatal(err)
	}
	h.Tokens = pki.NewEnrollments(pki.EnrollmentOptions{Store: st.PKI(), Audit: record, Address: "127.0.0.1:7443", RootSPKI: h.Keys.RootSPKI()})
	h.Service = session.New(session.Options{
		Store: st.Session(), Fleet: h.Fleet, Keys: h.Keys, Enrollments: h.Tokens, Inventory: h.Inventory, Patches: h.Patch, Jobs: h.Jobs,
		Samples: h.Samples, Audit: record, Tx: st.Tx, Wake: h.Hub, Epoch: epoch,
	})
	return h
}

// Token makes an enrollment string and returns its token.
func (h *House) Token(t testing.TB, draft pki.Draft) []byte {
	t.Helper()
	if draft.Uses == 0 {
		draft.Uses, draft.PerMinute = 100, 1000
	}
	_, text, err := h.Tokens.Create(context.Background(), "acme", ident.Actor{Kind: ident.Person, ID: "p", Name: "Priya"}, draft, Start)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := wire.ParseEnrollment(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Token[:]
}

// NewKey makes a key and a request for it.
func NewKey(t testing.TB) (key *ecdsa.PrivateKey, csr []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

// Device is a device that was just added, with the Hello of its first session.
type Device struct {
	House *House
	Row   fleet.Device
	Peer  session.Peer
	Hello session.Hello
	Key   *ecdsa.PrivateKey
	Chain [][]byte
}

// Device enrolls a machine in tenant acme.
func (h *House) Device(t testing.TB, m session.Machine) *Device {
	t.Helper()
	key, csr := NewKey(t)
	got, err := h.Enroll(context.Background(), Start, session.EnrollRequest{Token: h.Token(t, pki.Draft{}), CSR: csr, Machine: m, AgentVersion: "1.0", From: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return &Device{
		House: h, Row: got.Device, Key: key, Chain: got.Certificates,
		Peer: session.Peer{KeyHash: got.Device.KeyHash, Tenant: got.Device.Tenant, Device: got.Device.ID, Trusted: true},
		Hello: session.Hello{ProtocolMin: 1, ProtocolMax: 1, Device: got.Device.ID, Tenant: got.Device.Tenant, Journal: "journal-1",
			NextEvent: 1, Clock: Start, Machine: m, AgentVersion: "1.0", Confirmed: map[wire.Section][32]byte{}},
	}
}

// Open opens the device's next session, as its agent does.
func (e *Device) Open(t testing.TB, now time.Time) (*session.Live, session.Welcome, *session.Goodbye) {
	t.Helper()
	e.Hello.Number++
	e.Hello.Clock = now
	live, w, bye, err := e.House.Open(context.Background(), now, e.Peer, e.Hello)
	if err != nil {
		t.Fatal(err)
	}
	if live != nil {
		e.Hello.CloneSecret = bytes.Clone(w.NextClone)
	}
	return live, w, bye
}

// Must opens a session that is not refused.
func (e *Device) Must(t testing.TB, now time.Time) (*session.Live, session.Welcome) {
	t.Helper()
	live, w, bye := e.Open(t, now)
	if bye != nil {
		t.Fatalf("refused: %+v", bye)
	}
	return live, w
}

// State is the device's row.
func (e *Device) State(t testing.TB) fleet.Device {
	t.Helper()
	d, err := e.House.Fleet.Device(context.Background(), e.Row.Tenant, e.Row.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Picture is a full change of a section, in one part.
func Picture(number uint64, at time.Time, section wire.Section, items ...wire.Item) session.Event {
	change, _ := wire.Diff(section, nil, items)
	change.Full = true
	return session.Event{Number: number, At: at, Inventory: &session.InventoryChange{Change: change, Final: true, Scanned: at}}
}

// Item makes an item of a key and pairs of names and values.
func Item(key string, facts ...string) wire.Item {
	it := wire.Item{Key: key, Facts: map[string]string{}}
	for i := 0; i < len(facts); i += 2 {
		it.Facts[facts[i]] = facts[i+1]
	}
	return it
}

// PC is a machine to enroll.
func PC() session.Machine {
	return session.Machine{Hostname: "pc-1", Serial: "S1", BoardUUID: "U1", OS: fleet.OS{Family: "windows", Name: "Windows 11", Version: "10.0"}, Arch: "amd64"}
}
