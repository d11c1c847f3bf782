package console

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
)

type overviewBody struct {
	Title, Next string
	O           view.Overview
	Needs       []need
	More        int
	Hours       hours
	Customers   []customer
	Done        share
	First       bool // no device anywhere
	CanAdd      bool
	Tenant      *customerBody // of one customer's page
}

// need is one row: what, why, since when, and the one place to go.
type need struct {
	view.Need
	Mark         mark
	Title, Text  string
	Href, Button string
}

// share is a part of a whole in words and tone; nothing known has no number.
type share struct {
	Text, Tone string
	Known      bool
	Good       bool
}

func shareOf(s view.Share) share {
	if s.Of == 0 {
		return share{Text: "–", Tone: "unknown"}
	}
	percent := float64(s.Part) / float64(s.Of) * 100
	out := share{Text: fmt.Sprintf("%.1f", math.Floor(percent*10)/10), Known: true}
	switch {
	case percent >= 97:
		out.Good = true
	case percent >= 90:
		out.Tone = "hold"
	default:
		out.Tone = "bad"
	}
	return out
}

type customer struct {
	view.TenantRow
	Share share
	Mode  mark
}

// maxShownNeeds is how many rows stand on the page; the rest is one link.
const maxShownNeeds = 8

func (c *Console) overview(f *frame) error {
	b, err := c.overviewBody(f.ctx(), f)
	if err != nil {
		return err
	}
	p := page{Title: "Overview", Nav: "overview", Live: "/live", Body: b}
	if f.tenant.ID != "" {
		if b.Tenant, err = c.customerBody(f); err != nil {
			return err
		}
		p.Title, p.Live = f.tenant.Name, tenantPath(f.tenant.ID, "live")
		p.Crumbs = []crumb{{"Customers", "/customers"}, {f.tenant.Name, ""}}
	}
	return f.show("overview", p)
}

func (c *Console) overviewBody(ctx context.Context, f *frame) (*overviewBody, error) {
	o, err := c.o.Views.Overview(ctx, f.scopeOf(auth.ViewRead), f.now)
	if err != nil {
		return nil, err
	}
	b := &overviewBody{O: o, First: o.Total.Devices == 0, CanAdd: f.Can("enrollment.create"), Done: shareOf(o.Total.States.Verified())}
	names := map[ident.TenantID]string{}
	for _, t := range o.Customers {
		names[t.ID] = t.Name
		b.Customers = append(b.Customers, customer{t, shareOf(t.States.Verified()), modeMark(t.Mode)})
	}
	slices.SortStableFunc(b.Customers, func(x, y customer) int { return cmp.Compare(worth(x), worth(y)) })
	for _, n := range o.Needs {
		if len(b.Needs) < maxShownNeeds {
			b.Needs = append(b.Needs, f.needOf(n, names))
		} else {
			b.More++
		}
	}
	b.Title = []string{"Nothing needs you now", "One thing needs you now", "Two things need you now", "Three things need you now", "Four things need you now", "Five things need you now"}[min(len(o.Needs), 5)]
	if len(o.Needs) > 5 {
		b.Title = num(len(o.Needs)) + " things need you now"
	}
	if b.First {
		b.Title = "Nothing is here yet"
	}
	b.Next = f.nextWindow(o)
	b.Hours = f.hoursOf(o.Tonight, names)
	return b, nil
}

// worth puts the worst customer first; one without data comes after them.
func worth(c customer) float64 {
	if s := c.States.Verified(); s.Of > 0 {
		return float64(s.Part) / float64(s.Of)
	}
	return 2
}

func (f *frame) nextWindow(o view.Overview) string {
	for _, t := range o.Tonight {
		if t.Opens.After(f.now) {
			return "Next window: " + t.Policy + ", " + plural(len(t.Devices), "device", "devices") + ", in " + span(t.Opens.Sub(f.now).Truncate(time.Minute)) + "."
		}
	}
	if len(o.Tonight) > 0 {
		return "A window is open now. No other opens within a day."
	}
	return "No window opens within a day."
}

func (f *frame) needOf(n view.Need, names map[ident.TenantID]string) need {
	out := need{Need: n, Button: "Open"}
	why := sentence(n.Reason.Text(f.loc))
	if n.Reason.IsZero() {
		why = ""
	}
	in := names[n.Tenant]
	switch n.Kind {
	case view.NeedHalted:
		out.Mark, out.Title, out.Text = mark{"octagon-x", "halted", "bad"}, n.Name+" is halted", in+" · "+why
		out.Href = tenantPath(n.Tenant, "deployments", n.ID)
	case view.NeedConflict:
		out.Mark, out.Title, out.Text = mark{"copy", "conflict", "bad"}, n.Name+": two machines use its key", in+" · "+why
		out.Href = devicePath(n.Tenant, ident.DeviceID(n.ID))
	case view.NeedFailed:
		out.Mark, out.Title = mark{"circle-x", "failed", "bad"}, plural(n.Count, "device has", "devices have")+" an update that failed or is unknown"
		out.Text, out.Button = n.Name, "Show "+num(n.Count)
		out.Href = tenantPath(n.Tenant, "devices") + "?filter=update%3Afailed%2Cunknown"
	case view.NeedSilent:
		out.Mark, out.Title, out.Text = mark{"wifi-off", "silent", "hold"}, n.Name+" is silent", in+" · "+why
		out.Href = devicePath(n.Tenant, ident.DeviceID(n.ID))
	default:
		out.Mark, out.Title = mark{"clipboard-check", "decide", "idle"}, n.Name+" waits for a decision"
		out.Text, out.Button = plural(n.Count, "device", "devices")+" · "+sourceName(n.Release.Source), "Decide"
		v := releasePath("", n.Release)
		out.Href = f.At("updates") + v[strings.Index(v, "?"):] + "#release"
	}
	out.Text = strings.TrimSuffix(strings.TrimPrefix(out.Text, " · "), " · ")
	return out
}

// hours is the drawing of tonight's windows: one row a policy and customer.
type hours struct {
	Rows   []hourRow
	Lines  []hourLine
	Now    string
	NowX   float64
	Height int
	Zone   string
}

type hourRow struct {
	Label, Title, Count string
	Y, TextY            int
	X, W, Mid           float64
	Open                bool
}

type hourLine struct {
	X    float64
	Text string
}

const maxHourRows = 9

// hoursOf places windows from two hours ago to 22 hours ahead on a width of 100.
func (f *frame) hoursOf(list []view.Tonight, names map[ident.TenantID]string) hours {
	from := f.now.Add(-2 * time.Hour)
	const left, width = 30.0, 70.0
	at := func(t time.Time) float64 {
		return left + width*min(max(float64(t.Sub(from))/float64(24*time.Hour), 0), 1)
	}
	out := hours{Now: f.now.In(f.loc).Format("15:04"), NowX: at(f.now), Zone: f.Zone()}
	for t := from.In(f.loc).Truncate(time.Hour); t.Before(from.Add(24 * time.Hour)); t = t.Add(time.Hour) {
		if x := at(t); t.In(f.loc).Hour()%4 == 0 && t.After(from) && math.Abs(x-out.NowX) > 5 {
			out.Lines = append(out.Lines, hourLine{x, t.In(f.loc).Format("15")})
		}
	}
	for _, w := range tonightGroups(list) {
		if len(out.Rows) == maxHourRows {
			break
		}
		label := w.Policy
		if f.tenant.ID == "" {
			label = names[w.Tenant]
		}
		row := hourRow{Label: label, Title: w.Policy + ", " + full(w.Opens, f.loc, f.now) + " for " + span(w.Closes.Sub(w.Opens)), Count: num(len(w.Devices)),
			Y: 24 + 26*len(out.Rows), X: at(w.Opens), Open: !w.Opens.After(f.now)}
		row.W = max(at(w.Closes)-row.X, 4)
		row.Mid, row.TextY = row.X+row.W/2, row.Y+13
		out.Rows = append(out.Rows, row)
	}
	out.Height = 30 + 26*len(out.Rows)
	return out
}

// tonightGroups puts the sites of one customer's window together.
func tonightGroups(list []view.Tonight) []view.Tonight {
	var out []view.Tonight
	for _, t := range list {
		at := slices.IndexFunc(out, func(o view.Tonight) bool {
			return o.Tenant == t.Tenant && o.Policy == t.Policy && o.Opens.Equal(t.Opens)
		})
		if at < 0 {
			out = append(out, view.Tonight{Tenant: t.Tenant, Planned: deployment.Planned{Policy: t.Policy, Opens: t.Opens, Closes: t.Closes, Devices: slices.Clone(t.Devices)}})
			continue
		}
		out[at].Devices = append(out[at].Devices, t.Devices...)
	}
	return out
}

// Moving is how many updates are under way now.
func (b *overviewBody) Moving() int {
	s := b.O.Total.States
	return s[patch.Downloading] + s[patch.Installing]
}

// Failed is how many devices have an update that failed.
func (b *overviewBody) Failed() int { return b.O.Total.FailedOn }

func (c *Console) overviewLive(f *frame) error {
	topics := []string{"policy"}
	for _, t := range f.customers() {
		if f.tenant.ID == "" || f.tenant.ID == t.ID {
			topics = append(topics, fleet.DevicesTopic(t.ID))
		}
	}
	return f.stream(feed{topics: topics, every: 3 * time.Second, next: differences(func(ctx context.Context) (pieces, error) {
		s := f.scopeOf(auth.ViewRead)
		key := fmt.Sprint("overview\x00", s.All(), s.Tenants(), f.tenant.ID, f.loc, f.now.Truncate(3*time.Second), rights(f), "\x00")
		for _, t := range s.Tenants() {
			key += fmt.Sprint(s.Sites(t))
		}
		return c.frags.get(key, func() (pieces, error) {
			b, err := c.overviewBody(ctx, f)
			if err != nil {
				return nil, err
			}
			out := pieces{}
			for _, name := range []string{"sums", "needs"} {
				if out[name], err = f.part("overview", "p-"+name, page{Body: b}); err != nil {
					return nil, err
				}
			}
			return out, nil
		})
	})})
}
