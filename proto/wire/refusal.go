package wire

// Refusal is why an agent did not do what a job asked, as a code of a closed
// list that both sides know; the server makes the sentence. A release or a
// whole job may carry one.
type Refusal string

// The agent's refusals. Each is enforced by agent/policy or agent/runner and
// has a test of its name.
const (
	RefusedSignature      Refusal = "bad_signature"
	RefusedMalformed      Refusal = "malformed"
	RefusedOtherDevice    Refusal = "other_device"
	RefusedReplayed       Refusal = "replayed"
	RefusedExpired        Refusal = "expired"
	RefusedTooEarly       Refusal = "too_early"
	RefusedOutsideWindow  Refusal = "outside_window"
	RefusedUnsupported    Refusal = "unsupported"
	RefusedNotInstalled   Refusal = "not_installed"   // the own scan does not show the package as installed
	RefusedNotOffered     Refusal = "not_offered"     // the own scan does not offer that version
	RefusedScanOld        Refusal = "scan_old"        // the own scan is older than a day
	RefusedSource         Refusal = "source_refused"  // local settings forbid the source, or it is not there
	RefusedPackage        Refusal = "package_refused" // local settings forbid the package
	RefusedDenied         Refusal = "denied"          // the job's own deny list names it
	RefusedPinned         Refusal = "pinned_on_device"
	RefusedPlan           Refusal = "plan_refused" // the simulation touches a denied or held package, or removes one
	RefusedDoesNotFit     Refusal = "does_not_fit"
	RefusedClock          Refusal = "clock_untrusted"
	RefusedNoStart        Refusal = "no_start" // the server did not say start
	RefusedCancelled      Refusal = "cancelled"
	RefusedRebootLimit    Refusal = "reboot_limit"
	RefusedOtherTenant    Refusal = "other_tenant"
	RefusedConflict       Refusal = "conflict" // another changing job runs
	RefusedDiskFull       Refusal = "disk_full"
	RefusedSuperseded     Refusal = "superseded" // a newer version is offered than the job's
	RefusedVersionUnknown Refusal = "downgrade"  // lower than installed and never recorded here
)

// ResultState is how one release of a job ended on the device.
type ResultState string

// The ends of a release in a job.
const (
	ResultVerified            ResultState = "verified"
	ResultInstalledUnverified ResultState = "installed_unverified"
	ResultFailed              ResultState = "failed"
	ResultDeferred            ResultState = "deferred"
	ResultNeedsUser           ResultState = "needs_user"
	ResultNotApplicable       ResultState = "not_applicable"
	ResultSuperseded          ResultState = "superseded"
	ResultNotStarted          ResultState = "not_started"
	ResultUnknown             ResultState = "unknown"
)
