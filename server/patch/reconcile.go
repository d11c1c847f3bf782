package patch

import (
	"time"

	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
)

// Decide says what policies and people hold of a release on the device.
type Decide func(inventory.Update) (policy.Decision, reason.Reason)

// Reconcile compares what a device's own scan says with what is held of its
// updates, and returns the rows that change, each already in its new state. It
// is the only place that says verified or superseded: verified when the scan
// proves the version, superseded when something newer took its place or the
// source no longer offers it. A job under way is left alone until the scan
// proves its version or the job ends.
func Reconcile(now time.Time, observed inventory.Scan, current []Update, decide Decide) []Update {
	rows := make(map[Release]Update, len(current))
	newest := map[string]string{} // source:package → offered version
	for _, u := range current {
		rows[u.Release] = u
	}
	var changed []Update
	for _, seen := range observed.Updates {
		rel := Release{seen.Source, seen.Package, seen.Available}
		newest[seen.Source+":"+seen.Package] = seen.Available
		row, had := rows[rel]
		next := offer(now, observed, row, had, seen, decide)
		if !had || !same(next, row) {
			changed = append(changed, next)
		}
		delete(rows, rel)
	}
	for _, row := range current {
		if _, left := rows[row.Release]; !left || !row.State.Open() {
			continue
		}
		next := unoffered(now, observed, row, newest[row.Source+":"+row.Package])
		if !same(next, row) {
			changed = append(changed, next)
		}
	}
	return changed
}

// offer is the row of an update that the scan offers.
func offer(now time.Time, observed inventory.Scan, row Update, had bool, seen inventory.Update, decide Decide) Update {
	next := row
	if !had {
		next = Update{Tenant: observed.Tenant, Device: observed.Device, Release: Release{seen.Source, seen.Package, seen.Available}, FirstSeen: now}
	}
	next.Installed, next.Kind, next.Severity = seen.Installed, seen.Kind, seen.Severity
	next.Held, next.Phased, next.Offered = seen.Held, seen.Phased, true
	switch {
	case next.State.UnderWay(), next.State == Halted:
		return next
	case next.State == Unknown && !observed.At.After(row.Since):
		return next // the scan is older than the silence
	}
	decision, why := decide(seen)
	to := stateOf(decision)
	switch {
	case to == Approved && next.State == Scheduled,
		to != Denied && next.State == Failed:
		return next
	}
	return next.Move(to, why, now)
}

// stateOf is the state of an update that only a decision speaks about.
func stateOf(d policy.Decision) State {
	switch d.Action {
	case policy.Approve:
		return Approved
	case policy.Deny:
		return Denied
	case policy.Wait:
		return Waiting
	}
	return Available
}

// unoffered is the row of an open update that the scan no longer offers.
func unoffered(now time.Time, observed inventory.Scan, row Update, offeredNow string) Update {
	next := row
	next.Offered = false
	installed, there := observed.Installed[row.Source+":"+row.Package]
	switch {
	case there && installed == row.Version:
		next.Installed = row.Installed
		return next.Move(Verified, reason.New(reason.VerifiedByScan, "version", row.Version), now)
	case row.State.UnderWay() && !observed.At.After(row.Since):
		return next // the scan is older than the step
	case observed.Broken[row.Source+":"+row.Package] != "" && offeredNow == "":
		return next // half done: no longer offered, and not installed either
	case offeredNow != "":
		return next.Move(Superseded, reason.New(reason.SupersededBy, "version", offeredNow), now)
	case there && installed != row.Installed:
		return next.Move(Superseded, reason.New(reason.SupersededBy, "version", installed), now)
	}
	return next.Move(Superseded, reason.New(reason.GoneFromScan), now)
}

// Redecide returns the row as decisions now hold of it; changed is false where
// they say nothing new or the state is not theirs to change.
func Redecide(now time.Time, row Update, decide Decide) (next Update, changed bool) {
	switch row.State {
	case Available, Approved, Denied, Waiting, Scheduled, Failed:
	default:
		return row, false
	}
	decision, why := decide(row.observed())
	to := stateOf(decision)
	if to == Approved && (row.State == Scheduled || row.State == Failed) || to != Denied && row.State == Failed {
		return row, false
	}
	next = row.Move(to, why, now)
	return next, !same(next, row)
}

func (u Update) observed() inventory.Update {
	return inventory.Update{Source: u.Source, Package: u.Package, Installed: u.Installed, Available: u.Version, Kind: u.Kind, Severity: u.Severity, Held: u.Held, Phased: u.Phased}
}

// Move is the one setter of an update's state: it keeps the time when only the
// words of the reason change.
func (u Update) Move(to State, why reason.Reason, now time.Time) Update {
	if u.State != to {
		u.State, u.Since = to, now
	}
	u.Reason = why
	return u
}

// same reports whether nothing that is stored differs.
func same(a, b Update) bool {
	return a.State == b.State && a.Reason.Encode() == b.Reason.Encode() && a.Installed == b.Installed && a.Kind == b.Kind && a.Severity == b.Severity &&
		a.Held == b.Held && a.Phased == b.Phased && a.Offered == b.Offered && a.Job == b.Job && a.Tries == b.Tries
}
