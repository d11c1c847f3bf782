package console

import (
	"cmp"
	"context"
	"html/template"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
)

// gauge is one signal on a device's page: its last value, its chart's address,
// and the numbers of the chart as a table.
type gauge struct {
	Key, Name, Unit string
	Value, Note     string
	Tone            string
	At              template.HTML
	Src             string
	Last            bool
	Lines           []gaugeLine
}

type gaugeLine struct{ Label, Low, Mean, High string }

// flag marks on all charts that an update ended or waits for a restart.
type flag struct {
	Percent string        `json:"-"`
	Text    string        `json:"text"`
	At      int64         `json:"at"`
	Tone    string        `json:"tone"`
	Icon    string        `json:"-"`
	Time    template.HTML `json:"-"`
}

// charts are the four signals of the page; by is the attribute that tells its
// lines apart.
func charts() []struct{ key, name, signal, by string } {
	return []struct{ key, name, signal, by string }{
		{"cpu", "CPU", wire.SignalCPUUtilization, ""}, {"memory", "Memory", wire.SignalMemoryUtilization, ""},
		{"filesystem", "File systems", wire.SignalFilesystemUtilization, wire.AttributeMountpoint},
		{"network", "Network", wire.SignalNetworkIO, wire.AttributeDirection},
	}
}

func ranges() []struct {
	key  string
	long time.Duration
} {
	return []struct {
		key  string
		long time.Duration
	}{{"1 h", time.Hour}, {"24 h", 24 * time.Hour}, {"7 d", 7 * 24 * time.Hour}, {"30 d", 30 * 24 * time.Hour}}
}

// youngFor is how long a device's charts begin with the last hour: a day with
// minutes of data looks as if nothing came.
const youngFor = 6 * time.Hour

func (f *frame) chosenRange(enrolled time.Time) (string, time.Duration) {
	for _, r := range ranges() {
		if r.key == f.r.URL.Query().Get("range") {
			return r.key, r.long
		}
	}
	usual := ranges()[1]
	if f.now.Sub(enrolled) < youngFor {
		usual = ranges()[0]
	}
	return usual.key, usual.long
}

func (f *frame) gauges(ctx context.Context, b *deviceBody) ([]gauge, []tab, []flag) {
	key, long := f.chosenRange(b.D.EnrolledAt)
	from := f.now.Add(-long)
	path := b.Path
	if b.Tab != "" {
		path += "/" + b.Tab
	}
	var chosen []tab
	for _, r := range ranges() {
		chosen = append(chosen, tab{Text: r.key, Href: path + "?range=" + template.URLQueryEscaper(r.key), On: r.key == key})
	}
	var out []gauge
	for i, ch := range charts() {
		g := gauge{Key: ch.key, Name: ch.name, Value: "no data", Tone: "unknown", Last: i == len(charts())-1,
			Src: b.Path + "/samples?chart=" + ch.key + "&range=" + template.URLQueryEscaper(key)}
		g.latest(b, ch.signal, ch.by)
		if b.Tab == "health" && f.c.o.Samples != nil {
			series, err := f.c.o.Samples.Read(ctx, b.D.Tenant, b.D.ID, from, f.now, ch.signal)
			if err != nil {
				g.Note = "samples did not load"
				f.c.o.Log.Warn("console: samples", "error", err)
			}
			g.Lines = gaugeLines(series, ch.by)
		}
		out = append(out, g)
	}
	return out, chosen, flagsOf(b.D, b.T, from)
}

// latest fills in the last value: the fullest file system, the sum of a flow.
func (g *gauge) latest(b *deviceBody, signal, by string) {
	var total, high float64
	var label string
	var at time.Time
	found := false
	for _, r := range b.D.Latest {
		if r.Signal != signal {
			continue
		}
		found, g.Unit, at = true, r.Unit, r.At
		total += r.V
		if r.V >= high {
			high, label = r.V, r.Attributes[by]
		}
	}
	if !found {
		return
	}
	g.Tone, g.At = "", b.T.Ago(at)
	switch g.Key {
	case "network":
		g.Value, g.Note = value(total, g.Unit), "both ways"
	case "filesystem":
		g.Value, g.Note = value(high, g.Unit), "fullest: "+label
		if high >= 0.9 {
			g.Tone = "bad"
		}
	default:
		g.Value = value(high, g.Unit)
	}
}

func value(v float64, unit string) string {
	switch unit {
	case "1":
		return strconv.FormatFloat(math.Round(v*100), 'f', 0, 64) + " %"
	case "By":
		return size(int64(v), 1000)
	case "By/s":
		return size(int64(v), 1000) + "/s"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func gaugeLines(series []telemetry.Series, by string) []gaugeLine {
	var out []gaugeLine
	for _, s := range series {
		if len(s.Points) == 0 {
			continue
		}
		low, high, sum := math.Inf(1), math.Inf(-1), 0.0
		for _, p := range s.Points {
			low, high, sum = min(low, p.V), max(high, p.V), sum+p.V
		}
		out = append(out, gaugeLine{label(s, by), value(low, s.Unit), value(sum/float64(len(s.Points)), s.Unit), value(high, s.Unit)})
	}
	return out
}

func label(s telemetry.Series, by string) string {
	text := s.Attributes[by]
	if by == wire.AttributeDirection {
		text = s.Attributes[wire.AttributeDevice] + " " + text
	}
	if text == "" {
		return "all"
	}
	return text
}

func flagsOf(d view.Device, t stamps, from time.Time) []flag {
	var out []flag
	for _, u := range d.Updates {
		if u.Since.Before(from) || u.State != patch.Verified && u.State != patch.Failed && u.State != patch.RebootPending {
			continue
		}
		m := updateMark(u.State)
		share := float64(u.Since.Sub(from)) / float64(t.now.Sub(from)) * 100
		out = append(out, flag{Percent: strconv.FormatFloat(min(max(share, 4), 96), 'f', 1, 64) + "%", Text: u.Package, At: u.Since.Unix(), Tone: m.Tone, Icon: m.Icon, Time: t.Full(u.Since)})
	}
	slices.SortFunc(out, func(a, b flag) int { return cmp.Compare(a.At, b.At) })
	return out[max(0, len(out)-8):]
}
