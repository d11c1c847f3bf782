package runner

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-rmm/steward/agent/source"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// scripted is a source whose packages and answers a test sets. Versions are
// ordered as texts.
type scripted struct {
	mu        sync.Mutex
	name      string
	packages  map[string]string // installed
	offers    map[string]source.Update
	plan      func(source.Request) (source.Plan, error)
	install   func(ctx context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome
	scanErr   error
	reboot    []string
	installs  []source.Request
	repairs   int
	refreshes int
	scans     []time.Time
}

func newScripted(name string) *scripted {
	s := &scripted{name: name, packages: map[string]string{}, offers: map[string]source.Update{}}
	s.offer("openssl", "1.0", "1.1")
	s.install = succeed
	return s
}

func (s *scripted) offer(pkg, from, to string) {
	s.packages[pkg] = from
	s.offers[pkg] = source.Update{Source: s.name, Package: pkg, Installed: from, Available: to, SizeBytes: 1 << 20}
}

// succeed installs, in a minute.
func succeed(_ context.Context, s *scripted, r source.Request, ui source.UI) source.Outcome {
	ui.Progress(source.Progress{Package: r.Package, Phase: source.PhaseDownloading})
	time.Sleep(30 * time.Second)
	ui.Progress(source.Progress{Package: r.Package, Phase: source.PhaseInstalling})
	ui.Log("Unpacking " + r.Package)
	time.Sleep(30 * time.Second)
	from := s.packages[r.Package]
	s.packages[r.Package] = r.Version
	delete(s.offers, r.Package)
	return source.Outcome{State: source.StateInstalled, From: from, To: r.Version}
}

func (s *scripted) Name() string                             { return s.name }
func (s *scripted) Compare(a, b string) int                  { return cmp.Compare(a, b) }
func (s *scripted) Available(context.Context) (bool, string) { return true, "" }

func (s *scripted) Refresh(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshes++
	return nil
}

func (s *scripted) Scan(context.Context) (source.Scan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scanErr != nil {
		return source.Scan{}, s.scanErr
	}
	s.scans = append(s.scans, time.Now())
	out := source.Scan{RebootRequired: len(s.reboot) > 0, RebootPackages: s.reboot}
	for _, u := range s.offers {
		out.Updates = append(out.Updates, u)
	}
	return out, nil
}

func (s *scripted) Installed(context.Context) (out []source.Installed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, version := range s.packages {
		out = append(out, source.Installed{Source: s.name, Name: name, Version: version, Arch: "amd64"})
	}
	return out, s.scanErr
}

func (s *scripted) Plan(_ context.Context, requests []source.Request) (source.Plan, error) {
	if s.plan != nil {
		return s.plan(requests[0])
	}
	return source.Plan{Changes: []source.Change{{Package: requests[0].Package, To: requests[0].Version, Action: source.ActionUpgrade}}}, nil
}

func (s *scripted) Install(ctx context.Context, r source.Request, ui source.UI) source.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installs = append(s.installs, r)
	return s.install(ctx, s, r, ui)
}

func (s *scripted) Repair(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repairs++
	return nil
}

// word is the server's word as a test sets it.
type word struct {
	mu        sync.Mutex
	answer    func(ctx context.Context, key string) (Answer, error)
	connected bool
	since     time.Time
	mayScan   func() (bool, time.Duration, error)
	asked     []time.Time
}

func (w *word) MayStart(ctx context.Context, id string, attempt uint32) (Answer, error) {
	w.mu.Lock()
	w.asked = append(w.asked, time.Now())
	answer := w.answer
	w.mu.Unlock()
	return answer(ctx, fmt.Sprint(id, ":", attempt))
}

func (w *word) MayScan(context.Context, string) (bool, time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mayScan == nil {
		return true, 0, nil
	}
	return w.mayScan()
}

func (w *word) Contact() (bool, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connected, w.since
}

func start(context.Context, string) (Answer, error) { return Answer{Verdict: VerdictStart}, nil }

var errOffline = errors.New("no session")

func offline(context.Context, string) (Answer, error) { return Answer{}, errOffline }

// machine is a computer that started with the test.
type machine struct{ booted time.Time }

func (m machine) BootClock() (time.Duration, string) { return time.Since(m.booted), "boot" }
func (m machine) FreeBytes() int64                   { return 10 << 30 }

// ring has one key.
type ring struct{ key wire.BundleKey }

func (k ring) JobKey(version uint32) (wire.BundleKey, bool) { return k.key, version == k.key.Version }

// rig is a runner over a journal in memory, in virtual time.
type rig struct {
	t       *testing.T
	private ed25519.PrivateKey
	j       *spool.Journal
	apt     *scripted
	word    *word
	o       Options
	r       *Runner
	version uint64
	stop    context.CancelFunc
	ended   chan error
}

// inRig runs a test in a bubble of virtual time.
func inRig(t *testing.T, run func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j, err := spool.NewMemory(spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		g := newRig(t, j)
		if err := j.Welcome("e", spool.Anchor{Server: time.Now(), BootID: "boot"}); err != nil {
			t.Fatal(err)
		}
		run(t, g)
		g.halt()
	})
}

func newRig(t *testing.T, j *spool.Journal) *rig {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	key := wire.BundleKey{Version: 1, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	copy(key.Public[:], private.Public().(ed25519.PublicKey))
	g := &rig{t: t, private: private, j: j, apt: newScripted("apt"), word: &word{answer: start, connected: true, since: time.Now()}}
	g.o = Options{
		Journal: j, Sources: []Source{g.apt}, Keys: ring{key}, Starter: g.word, Machine: machine{time.Now()},
		Device: "d1", Tenant: "acme", Now: time.Now,
	}
	return g
}

// run starts the runner's loop.
func (g *rig) run() {
	g.t.Helper()
	var err error
	if g.r, err = New(g.o); err != nil {
		g.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(g.t.Context())
	g.stop, g.ended = stop, make(chan error, 1)
	go func() { g.ended <- g.r.Run(ctx) }()
	synctest.Wait()
	g.pass(fetchAfterStart + time.Second)
}

func (g *rig) halt() {
	g.t.Helper()
	if g.stop == nil {
		return
	}
	g.stop()
	if err := <-g.ended; !errors.Is(err, context.Canceled) {
		g.t.Fatalf("the loop ended with %v", err)
	}
	g.stop = nil
}

// lasts is time that something takes, in the bubble's clock.
func lasts(d time.Duration) { time.Sleep(d) }

// seen counts scans and refreshes so far.
func (s *scripted) seen() (scans, refreshes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.scans), s.refreshes
}

// change sets something of the source while the loop runs.
func (s *scripted) change(set func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set()
}

// pass lets time go by.
func (g *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// job is open now, for three hours.
func (g *rig) job(packages ...string) wire.Job {
	now := time.Now().UTC().Truncate(time.Second)
	j := wire.Job{
		ID: "j", Attempt: 1, Tenant: "acme", Device: "d1", Kind: wire.JobInstall, IssuedAt: now,
		NotBefore: now, StartBy: now.Add(2 * time.Hour), Deadline: now.Add(3 * time.Hour),
	}
	for _, p := range packages {
		j.Releases = append(j.Releases, wire.JobRelease{Source: "apt", Package: p, From: "1.0", Version: "1.1", Expected: 10 * time.Minute})
	}
	return j
}

func (g *rig) lease(j wire.Job) spool.Lease {
	encoded := j.Encode()
	return spool.Lease{Key: spool.Key{JobID: j.ID, Attempt: j.Attempt}, Bytes: encoded, Signature: wire.SignJob(g.private, encoded), KeyVersion: 1}
}

func (g *rig) give(leases ...spool.Lease) {
	g.t.Helper()
	g.version++
	if _, err := g.j.ApplyDesired(time.Now(), spool.Desired{Version: g.version, Leases: leases}); err != nil {
		g.t.Fatal(err)
	}
	synctest.Wait()
}

// steps lists what was told of jobs after "accepted", logs left out.
func steps(t *testing.T, j *spool.Journal) (out []string) {
	t.Helper()
	events, err := j.Events(0, 100000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Job == nil || e.Job.Step == spool.StepAccepted || e.Job.Step == spool.StepLog {
			continue
		}
		words := []string{string(e.Job.Step)}
		for _, s := range []string{e.Job.Package, e.Job.Phase, string(e.Job.State), e.Job.Code} {
			if s != "" {
				words = append(words, s)
			}
		}
		if e.Job.Alone {
			words = append(words, "alone")
		}
		if e.Job.Repaired {
			words = append(words, "repaired")
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

func (g *rig) want(want ...string) {
	g.t.Helper()
	if got := steps(g.t, g.j); !slices.Equal(got, want) {
		g.t.Fatalf("told\n%q\nwant\n%q", got, want)
	}
}

// results lists the results alone.
func (g *rig) results() (out []string) {
	g.t.Helper()
	for _, s := range steps(g.t, g.j) {
		if r, ok := strings.CutPrefix(s, "result "); ok {
			out = append(out, r)
		}
	}
	return out
}

func (g *rig) wantResults(want ...string) {
	g.t.Helper()
	if got := g.results(); !slices.Equal(got, want) {
		g.t.Fatalf("results\n%q\nwant\n%q\nof %q", got, want, steps(g.t, g.j))
	}
}

// section returns the items of a section as the server would have them.
func (g *rig) section(s wire.Section) map[string]map[string]string {
	g.t.Helper()
	items, err := g.j.Picture(s)
	if err != nil {
		g.t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, it := range items {
		out[it.Key] = it.Facts
	}
	return out
}
