package job

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/reason"
)

const (
	maxAttempts = 5
	maxExpected = 7 * 24 * time.Hour // of one release, as in the encoding
)

// Submit makes a job, the only way that one comes to be. Its run is found by
// (tenant, policy, site, opens) or made. While the run has a job of the device
// that has not ended, that one is returned and nothing is made. Times are
// rounded to whole seconds, inwards: a job's bytes know no others.
func (s *Service) Submit(ctx context.Context, now time.Time, spec Spec) (out Job, err error) {
	j := spec.job(now)
	if err := spec.check(now, j); err != nil {
		return Job{}, err
	}
	err = s.o.Tx(ctx, func(ctx context.Context) error {
		run := spec.Run
		run.Tenant, run.ID, run.CreatedAt = spec.Tenant, ident.RunID(ident.New(now)), now
		run, err := s.o.Runs.EnsureRun(ctx, run)
		if err != nil {
			return fmt.Errorf("run of %s at %s: %w", spec.Run.Policy, spec.Run.Site, err)
		}
		j.Run, j.Policy, j.Site = run.ID, run.Policy, run.Site
		made, err := j.Move(Queued, j.Reason, now)
		if err != nil {
			return err
		}
		inserted, err := s.o.Store.Insert(ctx, made)
		if err != nil {
			return fmt.Errorf("insert job for device %s: %w", spec.Device, err)
		}
		if !inserted {
			var found bool
			out, found, err = s.o.Store.OfRun(ctx, spec.Tenant, run.ID, spec.Device)
			if err == nil && !found {
				err = fault.Conflictf("another job of device %s in this run has just ended", spec.Device)
			}
			return err
		}
		out = made
		return s.record(ctx, now, []moved{{"", made}})
	})
	return out, err
}

// job is what a Spec makes, before it has a run and a state.
func (spec Spec) job(now time.Time) Job {
	why := spec.Reason
	if why.IsZero() {
		why = reason.New(reason.JobSubmitted, "until", reason.Time(spec.NotBefore))
	}
	notBefore := spec.NotBefore.UTC().Truncate(time.Second)
	if notBefore.Before(spec.NotBefore) {
		notBefore = notBefore.Add(time.Second)
	}
	releases := make([]Release, len(spec.Releases))
	for i, r := range spec.Releases {
		releases[i] = Release{Deployment: r.Deployment, Source: r.Source, Package: r.Package, From: r.From, Version: r.Version,
			Expected: r.Expected.Truncate(time.Second)}
	}
	return Job{
		Tenant: spec.Tenant, ID: ident.JobID(ident.New(now)), Run: ident.RunID(ident.New(now)), Policy: spec.Run.Policy, Site: spec.Run.Site,
		Device: spec.Device, Kind: spec.Kind, Reason: why, Version: 1, Attempt: 1, Attempts: max(1, spec.Attempts),
		NotBefore: notBefore, StartBy: spec.StartBy.UTC().Truncate(time.Second), Deadline: spec.Deadline.UTC().Truncate(time.Second),
		Alone: spec.Alone, MayReboot: spec.MayReboot, Releases: releases, Denied: slices.Clone(spec.Denied), CreatedAt: now,
	}
}

func (spec Spec) check(now time.Time, j Job) error {
	switch {
	case spec.Tenant == "" || spec.Tenant == ident.MSP || spec.Device == "":
		return fault.Invalidf("device", "a job belongs to one device of one customer")
	case j.Kind != Install && j.Kind != Scan:
		return fault.Invalidf("kind", "%q is no kind of job", j.Kind).WithNext("use install or scan")
	case j.Kind == Install && len(j.Releases) == 0:
		return fault.Invalidf("releases", "there is nothing to install")
	case j.Kind == Scan && len(j.Releases) > 0:
		return fault.Invalidf("releases", "a scan installs nothing")
	case len(j.Releases) > wire.MaxJobReleases:
		return fault.Invalidf("releases", "%d releases, at most %d", len(j.Releases), wire.MaxJobReleases)
	case len(j.Denied) > wire.MaxDeniedPackages:
		return fault.Invalidf("denied", "%d denied packages, at most %d", len(j.Denied), wire.MaxDeniedPackages)
	case spec.Attempts < 0 || spec.Attempts > maxAttempts:
		return fault.Invalidf("attempts", "%d is out of range: 1 to %d", spec.Attempts, maxAttempts)
	case spec.Run.Policy == "" || spec.Run.Site == "" || spec.Run.Opens.IsZero() || spec.Run.Closes.Before(spec.Run.Opens):
		return fault.Invalidf("run", "needs a policy, a site and when its window opens and closes")
	case spec.NotBefore.IsZero() || j.StartBy.Before(j.NotBefore) || j.Deadline.Before(j.StartBy):
		return fault.Invalidf("times", "a job may start from not_before to start_by, and start_by is not after the deadline")
	case now.After(j.StartBy):
		return fault.Invalidf("start_by", "%s has passed", reason.Time(j.StartBy))
	}
	if err := spec.checkTexts(j); err != nil {
		return err
	}
	if n := len(j.wire(now).Encode()); n > wire.MaxJob {
		return fault.Invalidf("job", "%d bytes, at most %d", n, wire.MaxJob).WithNext("make its releases or deny list fewer")
	}
	return nil
}

func (spec Spec) checkTexts(j Job) error {
	texts := []string{string(spec.Tenant), string(spec.Device), spec.Run.Policy, string(spec.Run.Site), spec.Run.LocalDate}
	seen := make(map[[2]string]bool, len(j.Releases))
	for _, r := range j.Releases {
		texts = append(texts, r.Source, r.Package, r.From, r.Version, string(r.Deployment))
		key := [2]string{r.Source, r.Package}
		if r.Source == "" || r.Package == "" || r.Version == "" || seen[key] {
			return fault.Invalidf("releases", "each has a source, a package and a version, and no package stands twice (%s %s)", r.Source, r.Package)
		}
		if seen[key] = true; r.Expected < 0 || r.Expected > maxExpected {
			return fault.Invalidf("releases", "%s %s is expected to take %s, at most %s", r.Source, r.Package, r.Expected, maxExpected)
		}
	}
	for _, d := range j.Denied {
		texts = append(texts, d.Source, d.Package, d.Rule)
	}
	for _, t := range texts {
		if len(t) > wire.MaxText || !utf8.ValidString(t) || strings.ContainsRune(t, 0) {
			return fault.Invalidf("text", "%.40q is longer than %d bytes or not plain text", t, wire.MaxText)
		}
	}
	return nil
}

// wire is what the device gets: the releases on which something is left to do.
func (j Job) wire(now time.Time) wire.Job {
	kind := wire.JobInstall
	if j.Kind == Scan {
		kind = wire.JobScan
	}
	w := wire.Job{
		ID: string(j.ID), Attempt: uint32(j.Attempt), Run: string(j.Run), Tenant: string(j.Tenant), Device: string(j.Device), Kind: kind,
		IssuedAt: now.UTC().Truncate(time.Second), NotBefore: j.NotBefore, StartBy: j.StartBy, Deadline: j.Deadline,
		Alone: j.Alone, MayReboot: j.MayReboot, Denied: j.Denied,
	}
	for _, r := range j.Releases {
		if r.Result == "" {
			w.Releases = append(w.Releases, wire.JobRelease{Source: r.Source, Package: r.Package, From: r.From, Version: r.Version, Expected: r.Expected})
		}
	}
	return w
}
