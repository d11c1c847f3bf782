package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// JobContext is the context string under which jobs are signed, so that a
// signature made for anything else never passes for a job's.
const JobContext = "steward job v1\x00"

// JobKind is one of the closed set of what a job may do.
type JobKind uint8

// The kinds of jobs. An agent answers "unsupported" to a kind it does not know.
const (
	JobInstall JobKind = 1 // install the listed releases
	JobScan    JobKind = 2 // scan for updates and inventory
	JobReboot  JobKind = 3 // restart the machine
)

// JobRelease is one release that a job installs. From is the installed version
// on which the decision was made; Expected is how long it is expected to take.
type JobRelease struct {
	Source   string
	Package  string
	From     string
	Version  string
	Expected time.Duration // whole seconds
}

// Denied names packages that nothing in this job may change: Package is a
// glob (path.Match) in the source, Rule what a person reads.
type Denied struct {
	Source  string
	Package string
	Rule    string
}

// Job is the unit of work as the agent gets it. It travels and is stored as
// the bytes of Encode plus a signature over them, and is decoded only after
// the signature was checked. Times are whole seconds, UTC. ID with Attempt is
// single-use.
type Job struct {
	ID        string
	Attempt   uint32
	Run       string
	Tenant    string
	Device    string
	Kind      JobKind
	IssuedAt  time.Time
	NotBefore time.Time // no start before
	StartBy   time.Time // no start after
	Deadline  time.Time // the window shuts; no further release starts that does not fit
	Alone     bool      // may start without the server's word
	MayReboot bool
	Releases  []JobRelease
	Denied    []Denied
}

const jobVersion = 1

// Encode returns the deterministic bytes of the job: version 1, then every
// field in the order of the struct, texts and lists preceded by their length
// as an unsigned varint, times as seconds since 1970 as a zig-zag varint,
// truth values as one byte. docs/formats/job.md has the page.
func (j Job) Encode() []byte {
	b := []byte{jobVersion}
	b = appendText(b, j.ID)
	b = binary.AppendUvarint(b, uint64(j.Attempt))
	b = appendText(b, j.Run)
	b = appendText(b, j.Tenant)
	b = appendText(b, j.Device)
	b = append(b, byte(j.Kind))
	for _, t := range []time.Time{j.IssuedAt, j.NotBefore, j.StartBy, j.Deadline} {
		b = binary.AppendVarint(b, t.Unix())
	}
	b = append(b, truth(j.Alone), truth(j.MayReboot))
	b = binary.AppendUvarint(b, uint64(len(j.Releases)))
	for _, r := range j.Releases {
		for _, s := range []string{r.Source, r.Package, r.From, r.Version} {
			b = appendText(b, s)
		}
		b = binary.AppendUvarint(b, uint64(max(0, r.Expected)/time.Second))
	}
	b = binary.AppendUvarint(b, uint64(len(j.Denied)))
	for _, d := range j.Denied {
		for _, s := range []string{d.Source, d.Package, d.Rule} {
			b = appendText(b, s)
		}
	}
	return b
}

func truth(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// SignJob signs encoded job bytes with a tenant's job key.
func SignJob(key ed25519.PrivateKey, encoded []byte) []byte {
	return ed25519.Sign(key, append([]byte(JobContext), encoded...))
}

// VerifyJob reports whether the signature over the encoded bytes is the key's.
func VerifyJob(key ed25519.PublicKey, encoded, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, append([]byte(JobContext), encoded...), signature)
}

// ErrJob is the class of every error of DecodeJob.
var ErrJob = errors.New("malformed job")

// DecodeJob reads what Encode wrote. It refuses anything else: another
// version, cut or trailing bytes, lists over the limits, a form that Encode
// would not give.
func DecodeJob(encoded []byte) (Job, error) {
	if len(encoded) > MaxJob {
		return Job{}, fmt.Errorf("%w: %d bytes, at most %d", ErrJob, len(encoded), MaxJob)
	}
	r := &reader{rest: encoded}
	if v := r.byte(); v != jobVersion {
		return Job{}, fmt.Errorf("%w: version %d, this side knows %d", ErrJob, v, jobVersion)
	}
	var j Job
	j.ID = r.text()
	j.Attempt = uint32(r.number(1 << 31))
	j.Run, j.Tenant, j.Device = r.text(), r.text(), r.text()
	j.Kind = JobKind(r.byte())
	j.IssuedAt, j.NotBefore, j.StartBy, j.Deadline = r.time(), r.time(), r.time(), r.time()
	j.Alone, j.MayReboot = r.truth(), r.truth()
	for range r.number(MaxJobReleases) {
		rel := JobRelease{Source: r.text(), Package: r.text(), From: r.text(), Version: r.text()}
		rel.Expected = time.Duration(r.number(7*24*3600)) * time.Second
		j.Releases = append(j.Releases, rel)
		if r.failed {
			break
		}
	}
	for range r.number(MaxDeniedPackages) {
		j.Denied = append(j.Denied, Denied{Source: r.text(), Package: r.text(), Rule: r.text()})
		if r.failed {
			break
		}
	}
	if r.failed || len(r.rest) > 0 {
		return Job{}, fmt.Errorf("%w: at byte %d of %d", ErrJob, len(encoded)-len(r.rest), len(encoded))
	}
	return j, nil
}
