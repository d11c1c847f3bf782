package pki

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// Enrollment is the permission to add devices to a site. Its token is in the
// enrollment string and nowhere else; the server keeps the hash.
type Enrollment struct {
	ID         ident.EnrollmentID
	Tenant     ident.TenantID
	Site       ident.SiteID
	Class      string   // workstation, laptop, server; empty: the device says it
	Tags       []string // given to each device
	Uses       int      // devices it may add
	Used       int
	PerMinute  int // attempts per minute from one address
	ExpiresAt  time.Time
	MayInstall bool // jobs may install new packages from the device's own list
	CreatedBy  ident.Actor
	CreatedAt  time.Time
	RevokedAt  time.Time // zero: not revoked
	TokenHash  [32]byte  // of TokenHash
}

// TokenHash returns the hash under which a token is stored. A token is 160
// random bits, so a plain hash is enough.
func TokenHash(token [20]byte) [32]byte {
	return sha256.Sum256(append([]byte("steward enrollment token v1\x00"), token[:]...))
}

// The reasons to refuse a token, in the chain of Decide's and Redeem's errors.
var (
	ErrUnknown  = errors.New("enrollment unknown")
	ErrRevoked  = errors.New("enrollment revoked")
	ErrExpired  = errors.New("enrollment expired")
	ErrUsedUp   = errors.New("enrollment used up")
	ErrFailures = errors.New("too many failed attempts with one enrollment")
	ErrRate     = errors.New("too many enrollments in a minute")
)

// Limited is in the chain of refusals that pass by themselves.
type Limited struct {
	After time.Duration // when to try again
	Why   error
}

func (l *Limited) Error() string { return fmt.Sprintf("%v, again in %v", l.Why, l.After) }

// Unwrap returns ErrFailures or ErrRate.
func (l *Limited) Unwrap() error { return l.Why }

// Decide returns nil when a new device may be added now, or why not. Failures
// are the times of the failed attempts with this token in the last hour.
func Decide(now time.Time, e Enrollment, failures []time.Time) error {
	switch {
	case !e.RevokedAt.IsZero():
		return refuse(ErrRevoked, "this enrollment string was revoked on %s", stamp(e.RevokedAt))
	case !now.Before(e.ExpiresAt):
		return refuse(ErrExpired, "this enrollment string ended on %s", stamp(e.ExpiresAt))
	case e.Used >= e.Uses:
		return refuse(ErrUsedUp, "this enrollment string was good for %d devices and all are enrolled", e.Uses)
	}
	recent := recentFailures(now, failures)
	if len(recent) >= wire.MaxTokenFailures {
		after := recent[len(recent)-wire.MaxTokenFailures].Add(time.Hour).Sub(now)
		return limited(ErrFailures, after, "%d attempts with this enrollment string failed within an hour", len(recent))
	}
	return nil
}

func recentFailures(now time.Time, failures []time.Time) []time.Time {
	for i, f := range failures {
		if now.Sub(f) < time.Hour {
			return failures[i:]
		}
	}
	return nil
}

func refuse(why error, format string, args ...any) error {
	return fault.New(fault.Forbidden, format, args...).
		WithNext("create a new one with: steward enrollments create").WithCause(why)
}

func limited(why error, after time.Duration, format string, args ...any) error {
	// Whole seconds, never zero: it becomes a retry-after.
	after = max(time.Second, (after + time.Second - 1).Truncate(time.Second))
	return fault.New(fault.TooMany, format, args...).
		WithNext("try again in %v", after).WithCause(&Limited{after, why})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Draft is what a person asks for. Zero fields get the defaults.
type Draft struct {
	Site       ident.SiteID // main
	Class      string
	Tags       []string
	Uses       int           // 1
	PerMinute  int           // wire.MaxEnrollments
	Lasts      time.Duration // 24 hours
	MayInstall bool
}

// The bounds of a draft.
const (
	DefaultLasts = 24 * time.Hour
	MaxLasts     = 366 * 24 * time.Hour
	MaxUses      = 100_000
	MaxPerMinute = 10_000
)

// complete fills in the defaults and refuses what is out of bounds.
func (d Draft) complete() (Draft, error) {
	if d.Site == "" {
		d.Site = ident.MainSite
	}
	if d.Uses == 0 {
		d.Uses = 1
	}
	if d.PerMinute == 0 {
		d.PerMinute = wire.MaxEnrollments
	}
	if d.Lasts == 0 {
		d.Lasts = DefaultLasts
	}
	switch d.Class {
	case "", "workstation", "laptop", "server":
	default:
		return d, fault.Invalidf("class", "%q is none of workstation, laptop, server", d.Class)
	}
	switch {
	case !ident.ValidSlug(string(d.Site)):
		return d, fault.Invalidf("site", "%q is no name of a site", d.Site)
	case d.Uses < 1 || d.Uses > MaxUses:
		return d, fault.Invalidf("uses", "%d, want 1 to %d", d.Uses, MaxUses)
	case d.PerMinute < 1 || d.PerMinute > MaxPerMinute:
		return d, fault.Invalidf("per_minute", "%d, want 1 to %d", d.PerMinute, MaxPerMinute)
	case d.Lasts < time.Minute || d.Lasts > MaxLasts:
		return d, fault.Invalidf("expires", "%v, want 1m to %v", d.Lasts, MaxLasts)
	case len(d.Tags) > wire.MaxTags:
		return d, fault.Invalidf("tags", "%d, at most %d", len(d.Tags), wire.MaxTags)
	}
	for _, tag := range d.Tags {
		if !ident.ValidSlug(tag) {
			return d, fault.Invalidf("tags", "%q: want a-z, 0-9 and inner hyphens, at most 63", tag)
		}
	}
	return d, nil
}
