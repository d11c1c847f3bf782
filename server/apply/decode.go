package apply

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// Kind is the sort of a document.
type Kind string

// The kinds of this version.
const (
	Tenant      Kind = "Tenant"
	Site        Kind = "Site"
	PatchPolicy Kind = "PatchPolicy"
)

// later are the kinds that the contract names and this version has not.
func later() []Kind { return []Kind{"AlertRule", "Silence", "Maintenance", "Channel", "Route"} }

// State says whether a document is there, switched off, or to be removed.
type State string

// The states of a document. Off and absent are for PatchPolicy alone.
const (
	On     State = "on"
	Off    State = "off"
	Absent State = "absent"
)

// Document is one document, decoded and checked by itself. One of Customer,
// Place and Policy is set, by Kind.
type Document struct {
	Kind   Kind
	Tenant ident.TenantID // ident.MSP for "*"
	Site   ident.SiteID   // of a PatchPolicy that is narrowed to one
	Name   string         // of a Tenant and a Site its slug
	State  State
	Line   int // where the document begins

	Customer *fleet.Tenant // an empty Mode means unchanged
	Place    *fleet.Site
	Policy   *policy.Document

	root *node
}

// Decode reads YAML documents strictly. Errors are faults whose Field names
// line and column; nothing of the text is repeated that could be a secret.
func Decode(text []byte) ([]Document, error) {
	roots, err := parse(text)
	if err != nil {
		return nil, err
	}
	docs := make([]Document, 0, len(roots))
	seen := map[[4]string]bool{}
	for _, root := range roots {
		d, err := decode(root)
		if err != nil {
			return nil, err
		}
		key := [4]string{string(d.Kind), string(d.Tenant), string(d.Site), d.Name}
		if seen[key] {
			return nil, d.wrong("name", "this document stands in the text twice")
		}
		seen[key] = true
		docs = append(docs, d)
	}
	return docs, nil
}

// wrong is an error at a field of the document.
func (d Document) wrong(path, format string, args ...any) *fault.Error {
	line, column := d.root.at(path)
	return fault.Invalidf(place(line, column), format, args...)
}

// placed puts line and column on an error of a noun's Check.
func (d Document) placed(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	out := *f
	path := out.Field
	if path == "" { // "gate: not in this version", "mode pilot: not in this version"
		path, _, _ = strings.Cut(strings.ReplaceAll(out.Message, ":", " "), " ")
	} else {
		out.Message = path + ": " + out.Message
	}
	out.Field = place(d.root.at(path))
	return &out
}

func decode(root *node) (Document, error) {
	d := Document{root: root, Line: root.line, State: On}
	kind, err := d.text("kind", true)
	if err != nil {
		return d, err
	}
	d.Kind = Kind(kind)
	switch {
	case d.Kind == Tenant:
		return d, d.decodeTenant()
	case d.Kind == Site:
		return d, d.decodeSite()
	case d.Kind == PatchPolicy:
		return d, d.decodePolicy()
	case slices.Contains(later(), d.Kind):
		e := fault.NotYetf("kind " + kind)
		e.Field = place(root.at("kind"))
		return d, e
	}
	return d, d.wrong("kind", "no such kind").WithNext("use Tenant, Site or PatchPolicy")
}

// known refuses fields that the kind has not.
func (d Document) known(names ...string) error {
	for _, f := range d.root.fields {
		if !slices.Contains(names, f.name) {
			return wrong(f.line, f.column, "a %s has no such key; known are %s", d.Kind, strings.Join(names, ", "))
		}
	}
	return nil
}

// text reads a field that must be a text.
func (d Document) text(name string, needed bool) (string, error) {
	f := d.root.get(name)
	switch {
	case f == nil && needed:
		return "", d.wrong("", "%s: is missing", name)
	case f == nil:
		return "", nil
	case f.value.kind != isText:
		return "", wrong(f.line, f.column, "%s must be a text", name)
	}
	return f.value.text, nil
}

// texts reads several; the first error stands.
func (d Document) texts(into map[string]*string) error {
	for _, f := range d.root.fields { // in the order of the text
		if target, ok := into[f.name]; ok {
			value, err := d.text(f.name, true)
			if err != nil {
				return err
			}
			*target = value
		}
	}
	return nil
}

func (d *Document) decodeTenant() error {
	if err := d.known("kind", "slug", "name", "time_zone", "mode", "changed_per_hour"); err != nil {
		return err
	}
	var t fleet.Tenant
	var slug, mode string
	if err := d.texts(map[string]*string{"slug": &slug, "name": &t.Name, "time_zone": &t.TimeZone, "mode": &mode, "changed_per_hour": &t.Changed}); err != nil {
		return err
	}
	if slug == "" {
		return d.wrong("slug", "slug: is missing")
	}
	t.ID, t.Mode = ident.TenantID(slug), fleet.Mode(mode)
	if t.Name == "" {
		t.Name = slug
	}
	if t.Changed != "" {
		if _, err := policy.ParseAllowance(t.Changed); err != nil {
			return d.wrong("changed_per_hour", "this is no allowance").WithNext(`write 25, 50%% or "max(25, 50%%)"`)
		}
	}
	d.Tenant, d.Name, d.Customer = t.ID, slug, &t
	check := t
	if check.Mode == "" {
		check.Mode = fleet.Observe
	}
	if err := fleet.CheckTenant(check); err != nil {
		return d.placed(err)
	}
	return nil
}

func (d *Document) decodeSite() error {
	if err := d.known("kind", "tenant", "slug", "name", "time_zone"); err != nil {
		return err
	}
	var s fleet.Site
	var slug string
	if err := d.texts(map[string]*string{"slug": &slug, "name": &s.Name, "time_zone": &s.TimeZone}); err != nil {
		return err
	}
	if slug == "" {
		return d.wrong("slug", "slug: is missing")
	}
	if err := d.readTenant(); err != nil {
		return err
	}
	if d.Tenant == ident.MSP {
		return d.wrong("tenant", "a site belongs to one customer")
	}
	s.Tenant, s.ID = d.Tenant, ident.SiteID(slug)
	if s.Name == "" {
		s.Name = slug
	}
	d.Name, d.Place = slug, &s
	if err := fleet.CheckSite(s); err != nil {
		return d.placed(err)
	}
	return nil
}

// readTenant reads the field tenant: a slug, or "*" for the MSP's level.
func (d *Document) readTenant() error {
	text, err := d.text("tenant", true)
	if err != nil {
		return err
	}
	if text != string(ident.MSP) && !ident.ValidSlug(text) {
		return d.wrong("tenant", "this is no customer's name").WithNext(`write its slug, or "*" for all customers`)
	}
	d.Tenant = ident.TenantID(text)
	return nil
}

func (d *Document) decodePolicy() error {
	own := []string{"kind", "tenant", "site", "name", "lock", "state"}
	if err := d.known(append(own, policy.FieldNames()...)...); err != nil {
		return err
	}
	if err := d.readTenant(); err != nil {
		return err
	}
	var site, state string
	if err := d.texts(map[string]*string{"site": &site, "name": &d.Name, "state": &state}); err != nil {
		return err
	}
	if d.Name == "" {
		return d.wrong("name", "name: is missing")
	}
	if site != "" && !ident.ValidSlug(site) {
		return d.wrong("site", "this is no site's name")
	}
	d.Site = ident.SiteID(site)
	if err := d.readState(state); err != nil {
		return err
	}
	p := policy.Document{Tenant: d.Tenant, Site: d.Site, Name: d.Name, Off: d.State == Off, Fields: map[string]json.RawMessage{}}
	for _, f := range d.root.fields {
		if !slices.Contains(own, f.name) {
			p.Fields[f.name] = f.value.raw()
		}
	}
	var err error
	if p.Lock, err = d.readLock(); err != nil {
		return err
	}
	d.Policy = &p
	if err := policy.Check(p); err != nil {
		return d.placed(err)
	}
	return nil
}

func (d *Document) readState(text string) error {
	f := d.root.get("state")
	if f != nil && f.value.kind == isText && slices.Contains([]State{On, Off, Absent}, State(text)) {
		d.State = State(text)
	} else if f != nil {
		return d.wrong("state", "no such state").WithNext("use on, off or absent")
	}
	return nil
}

func (d Document) readLock() ([]string, error) {
	f := d.root.get("lock")
	if f == nil {
		return nil, nil
	}
	if f.value.kind != isList {
		return nil, wrong(f.line, f.column, "lock is a list of fields")
	}
	var lock []string
	for _, item := range f.value.items {
		if item.kind != isText {
			return nil, wrong(item.line, item.column, "lock is a list of fields")
		}
		lock = append(lock, item.text)
	}
	slices.Sort(lock)
	return slices.Compact(lock), nil
}

// Need is what somebody must be allowed to do for one document. An empty Site
// means the whole tenant; the MSP's tenant means everywhere.
type Need struct {
	Action auth.Action
	Tenant ident.TenantID
	Site   ident.SiteID
}

// Needs names what each document needs, in their order. The door authorizes
// every one before anything is read. A Tenant document that makes a new
// customer needs auth.TenantCreate besides, which Options of Run say.
func Needs(docs []Document) []Need {
	needs := make([]Need, 0, len(docs))
	for _, d := range docs {
		n := Need{Tenant: d.Tenant}
		switch d.Kind {
		case Tenant:
			n.Action = auth.TenantManage
		case Site:
			n.Action = auth.SiteManage
		default:
			n.Action, n.Site = auth.PolicyApply, d.Site
		}
		needs = append(needs, n)
	}
	return needs
}
