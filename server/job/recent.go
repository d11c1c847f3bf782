package job

import (
	"slices"
	"sync"
	"time"
)

// recentJobs is how many jobs each of the two generations of recent holds:
// with two releases a job takes about 1.5 KB.
const recentJobs = 8192

// recent remembers open jobs as they were last committed here, so that the
// next step of a job need not read it. It is a hint: the version that Save
// checks tells whether it still holds. The zero value is empty.
type recent struct {
	mu         sync.Mutex
	young, old map[Ref]Job
}

func (r *recent) get(ref Ref) (Job, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j, ok := r.young[ref]; ok {
		return j, true
	}
	j, ok := r.old[ref]
	return j, ok
}

// put remembers a job unless a later version is known; an ended one is
// forgotten.
func (r *recent) put(j Job) {
	ref := Ref{j.Tenant, j.ID}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.young[ref]; ok && known.Version > j.Version {
		return
	}
	if j.State.Final() {
		delete(r.young, ref)
		delete(r.old, ref)
		return
	}
	if r.young == nil || len(r.young) >= recentJobs {
		r.young, r.old = make(map[Ref]Job), r.young
	}
	r.young[ref] = asStored(j)
}

// asStored is a job as the store gives it back: without bytes and deny list,
// times in whole milliseconds.
func asStored(j Job) Job {
	j.Encoded, j.Signature, j.Denied = nil, nil, nil
	j.Releases = slices.Clone(j.Releases)
	for _, t := range []*time.Time{&j.Since, &j.NotBefore, &j.StartBy, &j.Deadline, &j.CreatedAt, &j.LeasedAt, &j.GrantedAt,
		&j.StartedAt, &j.FinishedAt, &j.HeardAt, &j.ChangedAt} {
		*t = storedTime(*t)
	}
	for i := range j.Releases {
		r := &j.Releases[i]
		r.EndedAt, r.Took, r.Expected = storedTime(r.EndedAt), r.Took.Truncate(time.Millisecond), r.Expected.Truncate(time.Millisecond)
	}
	return j
}

func storedTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}
