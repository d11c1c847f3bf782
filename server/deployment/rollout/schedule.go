package rollout

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/deployment/ring"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/window"
)

// wish is what one device should do in one window.
type wish struct {
	dev   int32
	eff   int32
	occ   window.Occurrence
	pairs []int32
	alone bool
}

// schedule withdraws jobs that are no longer as they should be and submits
// those that are missing.
func (v *view) schedule(r *Result) {
	var fresh []wish
	for dev := range v.w.Devices {
		wishes := v.wishes(int32(dev))
		wishes = v.compare(int32(dev), wishes, r)
		fresh = append(fresh, wishes...)
	}
	v.grantAlone(fresh)
	for i := range fresh {
		w := &fresh[i]
		if opens := w.occ.Opens.Sub(v.now); w.alone || opens <= lead {
			r.Submit = append(r.Submit, v.spec(w))
		}
	}
}

// wishes are the releases of a device that nothing but the moment holds back,
// by policy.
func (v *view) wishes(dev int32) []wish {
	if v.w.Tenant.Mode != fleet.Live || !v.w.Devices[dev].MayWork() {
		return nil
	}
	var out []wish
	for n := v.ix.first[dev]; n < v.ix.first[dev+1]; n++ {
		p := &v.ix.pairs[n]
		if p.mem < 0 || p.dep < 0 || !v.admits(p) || v.standing(n, v.ahead(p)) {
			continue
		}
		i := slices.IndexFunc(out, func(w wish) bool { return w.eff == p.eff })
		if i < 0 {
			occ, _ := v.target(p)
			out = append(out, wish{dev: dev, eff: p.eff, occ: occ})
			i = len(out) - 1
		}
		if len(out[i].pairs) < wire.MaxJobReleases {
			out[i].pairs = append(out[i].pairs, n)
		}
	}
	for i := range out {
		slices.SortFunc(out[i].pairs, v.inOrder)
	}
	return out
}

// admits reports whether the pair's ring lets devices start, the cheapest of
// the questions and the one that most pairs of a large tenant fail.
func (v *view) admits(p *pair) bool {
	r := v.dep(p.dep).rings[p.ring].State
	return r == RingActive || r == RingPassed
}

// ahead is how long before its window a job for the pair may be made: only
// what may start without contact needs a lease long before.
func (v *view) ahead(p *pair) time.Duration {
	if v.mayAlone(p) {
		return leadAlone
	}
	return lead
}

// mayAlone reports whether a lease for the pair may start without contact: the
// policy says so and no ring waits for this one.
func (v *view) mayAlone(p *pair) bool {
	if v.ix.effs[p.eff].Patch.Alone != policy.AloneLastRing || p.dep < 0 || p.mem < 0 {
		return false
	}
	d := &v.w.Deployments[p.dep]
	return int(p.ring) == len(d.Rings)-1
}

// inOrder is the order of releases in a job: security first, then by source,
// package and version.
func (v *view) inOrder(a, b int32) int {
	x, y := &v.w.Updates[a], &v.w.Updates[b]
	return cmp.Or(urgency(x.Kind)-urgency(y.Kind), strings.Compare(x.Source, y.Source),
		strings.Compare(x.Package, y.Package), strings.Compare(x.Version, y.Version))
}

func urgency(k inventory.Kind) int {
	switch k {
	case inventory.SecurityExploited:
		return 0
	case inventory.Security:
		return 1
	}
	return 2
}

// compare withdraws the device's unstarted jobs that do not match its wishes,
// and returns the wishes that have no job and may get one now.
func (v *view) compare(dev int32, wishes []wish, r *Result) []wish {
	taken := map[int32]bool{}
	for _, n := range v.ix.jobsOf[dev] {
		j := &v.w.Jobs[n]
		if j.Kind != job.Install {
			continue
		}
		i := slices.IndexFunc(wishes, func(w wish) bool { return v.ix.effs[w.eff].Name == j.Policy })
		if v.now.After(j.StartBy) && unstarted(j) {
			continue // it expires by itself
		}
		if !unstarted(j) {
			if i >= 0 && j.State != job.Unknown {
				taken[wishes[i].eff] = true
			}
			continue
		}
		if i >= 0 && wishes[i].occ.Closes.Equal(j.Deadline) && v.fits(j, &wishes[i]) {
			taken[wishes[i].eff] = true
			continue
		}
		why := reason.New(reason.JobReplaced)
		if i < 0 {
			why = reason.New(reason.JobWithdrawn, "why", v.whyNot(dev, j))
		}
		r.Cancel = append(r.Cancel, CancelJob{Job: j.ID, State: j.State, Reason: why})
		if i >= 0 && j.State == job.Leased {
			taken[wishes[i].eff] = true // until the device let go of it
		}
	}
	return slices.DeleteFunc(wishes, func(w wish) bool { return taken[w.eff] })
}

// fits reports whether a job has no release that may not start, and while it
// is not leased also all that may. A release that only no longer fits into the
// window may stay: the agent leaves it when its turn comes.
func (v *view) fits(j *job.Job, w *wish) bool {
	have := 0
	for _, n := range w.pairs {
		if v.own(&v.ix.pairs[n]) == j {
			have++
		}
	}
	if j.State != job.Leased && have < len(w.pairs) {
		return false
	}
	for n := v.ix.first[w.dev]; have < len(j.Releases) && n < v.ix.first[w.dev+1]; n++ {
		p := &v.ix.pairs[n]
		if v.own(p) != j {
			continue
		}
		a := answer{v: v, explain: true}
		a.ask(n, v.ahead(p))
		if len(a.found) == 1 && a.found[0].Reason.Code == reason.DoesNotFit {
			have++
		}
	}
	return have == len(j.Releases)
}

// whyNot is the first blocker of a job's first release, in words.
func (v *view) whyNot(dev int32, j *job.Job) string {
	for _, rel := range j.Releases {
		for n := v.ix.first[dev]; n < v.ix.first[dev+1]; n++ {
			if u := &v.w.Updates[n]; u.Source != rel.Source || u.Package != rel.Package || u.Version != rel.Version {
				continue
			}
			a := answer{v: v, explain: true}
			a.ask(n, v.ahead(&v.ix.pairs[n]))
			if len(a.found) > 0 {
				return a.found[0].Reason.Text(time.UTC)
			}
		}
	}
	return "the update is no longer to be installed"
}

// grantAlone says which of the new jobs may start without contact: as many as
// are allowed in flight, servers and the longest unpatched first. The last
// free place stays for devices in contact while any of them would need it.
func (v *view) grantAlone(fresh []wish) {
	var may []*wish
	rivals := map[[2]int32]int{}
	for i := range fresh {
		w := &fresh[i]
		all := true
		for _, n := range w.pairs {
			p := &v.ix.pairs[n]
			rivals[v.ringOf(p)]++
			all = all && v.mayAlone(p)
		}
		if all && v.w.Devices[w.dev].Online {
			may = append(may, w)
		}
	}
	slices.SortFunc(may, v.firstAlone)
	free := map[[2]int32]int{}
	for _, w := range may {
		w.alone = true
		for _, n := range w.pairs {
			p := &v.ix.pairs[n]
			k := v.ringOf(p)
			if _, ok := free[k]; !ok {
				dv := v.dep(k[0])
				free[k] = v.w.Deployments[k[0]].limit(dv.size[k[1]]) - dv.busy[k[1]] - dv.queued[k[1]]
				if free[k] < rivals[k] {
					free[k]--
				}
			}
			w.alone = w.alone && free[k] > 0
		}
		if w.alone {
			for _, n := range w.pairs {
				free[v.ringOf(&v.ix.pairs[n])]--
			}
		}
	}
}

func (v *view) ringOf(p *pair) [2]int32 {
	return [2]int32{p.dep, p.ring}
}

// firstAlone is the order in which places without contact are given away.
func (v *view) firstAlone(a, b *wish) int {
	x, y := &v.w.Devices[a.dev], &v.w.Devices[b.dev]
	return cmp.Or(serverFirst(x)-serverFirst(y),
		v.oldest(a).Compare(v.oldest(b)), strings.Compare(string(x.ID), string(y.ID)))
}

func serverFirst(d *Device) int {
	if d.Class == fleet.Server {
		return 0
	}
	return 1
}

func (v *view) oldest(w *wish) time.Time {
	first := v.w.Updates[w.pairs[0]].FirstSeen
	for _, n := range w.pairs {
		if t := v.w.Updates[n].FirstSeen; t.Before(first) {
			first = t
		}
	}
	return first
}

// spec makes the job of a wish. It starts within the policy's jitter of the
// opening, by a hash of run and device, and at once when that has gone by.
func (v *view) spec(w *wish) job.Spec {
	d, eff := &v.w.Devices[w.dev], v.ix.effs[w.eff]
	s := job.Spec{
		Tenant: v.w.Tenant.ID, Device: d.ID, Kind: job.Install, Deadline: w.occ.Closes, Alone: w.alone,
		Run: job.Run{Tenant: v.w.Tenant.ID, Policy: eff.Name, Site: d.Site, LocalDate: w.occ.LocalDate.String(), Opens: w.occ.Opens, Closes: w.occ.Closes},
	}
	shortest := time.Duration(0)
	for _, n := range w.pairs {
		p, u := &v.ix.pairs[n], &v.w.Updates[n]
		need := v.w.Expected(u.Release)
		if shortest == 0 || need < shortest {
			shortest = need
		}
		s.Releases = append(s.Releases, job.Release{Deployment: v.w.Deployments[p.dep].ID, Source: u.Source, Package: u.Package,
			From: u.Installed, Version: u.Version, Expected: v.w.takes(u.Release)})
	}
	s.StartBy = w.occ.Closes.Add(-shortest)
	s.NotBefore = w.occ.Opens.Add(jitter(eff, w.occ, d.ID))
	if s.NotBefore.After(s.StartBy) {
		s.NotBefore = s.StartBy
	}
	if s.NotBefore.Before(v.now) {
		s.NotBefore = v.now.UTC()
	}
	s.Denied = v.denied(w)
	s.Reason = reason.New(reason.JobSubmitted, "until", reason.Time(s.NotBefore))
	return s
}

// jitter spreads the starts of a run, in whole seconds.
func jitter(eff *policy.Effective, occ window.Occurrence, id ident.DeviceID) time.Duration {
	spread := min(maxJitter, occ.Closes.Sub(occ.Opens)/4)
	if eff.Patch.Jitter != nil {
		spread = time.Duration(*eff.Patch.Jitter)
	}
	if spread < time.Second {
		return 0
	}
	return time.Duration(ring.Hash(eff.Name, reason.Time(occ.Opens), string(id))%uint64(spread/time.Second)) * time.Second
}

// denied is the device's deny list for a job: what people denied, what rules
// deny by name before any other rule, and the device's own denied updates; but
// nothing that the job itself installs.
func (v *view) denied(w *wish) []wire.Denied {
	var out []wire.Denied
	add := func(d wire.Denied) {
		for _, n := range w.pairs {
			if u := &v.w.Updates[n]; u.Source == d.Source {
				if hit, err := path.Match(d.Package, u.Package); hit || err != nil {
					return
				}
			}
		}
		if len(out) < wire.MaxDeniedPackages && !slices.ContainsFunc(out, func(o wire.Denied) bool { return o.Source == d.Source && o.Package == d.Package }) {
			out = append(out, d)
		}
	}
	for n := v.ix.first[w.dev]; n < v.ix.first[w.dev+1]; n++ {
		if p := &v.ix.pairs[n]; p.eff >= 0 {
			if dec := v.decide(p); dec.action == policy.Deny {
				add(wire.Denied{Source: v.w.Updates[n].Source, Package: v.w.Updates[n].Package, Rule: dec.why.Text(time.UTC)})
			}
		}
	}
	for _, m := range v.w.Hand {
		rel := inventory.Release{Source: m.Source, Package: m.Package, Version: m.Version}
		m.Package = "*"
		if m.Action == policy.Deny && m.Version == "" && m.Holds(v.now, rel, v.w.Tenant.ID) {
			add(wire.Denied{Source: m.Source, Package: rel.Package, Rule: "by " + m.By.Name + ": " + m.Reason})
		}
	}
	eff := v.ix.effs[w.eff]
	for i, rule := range eff.Patch.Approvals {
		if rule.Action != policy.Deny || rule.Match.Package == "" || rule.Match.Kind != "" || rule.Match.Severity != "" {
			break // what follows may be approved by an earlier rule
		}
		for _, source := range eff.Patch.Sources {
			if rule.Match.Source == "" || rule.Match.Source == source {
				add(wire.Denied{Source: source, Package: rule.Match.Package, Rule: "rule " + strconv.Itoa(i+1) + " of " + eff.Name})
			}
		}
	}
	return out
}
