// Package ident holds the typed names of things: ids, who acts, and what a
// caller may see. It has no behaviour beyond making and comparing them.
package ident

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"time"
)

// TenantID is a tenant's slug: lower-case ASCII, unique, chosen at creation.
type TenantID string

// SiteID is a site's slug, unique inside its tenant.
type SiteID string

// Ids of the nouns. All are UUIDv7 in text form, so they sort by time.
type (
	DeviceID     string
	EnrollmentID string
	DeploymentID string
	RunID        string
	JobID        string
	PersonID     string
	TokenID      string
	SessionID    string
	EntryID      string
)

// MSP is the reserved tenant to which everything of the provider itself
// belongs: documents of the MSP's level, technicians, the server's audit
// chain. It has no devices. In YAML and on the command line it is written *.
const MSP TenantID = "*"

// MainSite is the site every tenant has from its creation.
const MainSite SiteID = "main"

var slug = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidSlug reports whether s may name a tenant or a site: 1 to 63 of a-z, 0-9
// and inner hyphens, as a DNS label (RFC 1123, section 2.1).
func ValidSlug(s string) bool { return slug.MatchString(s) }

// New returns a UUIDv7 (RFC 9562, section 5.7) for the given time.
func New(now time.Time) string {
	var b [16]byte
	// crypto/rand.Read never returns an error since Go 1.24.
	_, _ = rand.Read(b[6:])
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ValidID reports whether s has the form that New gives.
func ValidID(s string) bool { return uuid.MatchString(s) }
