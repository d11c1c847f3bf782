package telemetry

import "math"

// maxSteps bounds the whole number that stands for a value: up to it, value and
// number turn into each other without loss.
const maxSteps = 1 << 50

// scale turns values into whole steps of a resolution and back.
type scale struct {
	per  float64 // steps in one unit, when that is a whole number; else 0
	step float64
}

// newScale makes the scale of a resolution. 0.001 is no float64, 1000 is: so a
// value of a resolution below 1 is a quotient, and 0.3 comes back as 0.3.
func newScale(resolution float64) scale {
	if resolution < 1 {
		if per := math.Round(1 / resolution); math.Abs(per*resolution-1) < 1e-9 {
			return scale{per: per}
		}
	}
	return scale{step: resolution}
}

// steps returns the nearest whole number of steps; ok is false for what has
// none (NaN, infinities) or one beyond maxSteps.
func (s scale) steps(v float64) (n int64, ok bool) {
	x := v * s.per
	if s.per == 0 {
		x = v / s.step
	}
	x = math.Round(x)
	if !(math.Abs(x) <= maxSteps) {
		return 0, false
	}
	return int64(x), true
}

func (s scale) value(n int64) float64 {
	if s.per != 0 {
		return float64(n) / s.per
	}
	return float64(n) * s.step
}

func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
