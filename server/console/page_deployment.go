package console

import (
	"cmp"
	"context"
	"html/template"
	"slices"
	"strconv"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
)

type deploymentBody struct {
	D       deploymentRow
	Path    string
	Moves   []moveButton
	Rings   []ringBox
	Legend  []legendMark
	Show    string // a state of the legend, to filter by
	Tiny    bool
	Busy    int
	Most    int
	Chosen  *jobBody
	Pick    *cell // the chosen device when it has no job
	History []historyLine
	Host    string
}

type moveButton struct{ Text, Icon, Href, Class string }

type ringBox struct {
	deployment.Ring
	Mark  mark
	Bar   []barPart
	Line  string
	Note  string
	On    bool
	Cells []cell
}

type cell struct {
	ID    ident.DeviceID
	Name  string
	Mark  mark
	Key   string // of the legend
	Href  string
	Ring  string
	On    bool
	Glyph string
	Job   ident.JobID
	order int
}

type legendMark struct {
	Mark  mark
	Key   string
	Glyph string
	N     int
	Href  string
	On    bool
}

type historyLine struct {
	At   template.HTML
	Mark mark
	Text string
	By   string
}

// tinyAbove is from how many devices on cells lose their glyph.
const tinyAbove = 1000

func (c *Console) deployment(f *frame) error {
	b, err := c.deploymentBody(f.ctx(), f)
	if err != nil {
		return err
	}
	title := b.D.Release.Package + " " + b.D.Release.Version
	live := b.Path + "/live?after=" + strconv.FormatInt(b.D.Seq, 10)
	if d := f.r.URL.Query().Get("device"); d != "" {
		live += "&device=" + template.URLQueryEscaper(d)
	}
	return f.show("deployment", page{Title: title, Nav: "deployments", Live: live, Body: b, Crumbs: []crumb{{"Deployments", f.At("deployments")}, {title, ""}}})
}

func (c *Console) deploymentBody(ctx context.Context, f *frame) (*deploymentBody, error) {
	id := ident.DeploymentID(f.r.PathValue("deployment"))
	d, err := c.o.Deployments.Deployment(ctx, f.tenant.ID, id)
	if err != nil {
		return nil, err
	}
	b := &deploymentBody{D: f.deploymentRow(d, f.tenant.Name), Path: tenantPath(d.Tenant, "deployments", string(id)), Show: f.r.URL.Query().Get("show"), Tiny: len(d.Members) > tinyAbove}
	for _, verb := range mayMove(f, d.State) {
		b.Moves = append(b.Moves, map[string]moveButton{
			"pause": {"Pause", "pause", b.Path + "/pause", ""}, "halt": {"Halt…", "octagon-x", b.Path + "/halt", "risk"},
			"resume": {"Resume…", "play", b.Path + "/resume", "go"}, "cancel": {"Cancel…", "ban", b.Path + "/cancel", ""}}[verb])
	}
	if err := c.fillGrid(ctx, f, b); err != nil {
		return nil, err
	}
	return b, c.fillHistory(ctx, f, b)
}

// fillGrid makes one cell for each member and counts the legend.
func (c *Console) fillGrid(ctx context.Context, f *frame, b *deploymentBody) error {
	devices, err := c.o.Devices.Devices(ctx, f.tenant.ID)
	if err != nil {
		return err
	}
	known := make(map[ident.DeviceID]fleet.Device, len(devices))
	for _, d := range devices {
		known[d.ID] = d
	}
	r := b.D.Release
	moving, _, err := c.o.Rows.Updates(ctx, f.scopeOf(auth.DeploymentRead), view.UpdateQuery{Tenant: f.tenant.ID, Source: r.Source, Package: r.Package, Version: r.Version,
		States: []patch.State{patch.Downloading, patch.Installing, patch.RebootPending}, Limit: view.MaxLimit})
	if err != nil {
		return err
	}
	under := make(map[ident.DeviceID]patch.State, len(moving))
	for _, u := range moving {
		under[u.Device] = u.State
	}
	chosen := ident.DeviceID(f.r.URL.Query().Get("device"))
	scope := f.scopeOf(auth.DeploymentRead)
	counts := map[string]legendMark{}
	for _, ring := range b.D.Rings {
		b.Rings = append(b.Rings, ringOf(ring, f))
	}
	for _, m := range b.D.Members {
		d := known[m.Device]
		if m.Ring >= len(b.Rings) || d.ID != "" && !scope.HasSite(d.Tenant, d.Site) {
			continue
		}
		one := cellOf(m, d, under[m.Device], b)
		one.On = m.Device == chosen
		if one.On {
			b.Pick = &one
		}
		l := counts[one.Key]
		l.Mark, l.Key, l.Glyph, l.N = one.Mark, one.Key, one.Glyph, l.N+1
		counts[one.Key] = l
		if b.Show == "" || b.Show == one.Key {
			b.Rings[m.Ring].Cells = append(b.Rings[m.Ring].Cells, one)
		}
		if one.Mark.Tone == "moving" {
			b.Busy++
		}
	}
	b.Most = mostAtOnce(b.D.Deployment)
	b.sortAndCount(counts)
	if b.Pick != nil {
		b.Host = b.Pick.Name
		if b.Pick.Job != "" {
			b.Chosen, err = c.jobBody(f, b.Pick.Job)
		}
	}
	return err
}

func mostAtOnce(d deployment.Deployment) int {
	for _, r := range d.Rings {
		if r.State == deployment.RingActive {
			return max(1, int(d.InFlight.Of(r.Counts.Devices)))
		}
	}
	return 0
}

func (b *deploymentBody) sortAndCount(counts map[string]legendMark) {
	if b.Tiny { // failures first, where a cell alone is too small to find
		for i := range b.Rings {
			slices.SortStableFunc(b.Rings[i].Cells, func(x, y cell) int { return cmp.Compare(y.order, x.order) })
		}
	}
	for _, key := range []string{"verified", "installing", "downloading", "reboot", "deferred", "failed", "unknown", "other", "waiting", "offline"} {
		l, ok := counts[key]
		if !ok {
			continue
		}
		if l.On = b.Show == key; l.On {
			l.Href = b.Path
		} else {
			l.Href = b.Path + "?show=" + key
		}
		b.Legend = append(b.Legend, l)
	}
}

func ringOf(r deployment.Ring, f *frame) ringBox {
	box := ringBox{Ring: r, Mark: ringMark(r.State), Bar: barOf(r.Counts), On: r.State == deployment.RingActive || r.State == deployment.RingSoaking || r.State == deployment.RingHalted}
	box.Line = num(r.Counts.Verified) + " of " + num(r.Counts.Devices) + " verified"
	if r.Counts.Failed > 0 {
		box.Line += ", " + num(r.Counts.Failed) + " failed"
	}
	if r.State == deployment.RingWaiting {
		box.Line = plural(r.Counts.Devices, "device waits", "devices wait")
	}
	box.Note = sentence(r.Reason.Text(f.loc))
	if r.State == deployment.RingActive {
		box.Note = "Passes at " + r.MinVerified.String() + " verified"
		if r.Soak > 0 {
			box.Note += ", then soaks for " + span(r.Soak)
		}
		box.Note += "."
	}
	return box
}

// cellOf is what one device shows: its result, what it does now, or that it waits.
func cellOf(m deployment.Member, d fleet.Device, under patch.State, b *deploymentBody) cell {
	out := cell{ID: m.Device, Name: d.Hostname, Ring: b.Rings[m.Ring].Name, Href: b.Path + "?device=" + string(m.Device) + "#log", Job: m.Job}
	if out.Name == "" {
		out.Name = "a device that is gone"
	}
	open := m.Job != "" && m.EndedAt.IsZero()
	switch {
	case open && under == patch.Downloading:
		out.Key, out.Mark = "downloading", updateMark(under)
	case under == patch.RebootPending:
		out.Key, out.Mark = "reboot", updateMark(under)
	case open && under == patch.Installing:
		out.Key, out.Mark = "installing", updateMark(under)
	case m.Result == wire.ResultVerified:
		out.Key, out.Mark = "verified", resultMark(m.Result)
	case m.Result == wire.ResultFailed:
		out.Key, out.Mark, out.order = "failed", resultMark(m.Result), 3
	case m.Result == wire.ResultUnknown:
		out.Key, out.Mark, out.order = "unknown", resultMark(m.Result), 2
	case m.Result == wire.ResultDeferred || m.Result == wire.ResultNeedsUser || m.Result == wire.ResultInstalledUnverified:
		out.Key, out.Mark, out.order = "deferred", resultMark(m.Result), 1
	case m.Result != "" && m.Result != wire.ResultNotStarted:
		out.Key, out.Mark = "other", resultMark(m.Result)
	case !d.Online:
		out.Key, out.Mark = "offline", mark{"unplug", "offline", "idle"}
	case open:
		out.Key, out.Mark = "waiting", mark{"", "has its job", "idle"}
	default:
		out.Key, out.Mark = "waiting", mark{"", "waiting", "idle"}
	}
	out.Glyph = glyphOf(out.Key)
	return out
}

// glyphOf is the plain sign of a cell, which is too small for a badge's icon.
func glyphOf(key string) string {
	return map[string]string{"verified": "check", "failed": "x", "unknown": "question", "downloading": "arrow-down", "installing": "loader-circle",
		"reboot": "power", "deferred": "clock", "other": "layers", "offline": "slash"}[key]
}

// historyShown is how many of the last lines of the history the page shows.
const historyShown = 12

func (c *Console) fillHistory(ctx context.Context, f *frame, b *deploymentBody) error {
	after := max(0, b.D.Seq-historyShown)
	list, err := c.o.Deployments.Events(ctx, f.tenant.ID, b.D.ID, after, historyShown*4)
	if err != nil {
		return err
	}
	names := map[ident.DeviceID]string{}
	for _, r := range b.Rings {
		for _, one := range r.Cells {
			names[one.ID] = one.Name
		}
	}
	for _, e := range slices.Backward(list[max(0, len(list)-historyShown):]) {
		line := historyLine{At: f.stamps().Second(e.At), Text: sentence(e.Reason.Text(f.loc))}
		switch e.Subject {
		case deployment.OfRing:
			line.Mark, line.By = ringMark(deployment.RingState(e.To)), "ring "+e.ID
		case deployment.OfJob:
			line.Mark, line.By = jobMark(jobState(e.To)), names[e.Device]
		default:
			line.Mark, line.By = deploymentMark(deployment.State(e.To)), "deployment"
		}
		b.History = append(b.History, line)
	}
	return nil
}
