package console

import (
	"cmp"
	"context"
	"encoding/json"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/view"
	"github.com/steward-rmm/steward/server/window"
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

// maxChartLines and chartSteps bound what one chart carries.
const (
	maxChartLines = 4
	chartSteps    = 360
)

type chartData struct {
	From    int64        `json:"from"`
	To      int64        `json:"to"`
	Zone    string       `json:"zone"`
	Unit    string       `json:"unit"`
	Times   []int64      `json:"times"`
	Labels  []string     `json:"labels"`
	Values  [][]*float64 `json:"values"`
	Windows [][2]int64   `json:"windows"`
	Flags   []flag       `json:"flags"`
}

// samples is what a chart draws. A moment without a value stays empty: no line
// is drawn where nothing was measured.
func (c *Console) samples(f *frame) error {
	key, id := f.r.URL.Query().Get("chart"), ident.DeviceID(f.r.PathValue("device"))
	at := slices.IndexFunc(charts(), func(ch struct{ key, name, signal, by string }) bool { return ch.key == key })
	if at < 0 || c.o.Samples == nil {
		return fault.NotFoundf("no such chart")
	}
	ch := charts()[at]
	d, err := c.o.Views.Device(f.ctx(), f.scope, f.tenant.ID, id)
	if err != nil {
		return err
	}
	_, long := f.chosenRange(d.EnrolledAt)
	from, loc := f.now.Add(-long), d.Location
	if loc == nil {
		loc = time.UTC
	}
	series, err := c.o.Samples.Read(f.ctx(), f.tenant.ID, id, from, f.now, ch.signal)
	if err != nil {
		return err
	}
	data := chartData{From: from.Unix(), To: f.now.Unix(), Zone: loc.String(), Unit: "1", Windows: [][2]int64{}, Flags: flagsOf(d, stamps{f.now, loc}, from)}
	data.fill(series, ch.by, from, long)
	for _, p := range d.Policies {
		if len(p.Rules) == 0 {
			continue
		}
		for _, o := range window.Between(p.Windows.Bind(loc, loc), loc, from, f.now) {
			data.Windows = append(data.Windows, [2]int64{o.Opens.Unix(), o.Closes.Unix()})
		}
	}
	f.w.Header().Set("Content-Type", "application/json")
	f.w.Header().Set("Cache-Control", "no-store")
	f.w.Header().Set("Vary", "Accept-Encoding, Cookie")
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	f.started = true
	return c.pages.write(f.w, f.r, http.StatusOK, body)
}

// fill puts series on one axis of steps, the mean of each step.
func (d *chartData) fill(series []telemetry.Series, by string, from time.Time, long time.Duration) {
	step := max(long/chartSteps, 30*time.Second)
	n := int(long/step) + 1
	if by != wire.AttributeDirection {
		slices.SortStableFunc(series, func(a, b telemetry.Series) int { return cmp.Compare(last(b), last(a)) })
	}
	sums, counts := map[string][]float64{}, map[string][]int{}
	for _, s := range series {
		d.Unit = s.Unit
		name := s.Attributes[by]
		if _, ok := sums[name]; !ok {
			if len(d.Labels) == maxChartLines {
				continue
			}
			d.Labels = append(d.Labels, name)
			sums[name], counts[name] = make([]float64, n), make([]int, n)
		}
		addSeries(s, from, step, sums[name], counts[name], by == wire.AttributeDirection)
	}
	d.Times, d.Values = []int64{}, make([][]*float64, len(d.Labels))
	for i := range n {
		d.Times = append(d.Times, from.Add(time.Duration(i)*step).Unix())
		for l, name := range d.Labels {
			var v *float64
			if counts[name][i] > 0 {
				mean := sums[name][i] / float64(counts[name][i])
				v = &mean
			}
			d.Values[l] = append(d.Values[l], v)
		}
	}
	if len(d.Labels) == 0 {
		d.Times = []int64{}
	}
}

// addSeries adds a series' points to its steps. Flows of several interfaces
// add up; everything else is a mean.
func addSeries(s telemetry.Series, from time.Time, step time.Duration, sums []float64, counts []int, flow bool) {
	own, seen := make([]float64, len(sums)), make([]int, len(sums))
	for _, p := range s.Points {
		if i := int(p.At.Sub(from) / step); i >= 0 && i < len(own) {
			own[i] += p.V
			seen[i]++
		}
	}
	for i := range own {
		switch {
		case seen[i] == 0:
		case flow:
			sums[i], counts[i] = sums[i]+own[i]/float64(seen[i]), 1
		default:
			sums[i], counts[i] = sums[i]+own[i], counts[i]+seen[i]
		}
	}
}

func last(s telemetry.Series) float64 {
	if len(s.Points) == 0 {
		return 0
	}
	return s.Points[len(s.Points)-1].V
}
