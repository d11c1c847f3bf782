//go:build !race

package window

// underRace says whether the race detector watches this run.
const underRace = false
