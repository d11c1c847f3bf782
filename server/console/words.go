package console

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/fleet"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/job"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
)

// mark is a state as it is shown: an icon, a word and a tone, always together.
type mark struct{ Icon, Word, Tone string }

func pick[K ~string](from map[K]mark, state K) mark {
	if m, ok := from[state]; ok {
		return m
	}
	// A state that this page does not know is unknown, never good.
	return mark{"circle-question-mark", strings.ReplaceAll(string(state), "_", " "), "unknown"}
}

func deviceMark(s fleet.State) mark {
	return pick(map[fleet.State]mark{
		fleet.Pending: {"circle-dashed", "pending", "idle"}, fleet.Active: {"circle-check", "active", "good"},
		fleet.Stale: {"clock-alert", "stale", "hold"}, fleet.Retired: {"archive", "retired", "idle"},
		fleet.Conflict: {"copy", "conflict", "bad"}, fleet.Revoked: {"ban", "revoked", "bad"},
	}, s)
}

func onlineMark(online bool) mark {
	if online {
		return mark{"wifi", "online", "good"}
	}
	return mark{"wifi-off", "offline", "idle"}
}

func updateMark(s patch.State) mark {
	return pick(map[patch.State]mark{
		patch.Available: {"circle-dot", "available", "idle"}, patch.Approved: {"thumbs-up", "approved", "idle"},
		patch.Denied: {"ban", "denied", "idle"}, patch.Waiting: {"hourglass", "waiting", "idle"},
		patch.Scheduled: {"calendar-clock", "scheduled", "idle"}, patch.Superseded: {"layers", "superseded", "idle"},
		patch.Downloading: {"download", "downloading", "moving"}, patch.Installing: {"loader-circle", "installing", "moving"},
		patch.RebootPending: {"power", "reboot pending", "hold"}, patch.Verified: {"circle-check", "verified", "good"},
		patch.Failed: {"circle-x", "failed", "bad"}, patch.Unknown: {"circle-question-mark", "unknown", "unknown"},
		patch.Halted: {"octagon-x", "halted", "bad"},
	}, s)
}

// wordMark is one of the six words of lists.
func wordMark(w view.Word) mark {
	return pick(map[view.Word]mark{
		view.WordWaiting: {"hourglass", "waiting", "idle"}, view.WordTonight: {"calendar-clock", "tonight", "idle"},
		view.WordRunning: {"loader-circle", "running", "moving"}, view.WordRestart: {"power", "restart needed", "hold"},
		view.WordDone: {"circle-check", "done", "good"}, view.WordNeeds: {"circle-alert", "needs you", "bad"},
	}, w)
}

// stateWord is the list's word for a state. What only waits for a decision
// needs a person, but nothing is wrong with it.
func stateWord(s patch.State) mark {
	m := wordMark(view.WordOf(s))
	switch {
	case s == patch.Available:
		m.Icon, m.Tone = "circle-dot", "hold"
	case view.WordOf(s) == view.WordNone:
		return updateMark(s)
	case s == patch.Unknown:
		m.Icon, m.Tone = "circle-question-mark", "unknown"
	}
	return m
}

func deploymentMark(s deployment.State) mark {
	return pick(map[deployment.State]mark{
		deployment.Running: {"loader-circle", "running", "moving"}, deployment.Paused: {"pause", "paused", "hold"},
		deployment.Halted: {"octagon-x", "halted", "bad"}, deployment.Completed: {"circle-check", "completed", "good"},
		deployment.Cancelled: {"ban", "cancelled", "idle"}, deployment.Superseded: {"layers", "superseded", "idle"},
	}, s)
}

func ringMark(s deployment.RingState) mark {
	return pick(map[deployment.RingState]mark{
		deployment.RingWaiting: {"hourglass", "waiting", "idle"}, deployment.RingActive: {"loader-circle", "active", "moving"},
		deployment.RingSoaking: {"activity", "soaking", "moving"}, deployment.RingPassed: {"circle-check", "passed", "good"},
		deployment.RingHalted: {"octagon-x", "halted", "bad"},
	}, s)
}

func jobMark(s job.State) mark {
	return pick(map[job.State]mark{
		job.Queued: {"list", "queued", "idle"}, job.NeedsAgreement: {"users", "needs agreement", "hold"},
		job.Leased: {"hand", "leased", "moving"}, job.Running: {"loader-circle", "running", "moving"},
		job.Cancelling: {"ban", "cancelling", "moving"}, job.Succeeded: {"circle-check", "succeeded", "good"},
		job.Failed: {"circle-x", "failed", "bad"}, job.Deferred: {"clock", "deferred", "hold"},
		job.Expired: {"timer-off", "expired", "idle"}, job.Cancelled: {"ban", "cancelled", "idle"},
		job.Unknown: {"circle-question-mark", "unknown", "unknown"},
	}, s)
}

func resultMark(s wire.ResultState) mark {
	return pick(map[wire.ResultState]mark{
		wire.ResultVerified: {"circle-check", "verified", "good"}, wire.ResultInstalledUnverified: {"circle-dashed", "installed, not verified", "hold"},
		wire.ResultFailed: {"circle-x", "failed", "bad"}, wire.ResultDeferred: {"clock", "deferred", "hold"},
		wire.ResultNeedsUser: {"user-round", "needs its user", "hold"}, wire.ResultNotApplicable: {"ban", "not applicable", "idle"},
		wire.ResultSuperseded: {"layers", "superseded", "idle"}, wire.ResultNotStarted: {"hourglass", "not started", "idle"},
		wire.ResultUnknown: {"circle-question-mark", "unknown", "unknown"}, "": {"hourglass", "open", "idle"},
	}, s)
}

func personMark(p auth.Person, locked bool) mark {
	if locked {
		return mark{"lock", "locked", "hold"}
	}
	return pick(map[auth.State]mark{
		auth.Invited: {"mail", "invited", "idle"}, auth.Active: {"circle-check", "active", "good"}, auth.Disabled: {"ban", "disabled", "idle"},
	}, p.State)
}

func modeMark(m fleet.Mode) mark {
	return pick(map[fleet.Mode]mark{
		fleet.Observe: {"circle-dot", "observe", "idle"}, fleet.Pilot: {"activity", "pilot", "moving"}, fleet.Live: {"circle-check", "live", "good"},
	}, m)
}

func sourceName(source string) string {
	if name, ok := map[string]string{
		"chocolatey": "Chocolatey", "homebrew": "Homebrew", "winget": "winget", "windowsupdate": "Windows Update",
		"softwareupdate": "Software Update", "apt": "apt", "dnf": "dnf",
	}[source]; ok {
		return name
	}
	return source
}

func classIcon(c fleet.Class) string {
	switch c {
	case fleet.Server:
		return "server"
	case fleet.Laptop:
		return "laptop"
	}
	return "monitor"
}

// severity is four bars and the word; what is not known is said so.
type severity struct {
	Word, Tone string
	Bars       int
}

func severityOf(word string) severity {
	switch strings.ToLower(word) {
	case "critical":
		return severity{"critical", "bad", 4}
	case "high", "important":
		return severity{"high", "hold", 3}
	case "medium", "moderate":
		return severity{"medium", "idle", 2}
	case "low":
		return severity{"low", "idle", 1}
	case "", "unknown", "unspecified":
		return severity{"not rated", "idle", 0}
	}
	return severity{word, "idle", 0}
}

func kindWord(k inventory.Kind) string {
	switch k {
	case inventory.SecurityExploited:
		return "security"
	case inventory.Unknown, "":
		return "kind unknown"
	}
	return strings.ReplaceAll(string(k), "-", " ")
}

// functions are what templates may call. They write state, never numbers they
// do not know.
func functions(a *assets) template.FuncMap {
	icon := func(name string, class ...string) template.HTML {
		return template.HTML(`<svg class="i ` + strings.Join(class, " ") + `" aria-hidden="true"><use href="` + a.prefix + `icons.svg#` + name + `"/></svg>`)
	}
	return template.FuncMap{
		"asset": func(name string) string { return a.prefix + name },
		"icon":  icon, "num": num, "plural": plural, "span": span, "join": strings.Join, "source": sourceName, "kind": kindWord,
		"badge": func(m mark) template.HTML {
			return template.HTML(`<span class="badge t-`+m.Tone+`">`) + icon(m.Icon) + template.HTML(`<span class="vh">state: </span>`+template.HTMLEscapeString(m.Word)+`</span>`)
		},
		"word": func(m mark) template.HTML {
			return template.HTML(`<span class="word t-`+m.Tone+`">`) + icon(m.Icon) + template.HTML(template.HTMLEscapeString(m.Word)+`</span>`)
		},
		"severity": func(word string) template.HTML {
			s := severityOf(word)
			var bars strings.Builder
			for i := range 4 {
				fill := ""
				if i < s.Bars {
					fill = ` class="f"`
				}
				fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="2.5" height="%d"%s/>`, i*4, 8-i*2, 3+i*2, fill)
			}
			return template.HTML(`<span class="sev t-` + s.Tone + `"><svg class="sevbars" width="15" height="11" aria-hidden="true">` + bars.String() + `</svg>` + template.HTMLEscapeString(s.Word) + `</span>`)
		},
		"list": func(v ...any) []any { return v }, "mark": func(icon, word, tone string) mark { return mark{icon, word, tone} },
	}
}
