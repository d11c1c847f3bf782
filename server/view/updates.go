package view

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
)

// UpdateQuery asks for updates on devices. Empty fields do not restrict;
// without States it lists the open ones.
type UpdateQuery struct {
	Tenant   ident.TenantID
	Device   ident.DeviceID
	States   []patch.State
	Source   string
	Package  string // exactly
	Version  string // the available one
	Kind     inventory.Kind
	Severity string
	Cursor   string
	Limit    int
}

// UpdateRow is one update on one device.
type UpdateRow struct {
	patch.Update
	Hostname string
	Site     ident.SiteID
	TimeZone string // of the device, for its reason's times
}

const orderOfUpdates = "updates"

// Updates lists updates in order of tenant, device, source, package, version.
func (s *Service) Updates(ctx context.Context, scope ident.Scope, q UpdateQuery) (rows []UpdateRow, next string, err error) {
	after, err := readFields(orderOfUpdates, q.Cursor, 5)
	if err != nil {
		return nil, "", err
	}
	q.Limit = clampLimit(q.Limit)
	rows, err = s.o.Store.Updates(ctx, narrow(scope, q.Tenant), q, after)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		last := rows[q.Limit-1]
		next = cursor{Order: orderOfUpdates, Fields: []string{string(last.Tenant), string(last.Device), last.Source, last.Package, last.Version}}.String()
	}
	return rows, next, nil
}

// CountUpdates counts what Updates lists.
func (s *Service) CountUpdates(ctx context.Context, scope ident.Scope, q UpdateQuery) (int, error) {
	return s.o.Store.CountUpdates(ctx, narrow(scope, q.Tenant), q)
}

// Choice is what was decided of a release, over all devices of the scope that
// have it open.
type Choice string

// The choices, in the order in which they win: one undecided device makes the
// release undecided.
const (
	Undecided Choice = "undecided"
	Denied    Choice = "denied"  // on every device
	Waiting   Choice = "waiting" // on every device that does not deny it
	Approved  Choice = "approved"
)

// ChoiceOf derives the choice from the states.
func ChoiceOf(s States) Choice {
	open := s.Open()
	switch {
	case s[patch.Available] > 0:
		return Undecided
	case open > 0 && s[patch.Denied] == open:
		return Denied
	case open > 0 && s[patch.Denied]+s[patch.Waiting] == open:
		return Waiting
	}
	return Approved
}

// ReleaseQuery asks for releases that devices of the scope have open, or had
// verified within VerifiedFor. Empty fields do not restrict.
type ReleaseQuery struct {
	Tenant   ident.TenantID
	Source   string
	Package  string // part of the name
	Version  string // exactly
	Kind     inventory.Kind
	Severity string
	State    patch.State // on any device
	Choice   Choice      // only Undecided can be asked for
	Cursor   string
	Limit    int
	Now      time.Time
}

// ReleaseRow is a release with the devices that have it.
type ReleaseRow struct {
	patch.Release
	Kind      inventory.Kind
	Severity  string
	FirstSeen time.Time // anywhere
	Devices   int       // that have it open
	Tenants   int
	States    States // devices by state; Verified of the last VerifiedFor
	Choice    Choice
	Place     Place
}

const orderOfReleases = "releases"

// Releases lists releases, the newest first seen first.
func (s *Service) Releases(ctx context.Context, scope ident.Scope, q ReleaseQuery) (rows []ReleaseRow, next string, err error) {
	after, err := readCursor(orderOfReleases, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	q.Limit = clampLimit(q.Limit)
	rows, err = s.o.Store.Releases(ctx, narrow(scope, q.Tenant), q, after)
	if err != nil {
		return nil, "", err
	}
	for i := range rows {
		rows[i].Devices, rows[i].Choice = rows[i].States.Open(), ChoiceOf(rows[i].States)
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		next = writeCursor(orderOfReleases, rows[q.Limit-1].Place)
	}
	return rows, next, nil
}
