package patch

import (
	"strconv"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/reason"
)

// Follow returns the row as a step of its job leaves it; changed is false for
// steps that say nothing of it. It never says verified: that is for the scan
// that follows.
func Follow(now time.Time, row Update, s job.Step) (next Update, changed bool) {
	switch s.Kind {
	case job.StepProgress:
		next = progress(now, row, s)
	case job.StepResult:
		next = result(now, row, s)
	default:
		return row, false
	}
	return next, !same(next, row)
}

func progress(now time.Time, row Update, s job.Step) Update {
	if !row.State.Open() {
		return row
	}
	row.Job = s.Job
	if s.Phase == "downloading" {
		return row.Move(Downloading, reason.New(reason.Downloading), now)
	}
	return row.Move(Installing, reason.New(reason.Installing, "since", reason.Time(s.At)), now)
}

func result(now time.Time, row Update, s job.Step) Update {
	if row.LastTry.Equal(s.At) && row.Job == s.Job || !row.State.Open() {
		return row // told twice, or a scan was quicker
	}
	row.Job, row.LastTry = s.Job, s.At
	switch s.Result {
	case wire.ResultVerified, wire.ResultInstalledUnverified:
		if s.RebootRequired {
			return row.Move(RebootPending, reason.New(reason.RebootNeeded), now)
		}
		return row.Move(Installing, reason.New(reason.InstalledUnverified), now)
	case wire.ResultFailed:
		row.Tries++
		row.LastError = errorText(s)
		return row.Move(Failed, reason.New(reason.InstallFailed, "error", row.LastError), now)
	case wire.ResultUnknown:
		return row.Move(Unknown, reason.New(reason.NoReport, "since", reason.Time(s.At)), now)
	case wire.ResultNeedsUser:
		return row.Move(Approved, reason.New(reason.NeedsUser, "why", errorText(s)), now)
	case wire.ResultNotApplicable:
		return row.Move(Approved, reason.New(reason.NotApplicable, "why", errorText(s)), now)
	}
	return row.Move(Approved, reason.New(reason.NotStarted, "why", errorText(s)), now)
}

// errorText is what a person reads of a step that did not go well.
func errorText(s job.Step) string {
	text := s.Detail
	if text == "" {
		text = s.Code
	}
	if text == "" {
		text = string(s.Result)
	}
	if s.ExitCode != 0 {
		text += ", exit code " + strconv.Itoa(s.ExitCode)
	}
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
