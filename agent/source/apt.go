package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/steward-rmm/steward/agent/osexec"
)

// AptOptions say where apt is and how it is called. Runner and Now are needed;
// every other zero field has the default of Debian and Ubuntu.
type AptOptions struct {
	// Paths of the programs, absolute; default /usr/bin/NAME.
	AptGet, AptCache, AptMark, Dpkg, DpkgQuery string
	// Options are extra Key=Value settings for apt-get, apt-cache and apt-mark,
	// as ParseAptOptions returns them.
	Options []string
	// Env is added to the environment, such as a proxy; KEY=value.
	Env []string
	// Root is the directory below which var/run/reboot-required, the locks and
	// the lists are looked for; default "/". apt itself is not told of it.
	Root string
	// LockTimeout is how long apt waits for another process; default 5 minutes.
	LockTimeout time.Duration
	// ReadTimeout ends commands that only read; default 5 minutes.
	ReadTimeout time.Duration
	// FetchTimeout ends `apt-get update` and downloads; default 60 minutes.
	FetchTimeout time.Duration
	// InstallTimeout ends an installation that may still be ended, and marks
	// one that may not; default 60 minutes.
	InstallTimeout time.Duration
	// Abandon is how long after InstallTimeout a running dpkg is waited for
	// before its release is reported as CodeOverran; default 60 minutes.
	Abandon time.Duration
	// Runner starts the processes.
	Runner Runner
	// Now is the clock; it stamps a successful Refresh.
	Now func() time.Time
}

// Apt is the update source of Debian, Ubuntu and their kin. Its methods may be
// called from several goroutines; changing ones are for the caller to take in
// turn, as dpkg's own lock would make them.
type Apt struct {
	o AptOptions

	mu        sync.Mutex
	refreshed time.Time // the last Refresh without error, by Now
}

// aptOutputLimit is more than the largest honest output: a simulation that
// upgrades 5,000 packages is 1 MB, the table of 10,000 packages as much.
const aptOutputLimit = 8 << 20

// NewApt checks the options. It does not look whether apt is there; see
// Available.
func NewApt(o AptOptions) (*Apt, error) {
	if o.Runner == nil || o.Now == nil {
		return nil, errors.New("apt: a runner and a clock are needed")
	}
	for _, p := range []struct {
		path *string
		name string
	}{{&o.AptGet, "apt-get"}, {&o.AptCache, "apt-cache"}, {&o.AptMark, "apt-mark"}, {&o.Dpkg, "dpkg"}, {&o.DpkgQuery, "dpkg-query"}} {
		if *p.path == "" {
			*p.path = "/usr/bin/" + p.name
		}
		if (*p.path)[0] != '/' {
			return nil, fmt.Errorf("apt: the path of %s must be absolute, not %q", p.name, *p.path)
		}
	}
	for _, pair := range o.Options {
		if err := checkAptOption(pair); err != nil {
			return nil, err
		}
	}
	if o.Root == "" {
		o.Root = "/"
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.LockTimeout, 5 * time.Minute}, {&o.ReadTimeout, 5 * time.Minute}, {&o.FetchTimeout, time.Hour}, {&o.InstallTimeout, time.Hour}, {&o.Abandon, time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return &Apt{o: o}, nil
}

// Name returns "apt".
func (a *Apt) Name() string { return "apt" }

// Compare orders two versions as dpkg does; see CompareDebian.
func (a *Apt) Compare(x, y string) int { return CompareDebian(x, y) }

// Available tells whether this machine is one of apt's, and if not, why not.
// apt-get alone does not make it one: dpkg must have a list of packages.
func (a *Apt) Available(context.Context) (bool, string) {
	for _, p := range []string{a.o.AptGet, a.o.AptCache, a.o.AptMark, a.o.Dpkg, a.o.DpkgQuery} {
		if st, err := os.Stat(p); err != nil || st.IsDir() {
			return false, p + " is not on this machine"
		}
	}
	if st, err := os.Stat(a.file("var/lib/dpkg/status")); err != nil || st.Size() == 0 {
		return false, "dpkg has no packages on this machine"
	}
	return true, ""
}

func (a *Apt) file(name string) string { return filepath.Join(a.o.Root, name) }

// call is one command of apt or dpkg.
type call struct {
	path    string
	args    []string
	timeout time.Duration
	// change is set for commands that write: they are logged, and killed only
	// when interruptible says so.
	change        bool
	interruptible func() bool
	log           func(line string)
	status        func(line string)
}

// run runs it. The error is an *Error; the result is good as far as known.
func (a *Apt) run(ctx context.Context, c call) (osexec.Result, error) {
	cmd := osexec.Command{
		Path: c.path, Args: c.args, Env: a.env(), Dir: "/",
		Timeout: c.timeout, OutputLimit: aptOutputLimit,
		OnStdout: c.log, OnStderr: c.log, StatusFD: c.status, Now: a.o.Now,
	}
	if c.change {
		cmd.Interruptible, cmd.Abandon = c.interruptible, a.o.Abandon
	}
	res, err := a.o.Runner.Run(ctx, cmd)
	name := commandName(c)
	if err != nil {
		return res, runError(name, c.timeout, res, err)
	}
	if res.ExitCode != 0 {
		return res, classify(name, res.ExitCode, res.Stdout, res.Stderr)
	}
	if res.Truncated && !c.change {
		return res, fail(CodeGarbage, "%s printed more than %d MB, which is no list of packages", name, aptOutputLimit>>20)
	}
	return res, nil
}

// runError puts into words why a command did not run to its end.
func runError(name string, timeout time.Duration, res osexec.Result, err error) *Error {
	e := &Error{ExitCode: -1, Err: err}
	switch {
	case errors.Is(err, osexec.ErrAbandoned):
		e.Code = CodeOverran
		e.Message = name + " still runs as process " + strconv.Itoa(res.PID) + " after its time of " + timeout.String() +
			"; it was not stopped because that could leave packages broken. Look at the machine"
	case errors.Is(err, osexec.ErrCancelled):
		e.Code, e.Message = CodeCancelled, name+" was stopped with the agent, at a moment when that was safe"
	case errors.Is(err, osexec.ErrTimeout):
		e.Code, e.Message = CodeTimeout, name+" did not end within "+timeout.String()+" and was stopped with all it had started"
	case errors.Is(err, fs.ErrNotExist):
		e.Code, e.Message = CodeSourceMissing, name+" is not on this machine"
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Message = CodeNotPermitted, name+" may not be started by this user"
	default:
		e.Code, e.Message = CodeFailed, name+": "+clip(err.Error())
	}
	return e
}

// commandName is the program and its first word that is no option.
func commandName(c call) string {
	name := filepath.Base(c.path)
	for i := 0; i < len(c.args); i++ {
		switch s := c.args[i]; {
		case s == "-o":
			i++
		case s != "" && s[0] != '-':
			return name + " " + s
		case s == "--configure":
			return name + " " + s
		}
	}
	return name
}

// env is the whole environment: plain English output, no questions, services
// restarted by needrestart rather than asked about, and no inherited variable
// that could turn a call into another (APT_CONFIG, DPKG_ROOT, LD_PRELOAD).
func (a *Apt) env() []string {
	return append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C", "LANGUAGE=C", "TERM=dumb",
		"DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true",
		"APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_MODE=a", "UCF_FORCE_CONFFOLD=1",
	}, a.o.Env...)
}

// options are the -o pairs of every call: the machine's own after ours, so
// that its administrator has the last word, and must after both.
func (a *Apt) options(must ...string) []string {
	pairs := []string{"DPkg::Lock::Timeout=" + strconv.Itoa(int(a.o.LockTimeout.Seconds()))}
	var args []string
	for _, p := range append(append(pairs, a.o.Options...), must...) {
		args = append(args, "-o", p)
	}
	return args
}
