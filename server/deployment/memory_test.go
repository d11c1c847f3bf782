package deployment

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
)

// memoryStore keeps deployments as the store does.
type memoryStore struct {
	heads   map[ident.DeploymentID]Deployment // without members
	members map[ident.DeploymentID]map[ident.DeviceID]Member
	history map[ident.DeploymentID][]Transition
	// Switches that break a rule on purpose.
	opensAll     bool // every ring is opened as soon as it is written
	forgetsState bool // what is written of rings and state is lost
}

func newMemoryStore() *memoryStore {
	return &memoryStore{heads: map[ident.DeploymentID]Deployment{}, members: map[ident.DeploymentID]map[ident.DeviceID]Member{}, history: map[ident.DeploymentID][]Transition{}}
}

func (m *memoryStore) list(tenant ident.TenantID, want func(Deployment) bool, member func(Member) bool) (out []Deployment) {
	for _, id := range slices.Sorted(maps.Keys(m.heads)) {
		d := m.heads[id]
		if d.Tenant != tenant || !want(d) {
			continue
		}
		d.Rings = slices.Clone(d.Rings)
		if member != nil {
			for _, mem := range m.sorted(id) {
				if member(mem) {
					d.Members = append(d.Members, mem)
				}
			}
		}
		out = append(out, d)
	}
	return out
}

func (m *memoryStore) sorted(id ident.DeploymentID) []Member {
	return slices.SortedFunc(maps.Values(m.members[id]), func(a, b Member) int { return strings.Compare(string(a.Device), string(b.Device)) })
}

func (m *memoryStore) Running(_ context.Context, tenant ident.TenantID) ([]Deployment, error) {
	return m.list(tenant, func(d Deployment) bool { return !d.State.Final() }, func(Member) bool { return true }), nil
}

func (m *memoryStore) Ended(_ context.Context, tenant ident.TenantID, releases []patch.Release) ([]Deployment, error) {
	return m.list(tenant, func(d Deployment) bool { return d.State.Final() && slices.Contains(releases, d.Release) },
		func(mem Member) bool { return mem.Verified.IsZero() }), nil
}

func (m *memoryStore) Heads(_ context.Context, tenant ident.TenantID, releases []patch.Release) ([]Deployment, error) {
	return m.list(tenant, func(d Deployment) bool { return slices.Contains(releases, d.Release) }, nil), nil
}

func (m *memoryStore) Deployment(_ context.Context, tenant ident.TenantID, id ident.DeploymentID) (Deployment, bool, error) {
	d, ok := m.heads[id]
	d.Rings = slices.Clone(d.Rings)
	return d, ok && d.Tenant == tenant, nil
}

func (m *memoryStore) Members(_ context.Context, _ ident.TenantID, id ident.DeploymentID, devices []ident.DeviceID) ([]Member, error) {
	return slices.DeleteFunc(m.sorted(id), func(mem Member) bool { return devices != nil && !slices.Contains(devices, mem.Device) }), nil
}

func (m *memoryStore) Put(_ context.Context, d Deployment) error {
	old, ok := m.heads[d.ID]
	if ok && m.forgetsState {
		return nil
	}
	d.Seq, d.Members, d.Rings = old.Seq, nil, slices.Clone(d.Rings)
	for i := range d.Rings {
		if m.opensAll && d.Rings[i].State == RingWaiting {
			d.Rings[i].State = RingActive
		}
	}
	m.heads[d.ID] = d
	return nil
}

func (m *memoryStore) PutMembers(_ context.Context, _ ident.TenantID, id ident.DeploymentID, members []Member) error {
	if m.members[id] == nil {
		m.members[id] = map[ident.DeviceID]Member{}
	}
	for _, mem := range members {
		m.members[id][mem.Device] = mem
	}
	return nil
}

func (m *memoryStore) Append(_ context.Context, tenant ident.TenantID, id ident.DeploymentID, rows []Transition) error {
	d, ok := m.heads[id]
	if !ok || d.Tenant != tenant {
		return fault.NotFoundf("there is no deployment %q", id)
	}
	for _, r := range rows {
		d.Seq++
		r.Seq = d.Seq
		m.history[id] = append(m.history[id], r)
	}
	m.heads[id] = d
	return nil
}

func (m *memoryStore) List(_ context.Context, _ ident.Scope, _ Filter, below ident.DeploymentID, limit int) ([]Deployment, error) {
	var out []Deployment
	for _, id := range slices.Sorted(maps.Keys(m.heads)) {
		if below == "" || id < below {
			out = append([]Deployment{m.heads[id]}, out...)
		}
	}
	return out[:min(limit, len(out))], nil
}

func (m *memoryStore) Events(_ context.Context, _ ident.TenantID, id ident.DeploymentID, after int64, limit int) ([]Transition, error) {
	rows := slices.DeleteFunc(slices.Clone(m.history[id]), func(t Transition) bool { return t.Seq <= after })
	return rows[:min(limit, len(rows))], nil
}
