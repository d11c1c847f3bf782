package policy

import (
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// ReleaseFacts are what this device knows about one release at its turn.
type ReleaseFacts struct {
	Local Local
	// SourceHere: the machine has the source, and it works.
	SourceHere bool
	// ScannedAt is when this agent last asked the source; zero when never.
	ScannedAt time.Time
	// Installed is the installed version by that scan, "" when not installed.
	Installed string
	// Offered is the version that the scan offers, "" when none.
	Offered string
	// Phased: the source withholds the offer from this machine for now.
	Phased bool
	// Held: a person pinned the package here.
	Held bool
	// Recorded are versions that this agent itself saw installed.
	Recorded []string
	// Compare orders two versions as the source does.
	Compare func(a, b string) int
	// SizeBytes is the size of the download, 0 when unknown. FreeBytes is the
	// space left on the system's volume, negative when unknown.
	SizeBytes, FreeBytes int64
}

const (
	// unknownExpected is taken for a release that was never timed.
	unknownExpected = 15 * time.Minute
	// spareBytes must stay free besides three times the download: once for the
	// file, twice for what is unpacked. Our choice; no source promises more.
	spareBytes = 256 << 20
	sizeFactor = 3
)

// Downgrade reports whether the job means to go back: its version is lower than
// the one on which it was decided.
func Downgrade(r wire.JobRelease, compare func(a, b string) int) bool {
	return r.From != "" && compare(r.Version, r.From) < 0
}

// Present reports whether nothing is left to install: the machine has the
// version or a newer one, or for a downgrade exactly it.
func Present(r wire.JobRelease, installed string, compare func(a, b string) int) bool {
	if installed == "" {
		return false
	}
	c := compare(installed, r.Version)
	return c == 0 || c > 0 && !Downgrade(r, compare)
}

// CheckRelease says whether one release of a running job may be installed now.
func CheckRelease(now time.Time, j wire.Job, r wire.JobRelease, f ReleaseFacts) (refusal wire.Refusal, detail string) {
	if ok, rule := f.Local.Source(r.Source); !ok {
		return wire.RefusedSource, "this machine's settings: " + rule
	}
	if ok, rule := f.Local.Package(r.Source, r.Package); !ok {
		return wire.RefusedPackage, "this machine's settings: " + rule
	}
	if rule, denied := deniedBy(j.Denied, r.Source, r.Package); denied {
		return wire.RefusedDenied, "denied by rule " + rule
	}
	if !f.SourceHere {
		return wire.RefusedSource, r.Source + " is not on this machine or does not work"
	}
	if refusal, detail = checkScan(now, r, f); refusal != "" {
		return refusal, detail
	}
	if need := Needs(r.Expected); now.Add(need).After(j.Deadline) {
		return wire.RefusedDoesNotFit, fmt.Sprintf("needs %s, the window shuts at %s", need.Round(time.Second), stamp(j.Deadline))
	}
	if need := sizeFactor*f.SizeBytes + spareBytes; f.FreeBytes >= 0 && f.FreeBytes < need {
		return wire.RefusedDiskFull, fmt.Sprintf("needs %d MB free, has %d", need>>20, f.FreeBytes>>20)
	}
	return "", ""
}

// checkScan compares the release with what this machine's own scan shows.
func checkScan(now time.Time, r wire.JobRelease, f ReleaseFacts) (wire.Refusal, string) {
	switch {
	case f.ScannedAt.IsZero() || now.Sub(f.ScannedAt) > wire.MaxScanAge:
		return wire.RefusedScanOld, fmt.Sprintf("the last scan of %s is older than %s", r.Source, wire.MaxScanAge)
	case f.Installed == "":
		return wire.RefusedNotInstalled, r.Package + " is not installed here"
	case f.Held:
		return wire.RefusedPinned, r.Package + " is pinned on this machine"
	case Downgrade(r, f.Compare):
		if !slices.Contains(f.Recorded, r.Version) {
			return wire.RefusedVersionUnknown, fmt.Sprintf("%s %s was never seen installed here", r.Package, r.Version)
		}
	case f.Compare(f.Installed, r.Version) > 0:
		return wire.RefusedSuperseded, fmt.Sprintf("%s is installed, newer than %s", f.Installed, r.Version)
	case f.Offered == "":
		return wire.RefusedNotOffered, fmt.Sprintf("%s offers no update of %s", r.Source, r.Package)
	case f.Offered != r.Version && f.Compare(f.Offered, r.Version) > 0:
		return wire.RefusedSuperseded, fmt.Sprintf("%s offers %s now", r.Source, f.Offered)
	case f.Offered != r.Version:
		return wire.RefusedNotOffered, fmt.Sprintf("%s offers %s, not %s", r.Source, f.Offered, r.Version)
	case f.Phased:
		return wire.RefusedNotOffered, fmt.Sprintf("%s does not yet give %s to this machine", r.Source, r.Version)
	}
	return "", ""
}

// Needs returns how long a step must have until the window shuts: what it is
// expected to take, 15 minutes when that is unknown, plus 10 %.
func Needs(expected time.Duration) time.Duration {
	if expected <= 0 {
		expected = unknownExpected
	}
	return expected + expected/10
}

// deniedBy returns the rule that denies a package. A pattern that is none
// denies: it was meant to.
func deniedBy(denied []wire.Denied, source, pkg string) (rule string, is bool) {
	for _, d := range denied {
		if d.Source != source {
			continue
		}
		for _, name := range []string{pkg, bare(pkg)} {
			if matched, err := path.Match(d.Package, name); matched || err != nil {
				return d.Rule, true
			}
		}
	}
	return "", false
}
