package inventory

import (
	"os"
	"regexp"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// setTimeZone finds the IANA name of the machine's zone: where /etc/localtime
// points to (localtime(5), and on macOS /var/db/timezone/zoneinfo), or Debian's
// /etc/timezone. A copied /etc/localtime has no name, so it stays absent.
func (c *Collector) setTimeZone(f facts, b *builder) {
	target, _ := os.Readlink(c.path("etc", "localtime"))
	zone := zoneOfLink(target)
	if zone == "" {
		if text := readText(c.path("etc", "timezone")); zoneName(text) {
			zone = text
		}
	}
	if zone == "" {
		b.problem(wire.SectionOS, FactTimeZone, "/etc/localtime is no link to a zone, and /etc/timezone names none")
		return
	}
	f.set(FactTimeZone, zone)
}

// zoneOfLink returns the zone in the target of /etc/localtime, "" for none.
func zoneOfLink(target string) string {
	_, zone, ok := strings.Cut(target, "zoneinfo/")
	if !ok {
		return ""
	}
	zone = strings.TrimPrefix(strings.TrimPrefix(zone, "posix/"), "right/")
	if !zoneName(zone) {
		return ""
	}
	return zone
}

// zoneName reports whether a text has the form of an IANA zone name.
func zoneName(s string) bool {
	return len(s) <= 64 && s != "localtime" && regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*$`).MatchString(s)
}
