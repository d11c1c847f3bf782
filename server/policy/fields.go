package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/window"
)

// Limits of a policy document.
const (
	maxList  = 100 // entries of any list
	maxText  = 200 // bytes of any text
	maxRings = 10
)

// Sources lists the update sources that the words of the project know; what an
// agent does not have yet, its inventory says.
func Sources() []string {
	return []string{"apt", "chocolatey", "dnf", "homebrew", "softwareupdate", "windowsupdate", "winget"}
}

// Default is what a policy says where its documents are silent.
func Default() Patch {
	return Patch{
		Sources: Sources(),
		Rings:   []Ring{{Name: "everyone", Share: 100, MinVerified: defaultMinVerified}},
		Limits:  Limits{InFlight: 20, Failures: Allowance{Count: 2, Share: 10}},
		Reboot:  Reboot{When: "never"},
		Alone:   AloneLastRing,
	}
}

const defaultMinVerified Percent = 60

// fields are the fields of a PatchPolicy with how each is read into a Patch.
// What a field says replaces what the level above said; limits are merged key
// by key.
var fields = map[string]func(raw json.RawMessage, p *Patch) error{
	"targets":   readTargets,
	"sources":   readSources,
	"approvals": readApprovals,
	"windows":   readWindows,
	"rings":     readRings,
	"limits":    readLimits,
	"jitter":    readJitter,
	"reboot":    readReboot,
	"alone":     readAlone,
	"catch_up":  readCatchUp,
	"gate":      notYet("gate"),
	"deferral":  notYet("deferral"),
}

// FieldNames lists the fields of a PatchPolicy in alphabetical order.
func FieldNames() []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func notYet(name string) func(json.RawMessage, *Patch) error {
	return func(json.RawMessage, *Patch) error { return fault.NotYetf(name) }
}

// strict decodes JSON and refuses unknown keys and trailing text.
func strict(field string, raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fault.Invalidf(field, "%s", plain(err))
	}
	return nil
}

// plain turns an error of encoding/json into words about the document.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field != "" {
			return fmt.Sprintf("%s cannot be a %s", wrong.Field, wrong.Value)
		}
		return "cannot be a " + wrong.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func readTargets(raw json.RawMessage, p *Patch) error {
	p.Targets = Targets{}
	if err := strict("targets", raw, &p.Targets); err != nil {
		return err
	}
	for _, c := range p.Targets.Class {
		if err := fleet.CheckClass(c); err != nil {
			return fault.Invalidf("targets.class", "%q is no class", c).WithNext("use workstation, laptop or server")
		}
	}
	return firstError(checkList("targets.class", len(p.Targets.Class)), checkTexts("targets.tags", p.Targets.Tags),
		checkTexts("targets.exclude_tags", p.Targets.ExcludeTags))
}

func readSources(raw json.RawMessage, p *Patch) error {
	p.Sources = nil
	if err := strict("sources", raw, &p.Sources); err != nil {
		return err
	}
	if len(p.Sources) == 0 {
		return fault.Invalidf("sources", "at least one source is needed").WithNext("leave the field out for all sources")
	}
	for _, s := range p.Sources {
		if !slices.Contains(Sources(), s) {
			return fault.Invalidf("sources", "%q is no source", s).WithNext("known: %v", Sources())
		}
	}
	return nil
}

func readApprovals(raw json.RawMessage, p *Patch) error {
	p.Approvals = nil
	if err := strict("approvals", raw, &p.Approvals); err != nil {
		return err
	}
	for i, r := range p.Approvals {
		field := fmt.Sprintf("approvals[%d]", i)
		if err := firstError(r.Match.check(field+".match"), r.checkAction(field)); err != nil {
			return err
		}
	}
	return checkList("approvals", len(p.Approvals))
}

func (m Match) check(field string) error {
	if m.Source != "" && !slices.Contains(Sources(), m.Source) {
		return fault.Invalidf(field+".source", "%q is no source", m.Source).WithNext("known: %v", Sources())
	}
	if _, err := path.Match(m.Package, ""); err != nil || len(m.Package) > maxText {
		return fault.Invalidf(field+".package", "%q is no pattern", m.Package).WithNext("use * and ? as in file names")
	}
	if m.Kind != "" && !slices.Contains(inventory.Kinds(), m.Kind) {
		return fault.Invalidf(field+".kind", "%q is no kind", m.Kind).WithNext("known: %v", inventory.Kinds())
	}
	return nil
}

func (r Rule) checkAction(field string) error {
	switch r.Action {
	case Approve, Deny, Manual:
		if r.For != 0 {
			return fault.Invalidf(field+".for", "only action wait has a duration")
		}
	case Wait:
		if r.For <= 0 {
			return fault.Invalidf(field+".for", "action wait needs a duration").WithNext("for example for: 3d")
		}
	default:
		return fault.Invalidf(field+".action", "%q is no action", r.Action).WithNext("use approve, deny, wait or manual")
	}
	if len(r.Reason) > maxText {
		return fault.Invalidf(field+".reason", "%d bytes, at most %d", len(r.Reason), maxText)
	}
	return nil
}

// windowForm is a window rule as it is written.
type windowForm struct {
	Cron       string             `json:"cron"`
	Weekday    string             `json:"weekday"`
	OffsetDays int                `json:"offset_days"`
	At         string             `json:"at"`
	Duration   Duration           `json:"duration"`
	TimeZone   string             `json:"time_zone"`
	Blackout   []window.DateRange `json:"blackout"`
}

func readWindows(raw json.RawMessage, p *Patch) error {
	var forms []windowForm
	if err := strict("windows", raw, &forms); err != nil {
		return err
	}
	p.Windows = nil
	for i, f := range forms {
		rule := window.Rule{Cron: f.Cron, Weekday: f.Weekday, OffsetDays: f.OffsetDays, At: f.At, Duration: time.Duration(f.Duration),
			TimeZone: f.TimeZone, Blackout: f.Blackout}
		if rule.TimeZone == "" {
			rule.TimeZone = window.ZoneDevice
		}
		if err := window.Check(rule); err != nil {
			return prefix(fmt.Sprintf("windows[%d]", i), err)
		}
		p.Windows = append(p.Windows, rule)
	}
	return checkList("windows", len(p.Windows))
}

func readRings(raw json.RawMessage, p *Patch) error {
	p.Rings = nil
	if err := strict("rings", raw, &p.Rings); err != nil {
		return err
	}
	if n := len(p.Rings); n == 0 || n > maxRings {
		return fault.Invalidf("rings", "%d rings, 1 to %d are possible", n, maxRings)
	}
	seen := map[string]bool{}
	share := Percent(0)
	for i := range p.Rings {
		r := &p.Rings[i]
		field := fmt.Sprintf("rings[%d]", i)
		if r.MinVerified == 0 {
			r.MinVerified = defaultMinVerified
		}
		switch {
		case r.Name == "" || len(r.Name) > maxText || seen[r.Name]:
			return fault.Invalidf(field+".name", "%q is empty, too long or used twice", r.Name)
		case r.Share != 0 && len(r.Tags) > 0, r.Share == 0 && len(r.Tags) == 0:
			return fault.Invalidf(field, "ring %q needs either a share or tags", r.Name)
		case r.Share != 0 && r.Share <= share:
			return fault.Invalidf(field+".share", "shares are cumulative: %s does not rise above %s", r.Share, share)
		}
		seen[r.Name] = true
		share = max(share, r.Share)
	}
	if share != 100 {
		return fault.Invalidf("rings", "the last ring has %s", share).WithNext("give the last ring share: 100%%, it means the rest")
	}
	return nil
}

func readLimits(raw json.RawMessage, p *Patch) error {
	if err := strict("limits", raw, &p.Limits); err != nil {
		return err
	}
	if p.Limits.InFlight <= 0 {
		return fault.Invalidf("limits.in_flight", "%s would never start anything", p.Limits.InFlight)
	}
	return nil
}

func readJitter(raw json.RawMessage, p *Patch) error {
	p.Jitter = nil
	if err := strict("jitter", raw, &p.Jitter); err != nil {
		return err
	}
	if p.Jitter != nil && time.Duration(*p.Jitter) > 12*time.Hour {
		return fault.Invalidf("jitter", "%s is longer than 12h", *p.Jitter)
	}
	return nil
}

func readReboot(raw json.RawMessage, p *Patch) error {
	var form struct {
		When    string            `json:"when"`
		Windows []json.RawMessage `json:"windows"`
	}
	if err := strict("reboot", raw, &form); err != nil {
		return err
	}
	switch form.When {
	case "never":
		if len(form.Windows) > 0 {
			return fault.NotYetf("reboot.windows")
		}
		p.Reboot.When = form.When
		return nil
	case "if-required", "always":
		return fault.NotYetf("reboot: " + form.When)
	}
	return fault.Invalidf("reboot.when", "%q is no value", form.When).WithNext("use never")
}

func readAlone(raw json.RawMessage, p *Patch) error {
	if err := strict("alone", raw, &p.Alone); err != nil {
		return err
	}
	if p.Alone != AloneNever && p.Alone != AloneLastRing {
		return fault.Invalidf("alone", "%q is no value", p.Alone).WithNext("use never or last-ring")
	}
	return nil
}

func readCatchUp(raw json.RawMessage, _ *Patch) error {
	var s string
	if err := strict("catch_up", raw, &s); err != nil {
		return err
	}
	if s != "never" {
		return fault.NotYetf("catch_up: " + s)
	}
	return nil
}

func checkList(field string, n int) error {
	if n > maxList {
		return fault.Invalidf(field, "%d entries, at most %d", n, maxList)
	}
	return nil
}

func checkTexts(field string, list []string) error {
	for _, s := range list {
		if s == "" || len(s) > maxText {
			return fault.Invalidf(field, "an entry is empty or longer than %d bytes", maxText)
		}
	}
	return checkList(field, len(list))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
