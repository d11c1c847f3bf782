package job

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/reason"
)

// maxWhy bounds what is kept of a device's own words in a reason, in bytes.
const maxWhy = 300

// words is what a person reads of a code: of wire.Refusal, or of the list of
// the agent's sources. A code of a newer agent is shown as it is.
func words(code string) string {
	if w := refusalWords(wire.Refusal(code)); w != "" {
		return w
	}
	if w := sourceWords(code); w != "" {
		return w
	}
	return code
}

func refusalWords(code wire.Refusal) string {
	switch code {
	case wire.RefusedSignature:
		return "its signature is not by a key that the device trusts"
	case wire.RefusedMalformed:
		return "the device could not read it"
	case wire.RefusedOtherDevice:
		return "it was made for another device"
	case wire.RefusedOtherTenant:
		return "it was made for another customer"
	case wire.RefusedReplayed:
		return "the device has had this attempt before"
	case wire.RefusedExpired:
		return "its latest start had passed"
	case wire.RefusedTooEarly:
		return "it was too early by the device's clock"
	case wire.RefusedOutsideWindow:
		return "the window was shut"
	case wire.RefusedUnsupported:
		return "the agent is too old for this kind of job"
	case wire.RefusedNotInstalled:
		return "the package is not installed on the device"
	case wire.RefusedNotOffered:
		return "the device's own sources do not offer this version"
	case wire.RefusedScanOld:
		return "the device's own scan is older than a day"
	case wire.RefusedSource:
		return "the device's own settings forbid the source, or it is not there"
	case wire.RefusedPackage:
		return "the device's own settings forbid the package"
	case wire.RefusedDenied:
		return "a rule denies the package"
	case wire.RefusedPinned:
		return "a person pinned the package on the device"
	case wire.RefusedPlan:
		return "it would change or remove a package that may not change"
	case wire.RefusedDoesNotFit:
		return "the window would shut before it is done"
	case wire.RefusedClock:
		return "the device's clock cannot be trusted"
	case wire.RefusedNoStart:
		return "the server did not say start"
	case wire.RefusedCancelled:
		return "it was cancelled"
	case wire.RefusedRebootLimit:
		return "the device has restarted often enough today"
	case wire.RefusedConflict:
		return "another job is changing the device"
	case wire.RefusedDiskFull:
		return "too little free space"
	case wire.RefusedSuperseded:
		return "a newer version is offered"
	case wire.RefusedVersionUnknown:
		return "it is older than the installed version, and was never installed here"
	}
	return ""
}

func sourceWords(code string) string {
	switch code {
	case "already_installed":
		return "the version was there before"
	case "other_package_failed":
		return "another package failed beside it"
	case "invalid_request":
		return "the name or version is not one that the source can take"
	case "newer_installed":
		return "a newer version is installed"
	case "version_not_found":
		return "the sources no longer offer this version"
	case "package_not_found":
		return "no source of the device knows the package"
	case "held":
		return "a person pinned a package that would change"
	case "would_remove":
		return "other packages would have to go"
	case "downgrade_refused":
		return "the version is older than the installed one"
	case "busy":
		return "another process holds the package manager"
	case "not_permitted":
		return "the agent lacks the rights"
	case "script_failed":
		return "the package's own script failed"
	case "dependencies_broken":
		return "its dependencies cannot be met"
	case "interrupted":
		return "the installation was interrupted"
	case "network":
		return "a download did not work"
	case "download_corrupt":
		return "a download does not match its checksum"
	case "untrusted_source":
		return "a signature of the source is missing, unknown or expired"
	case "bad_configuration":
		return "the device's own list of sources or options is wrong"
	case "needs_answer":
		return "the package asks what only a person can answer"
	case "timeout":
		return "it took too long and was stopped"
	case "overran":
		return "it took too long and still runs"
	case "garbage_output":
		return "the package manager printed what cannot be understood"
	case "source_missing":
		return "the package manager is not on the device"
	case "not_verified":
		return "success was reported, but a scan does not show the version"
	case "failed":
		return "it failed"
	}
	return ""
}

// remedy is what to do about a refusal of a whole job.
func remedy(code string) string {
	switch wire.Refusal(code) {
	case wire.RefusedSignature, wire.RefusedOtherDevice, wire.RefusedOtherTenant:
		return "Enroll the device again if the server was set up anew; else find out who made the job."
	case wire.RefusedUnsupported, wire.RefusedMalformed:
		return "Update the agent."
	case wire.RefusedClock, wire.RefusedTooEarly:
		return "Set the device's clock."
	case wire.RefusedScanOld:
		return "Look why the device does not scan."
	case wire.RefusedDiskFull:
		return "Make room on the device's disk."
	case wire.RefusedRebootLimit, wire.RefusedConflict, wire.RefusedReplayed:
		return "nothing to do: it is tried again in the next window"
	}
	return "Read its log and the device's settings."
}

// refusal is the reason of a refused job.
func refusal(s Step) reason.Reason {
	return coded(reason.New(reason.JobRefused, "why", explain(s), "next", remedy(s.Code)), s.Code)
}

// explain is a step's code, detail and exit code as half a sentence.
func explain(s Step) string {
	text := words(s.Code)
	detail := strings.TrimSuffix(s.Detail, ".")
	switch {
	case text == "":
		text = detail
	case detail != "":
		text += ": " + detail
	}
	if text == "" {
		text = "no reason was told"
	}
	text = plain(text, maxWhy)
	if s.ExitCode > 0 {
		text += fmt.Sprintf(" (exit code %d)", s.ExitCode)
	}
	return text
}

// coded adds the device's own code to a reason, for machines.
func coded(r reason.Reason, code string) reason.Reason {
	if code != "" && r.Args != nil {
		r.Args["code"] = code
	}
	return r
}

// resultReason is why a release ended as it did.
func resultReason(r Release, s Step) reason.Reason { return coded(resultOf(r, s), s.Code) }

func resultOf(r Release, s Step) reason.Reason {
	why := explain(s)
	switch r.Result {
	case wire.ResultVerified:
		version := s.To
		if version == "" {
			version = r.Version
		}
		return reason.New(reason.VerifiedByScan, "version", version)
	case wire.ResultInstalledUnverified:
		if s.RebootRequired {
			return reason.New(reason.RebootNeeded)
		}
		return reason.New(reason.InstalledUnverified)
	case wire.ResultFailed:
		return reason.New(reason.InstallFailed, "error", why)
	case wire.ResultNeedsUser:
		return reason.New(reason.NeedsUser, "why", why)
	case wire.ResultNotApplicable:
		if s.Code == string(wire.RefusedPinned) || s.Code == "held" {
			return reason.New(reason.PinnedOnDevice, "source", r.Source)
		}
		return reason.New(reason.NotApplicable, "why", why)
	case wire.ResultSuperseded:
		version := s.To
		if version == "" {
			version = "a newer version"
		}
		return reason.New(reason.SupersededBy, "version", version)
	case wire.ResultUnknown:
		return reason.New(reason.NoReport, "since", reason.Time(s.At))
	case wire.ResultNotStarted:
		if s.Code == string(wire.RefusedDoesNotFit) && r.Expected > 0 {
			return reason.New(reason.DoesNotFit, "minutes", reason.Count(int((r.Expected+time.Minute-1)/time.Minute)))
		}
	}
	return reason.New(reason.NotStarted, "why", why)
}

// sentence is a reason as part of another one: without its full stop.
func sentence(r reason.Reason) string {
	return plain(strings.TrimSuffix(r.Text(time.UTC), "."), maxWhy)
}

// because is what a reason itself names as the cause, or its sentence, or the
// given words when it has none.
func because(r reason.Reason, otherwise string) string {
	for _, name := range []string{"why", "error"} {
		if text := r.Args[name]; text != "" {
			return text
		}
	}
	if r.IsZero() || r.Code == reason.JobLeased || r.Code == reason.JobStarted {
		return otherwise
	}
	return sentence(r)
}

// plain makes text storable and at most limit bytes long.
func plain(text string, limit int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
	if len(text) <= limit {
		return text
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
