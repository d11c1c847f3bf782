package agent

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/agent/osexec"
	"github.com/steward-rmm/steward/agent/runner"
	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/telemetry"
	"github.com/steward-rmm/steward/proto/wire"
)

// Codes of what a scan does not show.
const (
	CodeNotInVersion = "not_in_this_version"
	CodeUnavailable  = "unavailable" // the machine does not have it
	CodeUnreadable   = "unreadable"  // it is there and could not be read
	CodeIgnored      = "ignored"     // a setting that is not the administrator's
)

// Refusal names something that a scan does not show, and why.
type Refusal struct {
	Subject string `json:"subject"` // a source, a section, a signal's provider, a setting
	Code    string `json:"code"`
	Text    string `json:"text"`
}

// ScannedSample is one measured value.
type ScannedSample struct {
	Time       time.Time         `json:"time"`
	Signal     string            `json:"signal"`
	Attributes map[string]string `json:"attributes"`
	Value      float64           `json:"value"`
	Unit       string            `json:"unit"`
}

// Scanned is what `steward-agent scan` prints. Inventory holds an object for a
// section of one item, and a list of objects with their key for the others.
type Scanned struct {
	Inventory map[string]any   `json:"inventory"`
	Software  []map[string]any `json:"software"`
	Updates   []map[string]any `json:"updates"`
	Samples   []ScannedSample  `json:"samples"`
	Refusals  []Refusal        `json:"refusals"`
}

// rateWait is the time between the two collections that make rates.
const rateWait = time.Second

// Scan looks at the machine once: what it is, what is installed, what is
// offered, how it does. It changes nothing, asks no server and fetches nothing.
// What it could not see is among the refusals.
func Scan(ctx context.Context, s Settings, now func() time.Time) (Scanned, error) {
	out := Scanned{
		Inventory: map[string]any{}, Software: []map[string]any{}, Updates: []map[string]any{},
		Samples: []ScannedSample{}, Refusals: []Refusal{},
	}
	for _, why := range s.Ignored {
		out.refuse(SettingsFile, CodeIgnored, why)
	}
	measure := telemetry.New(telemetry.Options{})
	first := now()
	measure.Collect(ctx, first)
	if err := out.takeSources(ctx, s, now); err != nil {
		return Scanned{}, err
	}
	found, problems := inventory.New(inventory.Options{Runner: programs{osexec.System{Now: now}}}).Collect(ctx, now())
	for section, items := range found {
		out.Inventory[string(section)] = shownSection(section, items)
	}
	for _, p := range problems {
		out.refuse(string(p.Section), CodeUnreadable, p.String())
	}
	select {
	case <-time.After(max(0, rateWait-now().Sub(first))):
	case <-ctx.Done():
		return Scanned{}, ctx.Err()
	}
	out.takeSamples(ctx, measure, now())
	out.Refusals = append(out.Refusals, missingSources(runtime.GOOS, there)...)
	return out, ctx.Err()
}

func (out *Scanned) refuse(subject, code, text string) {
	out.Refusals = append(out.Refusals, Refusal{Subject: subject, Code: code, Text: text})
}

// takeSources asks every source of this machine.
func (out *Scanned) takeSources(ctx context.Context, s Settings, now func() time.Time) error {
	sources, err := machineSources(s, now)
	if err != nil {
		return errors.Join(ErrSettings, err)
	}
	states := []map[string]any{}
	for _, src := range sources {
		states = append(states, shownItem(out.takeSource(ctx, s, src, now), true))
	}
	out.Inventory[string(wire.SectionSources)] = states
	return nil
}

func (out *Scanned) takeSource(ctx context.Context, s Settings, src runner.Source, now func() time.Time) wire.Item {
	name := src.Name()
	if allowed, rule := s.Local.Source(name); !allowed {
		out.refuse(name, string(wire.RefusedSource), rule)
		return runner.SourceItem(name, false, rule, source.CodeNone, time.Time{}, source.Scan{})
	}
	if here, why := src.Available(ctx); !here {
		out.refuse(name, CodeUnavailable, why)
		return runner.SourceItem(name, false, why, source.CodeNone, time.Time{}, source.Scan{})
	}
	installed, err := src.Installed(ctx)
	if err != nil {
		out.refuse(name, CodeUnreadable, err.Error())
	}
	for _, i := range runner.SoftwareItems(installed) {
		out.Software = append(out.Software, shownItem(i, false))
	}
	scan, err := src.Scan(ctx)
	if err != nil {
		out.refuse(name, string(source.CodeOf(err)), err.Error())
		return runner.SourceItem(name, true, err.Error(), source.CodeOf(err), time.Time{}, scan)
	}
	for _, i := range runner.UpdateItems(scan.Updates) {
		out.Updates = append(out.Updates, shownItem(i, false))
	}
	return runner.SourceItem(name, true, "", source.CodeNone, now(), scan)
}

func (out *Scanned) takeSamples(ctx context.Context, measure *telemetry.Collector, now time.Time) {
	at := now.UTC().Truncate(time.Second)
	for _, sample := range measure.Collect(ctx, now) {
		signal, _ := wire.SignalByName(sample.Series.Signal)
		attributes := sample.Series.Attributes
		if attributes == nil {
			attributes = map[string]string{}
		}
		out.Samples = append(out.Samples, ScannedSample{
			Time: at, Signal: sample.Series.Signal, Attributes: attributes, Value: sample.Value, Unit: signal.Unit,
		})
	}
	for _, failure := range measure.Failures() {
		out.refuse("samples", CodeUnreadable, failure)
	}
}

// shownSection is a section as JSON.
func shownSection(section wire.Section, items []wire.Item) any {
	switch section {
	case wire.SectionSystem, wire.SectionBoard, wire.SectionFirmware, wire.SectionOS:
		if len(items) == 1 {
			return shownItem(items[0], false)
		}
	}
	list := make([]map[string]any, 0, len(items))
	for _, i := range items {
		list = append(list, shownItem(i, true))
	}
	return list
}

func shownItem(i wire.Item, key bool) map[string]any {
	out := make(map[string]any, len(i.Facts)+1)
	if key {
		out["key"] = i.Key
	}
	for name, value := range i.Facts {
		out[name] = shown(name, value)
	}
	return out
}

// shown is a fact as JSON: numbers and truth values as such, where the fact's
// name says that it is one.
func shown(name, value string) any {
	if value == "true" || value == "false" {
		return value == "true"
	}
	number := strings.HasSuffix(name, "_bytes") || strings.HasSuffix(name, "_mhz") || strings.HasSuffix(name, "_mts") || strings.HasSuffix(name, "_mbps")
	switch name {
	case inventory.FactCores, inventory.FactThreads, inventory.FactMTU:
		number = true
	}
	if n, err := strconv.ParseInt(value, 10, 64); number && err == nil {
		return n
	}
	return value
}
