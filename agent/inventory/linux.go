package inventory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

func (c *Collector) collectLinux(_ context.Context, now time.Time, b *builder) {
	cpu := parseCPUInfo(readOrNil(c.proc, "cpuinfo"))
	h := c.linuxHardware(b)
	c.linuxSystem(h, cpu.hypervisor, b)
	b.addBoard(h)
	c.linuxFirmware(h, b)
	packages := cpu.packages
	if len(packages) == 0 {
		packages = h.processors
	}
	for i, p := range packages {
		if i < len(h.processors) { // the kernel knows what runs, the firmware what it could do
			p.fill(facts{FactMaxSpeed: h.processors[i].facts[FactMaxSpeed], FactSocket: h.processors[i].facts[FactSocket]})
		}
		b.add(wire.SectionCPU, p.key, p.facts)
	}
	if len(packages) == 0 {
		b.problem(wire.SectionCPU, "", "neither %s nor the firmware names a processor", filepath.Join(c.proc, "cpuinfo"))
	}
	b.addMemory(memTotal(readOrNil(c.proc, "meminfo")), h)
	c.linuxDisks(b)
	c.linuxOS(now, b)
}

// linuxHardware reads the firmware's table, and what the kernel made of it
// where the table is for root only; a virtual machine or container may have
// neither.
func (c *Collector) linuxHardware(b *builder) hardware {
	tables := filepath.Join(c.sys, "firmware", "dmi", "tables")
	raw, err := readFile(tables, "DMI")
	var h hardware
	switch {
	case err == nil:
		version, _ := parseEntryPoint(readOrNil(tables, "smbios_entry_point")) // 0, a late version, when unknown
		all, err := parseSMBIOS(raw)
		if err != nil {
			b.problem(wire.SectionSystem, "", "%v; what came before it is reported", err)
		}
		h = describe(all, version)
	case errors.Is(err, fs.ErrPermission):
		b.problem(wire.SectionMemory, "", "the firmware's table %s is for root only; memory modules are not reported", filepath.Join(tables, "DMI"))
	}
	if h.system == nil {
		h = hardware{system: facts{}, board: facts{}, firmware: facts{}}
	}
	c.fillFromKernel(&h, b)
	return h
}

// fillFromKernel adds what /sys/class/dmi/id has and the table did not say.
// ARM boards have a device tree instead.
func (c *Collector) fillFromKernel(h *hardware, b *builder) {
	id := func(name string) string { return readText(c.sys, "class", "dmi", "id", name) }
	known := func(f facts, fact, value string) {
		if _, had := f[fact]; !had {
			f.setReal(fact, value)
		}
	}
	known(h.system, FactManufacturer, id("sys_vendor"))
	known(h.system, FactModel, id("product_name"))
	known(h.system, wire.FactVersion, id("product_version"))
	known(h.system, FactSKU, id("product_sku"))
	known(h.system, FactFamily, id("product_family"))
	known(h.system, FactAssetTag, id("chassis_asset_tag"))
	if kind, err := strconv.ParseUint(id("chassis_type"), 10, 7); err == nil {
		h.system.fill(facts{FactChassis: chassisName(byte(kind))})
	}
	known(h.board, FactManufacturer, id("board_vendor"))
	known(h.board, FactModel, id("board_name"))
	known(h.board, wire.FactVersion, id("board_version"))
	known(h.firmware, FactVendor, id("bios_vendor"))
	known(h.firmware, wire.FactVersion, id("bios_version"))
	h.firmware.fill(facts{FactReleaseDate: firmwareDate(id("bios_date"))})

	tree := filepath.Join(c.sys, "firmware", "devicetree", "base")
	known(h.system, FactModel, readText(tree, "model"))
	h.serial = firstOf(h.serial, id("product_serial"), readText(tree, "serial-number"))
	h.boardSerial = firstOf(h.boardSerial, id("board_serial"))
	h.uuid = firstOf(h.uuid, id("product_uuid"))
	if h.serial == "" {
		why := "the firmware shows none here"
		if _, err := os.ReadFile(filepath.Join(c.sys, "class", "dmi", "id", "product_serial")); errors.Is(err, fs.ErrPermission) {
			why = "readable by root only"
		}
		b.problem(wire.SectionSystem, FactSerial, "%s", why)
	}
}

func (c *Collector) linuxSystem(h hardware, hypervisor bool, b *builder) {
	f := h.system
	f.set(FactHostname, firstOf(readText(c.proc, "sys", "kernel", "hostname"), readText(c.path("etc", "hostname"))))
	f.set(FactFQDN, fqdn(readOrNil(c.path("etc", "hosts")), f[FactHostname]))
	f.set(FactVirtualization, virtualization(f[FactManufacturer], f[FactModel], readText(c.sys, "hypervisor", "type"), hypervisor))
	f.set(FactContainer, c.container())
	if c.battery() {
		f.setBool(FactBattery, true)
	}
	b.addSystem(h)
}

func (c *Collector) linuxFirmware(h hardware, b *builder) {
	if len(h.firmware) == 0 {
		return // none is visible: a container, or a machine without
	}
	efi := filepath.Join(c.sys, "firmware", "efi")
	if exists(efi) {
		h.firmware.set(FactMode, "uefi")
		// An efivarfs file is four bytes of attributes and the value.
		if raw := readOrNil(efi, "efivars", "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"); len(raw) == 5 {
			h.firmware.setBool(FactSecureBoot, raw[4] == 1)
		}
	} else if runtime.GOARCH == "amd64" || exists(c.sys, "firmware", "dmi") {
		h.firmware.set(FactMode, "bios")
	}
	b.add(wire.SectionFirmware, "firmware", h.firmware)
}

// battery looks for one that drives the machine; a mouse's has the scope Device.
func (c *Collector) battery() bool {
	supplies, err := filepath.Glob(filepath.Join(c.sys, "class", "power_supply", "*", "type"))
	if err != nil {
		return false
	}
	for _, file := range supplies {
		if readText(file) == "Battery" && readText(filepath.Dir(file), "scope") != "Device" {
			return true
		}
	}
	return false
}

func (c *Collector) linuxOS(now time.Time, b *builder) {
	f := facts{FactFamily: "linux"}
	raw, err := readFile(c.path("etc", "os-release"))
	if err != nil {
		raw, err = readFile(c.path("usr", "lib", "os-release"))
	}
	if err != nil {
		b.problem(wire.SectionOS, wire.FactName, "no /etc/os-release: %v", err)
	}
	release := parseOSRelease(raw)
	f.set(wire.FactName, firstOf(release["NAME"], "Linux")) // os-release(5): the default
	f.set(wire.FactVersion, release["VERSION_ID"])
	f.set(FactPrettyName, release["PRETTY_NAME"])
	f.set(FactID, release["ID"])
	f.set(FactLike, release["ID_LIKE"])
	f.set(FactCodename, release["VERSION_CODENAME"])
	f.set(FactBuild, release["BUILD_ID"])
	f.set(FactEdition, release["VARIANT_ID"])
	f.set(FactKernel, readText(c.proc, "sys", "kernel", "osrelease"))
	f.set(wire.FactArch, c.goarch)
	c.setTimeZone(f, b)
	if boot, ok := c.boot(bootTime(readOrNil(c.proc, "stat")), now); ok {
		f.set(FactBootTime, boot.Format(time.RFC3339))
	}
	b.add(wire.SectionOS, "os", f)
}

// memTotal returns the bytes of MemTotal of /proc/meminfo, 0 when unknown.
func memTotal(raw []byte) uint64 {
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			if n, err := strconv.ParseUint(f[1], 10, 44); err == nil {
				return n << 10
			}
		}
	}
	return 0
}

// bootTime returns btime of /proc/stat, zero when unknown.
func bootTime(raw []byte) time.Time {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, maxFile)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "btime "); ok {
			if n, err := strconv.ParseInt(text, 10, 40); err == nil && n > 0 {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

func readOrNil(parts ...string) []byte {
	raw, err := readFile(parts...)
	if err != nil {
		return nil
	}
	return raw
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s = clean(s); s != "" {
			return s
		}
	}
	return ""
}
