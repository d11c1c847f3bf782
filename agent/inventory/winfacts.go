package inventory

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

// windowsMachine is what Windows was asked, as it answered. A value that could
// not be read is missing, and problems says why.
type windowsMachine struct {
	currentVersion map[string]string // HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion
	processors     []map[string]string
	domain         string
	smbios         []byte // of GetSystemFirmwareTable
	memory         uint64 // bytes
	bootTime       time.Time
	battery, uefi  bool
	problems       []Problem
}

func (c *Collector) collectWindows(ctx context.Context, now time.Time, b *builder) {
	m, err := c.windows(ctx)
	if err != nil {
		b.problem(wire.SectionOS, "", "%v", err)
		return
	}
	b.problems = append(b.problems, m.problems...)
	h := hardware{system: facts{}, board: facts{}, firmware: facts{}}
	if table, version, err := parseRawSMBIOS(m.smbios); err != nil {
		b.problem(wire.SectionSystem, "", "%v", err)
	} else {
		all, err := parseSMBIOS(table)
		if err != nil {
			b.problem(wire.SectionSystem, "", "%v; what came before it is reported", err)
		}
		h = describe(all, version)
	}
	c.windowsSystem(m, h, b)
	b.addBoard(h)
	if len(h.firmware) > 0 {
		mode := "bios"
		if m.uefi {
			mode = "uefi"
		}
		h.firmware.set(FactMode, mode)
		b.add(wire.SectionFirmware, "firmware", h.firmware)
	}
	windowsProcessors(m, h, b)
	b.addMemory(m.memory, h)
	b.problem(wire.SectionDisks, "", "physical disks of Windows are not in this version")
	b.problem(wire.SectionOS, FactTimeZone, "the time zone of Windows is not in this version")

	f := windowsOS(m.currentVersion)
	f.set(wire.FactArch, c.goarch)
	if boot, ok := c.boot(m.bootTime, now); ok {
		f.set(FactBootTime, boot.Format(time.RFC3339))
	}
	b.add(wire.SectionOS, "os", f)
}

func (c *Collector) windowsSystem(m windowsMachine, h hardware, b *builder) {
	if name, err := hostname(); err == nil {
		h.system.set(FactHostname, name)
		if m.domain != "" {
			h.system.set(FactFQDN, strings.ToLower(name+"."+m.domain))
		}
	}
	h.system.set(FactVirtualization, virtualization(h.system[FactManufacturer], h.system[FactModel], "", false))
	if m.battery {
		h.system.setBool(FactBattery, true)
	}
	b.addSystem(h)
}

// windowsProcessors prefers the firmware's packages; where it names none, the
// registry counts threads.
func windowsProcessors(m windowsMachine, h hardware, b *builder) {
	for _, p := range h.processors {
		b.add(wire.SectionCPU, p.key, p.facts)
	}
	if len(h.processors) > 0 || len(m.processors) == 0 {
		return
	}
	f := facts{}
	f.setReal(FactModel, m.processors[0]["ProcessorNameString"])
	f.setReal(FactVendor, m.processors[0]["VendorIdentifier"])
	f.setNumber(FactThreads, uint64(len(m.processors)))
	b.add(wire.SectionCPU, "0", f)
}

// windowsOS makes facts of the registry's CurrentVersion. Its ProductName says
// Windows 10 on Windows 11, whose builds begin at 22000
// (https://learn.microsoft.com/windows/release-health/windows11-release-information).
func windowsOS(v map[string]string) facts {
	f := facts{FactFamily: "windows"}
	name := clean(v["ProductName"])
	installation := strings.ToLower(clean(v["InstallationType"]))
	build, err := strconv.ParseUint(clean(v["CurrentBuildNumber"]), 10, 32)
	if err == nil && build >= 22000 && installation == "client" {
		name = strings.Replace(name, "Windows 10", "Windows 11", 1)
	}
	f.set(wire.FactName, firstOf(name, "Windows"))
	if err == nil {
		major := firstOf(v["CurrentMajorVersionNumber"], "10")
		minor := firstOf(v["CurrentMinorVersionNumber"], "0")
		full := []string{major, minor, strconv.FormatUint(build, 10)}
		if revision := clean(v["UBR"]); revision != "" {
			full = append(full, revision)
		}
		f.set(wire.FactVersion, strings.Join(full, "."))
		f.setNumber(FactBuild, build)
	}
	f.set(FactCodename, firstOf(v["DisplayVersion"], v["ReleaseId"])) // 24H2
	f.set(FactEdition, v["EditionID"])
	f.set(FactInstallation, installation)
	return f
}

func hostname() (string, error) { return os.Hostname() }
