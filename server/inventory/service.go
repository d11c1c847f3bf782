package inventory

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Options are what a Service needs.
type Options struct {
	Store     Store
	Catalogue Catalogue
	Tx        func(ctx context.Context, f func(ctx context.Context) error) error
}

// Service keeps the current picture of each device.
type Service struct {
	o Options

	mu     sync.Mutex
	staged map[stageKey]*stage
}

type stageKey struct {
	tenant  ident.TenantID
	device  ident.DeviceID
	section wire.Section
}

// New makes a Service.
func New(o Options) *Service { return &Service{o: o, staged: map[stageKey]*stage{}} }

// Part is one message's worth of a change; Final marks the last. Scanned is
// when the device looked.
type Part struct {
	Change  wire.Change
	Final   bool
	Scanned time.Time
}

// Take takes in one part of a change, inside the caller's transaction. ok is
// false when the picture does not add up to the promised hash: nothing was
// changed then, and the section is wanted in full. A part that is not the last
// waits in memory; if the process ends meanwhile the hash at the end does not
// add up, and the section is asked for again.
func (s *Service) Take(ctx context.Context, now time.Time, tenant ident.TenantID, device ident.DeviceID, p Part) (ok bool, err error) {
	if err := checkPart(p); err != nil {
		return false, err
	}
	change, done, err := s.gather(now, stageKey{tenant, device, p.Change.Section}, p)
	if err != nil || !done {
		return err == nil, err
	}
	before, err := s.o.Store.Items(ctx, tenant, device, change.Section)
	if err != nil {
		return false, err
	}
	after, ok := change.Apply(before)
	if !ok {
		return false, nil
	}
	if err := checkSize(change.Section, after); err != nil {
		return false, err
	}
	sections, err := s.o.Store.Sections(ctx, tenant, device)
	if err != nil {
		return false, err
	}
	section, known := find(sections, change.Section)
	section.Name, section.Hash = change.Section, change.Hash
	if p.Scanned.After(section.ScannedAt) {
		section.ScannedAt = p.Scanned
	}
	delta, changed := wire.Diff(change.Section, before, after)
	if changed {
		section.UpdatedAt = now
		if err := s.o.Store.ChangeItems(ctx, tenant, device, delta); err != nil {
			return false, err
		}
		// The first picture is where history begins, not a thousand changes.
		if known {
			if err := s.o.Store.AddHistory(ctx, tenant, device, lines(now, change.Section, before, delta)); err != nil {
				return false, err
			}
		}
	}
	if change.Section == wire.SectionUpdates && changed {
		if err := s.o.Catalogue.See(ctx, releases(now, delta.Upsert)); err != nil {
			return false, err
		}
	}
	return true, s.o.Store.PutSection(ctx, tenant, device, section)
}

// gather adds a part to what is staged; done says that the change is whole.
func (s *Service) gather(now time.Time, key stageKey, p Part) (change wire.Change, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.staged[key]
	if (st == nil || p.Change.Full) && p.Final {
		delete(s.staged, key)
		return p.Change, true, nil
	}
	if st == nil || p.Change.Full { // only the first part of a picture in full says so
		st = &stage{change: wire.Change{Section: key.section, Full: p.Change.Full}, since: now}
		s.staged[key] = st
	}
	st.change.Upsert = append(st.change.Upsert, p.Change.Upsert...)
	st.change.Remove = append(st.change.Remove, p.Change.Remove...)
	st.change.Hash = p.Change.Hash
	st.size += sizeOf(p.Change)
	if max(len(st.change.Upsert), len(st.change.Remove)) > limit(key.section) || st.size > wire.MaxInventory {
		delete(s.staged, key)
		return wire.Change{}, false, fault.New(fault.TooMany, "section %s has more than %d items or %d bytes", key.section, limit(key.section), wire.MaxInventory)
	}
	if p.Final {
		delete(s.staged, key)
	}
	return st.change, p.Final, nil
}

// Drop forgets staged parts of a device: its session ended.
func (s *Service) Drop(tenant ident.TenantID, device ident.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.staged, func(k stageKey, _ *stage) bool { return k.tenant == tenant && k.device == device })
}

// Hashes are the hashes of the sections as last confirmed.
func (s *Service) Hashes(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (map[wire.Section][32]byte, error) {
	sections, err := s.o.Store.Sections(ctx, tenant, device)
	if err != nil {
		return nil, err
	}
	out := make(map[wire.Section][32]byte, len(sections))
	for _, sec := range sections {
		out[sec.Name] = sec.Hash
	}
	return out, nil
}

// Section is one section with its items; fault.NotFound when it never came.
func (s *Service) Section(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, name wire.Section) (Section, error) {
	sections, err := s.o.Store.Sections(ctx, tenant, device)
	if err != nil {
		return Section{}, err
	}
	sec, known := find(sections, name)
	if !known {
		return Section{}, fault.NotFoundf("the device has not sent section %s", name)
	}
	sec.Items, err = s.o.Store.Items(ctx, tenant, device, name)
	return sec, err
}

// Sections are all sections of a device with their items.
func (s *Service) Sections(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]Section, error) {
	sections, err := s.o.Store.Sections(ctx, tenant, device)
	if err != nil {
		return nil, err
	}
	for i := range sections {
		if sections[i].Items, err = s.o.Store.Items(ctx, tenant, device, sections[i].Name); err != nil {
			return nil, err
		}
	}
	return sections, nil
}

// History lists the device's changes before a number, newest first.
func (s *Service) History(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, before int64, limit int) ([]Change, error) {
	return s.o.Store.History(ctx, tenant, device, before, limit)
}

// Release finds a release in the catalogue.
func (s *Service) Release(ctx context.Context, source, pkg, version string) (Release, bool, error) {
	return s.o.Catalogue.Release(ctx, source, pkg, version)
}

// Scan is what the device's sources last said; At is zero before the first scan.
func (s *Service) Scan(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (Scan, error) {
	scan := Scan{Tenant: tenant, Device: device, Installed: map[string]string{}, Broken: map[string]string{}}
	sections, err := s.o.Store.Sections(ctx, tenant, device)
	if err != nil {
		return scan, err
	}
	updates, known := find(sections, wire.SectionUpdates)
	if !known {
		return scan, nil
	}
	scan.At = updates.ScannedAt
	for name, into := range map[wire.Section]func(wire.Item){
		wire.SectionUpdates: func(it wire.Item) { scan.Updates = append(scan.Updates, UpdateOf(it)) },
		wire.SectionSoftware: func(it wire.Item) {
			key := it.Facts[wire.FactSource] + ":" + it.Facts[wire.FactName]
			if why := it.Facts[wire.FactBroken]; why != "" {
				scan.Broken[key] = why
				return
			}
			scan.Installed[key] = it.Facts[wire.FactVersion]
		},
		wire.SectionSources: func(it wire.Item) {
			src := sourceOf(it)
			scan.Sources = append(scan.Sources, src)
			scan.RebootPend = scan.RebootPend || it.Facts["reboot"] == "true"
		},
	} {
		items, err := s.o.Store.Items(ctx, tenant, device, name)
		if err != nil {
			return scan, err
		}
		for _, it := range items {
			into(it)
		}
	}
	return scan, nil
}

// UpdateOf reads an item of section updates. A kind that this version does not
// know is unknown.
func UpdateOf(it wire.Item) Update {
	f := it.Facts
	u := Update{Source: f[wire.FactSource], Package: f[wire.FactPackage], Installed: f[wire.FactInstalled], Available: f[wire.FactAvailable],
		Kind: Kind(f[wire.FactKind]), Severity: f[wire.FactSeverity], Origin: f[wire.FactOrigin], Held: f[wire.FactHeld] == "true", Phased: f[wire.FactPhased] == "true"}
	u.SizeBytes, _ = strconv.ParseInt(f[wire.FactSize], 10, 64)
	if !u.Kind.valid() {
		u.Kind = Unknown
	}
	return u
}

func (k Kind) valid() bool {
	for _, known := range Kinds() {
		if k == known {
			return true
		}
	}
	return false
}

func sourceOf(it wire.Item) Source {
	src := Source{Name: it.Key, Available: it.Facts["state"] == "ready", Why: it.Facts["detail"], BusyWith: it.Facts["busy"]}
	src.LastRefresh, _ = time.Parse(time.RFC3339, it.Facts["last_refresh"])
	return src
}

func releases(now time.Time, items []wire.Item) []Release {
	out := make([]Release, 0, len(items))
	for _, it := range items {
		u := UpdateOf(it)
		out = append(out, Release{Source: u.Source, Package: u.Package, Version: u.Available, Kind: u.Kind, Severity: u.Severity, FirstSeen: now})
	}
	return out
}

func lines(now time.Time, section wire.Section, before []wire.Item, delta wire.Change) []Change {
	was := make(map[string]map[string]string, len(before))
	for _, it := range before {
		was[it.Key] = it.Facts
	}
	out := make([]Change, 0, len(delta.Upsert)+len(delta.Remove))
	for _, it := range delta.Upsert {
		out = append(out, Change{At: now, Section: section, Key: it.Key, Before: was[it.Key], After: it.Facts})
	}
	for _, key := range delta.Remove {
		out = append(out, Change{At: now, Section: section, Key: key, Before: was[key]})
	}
	return out
}

func find(sections []Section, name wire.Section) (Section, bool) {
	for _, s := range sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}
