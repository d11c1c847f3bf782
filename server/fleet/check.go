package fleet

import (
	"time"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

const maxName = 200 // bytes of a name that people give

// CheckTenant refuses a tenant that could not be stored or shown.
func CheckTenant(t Tenant) error {
	if !ident.ValidSlug(string(t.ID)) {
		return fault.Invalidf("slug", "%q is no slug: 1 to 63 of a-z, 0-9 and inner hyphens", t.ID)
	}
	if t.Name == "" || len(t.Name) > maxName {
		return fault.Invalidf("name", "1 to %d bytes are needed", maxName)
	}
	if t.TimeZone == "" {
		return fault.Invalidf("time_zone", "a customer needs a time zone").WithNext("for example Europe/Paris")
	}
	if err := CheckZone("time_zone", t.TimeZone); err != nil {
		return err
	}
	return checkMode(t.Mode)
}

func checkMode(m Mode) error {
	switch m {
	case Observe, Live:
		return nil
	case Pilot:
		return fault.NotYetf("mode pilot")
	}
	return fault.Invalidf("mode", "%q is no mode", m).WithNext("use observe or live")
}

// CheckSite refuses a site that could not be stored or shown.
func CheckSite(s Site) error {
	if !ident.ValidSlug(string(s.ID)) {
		return fault.Invalidf("slug", "%q is no slug: 1 to 63 of a-z, 0-9 and inner hyphens", s.ID)
	}
	if s.Name == "" || len(s.Name) > maxName {
		return fault.Invalidf("name", "1 to %d bytes are needed", maxName)
	}
	if s.TimeZone == "" {
		return nil
	}
	return CheckZone("time_zone", s.TimeZone)
}

// CheckZone refuses what is no IANA time zone.
func CheckZone(field, zone string) error {
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return fault.Invalidf(field, "%q is no time zone", zone).WithNext("use an IANA name such as Europe/Paris")
	}
	return nil
}

// CheckClass refuses what is no class.
func CheckClass(c Class) error {
	switch c {
	case Workstation, Laptop, Server:
		return nil
	}
	return fault.Invalidf("class", "%q is no class", c).WithNext("use workstation, laptop or server")
}

// Location is the zone of a device: its own, else its site's, else its
// tenant's. It never fails: an unknown zone falls through to the next, and at
// the end to UTC.
func Location(t Tenant, s Site, d Device) *time.Location {
	for _, zone := range []string{d.TimeZone, s.TimeZone, t.TimeZone} {
		if zone == "" || zone == "Local" {
			continue
		}
		if loc, err := time.LoadLocation(zone); err == nil {
			return loc
		}
	}
	return time.UTC
}
