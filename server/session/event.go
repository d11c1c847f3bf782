package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// core are the sections that make a pending device active.
func core() []wire.Section {
	return []wire.Section{wire.SectionSystem, wire.SectionOS, wire.SectionSoftware, wire.SectionUpdates}
}

var errFenced = errors.New("another session of the device has taken over")

// Event takes in an event once and in order: its effect and the highest number
// in one transaction. A lower number is acknowledged again; a gap is answered
// by Resend, once for each time that the device passes it.
func (l *Live) Event(ctx context.Context, now time.Time, e Event) (Outcome, error) {
	d, err := l.hear(now)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case e.Number <= l.through:
		return Outcome{Through: l.through}, nil
	case e.Number > l.through+1:
		again := e.Number > l.gap && l.gap != 0
		l.gap = e.Number
		if again {
			return Outcome{Through: l.through}, nil
		}
		return Outcome{Through: l.through, Resend: l.through + 1}, nil
	}
	l.gap = 0
	if err := l.limits(now, &e); err != nil {
		return Outcome{}, err
	}
	var want []wire.Section
	err = l.advance(ctx, func(ctx context.Context) (err error) {
		want, err = l.effect(ctx, now, d, e)
		return err
	})
	if refused(err) {
		if after := l.malformed.take(now, malformedBurst, malformedEvery); after > 0 {
			return Outcome{}, l.overLimit(limitMalformed, after, "too much at once that cannot be taken in")
		}
		// It would come again for ever: count it, and go on without it.
		l.s.count(limitMalformed)
		l.s.o.Log.Warn("an event of a device was not taken in", "tenant", l.ref.Tenant, "device", l.ref.Device, "number", e.Number, "error", err)
		want, err = nil, l.advance(ctx, func(context.Context) error { return nil })
	}
	if errors.Is(err, errFenced) {
		l.End(superseded())
		return Outcome{}, ErrEnded
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("event %d of device %s: %w", e.Number, l.ref.Device, err)
	}
	l.through = e.Number
	l.s.events.Inc()
	l.note(e, want)
	return Outcome{Through: l.through, Want: want}, nil
}

// refused reports whether an error is about what the device sent.
func refused(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden, fault.TooMany:
		return err != nil
	}
	return false
}

// advance runs an effect and moves the highest number up by one.
func (l *Live) advance(ctx context.Context, effect func(ctx context.Context) error) error {
	return l.s.tx(ctx, l.ref.Tenant, func(ctx context.Context) error {
		ok, err := l.s.o.Store.Advance(ctx, Record{Tenant: l.ref.Tenant, Device: l.ref.Device, Journal: l.journal, Number: l.number}, l.through)
		if err != nil {
			return err
		}
		if !ok {
			return errFenced
		}
		return effect(ctx)
	})
}

// limits refuses what comes too often, and empties what is too large.
func (l *Live) limits(now time.Time, e *Event) error {
	if c := e.Inventory; c != nil && c.Change.Full && l.wants[c.Change.Section] == wantAsked {
		l.wants[c.Change.Section] = wantComes
	}
	// A section that is none is refused later; to remember it would let a device
	// fill the memory with names.
	if c := e.Inventory; c != nil && c.Final && l.wants[c.Change.Section] != wantComes && slices.Contains(wire.Sections(), c.Change.Section) {
		b := l.inventory[c.Change.Section]
		if b == nil {
			b = &bucket{}
			l.inventory[c.Change.Section] = b
		}
		if after := b.take(now, inventoryBurst, wire.MinInventoryInterval); after > 0 {
			return l.overLimit(limitInventory, after, fmt.Sprintf("section %s changes more than once in %v", c.Change.Section, wire.MinInventoryInterval))
		}
	}
	if j := e.Job; j != nil && j.Kind == job.StepLog {
		if j.Job != l.logJob {
			l.logJob, l.logBytes = j.Job, 0
		}
		l.logBytes += len(j.Text)
		if len(j.Text) > wire.MaxStepLog || l.logBytes > wire.MaxJobLog {
			l.s.count(limitJobLog)
			e.Job = nil
		}
	}
	return nil
}

// note remembers what an event that was taken in means for the next ones.
func (l *Live) note(e Event, want []wire.Section) {
	if c := e.Inventory; c != nil && c.Final && l.wants[c.Change.Section] == wantComes {
		delete(l.wants, c.Change.Section)
	}
	for _, section := range want {
		l.wants[section] = wantAsked
	}
}

// effect is what an event does, inside its transaction.
func (l *Live) effect(ctx context.Context, now time.Time, d fleet.Device, e Event) ([]wire.Section, error) {
	switch {
	case e.Malformed != nil:
		return nil, fault.Invalidf("event", "%v", e.Malformed)
	case e.Job != nil:
		return nil, l.jobStep(ctx, now, *e.Job)
	case e.Inventory != nil:
		return l.change(ctx, now, d, *e.Inventory)
	}
	return nil, nil
}

// clock corrects a time of the device's clock; what lies ahead is now.
func (l *Live) clock(now, at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	if at = at.Add(l.offset); at.After(now) {
		return now
	}
	return at
}

func (l *Live) jobStep(ctx context.Context, now time.Time, step job.Step) error {
	step.At = l.clock(now, step.At)
	if step.At.IsZero() {
		step.At = now
	}
	s := l.s
	j, err := s.o.Jobs.Step(ctx, now, l.ref.Tenant, l.ref.Device, step)
	if err != nil {
		return err
	}
	if err := s.o.Patches.Step(ctx, now, j, step); err != nil {
		return err
	}
	if j.State.Final() {
		return s.o.Patches.Unschedule(ctx, now, l.ref.Tenant, l.ref.Device, j.ID, j.Reason)
	}
	return nil
}

func (l *Live) change(ctx context.Context, now time.Time, d fleet.Device, c InventoryChange) ([]wire.Section, error) {
	s, section := l.s, c.Change.Section
	ok, err := s.o.Inventory.Take(ctx, now, l.ref.Tenant, l.ref.Device,
		inventory.Part{Change: c.Change, Final: c.Final, Scanned: l.clock(now, c.Scanned)})
	if err != nil {
		return nil, err
	}
	if !ok {
		switch l.wants[section] {
		case wantAsked:
			return nil, nil
		case wantComes: // asking once more would give the same
			return nil, fault.Invalidf(string(section), "the full section does not have the hash that it promised")
		}
		return []wire.Section{section}, l.putWants(ctx, section, "")
	}
	if !c.Final {
		return nil, nil
	}
	if l.wants[section] == wantComes {
		if err := l.putWants(ctx, "", section); err != nil {
			return nil, err
		}
	}
	switch section {
	case wire.SectionUpdates, wire.SectionSoftware, wire.SectionSources:
		if err := s.o.Patches.Reconcile(ctx, now, l.ref.Tenant, l.ref.Device); err != nil {
			return nil, err
		}
	case wire.SectionSystem, wire.SectionOS:
		if err := l.reportFacts(ctx, section); err != nil {
			return nil, err
		}
	}
	if d.State == fleet.Pending {
		return nil, s.complete(ctx, now, l.ref)
	}
	return nil, nil
}

// putWants keeps which sections are asked for, so that a lost connection does
// not lose the question.
func (l *Live) putWants(ctx context.Context, more, less wire.Section) error {
	r := Record{Tenant: l.ref.Tenant, Device: l.ref.Device, ReportsThrough: l.stored.told}
	for _, section := range wire.Sections() {
		if _, asked := l.wants[section]; (asked || section == more) && section != less {
			r.Wants = append(r.Wants, section)
		}
	}
	return l.s.o.Store.PutProgress(ctx, r)
}

// reportFacts tells the fleet what the sections say of the machine.
func (l *Live) reportFacts(ctx context.Context, section wire.Section) error {
	sec, err := l.s.o.Inventory.Section(ctx, l.ref.Tenant, l.ref.Device, section)
	if err != nil || len(sec.Items) == 0 {
		return err
	}
	f, m := sec.Items[0].Facts, Machine{}
	if section == wire.SectionSystem {
		m = Machine{Hostname: f["hostname"], Serial: f["serial"], BoardUUID: f["uuid"]}
	} else {
		m = Machine{OS: fleet.OS{Family: f["family"], Name: f["name"], Version: f["version"]}, Arch: f["arch"], TimeZone: f["time_zone"]}
	}
	return l.s.o.Fleet.Report(ctx, l.ref.Tenant, l.ref.Device, facts(m, ""))
}

// complete makes a pending device active once its core sections are there.
func (s *Service) complete(ctx context.Context, now time.Time, ref fleet.Ref) error {
	have, err := s.o.Inventory.Hashes(ctx, ref.Tenant, ref.Device)
	if err != nil {
		return err
	}
	for _, section := range core() {
		if _, there := have[section]; !there {
			return nil
		}
	}
	current, err := s.o.Fleet.Device(ctx, ref.Tenant, ref.Device)
	if err != nil || current.State != fleet.Pending {
		return err
	}
	_, err = s.o.Fleet.Transition(ctx, now, ref.Tenant, ref.Device, fleet.Active, reason.New(reason.DeviceInventory), ident.Steward("session"))
	return err
}
