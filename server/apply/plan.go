package apply

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
)

// Action is what becomes of what a document names.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Delete    Action = "delete"
	Unchanged Action = "unchanged"
)

// Change is what one document does, and what follows from it in words.
type Change struct {
	Kind    Kind           `json:"kind"`
	Tenant  ident.TenantID `json:"tenant"`
	Site    ident.SiteID   `json:"site,omitempty"`
	Name    string         `json:"name"`
	Action  Action         `json:"action"`
	Effects []string       `json:"effects"`
}

// Current is what is there now, as far as the documents concern it.
type Current struct {
	MSP      []policy.Document // of the MSP's level
	Tenants  map[ident.TenantID]*Holding
	Releases map[patch.Release]inventory.Release // of the open updates; missing ones are new
}

// Holding is one tenant as it is now; nil stands for one that does not exist.
type Holding struct {
	Tenant    fleet.Tenant
	Sites     []fleet.Site
	Documents []policy.Document // of the tenant and its sites alone
	Decisions []policy.Manually // of the tenant and the MSP
	Devices   []fleet.Device
	Open      []patch.Update
}

// Plan says what the documents change and what follows: it is the dry run too.
// Errors name the line: a customer or a site that does not exist, policies
// that would claim a device equally.
func Plan(now time.Time, current Current, docs []Document) ([]Change, error) {
	p := planner{now: now, current: current, docs: docs, tenants: map[ident.TenantID]bool{}, sites: map[[2]string]bool{}, outcomes: map[ident.TenantID]*outcome{}}
	for id, h := range current.Tenants {
		if h == nil {
			continue
		}
		p.tenants[id] = true
		for _, s := range h.Sites {
			p.sites[[2]string{string(id), string(s.ID)}] = true
		}
	}
	p.announce()
	changes := make([]Change, 0, len(docs))
	for _, d := range docs {
		c, err := p.change(d)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, p.ties()
}

// planner holds what one Plan works with.
type planner struct {
	now      time.Time
	current  Current
	docs     []Document
	tenants  map[ident.TenantID]bool // there now, or made by the documents
	sites    map[[2]string]bool
	outcomes map[ident.TenantID]*outcome
}

// announce notes the tenants and sites that the documents make, so that the
// order of documents does not matter.
func (p *planner) announce() {
	for _, d := range p.docs {
		switch d.Kind {
		case Tenant:
			p.tenants[d.Tenant] = true
			p.sites[[2]string{string(d.Tenant), string(ident.MainSite)}] = true
		case Site:
			p.sites[[2]string{string(d.Tenant), d.Name}] = true
		}
	}
}

func (p *planner) change(d Document) (Change, error) {
	c := Change{Kind: d.Kind, Tenant: d.Tenant, Site: d.Site, Name: d.Name, Effects: []string{}}
	if d.Tenant != ident.MSP && !p.tenants[d.Tenant] {
		e := auth.MissingTenant(d.Tenant)
		e.Kind, e.Field = fault.Invalid, place(d.root.at("tenant"))
		return c, e
	}
	if d.Site != "" && !p.sites[[2]string{string(d.Tenant), string(d.Site)}] {
		return c, d.wrong("site", "the customer has no such site").WithNext("add a document of kind Site")
	}
	switch d.Kind {
	case Tenant:
		p.changeTenant(d, &c)
	case Site:
		p.changeSite(d, &c)
	default:
		return c, p.changePolicy(d, &c)
	}
	return c, nil
}

func (p *planner) changeTenant(d Document, c *Change) {
	h := p.current.Tenants[d.Tenant]
	if h == nil {
		c.Action = Create
		c.Effects = append(c.Effects, "adds the customer with its site main, in mode "+string(modeOr(d.Customer.Mode, fleet.Observe)))
		return
	}
	want := wanted(*d.Customer, h.Tenant)
	if want == h.Tenant {
		c.Action = Unchanged
		return
	}
	c.Action = Update
	c.Effects = append(c.Effects, tenantEffects(h, want)...)
}

// wanted is the document over what is there: an omitted mode stays.
func wanted(doc, old fleet.Tenant) fleet.Tenant {
	doc.Mode = modeOr(doc.Mode, old.Mode)
	doc.CreatedAt, doc.UpdatedAt = old.CreatedAt, old.UpdatedAt
	return doc
}

func modeOr(m, otherwise fleet.Mode) fleet.Mode {
	if m == "" {
		return otherwise
	}
	return m
}

func (p *planner) changeSite(d Document, c *Change) {
	c.Action, c.Effects = Create, []string{"adds the site"}
	h := p.current.Tenants[d.Tenant]
	if h == nil {
		return
	}
	for _, s := range h.Sites {
		if s.ID != d.Place.ID {
			continue
		}
		if s.Name == d.Place.Name && s.TimeZone == d.Place.TimeZone {
			c.Action, c.Effects = Unchanged, []string{}
			return
		}
		c.Action, c.Effects = Update, siteEffects(h, s, *d.Place)
		return
	}
}

func (p *planner) changePolicy(d Document, c *Change) error {
	old, there := p.stored(d)
	switch {
	case d.State == Absent && !there:
		c.Action = Unchanged
		return nil
	case d.State == Absent:
		c.Action = Delete
	case !there:
		c.Action = Create
	case sameDocument(old, *d.Policy):
		c.Action = Unchanged
		return nil
	default:
		c.Action = Update
	}
	effects, err := p.policyEffects(d)
	c.Effects = append(c.Effects, effects...)
	return err
}

// stored finds the document that d replaces.
func (p *planner) stored(d Document) (policy.Document, bool) {
	docs := p.current.MSP
	if d.Tenant != ident.MSP {
		docs = nil
		if h := p.current.Tenants[d.Tenant]; h != nil {
			docs = h.Documents
		}
	}
	for _, old := range docs {
		if old.Tenant == d.Tenant && old.Site == d.Site && old.Name == d.Name {
			return old, true
		}
	}
	return policy.Document{}, false
}

func sameDocument(a, b policy.Document) bool {
	locks := func(d policy.Document) []string {
		out := slices.Clone(d.Lock)
		slices.Sort(out)
		return slices.Compact(out)
	}
	return a.Off == b.Off && slices.Equal(locks(a), locks(b)) &&
		maps.EqualFunc(a.Fields, b.Fields, func(x, y json.RawMessage) bool { return slices.Equal(canonical(x), canonical(y)) })
}

// documentsOf are the documents that concern a tenant: the stored ones, or
// those after the change.
func (p *planner) documentsOf(id ident.TenantID, after bool) []policy.Document {
	docs := slices.Clone(p.current.MSP)
	if h := p.current.Tenants[id]; h != nil {
		docs = append(docs, h.Documents...)
	}
	if !after {
		return docs
	}
	for _, d := range p.docs {
		if d.Kind != PatchPolicy || d.Tenant != ident.MSP && d.Tenant != id {
			continue
		}
		docs = slices.DeleteFunc(docs, func(old policy.Document) bool {
			return old.Tenant == d.Tenant && old.Site == d.Site && old.Name == d.Name
		})
		if d.State != Absent {
			docs = append(docs, *d.Policy)
		}
	}
	return docs
}

// ties refuses documents after which two policies claim a device equally that
// did not before.
func (p *planner) ties() error {
	for _, d := range p.docs {
		if d.Kind != PatchPolicy {
			continue
		}
		for _, id := range p.concerned(d) {
			o, err := p.outcome(id)
			if err != nil {
				return err
			}
			if tie := o.newTie(d.Name); tie != "" {
				return d.wrong("name", "%s: %s", id, tie).WithNext("narrow one of them by tag or class")
			}
		}
	}
	return nil
}

// concerned are the tenants that a policy document may reach, in order.
func (p *planner) concerned(d Document) []ident.TenantID {
	if d.Tenant != ident.MSP {
		return []ident.TenantID{d.Tenant}
	}
	var ids []ident.TenantID
	for id, h := range p.current.Tenants {
		if h != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
