package inventory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/steward-rmm/steward/proto/wire"
)

// readWindows asks the registry and kernel32; no WMI, which can hang.
func readWindows(ctx context.Context) (windowsMachine, error) {
	var m windowsMachine
	note := func(section wire.Section, fact string, err error) {
		if err != nil {
			m.problems = append(m.problems, Problem{section, fact, err.Error()})
		}
	}
	var err error
	m.currentVersion, err = registryValues(`SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "ProductName", "InstallationType",
		"CurrentBuildNumber", "CurrentMajorVersionNumber", "CurrentMinorVersionNumber", "UBR", "DisplayVersion", "ReleaseId", "EditionID")
	note(wire.SectionOS, "", err)
	network, err := registryValues(`SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, "Domain")
	note(wire.SectionSystem, FactFQDN, err)
	m.domain = network["Domain"]
	for i := 0; ; i++ {
		cpu, err := registryValues(`HARDWARE\DESCRIPTION\System\CentralProcessor\`+strconv.Itoa(i), "ProcessorNameString", "VendorIdentifier")
		if err != nil {
			break // the keys are numbered without gaps
		}
		m.processors = append(m.processors, cpu)
	}
	m.smbios, err = firmwareTable()
	note(wire.SectionSystem, "", err)
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.memory = memory.Total
	}
	if seconds, err := host.BootTimeWithContext(ctx); err == nil && seconds < 1<<40 {
		m.bootTime = time.Unix(int64(seconds), 0)
	}
	m.battery = hasBattery()
	m.uefi = firmwareIsUEFI()
	return m, nil
}

// registryValues reads text and numbers below HKEY_LOCAL_MACHINE; a value that
// is not there is missing from the answer.
func registryValues(path string, names ...string) (map[string]string, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return nil, fmt.Errorf("open HKLM\\%s: %w", path, err)
	}
	defer func() { _ = key.Close() }() // nothing was written
	out := map[string]string{}
	for _, name := range names {
		if text, _, err := key.GetStringValue(name); err == nil {
			out[name] = text
		} else if n, _, err := key.GetIntegerValue(name); err == nil {
			out[name] = strconv.FormatUint(n, 10)
		}
	}
	return out, nil
}

func kernel32(name string) (*windows.LazyProc, error) {
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc(name)
	return proc, proc.Find()
}

// firmwareTable returns GetSystemFirmwareTable('RSMB').
func firmwareTable() ([]byte, error) {
	const rawSMBIOS = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	proc, err := kernel32("GetSystemFirmwareTable")
	if err != nil {
		return nil, err
	}
	size, _, err := proc.Call(rawSMBIOS, 0, 0, 0)
	if size == 0 || size > maxFile {
		return nil, fmt.Errorf("ask for the size of the SMBIOS table: %d bytes, %w", size, err)
	}
	raw := make([]byte, size)
	got, _, err := proc.Call(rawSMBIOS, 0, uintptr(unsafe.Pointer(&raw[0])), size)
	if got == 0 || got > size {
		return nil, fmt.Errorf("read the SMBIOS table: %w", err)
	}
	return raw[:got], nil
}

// hasBattery asks GetSystemPowerStatus; flag 128 is no battery, 255 unknown
// (https://learn.microsoft.com/windows/win32/api/winbase/ns-winbase-system_power_status).
func hasBattery() bool {
	proc, err := kernel32("GetSystemPowerStatus")
	if err != nil {
		return false
	}
	var status struct {
		acLine, battery, percent, saver byte
		life, fullLife                  uint32
	}
	ok, _, _ := proc.Call(uintptr(unsafe.Pointer(&status)))
	return ok != 0 && status.battery&128 == 0
}

// firmwareIsUEFI asks for a variable that cannot be there: BIOS machines do
// not know the function at all
// (https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-getfirmwareenvironmentvariablew).
func firmwareIsUEFI() bool {
	proc, err := kernel32("GetFirmwareEnvironmentVariableW")
	if err != nil {
		return false
	}
	none, errNone := windows.UTF16PtrFromString("")
	guid, errGUID := windows.UTF16PtrFromString("{00000000-0000-0000-0000-000000000000}")
	if errNone != nil || errGUID != nil {
		return false
	}
	_, _, err = proc.Call(uintptr(unsafe.Pointer(none)), uintptr(unsafe.Pointer(guid)), 0, 0)
	return !errors.Is(err, windows.ERROR_INVALID_FUNCTION)
}
