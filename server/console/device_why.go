package console

import (
	"cmp"
	"context"
	"html/template"
	"slices"
	"strings"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/deployment"
	"github.com/steward-rmm/steward/server/inventory"
	"github.com/steward-rmm/steward/server/patch"
	"github.com/steward-rmm/steward/server/view"
)

// why is one update with its answer: the verdict, then the ordered checks.
type why struct {
	Update  updateLine
	Verdict string
	Next    string
	Icon    string
	Tone    string
	Checks  []checkLine
}

type checkLine struct {
	Text, Icon, Tone, Class, End string
	At                           template.HTML
}

// updateLine is an update on a device's page.
type updateLine struct {
	patch.Update
	Mark, Full mark
	Reason     string
	Next       string
	Since      template.HTML
	Policy     string
	Release    string // address of the release
}

func lineOfUpdate(u patch.Update, t stamps, policy string) updateLine {
	return updateLine{Update: u, Mark: stateWord(u.State), Full: updateMark(u.State), Reason: sentence(u.Reason.Text(t.loc)),
		Next: sentence(u.Reason.NextStep(t.loc)), Since: t.Ago(u.Since), Policy: policy, Release: releasePath(u.Tenant, u.Release)}
}

func (f *frame) whyNot(ctx context.Context, b *deviceBody) ([]why, error) {
	list, err := f.c.o.Answers.Why(ctx, f.now, b.D.Tenant, b.D.ID)
	if err != nil {
		return nil, err
	}
	b.Unpatched = len(list)
	slices.SortStableFunc(list, func(x, y deployment.Explained) int {
		return cmp.Or(cmp.Compare(grave(y.Update), grave(x.Update)), cmp.Compare(x.Update.Package, y.Update.Package))
	})
	list = list[:min(len(list), maxAnswers)]
	out := make([]why, 0, len(list))
	for _, e := range list {
		out = append(out, whyOf(e, b.T))
	}
	return out, nil
}

// maxAnswers is how many answers a device's first page gives; its updates page
// has them all.
const maxAnswers = 10

// grave orders answers: what failed or is exploited first, then by severity.
func grave(u patch.Update) int {
	n := severityOf(u.Severity).Bars * 2
	if u.Kind == inventory.SecurityExploited {
		n += 16
	}
	switch u.State {
	case patch.Failed, patch.Halted, patch.Unknown:
		n += 8
	}
	if u.Kind == inventory.Security {
		n++
	}
	return n
}

func whyOf(e deployment.Explained, t stamps) why {
	w := why{Update: lineOfUpdate(e.Update, t, ""), Icon: "hourglass", Tone: "hold"}
	switch {
	case len(e.Blockers) > 0:
		first := e.Blockers[0].Reason
		w.Verdict, w.Next = sentence(first.Text(t.loc)), sentence(first.NextStep(t.loc))
	case e.Update.State.UnderWay():
		w.Verdict, w.Icon, w.Tone = "It is under way.", "loader-circle", "moving"
	default:
		w.Verdict, w.Next, w.Icon, w.Tone = "Nothing stands in its way.", "It starts when its device next asks.", "circle-check", "good"
	}
	switch e.Update.State {
	case patch.Failed, patch.Halted:
		w.Icon, w.Tone = updateMark(e.Update.State).Icon, "bad"
	case patch.Unknown:
		w.Icon, w.Tone = "circle-question-mark", "unknown"
	case patch.Denied:
		w.Icon, w.Tone = "ban", "idle"
	}
	w.Checks = checkLines(e, t)
	return w
}

// checkLines are what was asked on the way and stands in order, then what
// stops: the blockers are the answer, in their closed order. A check that
// failed says the same in other words and stands only where no blocker does.
func checkLines(e deployment.Explained, t stamps) []checkLine {
	var out []checkLine
	stopped := false
	said := map[string]bool{}
	stop := func(text string) {
		line := checkLine{Text: text, Icon: "circle-x", Tone: "hold", Class: "on", End: "stops here"}
		if stopped {
			line.End = "stops next"
		}
		stopped = true
		if !said[text] {
			out = append(out, line)
		}
		said[text] = true
	}
	for _, c := range e.Checks {
		words := sentence(c.Reason.Text(t.loc))
		if c.Reason.IsZero() {
			words = sentence(c.About)
		}
		if !c.Passed {
			if len(e.Blockers) == 0 {
				stop(words)
			}
			continue
		}
		if c.About == "ring" || c.About == "deployment" {
			words = sentence(c.About) + " " + words
			words = strings.Replace(words, ". ", ": ", 1)
		}
		line := checkLine{Text: words, Icon: "check", Tone: "good"}
		if !c.At.IsZero() {
			line.At = t.Clock(c.At)
		}
		out = append(out, line)
	}
	for _, b := range e.Blockers {
		stop(sentence(b.Reason.Text(t.loc)))
	}
	return out
}

func updateLines(b *deviceBody) []updateLine {
	out := make([]updateLine, 0, len(b.D.Updates))
	for _, u := range b.D.Updates {
		line := lineOfUpdate(u.Update, b.T, u.Policy)
		if len(u.Ties) > 0 {
			line.Policy = "claimed by " + strings.Join(u.Ties, " and ")
		}
		out = append(out, line)
	}
	return out
}

// event is one line of a timeline.
type event struct {
	At         template.HTML
	Icon, Tone string
	Text, By   string
	Href       string
}

func (f *frame) events(ctx context.Context, b *deviceBody, limit int) ([]event, string, error) {
	cursor := ""
	if b.Tab == "timeline" {
		cursor = f.r.URL.Query().Get("cursor")
	}
	list, next, err := f.c.o.Views.Timeline(ctx, f.scopeOf(auth.DeviceRead), b.D.Tenant, b.D.ID, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	out := make([]event, 0, len(list))
	for _, e := range list {
		out = append(out, eventOf(e, b))
	}
	return out, next, nil
}

func eventOf(e view.Event, b *deviceBody) event {
	out := event{At: b.T.Clock(e.At)}
	var m mark
	switch e.Kind {
	case view.EventUpdate:
		m = updateMark(patch.State(e.To))
		out.Text = e.Release.Package + " " + e.Release.Version + " " + m.Word + ". " + sentence(e.Reason.Text(b.T.loc))
		out.By = sourceName(e.Release.Source)
	case view.EventJob:
		m = jobMark(jobState(e.To))
		out.Text, out.By, out.Href = "Job "+m.Word+". "+sentence(e.Reason.Text(b.T.loc)), "job", tenantPath(b.D.Tenant, "jobs", string(e.Job))
	case view.EventInventory:
		m = mark{"list", "", "idle"}
		out.Text, out.By = inventoryText(e), "inventory"
	case view.EventPresence:
		m = onlineMark(e.To == "online")
		out.Text, out.By = "Contact: "+m.Word+".", "system"
	default:
		m = mark{"history", "", "idle"}
		out.Text, out.By = strings.ReplaceAll(strings.TrimPrefix(e.Action, "device."), "_", " "), e.By.Name
		if e.Why != "" {
			out.Text += ": “" + e.Why + "”"
		}
		out.Text = sentence(out.Text)
	}
	out.Icon, out.Tone = m.Icon, m.Tone
	return out
}

func inventoryText(e view.Event) string {
	what := strings.TrimSpace(e.Section + " " + e.Key)
	switch {
	case e.Before == nil:
		return "New: " + what + " " + e.After["version"]
	case e.After == nil:
		return "Gone: " + what + " " + e.Before["version"]
	case e.Before["version"] != e.After["version"]:
		return what + " " + e.Before["version"] + " → " + e.After["version"]
	}
	return "Changed: " + what
}
