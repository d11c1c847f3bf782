package inventory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
)

// Names of facts, beside those of proto/wire.
const (
	FactManufacturer   = "manufacturer"
	FactModel          = "model"
	FactFamily         = "family" // of the system; in the os section linux, windows, macos
	FactSerial         = "serial"
	FactUUID           = "uuid" // of the board, lower case
	FactSKU            = "sku"
	FactAssetTag       = "asset_tag"
	FactChassis        = "chassis" // form in SMBIOS' words: notebook, rack mount chassis
	FactHostname       = "hostname"
	FactFQDN           = "fqdn"
	FactBattery        = "battery"        // "true" when the machine has one
	FactVirtualization = "virtualization" // kvm, vmware, hyperv …
	FactContainer      = "container"      // docker, podman, lxc …
	FactReleaseDate    = "release_date"   // of the firmware, 2006-01-02
	FactMode           = "mode"           // of the firmware: uefi, bios
	FactSecureBoot     = "secure_boot"
	FactCores          = "cores"
	FactThreads        = "threads"
	FactMaxSpeed       = "max_speed_mhz"
	FactSocket         = "socket"
	FactMemoryType     = "type" // DDR4, LPDDR5; of a volume its file system
	FactFormFactor     = "form_factor"
	FactSpeed          = "speed_mts"
	FactConfigured     = "configured_speed_mts"
	FactPart           = "part_number"
	FactLocator        = "locator"
	FactBank           = "bank"
	FactInstalledBytes = "installed_bytes" // sum of the memory modules
	FactRotational     = "rotational"
	FactRemovable      = "removable"
	FactTransport      = "transport" // nvme, sata, usb, virtio …
	FactFirmware       = "firmware"  // of a disk
	FactWWN            = "wwn"
	FactBacking        = "backing_file" // of a loop device
	FactDevice         = "device"
	FactReadOnly       = "read_only"
	FactMAC            = "mac"
	FactAddresses      = "addresses" // CIDR, comma separated, sorted; temporary IPv6 ones left out
	FactMTU            = "mtu"
	FactUp             = "up"
	FactLinkSpeed      = "speed_mbps"
	FactVirtual        = "virtual" // "true" for an interface without hardware of its own
	FactPrettyName     = "pretty_name"
	FactID             = "id" // of the distribution: debian, fedora
	FactLike           = "id_like"
	FactCodename       = "codename"
	FactBuild          = "build"
	FactEdition        = "edition"
	FactInstallation   = "installation" // Windows: client, server, server core
	FactKernel         = "kernel"
	FactTimeZone       = "time_zone" // IANA
	FactBootTime       = "boot_time" // whole minutes
	FactVendor         = "vendor"
	FactStepping       = "stepping"
	FactModelNumber    = "model_number"
)

// facts are an item's facts while they are gathered.
type facts map[string]string

// set keeps a text, unless it is empty or the limit of facts is reached.
func (f facts) set(name, value string) {
	if value = clean(value); value != "" && len(f) < wire.MaxFacts {
		f[name] = value
	}
}

// setReal is set for texts that firmware fills with placeholders.
func (f facts) setReal(name, value string) {
	if !Placeholder(value) {
		f.set(name, value)
	}
}

// setNumber keeps a number that is known; zero stands for unknown in firmware
// tables and procfs alike.
func (f facts) setNumber(name string, n uint64) {
	if n > 0 {
		f.set(name, strconv.FormatUint(n, 10))
	}
}

func (f facts) setBool(name string, v bool) { f.set(name, strconv.FormatBool(v)) }

// fill takes the facts of other that are not known yet.
func (f facts) fill(other facts) {
	for name, value := range other {
		if _, had := f[name]; !had {
			f.set(name, value)
		}
	}
}

// clean makes one line of valid UTF-8 of a text, within the protocol's limit.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > wire.MaxText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// maxFile is more than any file read here ever has.
const maxFile = 1 << 20

// readText returns a file's trimmed text, "" when it cannot be read.
func readText(parts ...string) string {
	raw, err := readFile(parts...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimRight(string(raw), "\x00"))
}

// readNumber returns a file's number; ok is false when there is none.
func readNumber(parts ...string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(readText(parts...), 10, 64)
	return n, err == nil
}

func exists(parts ...string) bool {
	_, err := os.Stat(filepath.Join(parts...))
	return err == nil
}

func (c *Collector) path(parts ...string) string {
	return filepath.Join(append([]string{c.root}, parts...)...)
}

// boot settles the boot time: whole minutes, and the one said before as long
// as the new answer is near, since it is computed from a clock that is set.
func (c *Collector) boot(measured, now time.Time) (time.Time, bool) {
	if measured.IsZero() || measured.Unix() <= 0 || measured.After(now) {
		return time.Time{}, false
	}
	if d := measured.Sub(c.bootTime).Abs(); c.bootTime.IsZero() || d > 5*time.Minute {
		c.bootTime = measured.UTC().Truncate(time.Minute)
	}
	return c.bootTime, true
}
