// Package fleet holds tenants, their sites and devices: who is looked after,
// where, in which mode, and which computers are there and in contact.
package fleet

import (
	"time"

	"github.com/steward-rmm/steward/server/ident"
)

// Mode is how much Steward does for a tenant.
type Mode string

// The modes. Pilot is named by the contract and not in this version.
const (
	Observe Mode = "observe" // inventory and alerts; nothing installs
	Pilot   Mode = "pilot"   // the first ring only
	Live    Mode = "live"
)

// Tenant is a customer.
type Tenant struct {
	ID        ident.TenantID `json:"slug"`
	Name      string         `json:"name"`
	TimeZone  string         `json:"time_zone"` // IANA
	Mode      Mode           `json:"mode"`
	Changed   string         `json:"changed_per_hour"` // devices changed per hour, as policy.Allowance; "" is the default
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// Site is one of a tenant's places. Every tenant has ident.MainSite.
type Site struct {
	Tenant    ident.TenantID `json:"tenant"`
	ID        ident.SiteID   `json:"slug"`
	Name      string         `json:"name"`
	TimeZone  string         `json:"time_zone"` // IANA; "" is the tenant's
	CreatedAt time.Time      `json:"created_at"`
}
