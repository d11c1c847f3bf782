package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/telemetry"
	"github.com/steward-rmm/steward/server/window"
)

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
