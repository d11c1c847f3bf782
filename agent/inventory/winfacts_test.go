package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
)

func windows11() windowsMachine {
	table := notebook("5CG1234ABC")
	raw := append([]byte{0, 3, 3, 0, 0, 0, 0, 0}, table...)
	binary.LittleEndian.PutUint32(raw[4:], uint32(len(table)))
	return windowsMachine{
		currentVersion: map[string]string{"ProductName": "Windows 10 Pro", "InstallationType": "Client", "CurrentBuildNumber": "26100", "UBR": "3775",
			"CurrentMajorVersionNumber": "10", "CurrentMinorVersionNumber": "0", "DisplayVersion": "24H2", "EditionID": "Professional"},
		processors: []map[string]string{{"ProcessorNameString": "Acme CPU 7  "}, {}}, domain: "Example.org",
		smbios: raw, memory: 32 << 30, bootTime: now.Add(-time.Hour), battery: true, uefi: true,
	}
}

func TestAWindowsMachineIsDescribed(t *testing.T) {
	c := fixed(t.TempDir(), "windows")
	c.windows = func(context.Context) (windowsMachine, error) { return windows11(), nil }
	inv, problems := c.Collect(t.Context(), now)
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactSerial: "5CG1234ABC", FactChassis: "notebook", FactBattery: "true"})
	wants(t, "firmware", factsOf(t, inv, wire.SectionFirmware, "firmware"), facts{FactMode: "uefi", wire.FactVersion: "1.24"})
	wants(t, "cpu", factsOf(t, inv, wire.SectionCPU, "0"), facts{FactModel: "Acme CPU 7", FactCores: "8", FactThreads: "16"})
	wants(t, "memory", factsOf(t, inv, wire.SectionMemory, "total"), facts{wire.FactSize: "34359738368"})
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{FactFamily: "windows", wire.FactName: "Windows 11 Pro", wire.FactVersion: "10.0.26100.3775", FactBuild: "26100",
		FactCodename: "24H2", FactEdition: "Professional", FactInstallation: "client", FactBootTime: "2026-03-01T11:00:00Z", FactTimeZone: ""})
	for section, fact := range map[wire.Section]string{wire.SectionDisks: "", wire.SectionOS: FactTimeZone} {
		if !said(problems, section, fact, "not in this version") {
			t.Errorf("nothing says why %s %s is absent: %v", section, fact, problems)
		}
	}
	if _, there := inv[wire.SectionDisks]; there {
		t.Error("disks that were not read are listed as none")
	}
	if class, _ := DetectClass(inv); class != ClassLaptop {
		t.Errorf("class %s", class)
	}
}

func TestNamesOfWindows(t *testing.T) {
	for _, c := range []struct {
		values map[string]string
		want   facts
	}{
		{map[string]string{"ProductName": "Windows 10 Enterprise", "InstallationType": "Client", "CurrentBuildNumber": "19045"}, facts{wire.FactName: "Windows 10 Enterprise", wire.FactVersion: "10.0.19045"}},
		{map[string]string{"ProductName": "Windows Server 2022 Standard", "InstallationType": "Server Core", "CurrentBuildNumber": "20348"}, facts{wire.FactName: "Windows Server 2022 Standard", FactInstallation: "server core"}},
		{nil, facts{wire.FactName: "Windows", wire.FactVersion: "", FactBuild: ""}},
		{map[string]string{"CurrentBuildNumber": "x"}, facts{wire.FactVersion: ""}},
	} {
		wants(t, c.values["ProductName"], windowsOS(c.values), c.want)
	}
}

func TestWindowsWithoutAFirmwareTableKeepsTheRest(t *testing.T) {
	c := fixed(t.TempDir(), "windows")
	m := windows11()
	m.smbios = nil
	c.windows = func(context.Context) (windowsMachine, error) { return m, nil }
	inv, problems := c.Collect(t.Context(), now)
	wants(t, "cpu", factsOf(t, inv, wire.SectionCPU, "0"), facts{FactModel: "Acme CPU 7", FactThreads: "2"})
	if !said(problems, wire.SectionSystem, "", "SMBIOS") {
		t.Errorf("problems %v", problems)
	}
	c.windows = func(context.Context) (windowsMachine, error) {
		return windowsMachine{}, errors.New("registry is closed")
	}
	if inv, problems = c.Collect(t.Context(), now); len(inv[wire.SectionOS]) != 0 || !said(problems, wire.SectionOS, "", "registry is closed") {
		t.Errorf("%v, %v", inv[wire.SectionOS], problems)
	}
}
