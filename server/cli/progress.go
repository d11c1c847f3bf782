package cli

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressLine is the line below the transitions, which only a terminal has.
type progressLine struct {
	bar                       *progressbar.ProgressBar // what stands there; nil: nothing
	devices, verified, failed int
	counted                   time.Time
}

// count takes the counts of the deployment's rings.
func (w *watch) count(o object) {
	w.line.counted = w.x.Now()
	w.line.devices, w.line.verified, w.line.failed = tally(o)
}

// progress draws the line below what was printed. The counts are read again at
// most every progressIn.
func (w *watch) progress() {
	if w.x.Width == 0 || w.x.JSON {
		return
	}
	if w.x.Now().Sub(w.line.counted) >= progressIn {
		told := w.state // what was told counts, not what is already known
		if _, err := w.read(); err != nil {
			w.line.counted = w.x.Now()
		}
		w.state = told
	}
	l := &w.line
	l.bar = progressbar.NewOptions(max(l.devices, 1),
		progressbar.OptionSetWriter(w.x.Stdout), progressbar.OptionSetWidth(max(min(30, w.x.Width-50), 5)),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetDescription(fmt.Sprintf("%d of %d verified, %d failed", l.verified, l.devices, l.failed)))
	// A terminal that cannot be written to is noticed at the next line.
	_ = l.bar.Set(min(l.verified, max(l.devices, 1)))
	_ = l.bar.RenderBlank()
}

// clear takes the line away, so that another can be printed.
func (w *watch) clear() {
	if w.line.bar != nil {
		_ = w.line.bar.Clear()
		w.line.bar = nil
	}
}
