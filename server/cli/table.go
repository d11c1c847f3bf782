package cli

import (
	"slices"
	"strings"
)

// tone is how good or bad a word is; a colour only ever stands beside its word.
type tone int

const (
	plain tone = iota
	good
	busy
	care
	bad
	faint
	strong
)

// codes are the SGR parameters of tones (ECMA-48, section 8.3.117).
var codes = [...]string{good: "32", busy: "36", care: "33", bad: "31", faint: "2", strong: "1"}

// paint colours text where the terminal shows colours.
func (e *Env) paint(t tone, s string) string {
	if !e.Colour || e.Width == 0 || t == plain || s == "" {
		return s
	}
	return "\x1b[" + codes[t] + "m" + s + "\x1b[0m"
}

// toneOf is the tone of a state's word.
func toneOf(state string) tone {
	switch state {
	case "verified", "completed", "succeeded", "passed", "active", "online", "approved", "good", "done":
		return good
	case "running", "leased", "downloading", "installing", "soaking", "scheduled":
		return busy
	case "paused", "reboot_pending", "stale", "pending", "cancelling", "needs_agreement", "deferred", "needs_user",
		"installed_unverified", "waiting", "invited", "locked", "pilot":
		return care
	case "failed", "halted", "unknown", "conflict", "revoked", "expired", "denied":
		return bad
	case "superseded", "cancelled", "retired", "offline", "disabled", "unchanged", "observe":
		return faint
	}
	return plain
}

// cell is one field of a table.
type cell struct {
	text  string
	tone  tone
	brief string // stands for text where the terminal is narrow; "": nothing does
}

// column is one column: its title and how a row fills it. A flexible one is
// shortened first when the terminal is narrow, a firm one never.
type column struct {
	title string
	show  func(object) cell
	right bool
	give  give
}

type give int

const (
	some give = iota // shortened when the flexible ones were not enough
	flex
	firm
)

// text shows a value as it is.
func text(title string, paths ...string) column {
	return column{title: title, show: func(o object) cell { return cell{text: o.first(paths...)} }}
}

// long is text that may be shortened.
func long(title string, paths ...string) column {
	c := text(title, paths...)
	c.give = flex
	return c
}

// id shows what is needed for the next command, never shortened.
func id(title, path string) column {
	c := text(title, path)
	c.give = firm
	return c
}

// number shows a number, or how long a list is.
func number(title, path string) column {
	return column{title: title, right: true, give: firm, show: func(o object) cell {
		if l, ok := o.get(path).([]any); ok {
			return cell{text: itoa(len(l))}
		}
		return cell{text: o.str(path)}
	}}
}

// state shows a state as words with its tone.
func state(title, path string) column {
	return column{title: title, give: firm, show: func(o object) cell { return stateCell(o.raw(path)) }}
}

func stateCell(s string) cell { return cell{text: words(s), tone: toneOf(s)} }

// at shows a time.
func (e *Env) at(title, path string) column {
	return column{title: title, give: firm, show: func(o object) cell {
		full := e.when(o.raw(path))
		brief, _, _ := strings.Cut(full, ",")
		return cell{text: full, brief: brief}
	}}
}

const gap = 2

// table prints rows under titles, fitted to the terminal.
func (x *call) table(cols []column, rows [][]cell) {
	widths, total := measure(cols, rows)
	if x.Width > 0 && total > x.Width {
		for _, r := range rows {
			for i := range r {
				if r[i].brief != "" {
					r[i].text = r[i].brief
				}
			}
		}
		widths, total = measure(cols, rows)
		fit(widths, cols, total, x.Width)
	}
	titles := make([]cell, len(cols))
	for i, c := range cols {
		titles[i] = cell{text: c.title, tone: strong}
	}
	x.row(cols, widths, titles)
	for _, r := range rows {
		x.row(cols, widths, r)
	}
}

// measure is how wide each column would be, and all of them.
func measure(cols []column, rows [][]cell) (widths []int, total int) {
	total = gap * (len(cols) - 1)
	for i, c := range cols {
		w := columns(c.title)
		for _, r := range rows {
			w = max(w, columns(r[i].text))
		}
		widths, total = append(widths, w), total+w
	}
	return widths, total
}

func (x *call) row(cols []column, widths []int, cells []cell) {
	var b strings.Builder
	pad := 0 // owed to the column before, so that no line ends in spaces
	for i, c := range cells {
		t := c.text
		if t == "" {
			t = "-"
		}
		t = cut(t, widths[i])
		rest := widths[i] - columns(t)
		if cols[i].right {
			pad, rest = pad+rest, 0
		}
		b.WriteString(strings.Repeat(" ", pad))
		b.WriteString(x.paint(c.tone, t))
		pad = rest + gap
	}
	x.say("%s", b.String())
}

// fit takes columns from the widest flexible column until the row fits, then
// from the widest of the others that may give. What is firm stays, even if the
// terminal has to wrap it: half an id is none.
func fit(widths []int, cols []column, total, limit int) {
	for _, step := range []struct {
		give  give
		least int
	}{{flex, 16}, {some, 10}, {flex, 8}, {some, 6}} {
		for total > limit {
			widest := -1
			for i, w := range widths {
				if cols[i].give == step.give && w > max(step.least, columns(cols[i].title)) && (widest < 0 || w > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			total--
		}
	}
}

// facts prints names and values below each other; empty values are left out.
func (x *call) facts(pairs ...[2]string) {
	pairs = slices.DeleteFunc(pairs, func(p [2]string) bool { return p[1] == "" || p[1] == "-" })
	wide := 0
	for _, p := range pairs {
		wide = max(wide, columns(p[0]))
	}
	for _, p := range pairs {
		x.say("%s%s  %s", x.paint(faint, p[0]), strings.Repeat(" ", wide-columns(p[0])), p[1])
	}
}
