package console

import (
	"context"
	"html/template"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/window"
)

// fact is one column of a device's header: a name, the answer, what belongs to it.
type fact struct {
	Name        string
	Value, Note template.HTML
	Tone        string
}

type deviceBody struct {
	D         view.Device
	T         stamps // in the device's zone
	Path      string
	Tab       string
	Tabs      []tab
	Icon      string
	State     mark
	Online    mark
	Reason    string
	Next      string
	Facts     []fact
	Gauges    []gauge
	Ranges    []tab
	Flags     []flag
	Why       []why
	Unpatched int // updates with an answer, of which Why shows the gravest
	Events    []event
	Older     string
	Updates   []updateLine
	Software  []wire.Item
	Search    string
	Found     int
	Sections  []section
	Jobs      []jobLine
	Acts      []actBody
	Policies  []view.DevicePolicy
}

// deviceTabs are the parts of a device's page, by the last step of its path.
func deviceTabs() []struct{ key, text string } {
	return []struct{ key, text string }{
		{"", "Overview"}, {"updates", "Updates"}, {"software", "Software"}, {"inventory", "Inventory"}, {"health", "Health"},
		{"jobs", "Jobs"}, {"timeline", "Timeline"}, {"settings", "Settings"},
	}
}

func (c *Console) device(f *frame) error {
	b, err := c.deviceBody(f.ctx(), f)
	if err != nil {
		return err
	}
	name := hostname(b.D.Device)
	p := page{Title: name, Nav: "devices", Crumbs: []crumb{{"Devices", f.At("devices")}, {name, ""}}, Body: b,
		Charts: b.Tab == "" || b.Tab == "health", Live: b.Path + "/live?tab=" + b.Tab}
	return f.show("device", p)
}

func hostname(d fleet.Device) string {
	if d.Hostname == "" {
		return "a device without a name yet"
	}
	return d.Hostname
}

func (c *Console) deviceBody(ctx context.Context, f *frame) (*deviceBody, error) {
	id := ident.DeviceID(f.r.PathValue("device"))
	d, err := c.o.Views.Device(ctx, f.scopeOf(auth.DeviceRead), f.tenant.ID, id)
	if err != nil {
		return nil, err
	}
	loc := d.Location
	if loc == nil {
		loc = time.UTC
	}
	b := &deviceBody{D: d, T: stamps{f.now, loc}, Path: devicePath(d.Tenant, d.ID), Tab: f.r.PathValue("tab"), Icon: classIcon(d.Class),
		State: deviceMark(d.State), Online: onlineMark(d.Online), Policies: d.Policies}
	if b.Tab == "live" {
		b.Tab = f.r.URL.Query().Get("tab")
	}
	known := false
	for _, t := range deviceTabs() {
		known = known || t.key == b.Tab
		one := tab{Text: t.text, Href: strings.TrimSuffix(b.Path+"/"+t.key, "/"), On: t.key == b.Tab}
		switch t.key {
		case "updates":
			one.Count, one.Counted = d.States.Open(), true
		case "software":
			one.Count = len(sectionItems(d.Sections, wire.SectionSoftware))
			one.Counted = one.Count > 0
		}
		b.Tabs = append(b.Tabs, one)
	}
	if !known {
		return nil, fault.NotFoundf("no such page")
	}
	if d.State != fleet.Active && !d.Reason.IsZero() {
		b.Reason, b.Next = sentence(d.Reason.Text(loc)), sentence(d.Reason.NextStep(loc))
	}
	b.Facts = f.deviceFacts(b)
	return b, c.fillTab(ctx, f, b)
}

// fillTab reads what one part of the page needs beyond the header.
func (c *Console) fillTab(ctx context.Context, f *frame, b *deviceBody) error {
	var err error
	switch b.Tab {
	case "":
		if b.Why, err = f.whyNot(ctx, b); err != nil {
			return err
		}
		b.Gauges, b.Ranges, b.Flags = f.gauges(ctx, b)
		b.Events, _, err = f.events(ctx, b, 6)
	case "updates":
		b.Updates = updateLines(b)
	case "health":
		b.Gauges, b.Ranges, b.Flags = f.gauges(ctx, b)
	case "software":
		b.fillSoftware(f.r.URL.Query().Get("q"))
	case "inventory":
		b.Sections = sections(b)
	case "jobs":
		var jobs []job.Job
		jobs, _, err = c.o.Jobs.List(ctx, f.scopeOf(auth.JobRead), job.Filter{Tenant: b.D.Tenant, Device: b.D.ID}, f.r.URL.Query().Get("cursor"), 50)
		for _, j := range jobs {
			b.Jobs = append(b.Jobs, lineOf(j, b.T))
		}
	case "timeline":
		b.Events, b.Older, err = f.events(ctx, b, 50)
	case "settings":
		b.Acts = settingsOf(b.D.State)
	}
	return err
}

// settingsOf offers only the moves that the state has.
func settingsOf(s fleet.State) []actBody {
	var out []actBody
	for _, do := range map[fleet.State][]string{
		fleet.Pending: {"revoke", "retire"}, fleet.Active: {"revoke", "retire"}, fleet.Stale: {"revoke", "retire"},
		fleet.Conflict: {"readmit", "revoke", "retire"}, fleet.Revoked: {"readmit", "retire"},
	}[s] {
		b, _ := actionsOnDevices(do)
		out = append(out, b)
	}
	return out
}

func text(s string) template.HTML { return template.HTML(template.HTMLEscapeString(s)) }

func (f *frame) deviceFacts(b *deviceBody) []fact {
	d := b.D
	os := factsOf(d.Sections, wire.SectionOS, "os")
	facts := []fact{{Name: "System", Value: text(orUnknown(strings.TrimSpace(d.OS.Name + " " + d.OS.Version))), Note: text(strings.TrimSpace(d.Arch + " " + os["kernel"]))}}
	facts = append(facts, hardwareFact(d))
	names := []string{}
	for _, p := range d.Policies {
		if len(p.Rules) > 0 {
			names = append(names, p.Name)
		}
	}
	policyFact := fact{Name: "Policy", Value: text(strings.Join(names, ", ")), Note: "rules its updates"}
	if len(names) == 0 {
		policyFact.Value, policyFact.Note, policyFact.Tone = "none", "nothing is installed here", "hold"
	}
	facts = append(facts, policyFact, b.windowFact())
	facts = append(facts, openFact(d))
	boot := fact{Name: "Last start", Value: "not known"}
	if t, err := time.Parse(time.RFC3339, os["boot_time"]); err == nil {
		boot.Value, boot.Note = b.T.Full(t), text("running for "+span(f.now.Sub(t)))
	}
	return append(facts, boot, fact{Name: "Agent", Value: text(orUnknown(d.AgentVersion)), Note: "seen " + b.T.Since(d.LastSeen)})
}

func openFact(d view.Device) fact {
	open := d.States.Open()
	one := fact{Name: "Open updates", Value: text(num(open)), Note: "nothing open"}
	if open > 0 {
		worst := stateWord(d.States.Worst())
		one.Note, one.Tone = text("worst: "+worst.Word), worst.Tone
	}
	if d.State == fleet.Pending {
		one.Value, one.Note, one.Tone = "not known yet", "before the first inventory", "unknown"
	}
	return one
}

func orUnknown(s string) string {
	if s == "" {
		return "not known yet"
	}
	return s
}

// windowFact is when the next window of any policy that rules here opens.
func (b *deviceBody) windowFact() fact {
	one := fact{Name: "Next window", Value: "none", Note: "no policy opens one", Tone: "hold"}
	var best window.Occurrence
	for _, p := range b.D.Policies {
		if len(p.Rules) == 0 {
			continue
		}
		set := p.Windows.Bind(b.T.loc, b.T.loc)
		if open, ok := window.Contains(set, b.T.loc, b.T.now); ok {
			return fact{Name: "Window", Value: "open now", Note: "until " + b.T.Full(open.Closes), Tone: "moving"}
		}
		if o, ok := window.Next(set, b.T.loc, b.T.now); ok && (best.Opens.IsZero() || o.Opens.Before(best.Opens)) {
			best = o
		}
	}
	if !best.Opens.IsZero() {
		one = fact{Name: "Next window", Value: b.T.Full(best.Opens), Note: b.T.In(best.Opens) + text(", for "+span(best.Closes.Sub(best.Opens)))}
	}
	return one
}

// deviceLive changes header, gauges and answers in place.
func (c *Console) deviceLive(f *frame) error {
	id := ident.DeviceID(f.r.PathValue("device"))
	if _, err := c.o.Views.Device(f.ctx(), f.scopeOf(auth.DeviceRead), f.tenant.ID, id); err != nil {
		return err
	}
	tabKey := f.r.URL.Query().Get("tab")
	names := []string{"head", "facts"}
	switch tabKey {
	case "":
		names = append(names, "gaugevalues", "why", "events")
	case "health":
		names = append(names, "gaugevalues")
	case "updates":
		names = append(names, "updatelist")
	case "jobs":
		names = append(names, "joblist")
	}
	f.r.SetPathValue("tab", "live")
	return f.stream(feed{topics: []string{"samples/" + string(id), patch.DeviceTopic(id), fleet.DevicesTopic(f.tenant.ID)}, every: time.Second,
		next: differences(func(ctx context.Context) (pieces, error) {
			key := strings.Join([]string{"device", string(id), tabKey, f.r.URL.RawQuery, f.loc.String(), f.now.Truncate(time.Second).String(), rights(f)}, "\x00")
			return c.frags.get(key, func() (pieces, error) {
				b, err := c.deviceBody(ctx, f)
				if err != nil {
					return nil, err
				}
				out := pieces{}
				for _, name := range names {
					if out[name], err = f.part("device", "p-"+name, page{Body: b}); err != nil {
						return nil, err
					}
				}
				return out, nil
			})
		})})
}

// rights tells views apart whose readers see different buttons or links.
func rights(f *frame) string {
	out := ""
	for _, a := range []auth.Action{auth.DeviceManage, auth.UpdateDecide, auth.DeploymentControl, auth.JobRead} {
		if f.Can(string(a)) {
			out += "1"
		} else {
			out += "0"
		}
	}
	s := f.scopeOf(auth.DeviceRead)
	for _, site := range s.Sites(f.tenant.ID) {
		out += "," + string(site)
	}
	return out
}
