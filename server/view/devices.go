package view

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// How far back finished updates count: DoneFor as "done" in a device's row,
// VerifiedFor in the verified share.
const (
	DoneFor     = 24 * time.Hour
	VerifiedFor = 30 * 24 * time.Hour
)

// Sort is an order of devices.
type Sort string

// The orders. The default is ByName.
const (
	ByName     Sort = "name"
	ByTenant   Sort = "tenant"
	BySite     Sort = "site"
	ByState    Sort = "state"
	ByOS       Sort = "os"
	ByLastSeen Sort = "last_seen"
	ByUpdates  Sort = "updates"
)

// Sorts lists the orders.
func Sorts() []Sort { return []Sort{ByName, ByTenant, BySite, ByState, ByOS, ByLastSeen, ByUpdates} }

// Query asks for devices. Retired ones are left out unless the filter says
// which states it wants.
type Query struct {
	Tenant     ident.TenantID // "": all of the scope
	Filter     Filter
	Sort       Sort
	Descending bool
	Cursor     string
	Limit      int // 0: DefaultLimit
	Now        time.Time
}

// Place is where a page ended: the sort key of its last row, and its id.
type Place struct {
	Text   string
	Number int64
	ID     string
}

// DeviceRow is a device in a list.
type DeviceRow struct {
	Tenant       ident.TenantID
	TenantName   string
	ID           ident.DeviceID
	Site         ident.SiteID
	SiteName     string
	Hostname     string
	Class        fleet.Class
	Tags         []string
	OS           fleet.OS
	State        fleet.State
	Reason       reason.Reason // of the state
	Since        time.Time     // of the state
	Online       bool
	OnlineSince  time.Time
	LastSeen     time.Time
	AgentVersion string
	Serial       string
	TimeZone     string // as reported, else its site's, else its tenant's
	Available    int    // open updates: what the device lacks
	States       States // of its open updates, and verified within DoneFor
	Worst        patch.State
	WorstReason  reason.Reason
	Place        Place
}

// Devices lists devices that match, and the cursor of the next page, "" at the
// end. While rows come and go no row is shown twice and none that stays is
// left out.
func (s *Service) Devices(ctx context.Context, scope ident.Scope, q Query) (rows []DeviceRow, next string, err error) {
	if q.Sort == "" {
		q.Sort = ByName
	}
	order := string(q.Sort)
	if q.Descending {
		order = "-" + order
	}
	after, err := readCursor(order, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	q.Limit = clampLimit(q.Limit)
	rows, err = s.o.Store.Devices(ctx, narrow(scope, q.Tenant), q, after)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		next = writeCursor(order, rows[q.Limit-1].Place)
	}
	return rows, next, nil
}

// CountDevices counts the devices that match; cursor, order and limit do not
// matter.
func (s *Service) CountDevices(ctx context.Context, scope ident.Scope, q Query) (int, error) {
	return s.o.Store.CountDevices(ctx, narrow(scope, q.Tenant), q)
}

func narrow(scope ident.Scope, tenant ident.TenantID) ident.Scope {
	if tenant == "" {
		return scope
	}
	return scope.Only(tenant)
}

// cursor is what a page's cursor holds, as JSON in base64: opaque to callers.
type cursor struct {
	Order  string   `json:"o"`
	Place  *Place   `json:"p,omitempty"`
	Fields []string `json:"f,omitempty"`
}

const maxCursor = 4096

func writeCursor(order string, p Place) string { return cursor{Order: order, Place: &p}.String() }

func (c cursor) String() string {
	b, _ := json.Marshal(c) // texts and numbers: cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(order, text string) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(text) <= maxCursor {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || len(text) > maxCursor || c.Order != order {
		return nil, fault.Invalidf("cursor", "not a cursor of this list").WithNext("begin again without one")
	}
	return &c, nil
}

func readCursor(order, text string) (*Place, error) {
	c, err := parseCursor(order, text)
	if err != nil || c == nil {
		return nil, err
	}
	if c.Place == nil {
		return nil, fault.Invalidf("cursor", "not a cursor of this list").WithNext("begin again without one")
	}
	return c.Place, nil
}

func readFields(order, text string, n int) ([]string, error) {
	c, err := parseCursor(order, text)
	if err != nil || c == nil {
		return nil, err
	}
	if len(c.Fields) != n {
		return nil, fault.Invalidf("cursor", "not a cursor of this list").WithNext("begin again without one")
	}
	return c.Fields, nil
}
