package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/host"

	"github.com/steward-rmm/steward/proto/wire"
)

// Where macOS keeps the two programs that are started.
const (
	systemProfiler = "/usr/sbin/system_profiler"
	swVers         = "/usr/bin/sw_vers"
)

func (c *Collector) collectMac(ctx context.Context, now time.Time, b *builder) {
	if c.runner == nil {
		b.problem(wire.SectionSystem, "", "no runner to start %s with", systemProfiler)
	} else {
		c.macHardware(ctx, b)
	}
	f := facts{FactFamily: "macos", wire.FactName: "macOS"}
	if c.runner != nil {
		if raw, err := c.runner.Run(ctx, swVers); err != nil {
			b.problem(wire.SectionOS, wire.FactVersion, "run %s: %v", swVers, err)
		} else {
			f.fill(parseSwVers(raw))
		}
	}
	if kernel, err := host.KernelVersionWithContext(ctx); err == nil {
		f.set(FactKernel, kernel)
	}
	f.set(wire.FactArch, c.goarch)
	c.setTimeZone(f, b)
	if seconds, err := host.BootTimeWithContext(ctx); err == nil && seconds < 1<<40 {
		if boot, ok := c.boot(time.Unix(int64(seconds), 0), now); ok {
			f.set(FactBootTime, boot.Format(time.RFC3339))
		}
	}
	b.add(wire.SectionOS, "os", f)
}

func (c *Collector) macHardware(ctx context.Context, b *builder) {
	raw, err := c.runner.Run(ctx, systemProfiler, "-json", "-detailLevel", "mini", "SPHardwareDataType", "SPMemoryDataType", "SPNVMeDataType", "SPSerialATADataType", "SPPowerDataType")
	if err != nil {
		b.problem(wire.SectionSystem, "", "run %s: %v", systemProfiler, err)
		return
	}
	m, err := parseSystemProfiler(raw)
	if err != nil {
		b.problem(wire.SectionSystem, "", "%v", err)
		return
	}
	if name, err := hostname(); err == nil {
		m.system.set(FactHostname, name)
	}
	b.addSystem(m.hardware)
	b.add(wire.SectionFirmware, "firmware", m.firmware)
	for _, p := range m.processors {
		b.add(wire.SectionCPU, p.key, p.facts)
	}
	b.addMemory(m.memory, m.hardware)
	b.found[wire.SectionDisks] = nil
	for _, d := range m.disks {
		b.add(wire.SectionDisks, d.key, d.facts)
	}
	b.problem(wire.SectionDisks, "", "disks on USB and Thunderbolt are not in this version")
}

// mac is what system_profiler says of a Mac.
type mac struct {
	hardware
	memory uint64 // bytes
	disks  []namedFacts
}

// profile is the shape of `system_profiler -json`: an object with a list for
// each data type asked for. Keys as in Apple's reporters and in recorded
// output of Macs with Intel and Apple processors; numbers are now strings, now
// numbers, so every value is taken as text.
type profile struct {
	Hardware []profileItem `json:"SPHardwareDataType"`
	Memory   []profileItem `json:"SPMemoryDataType"`
	NVMe     []profileItem `json:"SPNVMeDataType"`
	SATA     []profileItem `json:"SPSerialATADataType"`
	Power    []profileItem `json:"SPPowerDataType"`
}

type profileItem map[string]json.RawMessage

// text returns a value that is a string or a number as text.
func (p profileItem) text(key string) string {
	var s string
	if json.Unmarshal(p[key], &s) == nil {
		return clean(s)
	}
	var n json.Number
	if json.Unmarshal(p[key], &n) == nil {
		return n.String()
	}
	return ""
}

func (p profileItem) items() []profileItem {
	var out []profileItem
	if json.Unmarshal(p["_items"], &out) != nil {
		return nil
	}
	return out
}

func parseSystemProfiler(raw []byte) (mac, error) {
	var p profile
	if err := json.Unmarshal(raw, &p); err != nil {
		return mac{}, fmt.Errorf("read system_profiler's answer: %w", err)
	}
	if len(p.Hardware) == 0 {
		return mac{}, errors.New("read system_profiler's answer: no SPHardwareDataType in it")
	}
	m := mac{hardware: hardware{system: facts{FactManufacturer: "Apple"}, board: facts{}, firmware: facts{}}}
	m.overview(p.Hardware[0])
	for _, item := range p.Power {
		if item.text("_name") == "spbattery_information" {
			m.system.setBool(FactBattery, true)
		}
	}
	m.modulesOf(p.Memory)
	for _, controller := range append(p.NVMe, p.SATA...) {
		for _, d := range controller.items() {
			m.disk(d)
		}
	}
	return m, nil
}

func (m *mac) overview(h profileItem) {
	model := h.text("machine_name")
	m.system.set(FactModel, strings.TrimSpace(model+" ("+h.text("machine_model")+")"))
	m.system.set(FactSKU, h.text("model_number"))
	if strings.HasPrefix(h.text("machine_model"), "VirtualMac") {
		m.system.set(FactVirtualization, "apple")
	}
	m.serial, m.uuid = h.text("serial_number"), h.text("platform_UUID")
	m.firmware.set(FactVendor, "Apple")
	m.firmware.set(wire.FactVersion, h.text("boot_rom_version"))
	m.memory = appleBytes(h.text("physical_memory"))
	cpu := facts{}
	cpu.set(FactModel, firstOf(h.text("chip_type"), h.text("cpu_type")))
	// Apple processors: "proc 8:4:4", all, performance and efficiency cores;
	// later systems append more. Intel: a plain number of cores.
	cores, _, _ := strings.Cut(strings.TrimPrefix(h.text("number_processors"), "proc "), ":")
	if n, err := strconv.ParseUint(cores, 10, 16); err == nil {
		cpu.setNumber(FactCores, n)
	}
	m.processors = append(m.processors, namedFacts{"0", cpu})
}

// modulesOf reads SPMemoryDataType: Macs with Intel processors list modules in
// _items, the others say one thing of the whole.
func (m *mac) modulesOf(memory []profileItem) {
	for _, part := range memory {
		items := part.items()
		if len(items) == 0 && part.text("dimm_type") != "" {
			items = []profileItem{part}
		}
		for _, d := range items {
			size := appleBytes(firstOf(d.text("dimm_size"), d.text("SPMemoryDataType")))
			if size == 0 {
				continue // an empty slot says "empty"
			}
			f := facts{}
			f.setNumber(wire.FactSize, size)
			f.set(FactMemoryType, d.text("dimm_type"))
			f.setReal(FactManufacturer, d.text("dimm_manufacturer"))
			f.setReal(FactPart, d.text("dimm_part_number"))
			f.setReal(FactSerial, d.text("dimm_serial_number"))
			if mhz, ok := strings.CutSuffix(d.text("dimm_speed"), " MHz"); ok {
				if n, err := strconv.ParseUint(mhz, 10, 32); err == nil {
					f.setNumber(FactSpeed, n)
				}
			}
			m.installed += size
			m.modules = append(m.modules, namedFacts{firstOf(d.text("_name"), "built in"), f})
		}
	}
}

func (m *mac) disk(d profileItem) {
	f := facts{}
	f.set(FactModel, firstOf(d.text("device_model"), d.text("_name")))
	f.setReal(FactSerial, d.text("device_serial"))
	f.set(FactFirmware, d.text("device_revision"))
	if n, err := strconv.ParseUint(d.text("size_in_bytes"), 10, 63); err == nil {
		f.setNumber(wire.FactSize, n)
	}
	if v := d.text("removable_media"); v != "" {
		f.setBool(FactRemovable, v == "yes")
	}
	switch d.text("spsata_medium_type") {
	case "Rotational":
		f.setBool(FactRotational, true)
	case "Solid State":
		f.setBool(FactRotational, false)
	}
	m.disks = append(m.disks, namedFacts{firstOf(d.text("bsd_name"), d.text("device_serial"), d.text("_name")), f})
}

// appleBytes reads "16 GB", by which Apple means 1024³ each for memory.
func appleBytes(s string) uint64 {
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(number, 10, 20)
	if err != nil {
		return 0
	}
	switch unit {
	case "MB":
		return n << 20
	case "GB":
		return n << 30
	case "TB":
		return n << 40
	}
	return 0
}

// parseSwVers reads the lines of sw_vers(1): ProductName, ProductVersion,
// ProductVersionExtra (a rapid security response), BuildVersion.
func parseSwVers(raw []byte) facts {
	f := facts{}
	for line := range bytes.Lines(raw) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		switch strings.TrimSpace(name) {
		case "ProductVersion":
			f.set(wire.FactVersion, value)
		case "BuildVersion":
			f.set(FactBuild, value)
		case "ProductVersionExtra":
			f.set(FactEdition, value)
		}
	}
	return f
}
