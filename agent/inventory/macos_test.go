package inventory

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/steward-rmm/steward/proto/wire"
)

// answers is a Runner that says what a Mac said.
type answers map[string]string

func (a answers) Run(_ context.Context, path string, _ ...string) ([]byte, error) {
	if text, ok := a[path]; ok {
		return []byte(text), nil
	}
	return nil, errors.New("exit status 1")
}

func sample(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAMacIsDescribed(t *testing.T) {
	c := fixed(tree(t, map[string]string{"etc/localtime": "-> /var/db/timezone/zoneinfo/Europe/Paris"}), "darwin")
	c.runner = answers{systemProfiler: sample(t, "apple_silicon.json"), swVers: "ProductName:\t\tmacOS\nProductVersion:\t\t14.4.1\nBuildVersion:\t\t23E224\n"}
	inv, problems := c.Collect(t.Context(), now)
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactManufacturer: "Apple", FactModel: "MacBook Pro (MacBookPro18,2)", FactSerial: "F5K123ABCD",
		FactUUID: "9d2c1f6e-1111-5222-8333-44445555aaaa", FactBattery: "true"})
	wants(t, "cpu", factsOf(t, inv, wire.SectionCPU, "0"), facts{FactModel: "Apple M1 Pro", FactCores: "10"})
	wants(t, "memory", factsOf(t, inv, wire.SectionMemory, "total"), facts{wire.FactSize: "34359738368"})
	wants(t, "module", factsOf(t, inv, wire.SectionMemory, "built in"), facts{FactMemoryType: "LPDDR5", FactManufacturer: "Hynix", wire.FactSize: "34359738368"})
	wants(t, "disk", factsOf(t, inv, wire.SectionDisks, "disk0"), facts{FactModel: "APPLE SSD AP1024Z", FactSerial: "0ba01234", wire.FactSize: "1000555581440", FactRemovable: "false"})
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{FactFamily: "macos", wire.FactName: "macOS", wire.FactVersion: "14.4.1", FactBuild: "23E224", FactTimeZone: "Europe/Paris"})
	if class, _ := DetectClass(inv); class != ClassLaptop {
		t.Errorf("class %s", class)
	}
	if !said(problems, wire.SectionDisks, "", "not in this version") {
		t.Errorf("problems %v", problems)
	}
}

func TestAnIntelMacListsItsModules(t *testing.T) {
	m, err := parseSystemProfiler([]byte(sample(t, "intel.json")))
	if err != nil || len(m.modules) != 2 || m.installed != 16<<30 {
		t.Fatalf("%+v, %v", m.modules, err)
	}
	wants(t, "module", m.modules[0].facts, facts{FactMemoryType: "DDR4", FactSpeed: "2667", FactPart: "8ATF1G64HZ-2G6E1"})
	wants(t, "cpu", m.processors[0].facts, facts{FactModel: "6-Core Intel Core i7", FactCores: "6"})
	wants(t, "disk", m.disks[0].facts, facts{FactRotational: "true"})
	if m.system[FactBattery] != "" || m.serial != "C02ABCDEFGH1" {
		t.Errorf("%v, serial %s", m.system, m.serial)
	}
}

func TestAMacThatDoesNotAnswerKeepsTheRest(t *testing.T) {
	c := fixed(t.TempDir(), "darwin")
	for _, runner := range []Runner{nil, answers{}, answers{systemProfiler: "{}", swVers: ""}, answers{systemProfiler: "no json"}} {
		c.runner = runner
		inv, problems := c.Collect(t.Context(), now)
		if _, there := inv[wire.SectionSystem]; there || !said(problems, wire.SectionSystem, "", "") || len(inv[wire.SectionNetwork]) == 0 {
			t.Errorf("%v: %v, problems %v", runner, inv[wire.SectionSystem], problems)
		}
	}
}

func FuzzSystemProfiler(f *testing.F) {
	f.Add(sample(f, "apple_silicon.json"))
	f.Add(sample(f, "intel.json"))
	f.Add(`{"SPHardwareDataType":[{"serial_number":5,"number_processors":[1]}],"SPMemoryDataType":[{"_items":{}}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := parseSystemProfiler([]byte(raw))
		if err != nil {
			return
		}
		b := &builder{found: Inventory{}}
		b.addSystem(m.hardware)
		b.addMemory(m.memory, m.hardware)
		for _, d := range m.disks {
			b.add(wire.SectionDisks, d.key, d.facts)
		}
		soundItems(t, b)
	})
}

func FuzzSwVers(f *testing.F) {
	f.Add("ProductName:\tmacOS\nProductVersion:\t14.4.1\nProductVersionExtra:\t(a)\nBuildVersion:\t23E224\n")
	f.Fuzz(func(t *testing.T, raw string) {
		for name, value := range parseSwVers([]byte(raw)) {
			if value == "" || value != clean(value) || strings.Contains(value, "\n") {
				t.Errorf("%s = %q", name, value)
			}
		}
	})
}
