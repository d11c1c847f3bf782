package rollout

import (
	"testing"
	"time"

	"github.com/steward-rmm/steward/server/patch"
)

// The 10 % are added once: the server plans with them, and the device, which
// adds its own, is told the time without.
func TestTheMarginIsAddedOnce(t *testing.T) {
	known, unknown := patch.Release{Package: "known"}, patch.Release{Package: "unknown"}
	w := &World{Minutes: map[patch.Release]time.Duration{known: 100 * time.Second}}
	for r, want := range map[patch.Release][2]time.Duration{known: {100 * time.Second, 110 * time.Second}, unknown: {15 * time.Minute, 990 * time.Second}} {
		if w.takes(r) != want[0] || w.Expected(r) != want[1] {
			t.Errorf("%s takes %v and needs %v, want %v", r.Package, w.takes(r), w.Expected(r), want)
		}
	}
}
