package inventory

import (
	"bytes"
	"errors"
	"testing"

	"github.com/steward-rmm/steward/proto/wire"
)

func TestSMBIOSTableIsRead(t *testing.T) {
	all, err := parseSMBIOS(notebook("SN-4711"))
	if err != nil || len(all) != 8 {
		t.Fatalf("%d structures, %v", len(all), err)
	}
	h := describe(all, 0x0303)
	wants(t, "firmware", h.firmware, facts{FactVendor: "Acme Firmware", wire.FactVersion: "1.24", FactReleaseDate: "2024-02-29"})
	wants(t, "system", h.system, facts{FactManufacturer: "Acme", FactModel: "Book 14", wire.FactVersion: "Gen 3", FactSKU: "SKU-1", FactFamily: "Book", FactChassis: "notebook", FactAssetTag: ""})
	if h.serial != "SN-4711" || h.uuid != "00112233-4455-6677-8899-aabbccddeeff" || h.boardSerial != "Default string" {
		t.Errorf("serial %q, uuid %q, board %q", h.serial, h.uuid, h.boardSerial)
	}
	if len(h.processors) != 1 || len(h.modules) != 1 || h.installed != 32<<30 {
		t.Fatalf("%d processors, %d modules, %d bytes: an empty socket counts for nothing", len(h.processors), len(h.modules), h.installed)
	}
	wants(t, "processor", h.processors[0].facts, facts{FactVendor: "Acme Corp.", FactModel: "Acme CPU 7", FactCores: "8", FactThreads: "16", FactMaxSpeed: "4700", FactSocket: "U3E1"})
	wants(t, h.modules[0].key, h.modules[0].facts, facts{wire.FactSize: "34359738368", FactMemoryType: "DDR5", FactFormFactor: "SODIMM", FactSpeed: "5600",
		FactConfigured: "4800", FactManufacturer: "Samsung", FactSerial: "12AB34CD", FactPart: "M425R4GA3BB0", FactLocator: "DIMM A", FactBank: "BANK 0"})
}

func TestUUIDsBefore26AreBigEndian(t *testing.T) {
	for version, want := range map[smbiosVersion]string{0: "00112233-4455-6677-8899-aabbccddeeff", 0x0206: "00112233-4455-6677-8899-aabbccddeeff",
		0x0205: "33221100-5544-7766-8899-aabbccddeeff"} {
		if got := smbiosUUID([16]byte(rawUUID), version); got != want {
			t.Errorf("version %x: %s, want %s", version, got, want)
		}
	}
}

func TestManyCoresAreInTheWideField(t *testing.T) {
	all, err := parseSMBIOS(encode(4, 1, processorBody(0x41, 0xFF, 0xFF)))
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "processor", describe(all, 0x0300).processors[0].facts, facts{FactCores: "300", FactThreads: "600"})
}

func TestSizesOfModules(t *testing.T) {
	for _, c := range []struct {
		size     uint16
		extended uint32
		want     uint64
	}{{8192, 0, 8 << 30}, {0x8000 | 512, 0, 512 << 10}, {0x7FFF, 65536, 64 << 30}, {0, 0, 0}, {0xFFFF, 0, 0}} {
		all, err := parseSMBIOS(encode(17, 1, module(c.size, c.extended, 0, 0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		if got := moduleSize(all[0]); got != c.want {
			t.Errorf("size %#x extended %d: %d bytes, want %d", c.size, c.extended, got, c.want)
		}
	}
	all, err := parseSMBIOS(encode(17, 1, []byte{1, 2})) // version 2.0 knew less
	if err != nil || moduleSize(all[0]) != 0 {
		t.Errorf("short structure: %v", err)
	}
}

func TestBrokenTablesKeepWhatCameBefore(t *testing.T) {
	good := encode(0, 0, []byte{1, 2}, "V", "1")
	for name, tail := range map[string][]byte{"header": {1, 8}, "length": {1, 200, 0, 0, 0, 0}, "too short": {1, 3, 0, 0, 0, 0}, "strings": {1, 4, 0, 0, 'a', 'b', 0}} {
		all, err := parseSMBIOS(append(bytes.Clone(good), tail...))
		if err == nil || len(all) != 1 {
			t.Errorf("%s: %d structures, error %v", name, len(all), err)
		}
	}
	if all, err := parseSMBIOS(bytes.Repeat(encode(0, 0, nil), maxStructures+1)); err == nil || len(all) != maxStructures {
		t.Errorf("endless table: %d structures, error %v", len(all), err)
	}
	if all, err := parseSMBIOS(append(encode(127, 0, nil), 1, 2, 3)); err != nil || len(all) != 0 {
		t.Errorf("what follows the end was read: %d, %v", len(all), err)
	}
}

func TestEntryPointsAndRawData(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want smbiosVersion
		ok   bool
	}{{"_SM_\x00\x1f\x02\x08", 0x0208, true}, {"_SM3_\x00\x18\x03\x05", 0x0305, true}, {"_SM3_\x00\x18\x03", 0, false}, {"", 0, false}} {
		if got, err := parseEntryPoint([]byte(c.raw)); got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %x, %v", c.raw, got, err)
		}
	}
	table, version, err := parseRawSMBIOS([]byte("\x00\x03\x02\x00\x02\x00\x00\x00abc"))
	if err != nil || version != 0x0302 || string(table) != "ab" {
		t.Errorf("%q, %x, %v", table, version, err)
	}
	if _, _, err := parseRawSMBIOS([]byte("\x00\x03\x02\x00\x09\x00\x00\x00abc")); err == nil {
		t.Error("a length beyond the data was believed")
	}
	if _, _, err := parseRawSMBIOS(nil); !errors.Is(err, errCut) {
		t.Errorf("no data: %v", err)
	}
}

func TestFirmwareDates(t *testing.T) {
	for in, want := range map[string]string{"02/29/2024": "2024-02-29", "12/01/99": "1999-12-01", "13/01/2024": "", "2024-01-01": "", "": "", "00/10/2024": ""} {
		if got := firmwareDate(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzSMBIOS(f *testing.F) {
	f.Add(notebook("SN-1"), uint16(0x0303))
	f.Add(encode(17, 1, module(1, 2, 3, 4, 5)), uint16(0x0205))
	f.Add([]byte{1, 4, 0, 0, 0, 0}, uint16(0))
	f.Fuzz(func(t *testing.T, raw []byte, version uint16) {
		all, _ := parseSMBIOS(raw)
		size := 0
		for _, s := range all {
			size += len(s.area) + 2
		}
		if size > len(raw) {
			t.Fatalf("%d bytes of structures in %d", size, len(raw))
		}
		b := &builder{found: Inventory{}}
		h := describe(all, smbiosVersion(version))
		b.addSystem(h)
		b.addBoard(h)
		b.addMemory(0, h)
		soundItems(t, b)
	})
}
