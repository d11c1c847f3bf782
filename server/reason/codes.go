package reason

// Codes of why an update is not installed now: the blockers, in the order in
// which they are answered.
const (
	ModeObserve       Code = "mode_observe"
	DeviceState       Code = "device_state"
	NoPolicy          Code = "no_policy"
	PolicyTie         Code = "policy_tie"
	NotApproved       Code = "not_approved"
	WaitingUntil      Code = "waiting_until"
	DeniedByHand      Code = "denied_by_hand"
	DeniedByRule      Code = "denied_by_rule"
	DeploymentHalted  Code = "deployment_halted"
	DeploymentPaused  Code = "deployment_paused"
	DeploymentEnded   Code = "deployment_cancelled"
	DeploymentPending Code = "deployment_pending"
	RingWaits         Code = "ring_waits"
	NeverOpens        Code = "never_opens"
	OutsideWindow     Code = "outside_window"
	Blackout          Code = "blackout"
	DoesNotFit        Code = "does_not_fit"
	PinnedOnDevice    Code = "pinned_on_device"
	Phased            Code = "phased"
	RebootFirst       Code = "reboot_first"
	SourceBusy        Code = "source_busy"
	SourceUnavailable Code = "source_unavailable"
	ScanOld           Code = "scan_old"
	Offline           Code = "offline"
	FailedBefore      Code = "failed_before"
	InFlightLimit     Code = "in_flight_limit"
	BlastLimit        Code = "blast_limit"
	JobUnderWay       Code = "job_under_way"
	JobUnknown        Code = "job_unknown"
	CancelOpen        Code = "cancel_open"
)

// Codes of states and transitions.
const (
	FirstSeen           Code = "first_seen"
	ApprovedByHand      Code = "approved_by_hand"
	ApprovedByRule      Code = "approved_by_rule"
	ScheduledFor        Code = "scheduled_for"
	Downloading         Code = "downloading"
	Installing          Code = "installing"
	RebootNeeded        Code = "reboot_needed"
	InstalledUnverified Code = "installed_unverified"
	VerifiedByScan      Code = "verified_by_scan"
	InstallFailed       Code = "install_failed"
	NotStarted          Code = "not_started"
	NotApplicable       Code = "not_applicable"
	NeedsUser           Code = "needs_user"
	SupersededBy        Code = "superseded_by"
	GoneFromScan        Code = "gone_from_scan"
	NoReport            Code = "no_report"

	Started          Code = "started"
	PausedBy         Code = "paused_by"
	ResumedBy        Code = "resumed_by"
	HaltedBy         Code = "halted_by"
	CancelledBy      Code = "cancelled_by"
	HaltedFailures   Code = "halted_failures"
	HaltedVerified   Code = "halted_verified"
	HaltedRing       Code = "halted_ring"
	AllRingsPassed   Code = "all_rings_passed"
	RingOpened       Code = "ring_opened"
	RingSoaking      Code = "ring_soaking"
	RingPassed       Code = "ring_passed"
	RingEmpty        Code = "ring_empty"
	RingBefore       Code = "ring_before"
	PolicyRemoved    Code = "policy_removed"
	NothingLeft      Code = "nothing_left"
	JobSubmitted     Code = "job_submitted"
	JobLeased        Code = "job_leased"
	JobStarted       Code = "job_started"
	JobFinished      Code = "job_finished"
	JobFailed        Code = "job_failed"
	JobRefused       Code = "job_refused"
	JobExpired       Code = "job_expired"
	JobReplaced      Code = "job_replaced"
	JobWithdrawn     Code = "job_withdrawn"
	JobCancelSent    Code = "job_cancel_sent"
	JobCancelled     Code = "job_cancelled"
	JobRetry         Code = "job_retry"
	JournalLost      Code = "journal_lost"
	StartedAlone     Code = "started_alone"
	DeviceEnrolled   Code = "device_enrolled"
	DeviceInventory  Code = "device_inventory"
	DeviceSilent     Code = "device_silent"
	DeviceBack       Code = "device_back"
	DeviceConflict   Code = "device_conflict"
	DeviceRevoked    Code = "device_revoked"
	DeviceReadmitted Code = "device_readmitted"
	DeviceRetired    Code = "device_retired"
)

type entry struct{ text, next string }

// lookup is the closed list: each code with its sentence and the next step.
// {name} stands for an argument; an empty next step means nothing to do.
func lookup(code Code) (entry, bool) {
	e, ok := table[code]
	return e, ok
}

// All lists every code, for the test that walks them and for the docs.
func All() []Code {
	out := make([]Code, 0, len(table))
	for c := range table {
		out = append(out, c)
	}
	return out
}

// table is never written after its declaration.
var table = map[Code]entry{
	ModeObserve:       {"The customer is in mode {mode}: nothing installs.", "Set the customer's mode to live."},
	DeviceState:       {"The device is {state}.", "Open the device and decide what it is."},
	NoPolicy:          {"No patch policy covers {source} on this device.", "Add a policy whose targets and sources include it."},
	PolicyTie:         {"Two policies claim this device equally: {policies}.", "Narrow one of them by tag or class."},
	NotApproved:       {"Not approved: no rule decided.", "Approve or deny it."},
	WaitingUntil:      {"Waits until {until}: {why}.", "nothing to do: it goes on at {until}"},
	DeniedByHand:      {"Denied by {by}: {why}.", "Approve it if that no longer holds."},
	DeniedByRule:      {"Denied by rule {rule} of {policy}: {why}.", "Change the policy if that no longer holds."},
	DeploymentHalted:  {"Its deployment is halted: {why}.", "Look at the failed devices, then resume or cancel it."},
	DeploymentPaused:  {"Its deployment is paused by {by}: {why}.", "Resume the deployment."},
	DeploymentEnded:   {"Its deployment was cancelled by {by}: {why}.", "A newer version starts a new deployment."},
	DeploymentPending: {"Its deployment starts with the next tick.", ""},
	RingWaits:         {"Ring {ring} waits for ring {before}.", "nothing to do: it opens when {before} has passed"},
	NeverOpens:        {"The policy {policy} has no window.", "Give the policy a window."},
	OutsideWindow:     {"Outside its window: opens {until}.", "nothing to do: it happens {until}"},
	Blackout:          {"A blackout holds changes: opens {until}.", "nothing to do: it happens {until}"},
	DoesNotFit:        {"Needs about {minutes} min, the window shuts before that.", "nothing to do: it waits for the next window"},
	PinnedOnDevice:    {"Held on the device itself by {source}.", "Take the hold off on the device, or leave it."},
	Phased:            {"{source} rolls it out in phases and withholds it from this device.", "nothing to do: the source releases it"},
	RebootFirst:       {"A restart is pending from earlier changes.", "Restart the device."},
	SourceBusy:        {"{source} is busy: {process} runs.", "nothing to do: it is tried again"},
	SourceUnavailable: {"{source} does not answer on the device: {why}.", "Repair {source} on the device."},
	ScanOld:           {"The device has not scanned for updates since {since}.", "Bring the device online."},
	Offline:           {"Offline since {since}.", "Bring the device online; it takes the update in its next window."},
	FailedBefore:      {"Failed {times} times: {error}.", "Read the log of the last attempt."},
	InFlightLimit:     {"{running} of at most {limit} devices are busy.", ""},
	BlastLimit:        {"{changed} devices changed in the last hour, {limit} are allowed ({scope}).", "nothing to do: it is paced into the next hour"},
	JobUnderWay:       {"Its job is {state}.", ""},
	JobUnknown:        {"Nothing was heard of its last job since {since}.", "Bring the device online: its own scan tells what is true."},
	CancelOpen:        {"An earlier job is being cancelled on the device.", ""},

	FirstSeen:           {"First seen in a scan.", ""},
	ApprovedByHand:      {"Approved by {by}: {why}.", ""},
	ApprovedByRule:      {"Approved by rule {rule} of {policy}.", ""},
	ScheduledFor:        {"Scheduled for {until}.", ""},
	Downloading:         {"Downloading.", ""},
	Installing:          {"Installing since {since}.", ""},
	RebootNeeded:        {"Installed, needs a restart.", "Restart the device."},
	InstalledUnverified: {"Installed, not checked by a scan yet.", ""},
	VerifiedByScan:      {"Checked by a scan: {version} is installed.", ""},
	InstallFailed:       {"Failed: {error}.", "Read the log of the attempt."},
	NotStarted:          {"Not started: {why}.", ""},
	NotApplicable:       {"Does not apply to this device: {why}.", ""},
	NeedsUser:           {"Needs a person at the device: {why}.", "Ask the person at the device."},
	SupersededBy:        {"Replaced by {version}.", ""},
	GoneFromScan:        {"The source no longer offers it.", ""},
	NoReport:            {"No report since {since}.", "Bring the device online: its own scan tells what is true."},

	Started:          {"Started by policy {policy}.", ""},
	PausedBy:         {"Paused by {by}: {why}.", "Resume it when it may go on."},
	ResumedBy:        {"Resumed by {by}: {why}.", ""},
	HaltedBy:         {"Halted by {by}: {why}.", "Resume or cancel it."},
	CancelledBy:      {"Cancelled by {by}: {why}.", ""},
	HaltedFailures:   {"Ring {ring}: {failed} failed, {allowed} are allowed.", "Read the failed devices' logs, then resume or cancel."},
	HaltedVerified:   {"Ring {ring}: {verified} of {devices} verified, {needed} are needed.", "Read the failed devices' logs, then resume or cancel."},
	HaltedRing:       {"Its deployment is halted.", ""},
	AllRingsPassed:   {"All rings passed.", ""},
	RingOpened:       {"Opened.", ""},
	RingSoaking:      {"{verified} of {devices} verified, soaks until {until}.", ""},
	RingPassed:       {"Passed: {verified} of {devices} verified, {failed} failed.", ""},
	RingEmpty:        {"No device in it: passed at once.", ""},
	RingBefore:       {"Waits for ring {before}.", ""},
	PolicyRemoved:    {"Its policy {policy} is gone or switched off.", ""},
	NothingLeft:      {"No device needs it any more.", ""},
	JobSubmitted:     {"Waits for its window at {until}.", ""},
	JobLeased:        {"Leased to the device, may start from {until}.", ""},
	JobStarted:       {"Runs on the device.", ""},
	JobFinished:      {"Finished: {verified} verified, {failed} failed, {other} other.", ""},
	JobFailed:        {"Failed: {error}.", "Read its log."},
	JobRefused:       {"The device refused it: {why}.", "{next}"},
	JobExpired:       {"Did not start before {until}.", "nothing to do: it waits for the next window"},
	JobReplaced:      {"Replaced by a newer plan.", ""},
	JobWithdrawn:     {"Withdrawn: {why}.", ""},
	JobCancelSent:    {"Cancel sent, the device has not confirmed: {why}.", "The device may still start it until {until}."},
	JobCancelled:     {"Cancelled: {why}.", ""},
	JobRetry:         {"Tried again: {why}.", ""},
	JournalLost:      {"The device lost its journal.", "nothing to do: its own scan tells what is true"},
	StartedAlone:     {"Started by the device alone, without contact.", ""},
	DeviceEnrolled:   {"Enrolled with {enrollment}.", ""},
	DeviceInventory:  {"Sent its full inventory.", ""},
	DeviceSilent:     {"No contact since {since}.", "Find out whether the device is still in use."},
	DeviceBack:       {"In contact again.", ""},
	DeviceConflict:   {"Two machines use its key: {why}.", "Decide which one is real; enroll the other again."},
	DeviceRevoked:    {"Revoked by {by}: {why}.", "Readmit it to let it connect again."},
	DeviceReadmitted: {"Readmitted by {by}: {why}.", ""},
	DeviceRetired:    {"Retired by {by}: {why}.", ""},
}
