package inventory

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// hardware is what a firmware table says of a machine. Serial and UUID are as
// read, placeholders too.
type hardware struct {
	system, board, firmware facts
	serial, uuid            string
	boardSerial             string
	processors, modules     []namedFacts
	installed               uint64 // bytes
}

type namedFacts struct {
	key string
	facts
}

// describe makes facts of the structures; offsets are DSP0134's, section 7.
func describe(all []structure, version smbiosVersion) hardware {
	h := hardware{system: facts{}, board: facts{}, firmware: facts{}}
	var hasSystem, hasBoard, hasChassis, hasFirmware bool
	for _, s := range all {
		switch s.kind {
		case smbiosFirmware:
			if !hasFirmware {
				h.describeFirmware(s)
			}
			hasFirmware = true
		case smbiosSystem:
			if !hasSystem {
				h.describeSystem(s, version)
			}
			hasSystem = true
		case smbiosBoard:
			if !hasBoard {
				h.describeBoard(s)
			}
			hasBoard = true
		case smbiosChassis:
			if !hasChassis {
				h.describeChassis(s)
			}
			hasChassis = true
		case smbiosProcessor:
			h.describeProcessor(s)
		case smbiosModule:
			h.describeModule(s)
		}
	}
	return h
}

func (h *hardware) describeFirmware(s structure) {
	h.firmware.setReal(FactVendor, s.text(0x04))
	h.firmware.setReal(wire.FactVersion, s.text(0x05))
	h.firmware.set(FactReleaseDate, firmwareDate(s.text(0x08)))
}

func (h *hardware) describeSystem(s structure, version smbiosVersion) {
	h.system.setReal(FactManufacturer, s.text(0x04))
	h.system.setReal(FactModel, s.text(0x05))
	h.system.setReal(wire.FactVersion, s.text(0x06))
	h.system.setReal(FactSKU, s.text(0x19))
	h.system.setReal(FactFamily, s.text(0x1A))
	h.serial = clean(s.text(0x07))
	if len(s.area) >= 0x18 {
		h.uuid = smbiosUUID([16]byte(s.area[0x08:0x18]), version)
	}
}

func (h *hardware) describeBoard(s structure) {
	h.board.setReal(FactManufacturer, s.text(0x04))
	h.board.setReal(FactModel, s.text(0x05))
	h.board.setReal(wire.FactVersion, s.text(0x06))
	h.boardSerial = clean(s.text(0x07))
}

func (h *hardware) describeChassis(s structure) {
	if kind, ok := s.u8(0x05); ok {
		h.system.set(FactChassis, chassisName(kind&0x7F)) // bit 7: a lock is present
	}
	h.system.setReal(FactAssetTag, s.text(0x08))
}

func (h *hardware) describeProcessor(s structure) {
	if status, ok := s.u8(0x18); ok && status&0x40 == 0 {
		return // bit 6: the socket is populated
	}
	f := facts{}
	f.setReal(FactVendor, s.text(0x07))
	f.setReal(FactModel, s.text(0x10))
	f.setReal(FactSocket, s.text(0x04))
	if speed, ok := s.u16(0x14); ok {
		f.setNumber(FactMaxSpeed, uint64(speed))
	}
	f.setNumber(FactCores, s.count(0x23, 0x2A))
	f.setNumber(FactThreads, s.count(0x25, 0x2E))
	if len(f) > 0 {
		h.processors = append(h.processors, namedFacts{fmt.Sprint(len(h.processors)), f})
	}
}

// count reads a number of cores or threads: one byte, 0xFF meaning that the
// later 16-bit field holds it.
func (s structure) count(at, wide int) uint64 {
	n, _ := s.u8(at)
	if n != 0xFF {
		return uint64(n)
	}
	if w, ok := s.u16(wide); ok && w != 0xFFFF {
		return uint64(w)
	}
	return 0
}

func (h *hardware) describeModule(s structure) {
	size := moduleSize(s)
	if size == 0 {
		return // an empty socket, or a size that is not known
	}
	f := facts{}
	f.setNumber(wire.FactSize, size)
	f.setReal(FactLocator, s.text(0x10))
	f.setReal(FactBank, s.text(0x11))
	f.setReal(FactManufacturer, s.text(0x17))
	f.setReal(FactSerial, s.text(0x18))
	f.setReal(FactPart, s.text(0x1A))
	if v, ok := s.u8(0x0E); ok {
		f.set(FactFormFactor, formFactor(v))
	}
	if v, ok := s.u8(0x12); ok {
		f.set(FactMemoryType, memoryType(v))
	}
	f.setNumber(FactSpeed, s.speed(0x15, 0x54))
	f.setNumber(FactConfigured, s.speed(0x20, 0x58))
	h.installed += size
	key := strings.TrimSpace(f[FactBank] + " " + f[FactLocator])
	if key == "" {
		key = fmt.Sprintf("module %d", len(h.modules))
	}
	h.modules = append(h.modules, namedFacts{key, f})
}

// moduleSize in bytes. Size is in megabytes, or kilobytes with bit 15;
// 0x7FFF says that the 32-bit extended size in megabytes holds it.
func moduleSize(s structure) uint64 {
	size, ok := s.u16(0x0C)
	switch {
	case !ok || size == 0 || size == 0xFFFF:
		return 0
	case size == 0x7FFF:
		wide, _ := s.u32(0x1C)
		return uint64(wide&0x7FFFFFFF) << 20
	case size&0x8000 != 0:
		return uint64(size&0x7FFF) << 10
	}
	return uint64(size) << 20
}

// speed in megatransfers a second: 16 bits, 0xFFFF meaning the 32-bit field.
func (s structure) speed(at, wide int) uint64 {
	v, _ := s.u16(at)
	if v != 0xFFFF {
		return uint64(v)
	}
	w, _ := s.u32(wide)
	return uint64(w & 0x7FFFFFFF)
}

// smbiosUUID writes a UUID as text. Since version 2.6 the first three fields
// are little-endian (section 7.2.1); an unknown version is a later one.
func smbiosUUID(raw [16]byte, version smbiosVersion) string {
	if version == 0 || version >= 0x0206 {
		binary.BigEndian.PutUint32(raw[0:], binary.LittleEndian.Uint32(raw[0:]))
		binary.BigEndian.PutUint16(raw[4:], binary.LittleEndian.Uint16(raw[4:]))
		binary.BigEndian.PutUint16(raw[6:], binary.LittleEndian.Uint16(raw[6:]))
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[0:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16])
}

// firmwareDate turns mm/dd/yyyy or mm/dd/yy (19yy, section 7.1) into
// yyyy-mm-dd, and anything else into nothing.
func firmwareDate(s string) string {
	m := regexp.MustCompile(`^(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/(\d{4}|\d{2})$`).FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return ""
	}
	if len(m[3]) == 2 {
		m[3] = "19" + m[3]
	}
	return m[3] + "-" + m[1] + "-" + m[2]
}

// chassisName is DSP0134's word for a chassis type (section 7.4.1), in lower
// case; "" for other and unknown.
func chassisName(kind byte) string {
	names := []string{"", "", "", "desktop", "low profile desktop", "pizza box", "mini tower", "tower", "portable", "laptop", "notebook", "hand held",
		"docking station", "all in one", "sub notebook", "space-saving", "lunch box", "main server chassis", "expansion chassis", "subchassis",
		"bus expansion chassis", "peripheral chassis", "raid chassis", "rack mount chassis", "sealed-case pc", "multi-system chassis", "compact pci",
		"advanced tca", "blade", "blade enclosure", "tablet", "convertible", "detachable", "iot gateway", "embedded pc", "mini pc", "stick pc"}
	if int(kind) < len(names) {
		return names[kind]
	}
	return ""
}

// memoryType is section 7.18.2's word for a type of memory.
func memoryType(kind byte) string {
	switch kind {
	case 0x0F:
		return "SDRAM"
	case 0x12:
		return "DDR"
	case 0x13:
		return "DDR2"
	case 0x14:
		return "DDR2 FB-DIMM"
	case 0x18:
		return "DDR3"
	case 0x1A:
		return "DDR4"
	case 0x1B:
		return "LPDDR"
	case 0x1C:
		return "LPDDR2"
	case 0x1D:
		return "LPDDR3"
	case 0x1E:
		return "LPDDR4"
	case 0x1F:
		return "Logical non-volatile device"
	case 0x20:
		return "HBM"
	case 0x21:
		return "HBM2"
	case 0x22:
		return "DDR5"
	case 0x23:
		return "LPDDR5"
	case 0x24:
		return "HBM3"
	}
	return ""
}

// formFactor is section 7.18.1's word for the form of a memory module.
func formFactor(kind byte) string {
	switch kind {
	case 0x03:
		return "SIMM"
	case 0x05:
		return "Chip"
	case 0x09:
		return "DIMM"
	case 0x0B:
		return "Row of chips"
	case 0x0D:
		return "SODIMM"
	case 0x0F:
		return "FB-DIMM"
	case 0x10:
		return "Die"
	}
	return ""
}
