package inventory

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/steward-rmm/steward/proto/wire"
)

func TestPlaceholdersAreNobodysSerial(t *testing.T) {
	for _, s := range []string{"", " ", "0", "00000000", "000-000", "xxxxxxxxxx", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "00000000-0000-0000-0000-000000000000",
		"To be filled by O.E.M.", "To Be Filled By O.E.M. ", "None", "none", "N/A", "Default string", "System Serial Number", "Chassis Serial Number",
		"Base Board Serial Number", "Not Specified", "Not Applicable", "INVALID", "Unknown", "OEM", "0123456789", "123456789", "1234567890", "0123456789ABCDEF",
		"System Product Name", "System manufacturer", "SerNum0", "No Asset Tag", "Asset-1234567890", "........", "-", "03000200-0400-0500-0006-000700080009"} {
		if !Placeholder(s) {
			t.Errorf("%q was taken for real", s)
		}
	}
	for _, s := range []string{"SN-4711", "C02XK1ABJGH5", "PF2ABCDE", "VMware-56 4d 6a 1f", "5CG1234ABC", "123", "1234567891", "CZC1234567", "7X3Q1Z2",
		"4c4c4544-0042-3510-8051-b4c04f4e4b32", "Standard PC (Q35 + ICH9, 2009)", "联想", "Model 3", "00112233-4455-6677-8899-aabbccddeeff"} {
		if Placeholder(s) {
			t.Errorf("%q was taken for a placeholder", s)
		}
	}
}

func TestAPlaceholderIsAbsentAndNamed(t *testing.T) {
	b := &builder{found: Inventory{}}
	b.addSystem(hardware{system: facts{FactModel: "Box"}, serial: "To be filled by O.E.M.", uuid: "03000200-0400-0500-0006-000700080009"})
	inv, problems := b.finish()
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactSerial: "", FactUUID: "", FactModel: "Box"})
	for _, fact := range []string{FactSerial, FactUUID} {
		if !said(problems, wire.SectionSystem, fact, "placeholder") {
			t.Errorf("nothing says why %s is absent: %v", fact, problems)
		}
	}
}

func FuzzPlaceholder(f *testing.F) {
	for _, s := range []string{"", "0", "SN-4711", "联想", "\xff\x00", "ſſſſ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if Placeholder(s) != Placeholder(" "+s+" ") {
			t.Errorf("%q: blanks around it decide", s)
		}
	})
}

func TestItemsThatShareAKeyAreToldApart(t *testing.T) {
	b := &builder{found: Inventory{}}
	for _, key := range []string{"DIMM", "DIMM #2", "DIMM", "DIMM"} {
		b.add(wire.SectionMemory, key, facts{FactLocator: "x"})
	}
	soundItems(t, b)
	if n := len(b.found[wire.SectionMemory]); n != 4 {
		t.Errorf("%d items, want 4", n)
	}
}

func TestTooManyItemsAreCutAndSaid(t *testing.T) {
	b := &builder{found: Inventory{}}
	for i := range wire.MaxOtherItems + 3 {
		b.add(wire.SectionNetwork, fmt.Sprintf("veth%d", i), facts{FactVirtual: "true"})
	}
	inv, problems := b.finish()
	if len(inv[wire.SectionNetwork]) != wire.MaxOtherItems || !said(problems, wire.SectionNetwork, "", "515 items") {
		t.Errorf("%d items, %v", len(inv[wire.SectionNetwork]), problems)
	}
}

// soundItems checks what every inventory promises, whatever was read.
func soundItems(t *testing.T, b *builder) {
	t.Helper()
	inv, _ := b.finish()
	for section, items := range inv {
		last := ""
		if len(items) > wire.MaxOtherItems {
			t.Fatalf("%s: %d items", section, len(items))
		}
		for i, it := range items {
			if it.Key == "" || (i > 0 && it.Key <= last) || len(it.Facts) > wire.MaxFacts {
				t.Fatalf("%s: item %d %q after %q with %d facts", section, i, it.Key, last, len(it.Facts))
			}
			last = it.Key
			for name, value := range it.Facts {
				if value == "" || len(value) > wire.MaxText || !utf8.ValidString(value) || value != clean(value) {
					t.Fatalf("%s %s: %s = %q", section, it.Key, name, value)
				}
			}
		}
	}
}
