package transport

import (
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	minWait    = time.Second
	firstLimit = 5 * time.Second
	maxWait    = 5 * time.Minute
	slowWait   = time.Minute // after an answer that waiting does not change soon
	goodAfter  = time.Minute // a session this long begins counting anew
	maxRetry   = 24 * time.Hour
)

func random() float64 { return rand.Float64() }

// patience says how long to wait before the next session: full jitter between 1 s
// and a limit that doubles from 5 s to 5 minutes. The place in that stretch is a
// hash of the device and the attempt, blurred by chance: thousands of agents
// spread evenly after a server's restart, and two with one hash still part.
type patience struct {
	device string
	random func() float64
	tries  int
}

func newPatience(device string, random func() float64) patience {
	return patience{device: device, random: random}
}

// next returns the wait after an attempt that took some time and ended with err.
func (b *patience) next(took time.Duration, err error) time.Duration {
	if took >= goodAfter || errors.Is(err, errRenewed) {
		b.tries = 0
	}
	b.tries++
	if errors.Is(err, errRenewed) {
		return minWait / 2
	}
	wait := b.spread(limitOf(b.tries))
	var bye *Goodbye
	if errors.As(err, &bye) {
		switch {
		case bye.RetryAfter > 0:
			after := min(bye.RetryAfter, maxRetry)
			return after + time.Duration(b.random()*float64(max(minWait, after/10)))
		case bye.slow():
			return slowWait + b.spread(slowWait)
		}
	}
	if errors.Is(err, errRenumbered) {
		// The server must have noticed the end of the session of the old
		// journal, or it sees two machines with one key.
		return slowWait + b.spread(slowWait)
	}
	if refusedKey(err) {
		return max(wait, b.spread(slowWait))
	}
	return wait
}

func limitOf(tries int) time.Duration {
	if tries > 7 {
		return maxWait
	}
	return min(maxWait, firstLimit<<(tries-1))
}

func (b *patience) spread(limit time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(b.device))
	_, _ = h.Write([]byte{byte(b.tries)})
	_, place := math.Modf(float64(h.Sum64()>>11)/(1<<53) + b.random()/4)
	return minWait + time.Duration(place*float64(limit-minWait))
}

// refusedKey reports whether the server does not take the key or certificate.
func refusedKey(err error) bool {
	var bye *Goodbye
	if errors.As(err, &bye) {
		return bye.Code == ByeUnknownDevice
	}
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return true
	}
	return false
}
