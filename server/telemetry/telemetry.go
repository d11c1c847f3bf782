// Package telemetry keeps what devices measure: the latest value of every
// series in memory, a tail of whole reports, and compressed blocks of older
// ones. A report is stored as one row, since a device measures all its series
// at the same moments; a compactor turns full stretches of rows into blocks
// (docs/formats/block.md).
package telemetry

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// MaxDefinitions is the number of series a device may have had over time.
const MaxDefinitions = 4 * wire.MaxSeries

// Definition says what the values of a series are.
type Definition struct {
	Signal     string            `json:"signal"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Unit       string            `json:"unit"`       // UCUM
	Resolution float64           `json:"resolution"` // the step in which values are kept, in Unit
}

// Key is one text for the definition: equal ones have equal keys.
func (d Definition) Key() string {
	b, err := json.Marshal(d) // maps are written in the order of their keys
	if err != nil {
		return "" // a resolution that is no number; Check refuses it before
	}
	return string(b)
}

// Check refuses a definition that values cannot be kept by.
func (d Definition) Check() error {
	if d.Signal == "" {
		return fault.Invalidf("signal", "is empty")
	}
	if !(d.Resolution > 0) || math.IsInf(d.Resolution, 0) {
		return fault.Invalidf("resolution", "of %s is %v, not a positive number", d.Signal, d.Resolution)
	}
	return nil
}

// Value is one value of the series with this number in its device's dictionary.
type Value struct {
	Series int
	V      float64
}

// Report is all values of one moment, which is rounded to the second.
type Report struct {
	Device ident.DeviceID
	At     time.Time
	Values []Value
}

// Point is one value of a series at its time.
type Point struct {
	At time.Time
	V  float64
}

// Series is a stretch of one series, its points in the order of time. A moment
// without a value has no point.
type Series struct {
	Signal     string
	Attributes map[string]string
	Unit       string
	Points     []Point
}

// Reading is the latest value of a series.
type Reading struct {
	Signal     string
	Attributes map[string]string
	Unit       string
	Point
}

// Row is a stored report.
type Row struct {
	At   time.Time // whole seconds
	Data []byte
}

// StoredBlock is a stored block with the times of its first and last report.
type StoredBlock struct {
	First, Last time.Time
	Data        []byte
}

// Start is what a device's memory is refilled from.
type Start struct {
	Tenant      ident.TenantID
	Device      ident.DeviceID
	Definitions map[int]Definition
	Oldest      time.Time // of the tail's rows; zero when the tail is empty
	Last        Row       // the tail's last row; no Data when the tail is empty
	Block       []byte    // the last block, only when the tail is empty
}

// Store keeps samples. Its methods open their own transactions.
type Store interface {
	// Define gives each definition a number from 1 that stays, unless it has
	// one, and returns the device's whole dictionary.
	Define(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, defs []Definition) (map[int]Definition, error)
	// Append adds rows to the tail; a row of a time that is there is left out.
	// It returns how many were new.
	Append(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, rows []Row) (int, error)
	// Stretch returns the blocks that overlap from ≤ t ≤ to and the tail's rows
	// in it, each in the order of time.
	Stretch(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, from, to time.Time) ([]StoredBlock, []Row, error)
	// Compact adds blocks and removes the tail's rows of from ≤ t ≤ to, in one
	// transaction, if there are exactly so many rows; else it fails.
	Compact(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, blocks []StoredBlock, from, to time.Time, rows int) error
	// Starts calls yield for every device that has a dictionary.
	Starts(ctx context.Context, yield func(Start) error) error
	// Forget removes rows before the time and blocks that end before it, of one
	// tenant, or of all when tenant is empty. It returns how many it removed.
	Forget(ctx context.Context, tenant ident.TenantID, before time.Time) (int, error)
	// Drop removes everything of a device.
	Drop(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) error
}
