// Package policy holds patch policies: documents at the levels of the MSP, a
// tenant and a site, how they combine for a device, and what they decide for
// a release. All of its decisions are pure.
package policy

import (
	"encoding/json"
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/window"
)

// Document is a stored policy document: only the fields that it states. One of
// the same name at a lower level holds differences.
type Document struct {
	Tenant    ident.TenantID // ident.MSP: the MSP's level
	Site      ident.SiteID   // "": the tenant's level
	Name      string
	Fields    map[string]json.RawMessage // field name of the YAML → value as JSON
	Lock      []string                   // fields that lower levels may not change
	Off       bool                       // switches an inherited document off below
	Version   int64                      // rises with each change
	UpdatedAt time.Time
	UpdatedBy ident.Actor
}

// Level says from where a value comes: the tenant and site of the document,
// or the zero value for a default.
type Level struct {
	Tenant ident.TenantID `json:"tenant,omitempty"`
	Site   ident.SiteID   `json:"site,omitempty"`
	Locked bool           `json:"locked,omitempty"`
}

// Effective is a policy as it holds for a device: every field resolved from
// the general to the particular, with where it came from.
type Effective struct {
	Name    string
	Tenant  ident.TenantID // of the most general document
	Depth   int            // of the most particular document: 0 MSP, 1 tenant, 2 site
	Patch   Patch
	Windows window.Set       // Patch.Windows, compiled
	Origins map[string]Level // field name → level; absent: the default
}

// Patch is the body of a PatchPolicy with its defaults filled in.
type Patch struct {
	Targets   Targets       `json:"targets"`
	Sources   []string      `json:"sources"`
	Approvals []Rule        `json:"approvals"`
	Windows   []window.Rule `json:"windows"`
	Rings     []Ring        `json:"rings"`
	Limits    Limits        `json:"limits"`
	Jitter    *Duration     `json:"jitter"` // nil: a quarter of the window, at most 30 min
	Reboot    Reboot        `json:"reboot"`
	Alone     Alone         `json:"alone"`
}

// Targets says which devices a policy covers; an empty list does not restrict.
type Targets struct {
	Class       []fleet.Class `json:"class,omitempty"`
	Tags        []string      `json:"tags,omitempty"` // all of them
	ExcludeTags []string      `json:"exclude_tags,omitempty"`
}

// Action is what an approval rule or a person decides for a release.
type Action string

// The actions. Manual leaves it to a person.
const (
	Approve Action = "approve"
	Deny    Action = "deny"
	Wait    Action = "wait"
	Manual  Action = "manual"
)

// Match selects releases; its keys are AND, {} matches everything. Package is
// a glob (path.Match).
type Match struct {
	Source   string         `json:"source,omitempty"`
	Package  string         `json:"package,omitempty"`
	Kind     inventory.Kind `json:"kind,omitempty"` // "security" also matches security-exploited
	Severity string         `json:"severity,omitempty"`
}

// Rule is an approval rule; the first that matches decides.
type Rule struct {
	Match  Match    `json:"match"`
	Action Action   `json:"action"`
	For    Duration `json:"for,omitempty"` // of Wait: since the release was first seen
	Reason string   `json:"reason,omitempty"`
}

// Ring is a share of the targets that goes before the next. Shares are
// cumulative and strictly rising; the last is 100 %.
type Ring struct {
	Name        string   `json:"name"`
	Share       Percent  `json:"share,omitempty"`
	Tags        []string `json:"tags,omitempty"` // instead of a share: devices with any of them
	Soak        Duration `json:"soak,omitempty"`
	MinVerified Percent  `json:"min_verified,omitempty"` // default 60 %
}

// Limits bound how much of a ring is under way and how much may fail.
type Limits struct {
	InFlight Percent   `json:"in_flight"`
	Failures Allowance `json:"failures"`
}

// Reboot says whether jobs may restart the machine. Only never in this version.
type Reboot struct {
	When string `json:"when"`
}

// Alone says whether leases may start without contact.
type Alone string

// The values of alone.
const (
	AloneNever    Alone = "never"
	AloneLastRing Alone = "last-ring"
)

// Decision is what a policy and the people's decisions say of one release on
// one device, with the reason that a person reads.
type Decision struct {
	Action Action
	Until  time.Time // of Wait
}

// Manually is a decision by hand: it wins over every rule, deny over approve.
type Manually struct {
	Tenant  ident.TenantID // ident.MSP: for all tenants, but for those in Except
	ID      string
	Except  []ident.TenantID
	Action  Action
	Source  string
	Package string // glob
	Version string // "" is every version
	Days    int    // of Wait
	Reason  string
	Expires time.Time // zero: never
	By      ident.Actor
	At      time.Time
}
