package rollout

import (
	"time"

	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/policy"
	"github.com/steward-rmm/steward/server/reason"
	"github.com/steward-rmm/steward/server/window"
)

// World is one tenant's picture at one moment: all that Plan and Blockers know.
// They read it and change nothing; whoever made it must not change it either
// once one of them was called, since its index is kept beside it.
type World struct {
	Tenant fleet.Tenant
	// Policies are the effective ones of each site. Those of site "" are the
	// tenant's level: their rings, failures and in-flight limit count for the
	// deployments, which are the tenant's and not a site's.
	Policies map[ident.SiteID][]policy.Effective
	Hand     []policy.Manually
	Releases map[patch.Release]inventory.Release
	Minutes  map[patch.Release]time.Duration // learned 90th percentile; absent: the default
	Devices  []Device                        // in order of id
	Updates  []patch.Update                  // open ones, in order of device
	// Deployments are those that are not final, and of releases that are open
	// on a device the ended ones; members in order of device.
	Deployments []Deployment
	Jobs        []job.Job // not final, and those that ended in the last 24 h
	Blast       Blast
	// Irregular holds devices that were in contact in fewer than half of the
	// policy's last windows: the first ring takes others while it can.
	Irregular map[Seat]bool
	// Partial says that Devices is not the whole tenant: sizes of rings are
	// taken from their Counts.
	Partial bool

	ix *index
}

// Device is a device with its zones; equal zones should be the same pointer.
type Device struct {
	fleet.Device
	Zone, SiteZone *time.Location
	Scan           *inventory.Scan // nil where nobody asked for it
}

// Seat is a device under a policy.
type Seat struct {
	Policy string
	Device ident.DeviceID
}

// Blast is what the limits on changed devices per hour are counted from.
type Blast struct {
	TenantChanged, TenantDevices int
	ServerChanged, ServerDevices int
	Server                       policy.Allowance // zero: the default
}

// index is the World by number: Plan walks 800,000 pairs of device and update
// in a tick, so nothing is looked up by text in its loops.
type index struct {
	device  map[ident.DeviceID]int32
	rels    []patch.Release
	rel     map[patch.Release]int32
	effs    []*policy.Effective
	zones   []zonePair
	zone    []int32 // of each device
	pairs   []pair  // as World.Updates
	first   []int32 // of each device its first pair; one more at the end
	current map[key]int32
	halted  []bool // of each release: a deployment of it is halted
	members [][]seat
	sizes   [][]int   // of each deployment its members by ring
	jobsOf  [][]int32 // of each device: its jobs that are not final
	busyIn  [][]int32 // of each deployment: jobs that are not final
	ties    map[int32][]string
	sets    map[[2]int32]window.Set
}

type zonePair struct{ device, site *time.Location }

// pair is an open update with where it leads; -1 is nowhere.
type pair struct {
	dev, rel, eff, dep, mem int32
	job                     int32 // the last that has not ended and carries it
	ring                    int32 // of the member
	tie                     bool
}

// seat is a member with where it leads; -1 is nowhere.
type seat struct {
	dev, pair, job int32
	works          bool // the device may get jobs
	excused        bool // it cannot take the release now, for a reason that is not the release's
}

// key names the deployments of which one at most is in force.
type key struct {
	policy string
	rel    int32
}

func (w *World) index() *index {
	if w.ix != nil {
		return w.ix
	}
	ix := &index{
		device: make(map[ident.DeviceID]int32, len(w.Devices)), rel: map[patch.Release]int32{},
		current: map[key]int32{}, ties: map[int32][]string{}, sets: map[[2]int32]window.Set{},
		zone: make([]int32, len(w.Devices)), jobsOf: make([][]int32, len(w.Devices)),
	}
	ix.indexDevices(w)
	ix.indexDeployments(w)
	ix.indexPairs(w)
	ix.indexMembers(w)
	ix.indexJobs(w)
	w.ix = ix
	return ix
}

func (ix *index) indexDevices(w *World) {
	seen := map[zonePair]int32{}
	for i := range w.Devices {
		d := &w.Devices[i]
		ix.device[d.ID] = int32(i)
		z := zonePair{d.Zone, d.SiteZone}
		n, ok := seen[z]
		if !ok {
			n = int32(len(ix.zones))
			seen[z] = n
			ix.zones = append(ix.zones, z)
		}
		ix.zone[i] = n
	}
}

func (ix *index) release(r patch.Release) int32 {
	n, ok := ix.rel[r]
	if !ok {
		n = int32(len(ix.rels))
		ix.rel[r] = n
		ix.rels = append(ix.rels, r)
		ix.halted = append(ix.halted, false)
	}
	return n
}

// inForce orders the deployments of one policy and release: the one that is
// not final; else one that completed, which devices still take late; else one
// that a person cancelled, which holds them back. Others count for nothing,
// and a new one may be made.
func inForce(d *Deployment) int {
	switch {
	case !d.State.Final():
		return 3
	case d.State == Completed && d.walked():
		return 2
	case d.State == Cancelled && d.Reason.Code == reason.CancelledBy:
		return 1
	}
	return 0
}

func (ix *index) indexDeployments(w *World) {
	for i := range w.Deployments {
		d := &w.Deployments[i]
		k := key{d.Policy, ix.release(d.Release)}
		if d.State == Halted {
			ix.halted[k.rel] = true
		}
		n := inForce(d)
		if n == 0 {
			continue
		}
		old, ok := ix.current[k]
		if !ok || n > inForce(&w.Deployments[old]) || n == inForce(&w.Deployments[old]) && d.ID > w.Deployments[old].ID {
			ix.current[k] = int32(i)
		}
	}
}

func (ix *index) indexPairs(w *World) {
	ix.pairs = make([]pair, len(w.Updates))
	ix.first = make([]int32, len(w.Devices)+1)
	numbers := map[*policy.Effective]int32{}
	next, from := 0, 0
	for dev := range w.Devices {
		for next < len(w.Updates) && w.Updates[next].Device < w.Devices[dev].ID {
			ix.pairs[next] = pair{dev: -1, eff: -1, dep: -1, mem: -1, job: -1}
			next++
		}
		ix.first[dev] = int32(next)
		from = next
		for ; next < len(w.Updates) && w.Updates[next].Device == w.Devices[dev].ID; next++ {
			p := pair{dev: int32(dev), rel: ix.release(w.Updates[next].Release), eff: -1, dep: -1, mem: -1, job: -1}
			if same := ix.sameSource(w, from, next); same >= 0 {
				p.eff, p.tie = ix.pairs[same].eff, ix.pairs[same].tie
			} else {
				ix.rule(w, &p, next, numbers)
			}
			if p.eff >= 0 && !p.tie {
				if dep, ok := ix.current[key{ix.effs[p.eff].Name, p.rel}]; ok {
					p.dep = dep
				}
			}
			ix.pairs[next] = p
		}
		ix.first[dev+1] = int32(next)
	}
}

// sameSource finds an earlier pair of the device with the same source.
func (ix *index) sameSource(w *World, from, at int) int {
	for i := at - 1; i >= from; i-- {
		if w.Updates[i].Source == w.Updates[at].Source {
			return i
		}
	}
	return -1
}

func (ix *index) rule(w *World, p *pair, at int, numbers map[*policy.Effective]int32) {
	d := &w.Devices[p.dev]
	eff, ties := policy.For(w.Policies[d.Site], d.Device, w.Updates[at].Source)
	if eff == nil {
		return
	}
	n, ok := numbers[eff]
	if !ok {
		n = int32(len(ix.effs))
		numbers[eff] = n
		ix.effs = append(ix.effs, eff)
	}
	p.eff, p.tie = n, len(ties) > 0
	if p.tie {
		ix.ties[int32(at)] = ties
	}
}

// indexMembers joins members with their devices and pairs; all are in order of
// device, so it is one walk for each deployment.
func (ix *index) indexMembers(w *World) {
	ix.members, ix.sizes = make([][]seat, len(w.Deployments)), make([][]int, len(w.Deployments))
	for i := range w.Deployments {
		d := &w.Deployments[i]
		ix.members[i], ix.sizes[i] = make([]seat, len(d.Members)), make([]int, len(d.Rings))
		rel := ix.rel[d.Release]
		dev := 0
		for m := range d.Members {
			s := seat{dev: -1, pair: -1, job: -1}
			for dev < len(w.Devices) && w.Devices[dev].ID < d.Members[m].Device {
				dev++
			}
			if dev < len(w.Devices) && w.Devices[dev].ID == d.Members[m].Device {
				s.dev, s.works = int32(dev), w.Devices[dev].MayWork()
				for n := ix.first[dev]; n < ix.first[dev+1]; n++ {
					p := &ix.pairs[n]
					if p.rel == rel {
						s.pair = n
						if p.dep == int32(i) {
							p.mem, p.ring = int32(m), int32(d.Members[m].Ring)
						}
						s.excused = cannot(&w.Updates[n], p, int32(i)) || !s.works
						break
					}
				}
			}
			ix.members[i][m] = s
			ix.sizes[i][d.Members[m].Ring]++
		}
	}
}

func (ix *index) indexJobs(w *World) {
	ix.busyIn = make([][]int32, len(w.Deployments))
	deps := make(map[ident.DeploymentID]int32, len(w.Deployments))
	for i := range w.Deployments {
		deps[w.Deployments[i].ID] = int32(i)
	}
	for n := range w.Jobs {
		j := &w.Jobs[n]
		if dev, ok := ix.device[j.Device]; ok && !j.State.Final() {
			ix.jobsOf[dev] = append(ix.jobsOf[dev], int32(n))
		}
		for _, r := range j.Releases {
			dep, ok := deps[r.Deployment]
			if !ok {
				continue
			}
			if !j.State.Final() {
				ix.busyIn[dep] = append(ix.busyIn[dep], int32(n))
			}
			if m := w.Deployments[dep].member(j.Device); m >= 0 {
				s := &ix.members[dep][m]
				if s.job < 0 || w.Jobs[s.job].ID < j.ID {
					s.job = int32(n)
				}
				if s.pair >= 0 && !j.State.Final() && ix.pairs[s.pair].dep == dep {
					if p := &ix.pairs[s.pair]; p.job < 0 || w.Jobs[p.job].ID < j.ID {
						p.job = int32(n)
					}
				}
			}
		}
	}
}
