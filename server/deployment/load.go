package deployment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steward-rmm/steward/server/deployment/rollout"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// memory keeps what seldom changes between looks: resolved policies by
// revision, what the catalogue says of a release, durations, zones.
type memory struct {
	mu       sync.Mutex
	policies map[ident.TenantID]resolved
	releases map[patch.Release]inventory.Release
	minutes  map[patch.Release]learned
	presence map[ident.TenantID]presence
	zones    map[string]*time.Location
	sizes    map[ident.TenantID]int // devices of each tenant at its last look
}

type resolved struct {
	revision string
	sites    string // their names
	policies map[ident.SiteID][]policy.Effective
	hand     []policy.Manually
}

type learned struct {
	took  time.Duration
	known bool
	at    time.Time
}

type presence struct {
	at        time.Time
	irregular map[rollout.Seat]bool
}

// learnAgain is how long a learned duration or a share of presence is used.
const learnAgain = 6 * time.Hour

func newMemory() memory {
	return memory{policies: map[ident.TenantID]resolved{}, releases: map[patch.Release]inventory.Release{}, minutes: map[patch.Release]learned{},
		presence: map[ident.TenantID]presence{}, zones: map[string]*time.Location{}, sizes: map[ident.TenantID]int{}}
}

// zone is fleet.Location with a memory: reading a zone's file is slow, and
// equal zones must be the same pointer.
func (m *memory) zone(t fleet.Tenant, site fleet.Site, d fleet.Device) *time.Location {
	names := d.TimeZone + "|" + site.TimeZone + "|" + t.TimeZone
	m.mu.Lock()
	defer m.mu.Unlock()
	if loc, ok := m.zones[names]; ok {
		return loc
	}
	loc := fleet.Location(t, site, d)
	if same, ok := m.zones[loc.String()]; ok {
		loc = same
	}
	m.zones[loc.String()], m.zones[names] = loc, loc
	return loc
}

// load reads one tenant's World.
func (s *Service) load(ctx context.Context, now time.Time, tenant ident.TenantID) (*World, error) {
	w, sites, err := s.frame(ctx, tenant)
	if err != nil {
		return nil, err
	}
	devices, err := s.o.Fleet.Devices(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("load devices: %w", err)
	}
	for _, d := range devices {
		if d.State != fleet.Retired {
			w.Devices = append(w.Devices, s.located(w.Tenant, sites, d))
		}
	}
	slices.SortFunc(w.Devices, func(a, b Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if w.Updates, err = s.o.Updates.Open(ctx, tenant); err != nil {
		return nil, fmt.Errorf("load updates: %w", err)
	}
	slices.SortStableFunc(w.Updates, func(a, b patch.Update) int { return strings.Compare(string(a.Device), string(b.Device)) })
	if w.Jobs, err = s.o.Jobs.Open(ctx, now, tenant); err != nil {
		return nil, fmt.Errorf("load jobs: %w", err)
	}
	if w.Deployments, err = s.o.Store.Running(ctx, tenant); err != nil {
		return nil, fmt.Errorf("load deployments: %w", err)
	}
	asked := openReleases(w.Updates)
	for i := range w.Jobs { // a device that was late is verified and no longer open
		for _, r := range w.Jobs[i].Releases {
			asked = append(asked, patch.Release{Source: r.Source, Package: r.Package, Version: r.Version})
		}
	}
	ended, err := s.o.Store.Ended(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("load ended deployments: %w", err)
	}
	w.Deployments = append(w.Deployments, ended...)
	if err := s.releases(ctx, now, w); err != nil {
		return nil, err
	}
	s.known.mu.Lock()
	s.known.sizes[tenant] = len(w.Devices)
	s.known.mu.Unlock()
	w.Irregular, err = s.irregular(ctx, now, w)
	return w, err
}

// frame is a World with what does not depend on devices.
func (s *Service) frame(ctx context.Context, tenant ident.TenantID) (*World, map[ident.SiteID]fleet.Site, error) {
	t, err := s.o.Fleet.Tenant(ctx, tenant)
	if err != nil {
		return nil, nil, fmt.Errorf("load tenant: %w", err)
	}
	list, err := s.o.Fleet.Sites(ctx, tenant)
	if err != nil {
		return nil, nil, fmt.Errorf("load sites: %w", err)
	}
	sites := make(map[ident.SiteID]fleet.Site, len(list))
	names := ""
	for _, site := range list {
		sites[site.ID] = site
		names += "/" + string(site.ID)
	}
	r, err := s.resolve(ctx, tenant, list, names)
	if err != nil {
		return nil, nil, err
	}
	return &World{Tenant: t, Policies: r.policies, Hand: r.hand, Releases: map[patch.Release]inventory.Release{}, Minutes: map[patch.Release]time.Duration{},
		Blast: Blast{Server: s.o.ServerLimit}}, sites, nil
}

// resolve gives the policies of all sites, worked out once for a revision.
func (s *Service) resolve(ctx context.Context, tenant ident.TenantID, sites []fleet.Site, names string) (resolved, error) {
	revision, err := s.o.Policies.Revision(ctx, tenant)
	if err != nil {
		return resolved{}, fmt.Errorf("revision of policies: %w", err)
	}
	s.known.mu.Lock()
	old := s.known.policies[tenant]
	s.known.mu.Unlock()
	if old.revision == revision && old.sites == names && old.policies != nil {
		return old, nil
	}
	docs, err := s.o.Policies.Documents(ctx, tenant)
	if err != nil {
		return resolved{}, fmt.Errorf("load policies: %w", err)
	}
	r := resolved{revision: revision, sites: names, policies: map[ident.SiteID][]policy.Effective{}}
	for _, site := range append([]fleet.Site{{}}, sites...) {
		if r.policies[site.ID], err = policy.Resolve(tenant, site.ID, docs); err != nil {
			return resolved{}, fmt.Errorf("resolve policies of site %q: %w", site.ID, err)
		}
	}
	if r.hand, err = s.o.Policies.Decisions(ctx, tenant); err != nil {
		return resolved{}, fmt.Errorf("load decisions: %w", err)
	}
	s.known.mu.Lock()
	s.known.policies[tenant] = r
	s.known.mu.Unlock()
	return r, nil
}

func (s *Service) located(t fleet.Tenant, sites map[ident.SiteID]fleet.Site, d fleet.Device) Device {
	site := sites[d.Site]
	return Device{Device: d, Zone: s.known.zone(t, site, d), SiteZone: s.known.zone(t, site, fleet.Device{})}
}

func openReleases(updates []patch.Update) []patch.Release {
	seen := map[patch.Release]bool{}
	var out []patch.Release
	for i := range updates {
		if r := updates[i].Release; !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}

// releases fills in what is known of the open releases.
func (s *Service) releases(ctx context.Context, now time.Time, w *World) error {
	own := make(map[patch.Release]*patch.Update, len(w.Updates))
	for i := range w.Updates {
		own[w.Updates[i].Release] = &w.Updates[i]
	}
	for _, r := range openReleases(w.Updates) {
		s.known.mu.Lock()
		rel, have := s.known.releases[r]
		took, fresh := s.known.minutes[r]
		s.known.mu.Unlock()
		if !have {
			var err error
			if rel, have, err = s.o.Inventory.Release(ctx, r.Source, r.Package, r.Version); err != nil {
				return fmt.Errorf("catalogue of %s %s: %w", r.Source, r.Package, err)
			}
		}
		if !fresh || now.Sub(took.at) > learnAgain {
			minutes, known, err := s.o.Updates.Minutes(ctx, r)
			if err != nil {
				return fmt.Errorf("learned duration of %s %s: %w", r.Source, r.Package, err)
			}
			took = learned{minutes, known, now}
		}
		s.known.mu.Lock()
		if len(s.known.releases) > maxKnown {
			clear(s.known.releases)
			clear(s.known.minutes)
		}
		if have {
			s.known.releases[r] = rel
			w.Releases[r] = rel.As(own[r].Kind, own[r].Severity)
		}
		s.known.minutes[r] = took
		s.known.mu.Unlock()
		if took.known {
			w.Minutes[r] = took.took
		}
	}
	return nil
}

// maxKnown bounds the releases kept in memory; beyond it they are read again.
const maxKnown = 50_000
