package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/pki"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/wake"
)

// Record is what is kept of a device's sessions.
type Record struct {
	Tenant         ident.TenantID
	Device         ident.DeviceID
	Journal        string
	Number         uint64 // highest session number of the journal
	Through        uint64 // highest contiguous event stored
	Epoch          uint64 // of the server that Through belongs to
	OpenedAt       time.Time
	ReportsThrough time.Time      // by the device's clock
	Desired        uint64         // version of what it should hold
	DesiredHash    []byte         // of its content
	Acknowledged   uint64         // version that the device journaled
	Wants          []wire.Section // asked for in full and not there yet
}

// Secret is what tells a key's device from its copy.
type Secret struct {
	pki.Clone
	ConflictAt time.Time // when a copy showed; zero: never
}

// Store keeps sessions.
type Store interface {
	// Record finds a device's record; found is false before its first session.
	Record(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (r Record, found bool, err error)
	// PutRecord inserts or replaces it.
	PutRecord(ctx context.Context, r Record) error
	// Advance moves Through one up from a number, if journal and session number
	// are still those; ok is false when they are not.
	Advance(ctx context.Context, r Record, from uint64) (ok bool, err error)
	// PutDesired writes Desired, DesiredHash and Acknowledged.
	PutDesired(ctx context.Context, r Record) error
	// PutProgress writes ReportsThrough and Wants.
	PutProgress(ctx context.Context, r Record) error
	// Secret is a key's secret; zero before its first Hello.
	Secret(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, key [32]byte) (Secret, error)
	// PutSecret inserts or replaces it.
	PutSecret(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, key [32]byte, s Secret) error
	// DropSecrets forgets those of all other keys of the device.
	DropSecrets(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, except [32]byte) error
}

// Devices answers for devices.
type Devices interface {
	ByKey(hash [32]byte) (fleet.Device, bool)
	Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (fleet.Device, error)
	Report(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, f fleet.Facts) error
	Transition(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID, to fleet.State, why reason.Reason, by ident.Actor) (fleet.Device, error)
}

// Contacts notes when devices are in contact.
type Contacts interface {
	Seen(now time.Time, tenant ident.TenantID, id ident.DeviceID)
	Connected(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID) error
	Disconnected(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID) error
}

// DeviceKeys gives devices their keys.
type DeviceKeys interface {
	Enroll(ctx context.Context, now time.Time, d fleet.Device) (fleet.Device, error)
	NextKey(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID, hash [32]byte) error
	KeyUsed(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, hash [32]byte) error
}

// Fleet is all three; *fleet.Service is it.
type Fleet interface {
	Devices
	Contacts
	DeviceKeys
}

// Keys are the server's; *pki.Keys is it.
type Keys interface {
	Bundle(tenant ident.TenantID) (wire.SignedBundle, error)
	IssueDevice(csr []byte, tenant ident.TenantID, device ident.DeviceID, now time.Time) ([][]byte, error)
	RenewNonce(oldKey [32]byte, now time.Time) []byte
	CheckRenewal(r pki.Renewal, now time.Time) (pki.Renewed, error)
}

// Enrollments redeems tokens; *pki.Enrollments is it.
type Enrollments interface {
	Redeem(ctx context.Context, now time.Time, a pki.Attempt,
		enroll func(ctx context.Context, e pki.Enrollment, keyHash [32]byte) (ident.DeviceID, error)) (pki.Redeemed, error)
}

// Inventory keeps pictures of devices; *inventory.Service is it.
type Inventory interface {
	Take(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, p inventory.Part) (ok bool, err error)
	Hashes(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (map[wire.Section][32]byte, error)
	Section(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, name wire.Section) (inventory.Section, error)
	Drop(tenant ident.TenantID, device ident.DeviceID)
}

// Patches keeps what is true of updates; *patch.Service is it.
type Patches interface {
	Reconcile(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) error
	Step(ctx context.Context, now time.Time, j job.Job, s job.Step) error
	Unschedule(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID, why reason.Reason) error
	Lost(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID) error
	Updates(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]patch.Update, error)
}

// Jobs are the devices' work; *job.Service is it. All are called inside a
// transaction that they join.
type Jobs interface {
	Desired(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) ([]job.Lease, []job.Cancel, error)
	MayStart(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, id ident.JobID, attempt int) (job.Answer, error)
	Step(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, s job.Step) (job.Job, error)
	JournalLost(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID) error
	DropLeases(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, held []string) (drop []string, err error)
}

// Samples keeps reports; *telemetry.Service is it.
type Samples interface {
	Define(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, defs []telemetry.Definition) ([]int, error)
	Store(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, reports []telemetry.Report) error
}

// Auditor records what device identities did.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
}

// Options are what a Service needs.
type Options struct {
	Store       Store
	Fleet       Fleet
	Keys        Keys
	Enrollments Enrollments
	Inventory   Inventory
	Patches     Patches
	Jobs        Jobs
	Samples     Samples
	Audit       Auditor
	Tx          func(ctx context.Context, f func(ctx context.Context) error) error
	Wake        *wake.Hub
	Log         *slog.Logger          // nil discards
	Registerer  prometheus.Registerer // nil keeps no metrics
	// Epoch is the server's: it changes when the database is restored.
	Epoch uint64
	// Grace is how long a device may be away before it counts as offline; 90 s.
	Grace time.Duration
	// Poll is how often what a device should hold is looked at without a hint; 2 min.
	Poll time.Duration
	// Writers is how many transactions of devices may wait for the database at
	// once, a quarter of it for one tenant when others wait; 256.
	Writers int
}
