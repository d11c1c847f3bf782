package fleet

import (
	"context"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/audit"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

// Devices lists a tenant's devices in order of id.
func (s *Service) Devices(ctx context.Context, tenant ident.TenantID) ([]Device, error) {
	return s.opts.Devices.Devices(ctx, tenant)
}

// Device finds a device of the tenant; fault.NotFound when there is none.
func (s *Service) Device(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (Device, error) {
	d, found, err := s.opts.Devices.Device(ctx, tenant, id)
	if err != nil {
		return Device{}, err
	}
	if !found {
		return Device{}, fault.NotFoundf("there is no device %s", id)
	}
	return d, nil
}

// Find finds a device wherever it is; the caller then checks its scope.
func (s *Service) Find(ctx context.Context, id ident.DeviceID) (Device, error) {
	return s.Device(ctx, "", id)
}

// Enroll makes the device's row, inside the caller's transaction. A machine
// whose serial and board UUID are both known and equal to those of a device of
// the same site takes over that row with its history; one that is revoked,
// retired or in conflict never is, since that is for a person to decide, and the
// hostname alone never decides.
func (s *Service) Enroll(ctx context.Context, now time.Time, d Device) (Device, error) {
	if err := CheckClass(d.Class); err != nil {
		return Device{}, err
	}
	slices.Sort(d.Tags)
	d.Tags = slices.Compact(d.Tags)
	existing, err := s.opts.Devices.Devices(ctx, d.Tenant)
	if err != nil {
		return Device{}, err
	}
	if old, same := sameMachine(existing, d); same {
		d.ID = old.ID
		d.State, d.Since = old.State, old.Since
		if d.State != Pending {
			d.State, d.Since = Pending, now
		}
	} else {
		d.ID, d.State, d.Since = ident.DeviceID(ident.New(now)), Pending, now
	}
	d.Reason = reason.New(reason.DeviceEnrolled, "enrollment", string(d.Enrollment))
	d.EnrolledAt, d.LastSeen, d.Online, d.OnlineSince = now, now, false, now
	d.NextKeyHash = [32]byte{}
	if err := s.put(ctx, d); err != nil {
		return Device{}, err
	}
	err = s.record(ctx, now, ident.Actor{Kind: ident.Device, ID: string(d.ID), Name: d.Hostname, Tenant: d.Tenant}, d.Tenant, "device.enrolled", "",
		audit.Object{Kind: "device", ID: string(d.ID), Name: d.Hostname}, map[string]string{"enrollment": string(d.Enrollment), "site": string(d.Site)})
	return d, err
}

func sameMachine(existing []Device, d Device) (Device, bool) {
	if d.Serial == "" || d.BoardUUID == "" {
		return Device{}, false
	}
	for _, old := range existing {
		if old.Serial == d.Serial && old.BoardUUID == d.BoardUUID && old.Site == d.Site && old.State != Retired && old.State != Revoked && old.State != Conflict {
			return old, true
		}
	}
	return Device{}, false
}

// Transition is the one door of device states. People's moves are audited.
func (s *Service) Transition(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID, to State, why reason.Reason, by ident.Actor) (Device, error) {
	return s.change(ctx, tenant, id, func(ctx context.Context, d Device) (Device, bool, error) {
		moved, changed, err := d.Move(to, why, now)
		if err != nil || !changed {
			return d, false, err
		}
		return moved, true, s.record(ctx, now, by, tenant, "device."+string(to), why.Text(time.UTC),
			audit.Object{Kind: "device", ID: string(id), Name: d.Hostname}, map[string]string{"from": string(d.State)})
	})
}

// Revoke cuts the device off until it is readmitted.
func (s *Service) Revoke(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (Device, error) {
	return s.Transition(ctx, now, tenant, id, Revoked, reason.New(reason.DeviceRevoked, "by", by.Name, "why", why), by)
}

// Readmit lets a revoked device, or one in conflict, connect again.
func (s *Service) Readmit(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (Device, error) {
	return s.Transition(ctx, now, tenant, id, Active, reason.New(reason.DeviceReadmitted, "by", by.Name, "why", why), by)
}

// Retire ends the device for good; its key never returns.
func (s *Service) Retire(ctx context.Context, now time.Time, by ident.Actor, tenant ident.TenantID, id ident.DeviceID, why string) (Device, error) {
	return s.Transition(ctx, now, tenant, id, Retired, reason.New(reason.DeviceRetired, "by", by.Name, "why", why), by)
}

// NextKey remembers the key of a renewed certificate; the old one stays good
// until KeyUsed.
func (s *Service) NextKey(ctx context.Context, now time.Time, tenant ident.TenantID, id ident.DeviceID, hash [32]byte) error {
	_, err := s.change(ctx, tenant, id, func(_ context.Context, d Device) (Device, bool, error) {
		if d.KeyHash == hash || d.NextKeyHash == hash {
			return d, false, nil
		}
		d.NextKeyHash = hash
		return d, true, nil
	})
	return err
}

// KeyUsed makes the renewed key the only one once it has opened a session.
func (s *Service) KeyUsed(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, hash [32]byte) error {
	if d, ok := s.Known(tenant, id); ok && d.KeyHash == hash {
		return nil
	}
	_, err := s.change(ctx, tenant, id, func(_ context.Context, d Device) (Device, bool, error) {
		if d.NextKeyHash != hash {
			return d, false, nil
		}
		d.KeyHash, d.NextKeyHash = hash, [32]byte{}
		return d, true, nil
	})
	return err
}

// Facts are what a device says of itself in Hello and inventory; an empty
// value leaves the known one.
type Facts struct {
	Hostname, Serial, BoardUUID, Arch, TimeZone, AgentVersion string
	OS                                                        OS
}

// Report takes in what a device says of itself.
func (s *Service) Report(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, f Facts) error {
	if d, ok := s.Known(tenant, id); ok && f.over(d).same(d) {
		return nil
	}
	_, err := s.change(ctx, tenant, id, func(_ context.Context, d Device) (Device, bool, error) {
		next := f.over(d)
		return next, !next.same(d), nil
	})
	return err
}

func (f Facts) over(d Device) Device {
	for _, p := range []struct {
		to   *string
		from string
	}{
		{&d.Hostname, f.Hostname}, {&d.Serial, f.Serial}, {&d.BoardUUID, f.BoardUUID}, {&d.Arch, f.Arch}, {&d.TimeZone, f.TimeZone},
		{&d.AgentVersion, f.AgentVersion}, {&d.OS.Family, f.OS.Family}, {&d.OS.Name, f.OS.Name}, {&d.OS.Version, f.OS.Version},
	} {
		if p.from != "" {
			*p.to = p.from
		}
	}
	return d
}

func (d Device) same(o Device) bool {
	return d.Hostname == o.Hostname && d.Serial == o.Serial && d.BoardUUID == o.BoardUUID && d.Arch == o.Arch &&
		d.TimeZone == o.TimeZone && d.AgentVersion == o.AgentVersion && d.OS == o.OS
}

// change loads the device, lets f change it, and writes and remembers it.
func (s *Service) change(ctx context.Context, tenant ident.TenantID, id ident.DeviceID, f func(context.Context, Device) (Device, bool, error)) (Device, error) {
	var out Device
	err := s.opts.Tx(ctx, func(ctx context.Context) error {
		d, err := s.Device(ctx, tenant, id)
		if err != nil {
			return err
		}
		next, changed, err := f(ctx, d)
		out = next
		if err != nil || !changed {
			return err
		}
		return s.put(ctx, next)
	})
	return out, err
}

// put writes the row, and once that is committed the memory.
func (s *Service) put(ctx context.Context, d Device) error {
	if err := s.opts.Devices.PutDevice(ctx, d); err != nil {
		return err
	}
	s.opts.After(ctx, func() {
		s.mu.Lock()
		s.remember(d)
		s.mu.Unlock()
		s.told(d.Tenant)
	})
	return nil
}
