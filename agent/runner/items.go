package runner

import (
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/proto/wire"
)

// Facts of an item of wire.SectionSources, and those of updates that the wire's
// list does not name. Times are RFC 3339.
const (
	FactState        = "state"         // one of the states below
	FactDetail       = "detail"        // why it is not ready
	FactCode         = "code"          // source.Code of the last failure
	FactBusy         = "busy"          // the process that holds it, or "true"
	FactLastScan     = "last_scan"     // the last scan that worked
	FactLastRefresh  = "last_refresh"  // when its lists were last fetched
	FactReboot       = "reboot"        // "true" when the machine waits for a restart
	FactKeptBack     = "kept_back"     // "true" when a plain upgrade of all leaves it out
	FactRebootLikely = "reboot_likely" // "true" when its like usually needs a restart
)

// States of a source.
const (
	SourceReady   = "ready"
	SourceAbsent  = "absent"
	SourceFailing = "failing"
)

// facts collects facts; a value that is not known is left out.
type facts map[string]string

func (f facts) text(name, value string) {
	if value != "" {
		f[name] = value
	}
}

func (f facts) truth(name string, value bool) {
	if value {
		f[name] = "true"
	}
}

func (f facts) bytes(name string, value int64) {
	if value > 0 {
		f[name] = strconv.FormatInt(value, 10)
	}
}

func (f facts) time(name string, value time.Time) {
	if !value.IsZero() {
		f[name] = value.UTC().Format(time.RFC3339)
	}
}

// UpdateItems translates available updates to items of wire.SectionUpdates.
func UpdateItems(updates []source.Update) []wire.Item {
	items := make([]wire.Item, 0, len(updates))
	for _, u := range updates {
		f := facts{}
		f.text(wire.FactSource, u.Source)
		f.text(wire.FactPackage, u.Package)
		f.text(wire.FactArch, u.Arch)
		f.text(wire.FactInstalled, u.Installed)
		f.text(wire.FactAvailable, u.Available)
		if u.Kind != source.KindUnknown {
			f.text(wire.FactKind, string(u.Kind))
		}
		f.text(wire.FactSeverity, u.Severity)
		f.text(wire.FactOrigin, u.Origin)
		f.truth(wire.FactHeld, u.Held)
		f.truth(wire.FactPhased, u.Phased)
		f.truth(FactKeptBack, u.KeptBack)
		f.bytes(wire.FactSize, u.SizeBytes)
		f.truth(FactRebootLikely, u.RebootLikely)
		items = append(items, wire.Item{Key: u.Source + ":" + u.Package, Facts: f})
	}
	return items
}

// SoftwareItems translates installed packages to items of wire.SectionSoftware.
func SoftwareItems(installed []source.Installed) []wire.Item {
	items := make([]wire.Item, 0, len(installed))
	for _, i := range installed {
		f := facts{}
		f.text(wire.FactSource, i.Source)
		f.text(wire.FactName, i.Name)
		f.text(wire.FactVersion, i.Version)
		f.text(wire.FactArch, i.Arch)
		f.bytes(wire.FactSize, i.SizeBytes)
		f.text(wire.FactBroken, i.Broken)
		key := i.Source + ":" + i.Name
		if i.Arch != "" && !strings.HasSuffix(i.Name, ":"+i.Arch) {
			key += ":" + i.Arch
		}
		items = append(items, wire.Item{Key: key, Facts: f})
	}
	return items
}

// SourceItem translates what is known of one source to an item of
// wire.SectionSources. scanned is when it last answered, zero when never.
func SourceItem(name string, here bool, why string, code source.Code, scanned time.Time, scan source.Scan) wire.Item {
	f := facts{FactState: SourceReady}
	switch {
	case !here:
		f[FactState] = SourceAbsent
		f.text(FactDetail, why)
	case code != source.CodeNone:
		f[FactState] = SourceFailing
		f.text(FactDetail, why)
		f.text(FactCode, string(code))
	}
	f.time(FactLastScan, scanned)
	f.time(FactLastRefresh, scan.LastRefresh)
	f.truth(FactReboot, scan.RebootRequired)
	if b := scan.Busy; b != nil {
		f[FactBusy] = "true"
		f.text(FactBusy, b.Process)
	}
	return wire.Item{Key: name, Facts: f}
}
