package view

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/reason"
)

// EventKind is what an event of a device's timeline is about.
type EventKind string

// The kinds. At the same moment they come in this order.
const (
	EventUpdate    EventKind = "update"
	EventJob       EventKind = "job"
	EventInventory EventKind = "inventory"
	EventPresence  EventKind = "presence"
	EventDevice    EventKind = "device" // a change of its state, by whom
)

// EventKinds lists the kinds in their order.
func EventKinds() []EventKind {
	return []EventKind{EventUpdate, EventJob, EventInventory, EventPresence, EventDevice}
}

// Event is one line of a device's timeline.
type Event struct {
	At   time.Time
	Kind EventKind
	ID   string // within its kind, sorts by time

	From, To string        // states of an update or job; of presence: online, offline
	Reason   reason.Reason // of an update or job
	Release  patch.Release // of an update
	Job      ident.JobID

	Section, Key  string // of the inventory
	Before, After map[string]string

	By     ident.Actor // of a device's state
	Action string      // "device.revoked"
	Why    string
}

// Mark is where a page of events ended. The zero value is the beginning.
type Mark struct {
	At   time.Time
	Kind EventKind
	ID   string
}

// Number pads a history's number, so that ids of a kind sort as text.
func Number(seq int64) string {
	text := strconv.FormatInt(seq, 10)
	return "0000000000000000000"[min(len(text), 19):] + text
}

// Bound is below which id events of the kind at the moment of the mark are
// still to come: all of them, none ("") or those before an id.
func (m Mark) Bound(kind EventKind) string {
	const all = "~" // sorts after digits and letters
	switch c := cmp.Compare(slices.Index(EventKinds(), kind), slices.Index(EventKinds(), m.Kind)); {
	case m.At.IsZero(), c > 0:
		return all
	case c < 0:
		return ""
	}
	return m.ID
}

// order is newest first; at one moment by kind, then the later number first.
func (e Event) order(o Event) int {
	return cmp.Or(o.At.Compare(e.At), cmp.Compare(slices.Index(EventKinds(), e.Kind), slices.Index(EventKinds(), o.Kind)), cmp.Compare(o.ID, e.ID))
}

const orderOfEvents = "timeline"

// Timeline merges a device's histories, newest first, and returns the cursor
// of the next page, "" at the end.
func (s *Service) Timeline(ctx context.Context, scope ident.Scope, tenant ident.TenantID, id ident.DeviceID, page string, limit int) (events []Event, next string, err error) {
	d, err := s.o.Fleet.Device(ctx, tenant, id)
	if err != nil {
		return nil, "", err
	}
	if !scope.HasSite(tenant, d.Site) {
		return nil, "", missing()
	}
	after, err := readMark(page)
	if err != nil {
		return nil, "", err
	}
	limit = clampLimit(limit)
	events, err = s.o.Store.Events(ctx, tenant, id, after, limit)
	if err != nil {
		return nil, "", err
	}
	more, err := s.stateEvents(ctx, scope.Only(tenant), id, after, limit)
	if err != nil {
		return nil, "", err
	}
	events = append(events, more...)
	slices.SortStableFunc(events, Event.order)
	if len(events) > limit {
		events = events[:limit]
		last := events[limit-1]
		next = cursor{Order: orderOfEvents, Fields: []string{strconv.FormatInt(last.At.UnixMilli(), 10), string(last.Kind), last.ID}}.String()
	}
	return events, next, nil
}

func readMark(page string) (Mark, error) {
	fields, err := readFields(orderOfEvents, page, 3)
	if err != nil || fields == nil {
		return Mark{}, err
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || !slices.Contains(EventKinds(), EventKind(fields[1])) {
		_, err = parseCursor(orderOfEvents, "!")
		return Mark{}, err
	}
	return Mark{At: time.UnixMilli(at).UTC(), Kind: EventKind(fields[1]), ID: fields[2]}, nil
}

// stateEvents are the changes of the device's state, which the record keeps.
func (s *Service) stateEvents(ctx context.Context, scope ident.Scope, id ident.DeviceID, after Mark, limit int) ([]Event, error) {
	if s.o.Record == nil {
		return nil, nil
	}
	f := audit.Filter{ObjectKind: "device", ObjectID: string(id)}
	if !after.At.IsZero() {
		f.To = after.At.Add(time.Millisecond)
	}
	list, _, err := s.o.Record.List(ctx, scope, f, "", limit+1)
	if err != nil {
		return nil, err
	}
	var events []Event
	for _, e := range list {
		if !after.At.IsZero() && e.At.Equal(after.At) && string(e.ID) >= after.Bound(EventDevice) {
			continue
		}
		events = append(events, Event{At: e.At, Kind: EventDevice, ID: string(e.ID), By: e.Actor, Action: e.Action, Why: e.Reason, From: e.Detail["from"]})
	}
	return events, nil
}
