package cli

import (
	"fmt"

	"github.com/schollz/progressbar/v3"
)

// count takes the counts of the deployment's rings into the progress line,
// which only a terminal has.
func (w *watch) count(o object) {
	w.counted = w.x.Now()
	if w.x.Width == 0 || w.x.JSON {
		return
	}
	devices, verified, failed := tally(o)
	if w.bar == nil {
		w.bar = progressbar.NewOptions(max(devices, 1),
			progressbar.OptionSetWriter(w.x.Stdout), progressbar.OptionSetWidth(min(30, w.x.Width/4)),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(0))
	}
	w.bar.ChangeMax(max(devices, 1))
	w.bar.Describe(fmt.Sprintf("%d of %d verified, %d failed", verified, devices, failed))
	_ = w.bar.Set(min(verified, max(devices, 1)))
}

// progress draws the progress line again below what was printed.
func (w *watch) progress() {
	if w.bar == nil {
		return
	}
	if w.x.Now().Sub(w.counted) >= progressIn {
		state := w.state
		if _, err := w.read(); err != nil {
			w.counted = w.x.Now()
		}
		w.state = state // what the events have told so far
		return
	}
	_ = w.bar.RenderBlank()
}

// clear takes the progress line away, so that a line can be printed.
func (w *watch) clear() {
	if w.bar != nil {
		_ = w.bar.Clear()
	}
}
