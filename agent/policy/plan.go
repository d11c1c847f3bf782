package policy

import (
	"fmt"
	"slices"

	"github.com/steward-rmm/steward/proto/wire"
)

// Effect is what a planned step does to a package.
type Effect uint8

// The effects of a plan.
const (
	EffectChange    Effect = iota // upgraded, installed anew, or configured
	EffectDowngrade               // to an older version
	EffectRemove
)

// Change is what the simulation of one release would do to one package. To is
// the version afterwards, "" for a removal or when the simulation tells none.
type Change struct {
	Package string
	Effect  Effect
	To      string
}

// CheckPlan says whether what a simulation would change may be changed: nothing
// denied by the job, forbidden by this machine or held on it, nothing removed,
// nothing but the release itself set back. held are the packages pinned here.
// A source that cannot simulate has an empty plan, which passes.
func CheckPlan(j wire.Job, r wire.JobRelease, changes []Change, held []string, local Local) (refusal wire.Refusal, detail string) {
	for _, c := range changes {
		if c.Package == r.Package && c.Effect != EffectRemove {
			if c.To != "" && c.To != r.Version {
				return wire.RefusedSuperseded, fmt.Sprintf("would install %s %s instead of %s", c.Package, c.To, r.Version)
			}
			continue // CheckRelease spoke about it
		}
		if rule, denied := deniedBy(j.Denied, r.Source, c.Package); denied {
			return wire.RefusedPlan, fmt.Sprintf("would change %s, denied by rule %s", c.Package, rule)
		}
		if ok, rule := local.Package(r.Source, c.Package); !ok {
			return wire.RefusedPlan, fmt.Sprintf("would change %s, denied by this machine's settings: %s", c.Package, rule)
		}
		switch {
		case slices.Contains(held, c.Package):
			return wire.RefusedPlan, fmt.Sprintf("would change %s, which is pinned on this machine", c.Package)
		case c.Effect == EffectRemove:
			return wire.RefusedPlan, fmt.Sprintf("would remove %s", c.Package)
		case c.Effect == EffectDowngrade:
			return wire.RefusedPlan, fmt.Sprintf("would set %s back to %s", c.Package, c.To)
		}
	}
	return "", ""
}

// ResultOf is how a release ends in its job that was refused at its turn.
func ResultOf(r wire.Refusal) wire.ResultState {
	switch r {
	case wire.RefusedSuperseded:
		return wire.ResultSuperseded
	case wire.RefusedNotInstalled, wire.RefusedNotOffered, wire.RefusedSource, wire.RefusedPackage, wire.RefusedDenied, wire.RefusedPinned:
		return wire.ResultNotApplicable
	case wire.RefusedDoesNotFit, wire.RefusedClock:
		return wire.ResultNotStarted
	default:
		return wire.ResultFailed
	}
}
