// Package source finds and installs updates through the package managers that
// a machine already has: one type per update source, such as Apt.
//
// A source translates. It says what the package manager offers, what one
// request would change, what an installation did, in the plain types of this
// file, and turns what can go wrong into one closed list of codes. It decides
// nothing: whether a release may be installed now, whether the plan touches
// something denied, whether to try again is the runner's to say.
//
// Downgrades: a source goes back to an older version only when the request
// says AllowDowngrade, and refuses otherwise. That a downgrade may go only to
// a version which this agent itself recorded is the runner's rule, since the
// runner keeps that record; no source knows it.
//
// The parsers have no build tags, so that recorded output of every package
// manager is tested on every machine. Processes start through Runner, which
// osexec.System fills; tests replay recorded results with it.
package source

import (
	"context"
	"time"

	"github.com/steward-rmm/steward/agent/osexec"
)

// Runner starts one process and waits for its end; see osexec.Run.
type Runner interface {
	Run(ctx context.Context, c osexec.Command) (osexec.Result, error)
}

// Kind is what sort of step an update is.
type Kind string

// The kinds that a source can tell. Sources that know nothing better derive
// the app kinds from the version step; see StepKind.
const (
	KindUnknown  Kind = "unknown"
	KindSecurity Kind = "security"
	KindAppPatch Kind = "app-patch"
	KindAppMinor Kind = "app-minor"
	KindAppMajor Kind = "app-major"
)

// Update is one available step of one package.
type Update struct {
	// Source is the source's name, such as "apt".
	Source string
	// Package is the name that a Request for it uses.
	Package string
	// Arch is the package's architecture, "" where the source has none.
	Arch string
	// Installed and Available are versions in the source's own notation.
	Installed, Available string
	Kind                 Kind
	// Severity is the vendor's word, "" when the source tells none.
	Severity string
	// Origin says where the update comes from, in the source's words.
	Origin string
	// Held: a person pinned the package on this machine.
	Held bool
	// Phased: the vendor has not yet opened the update to this machine.
	Phased bool
	// KeptBack: a plain upgrade of everything leaves it out, because of Held,
	// Phased, or because it would remove another package.
	KeptBack bool
	// SizeBytes is the size of the download, 0 when unknown.
	SizeBytes int64
	// RebootLikely is a guess from the package's name; what is true is told
	// after the installation.
	RebootLikely bool
}

// Installed is one package or application present on the machine.
type Installed struct {
	Source, Name, Version, Arch string
	// SizeBytes is the space it takes, 0 when unknown.
	SizeBytes int64
	// Broken says in the source's words why it is there but not whole ("half
	// configured"); "" when it is. A broken package never counts as installed.
	Broken string
}

// Request names one release. Nothing else of it reaches a command line.
type Request struct {
	Package, Version string
	// AllowDowngrade lets Version be older than what is installed. The runner
	// sets it only for a version that this agent itself recorded.
	AllowDowngrade bool
}

// Action is what a plan would do to a package.
type Action string

// The actions of a plan.
const (
	ActionInstall   Action = "install"
	ActionUpgrade   Action = "upgrade"
	ActionDowngrade Action = "downgrade"
	ActionRemove    Action = "remove"
	// ActionConfigure finishes a package that an earlier attempt left half
	// configured; its version stays.
	ActionConfigure Action = "configure"
)

// Change is what a plan would do to one package. From is empty for an install,
// To for a removal.
type Change struct {
	Package, Arch, From, To string
	Action                  Action
}

// Plan is what the package manager says it would do. It changes nothing.
type Plan struct {
	Changes []Change
	// KeptBack are packages with a newer version that would be left alone.
	KeptBack []string
}

// State is how the installation of one release ended.
type State string

// The states of an outcome. Installed is what the package manager's database
// says afterwards; "verified" is for a later scan to say.
const (
	StateInstalled     State = "installed"
	StateFailed        State = "failed"
	StateNeedsUser     State = "needs_user"
	StateNotApplicable State = "not_applicable"
	StateSuperseded    State = "superseded"
	StateBusy          State = "busy"
)

// Outcome is the end of one installation.
type Outcome struct {
	State State
	// Code says why; "" for a plain success.
	Code Code
	// ExitCode is the package manager's, -1 when it has none.
	ExitCode int
	// Message is one sentence for a person; text from the package manager in
	// it is cut to a line.
	Message string
	// RebootRequired is the machine's answer after the installation.
	RebootRequired bool
	// From and To are the installed version before and after. They are equal
	// when nothing changed; To is empty when it could not be read.
	From, To string
}

// Phase is what an installation is doing.
type Phase string

// The phases of an installation. Downloading may be killed, installing not.
const (
	PhaseDownloading Phase = "downloading"
	PhaseInstalling  Phase = "installing"
)

// Progress is a step forward of an installation.
type Progress struct {
	Package string
	Phase   Phase
	// Percent is 0 to 100 within the phase.
	Percent float64
}

// UI receives what an installation tells while it runs. Both may be nil. They
// are called one at a time and must not block.
type UI struct {
	Progress func(Progress)
	// Log receives each line the package manager prints. It is text from
	// outside, for a log, not to be believed.
	Log func(line string)
}

func (u UI) log(line string) {
	if u.Log != nil {
		u.Log(line)
	}
}

func (u UI) progress(p Progress) {
	if u.Progress != nil {
		u.Progress(p)
	}
}

// Busy is another process that holds the package manager.
type Busy struct {
	// PID is 0 when the system does not tell whose lock it is.
	PID int
	// Process is its name, "" when unknown.
	Process string
}

// Scan is what a source offers now.
type Scan struct {
	Updates []Update
	// RebootRequired is what the machine says, RebootPackages who asked.
	RebootRequired bool
	RebootPackages []string
	// Busy is not nil while another process holds the package manager. The
	// updates are good all the same: reading needs no lock.
	Busy *Busy
	// LastRefresh is the newest moment at which the lists of available
	// packages are known to have been fetched; zero when unknown.
	LastRefresh time.Time
}
