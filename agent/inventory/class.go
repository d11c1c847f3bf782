package inventory

import (
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// The classes of devices.
const (
	ClassWorkstation = "workstation"
	ClassLaptop      = "laptop"
	ClassServer      = "server"
)

// DetectClass says what kind of device an inventory describes, and by which
// fact. A person's word at enrollment comes before it.
func DetectClass(inv Inventory) (class, why string) {
	system, os := only(inv, wire.SectionSystem), only(inv, wire.SectionOS)
	if os[FactFamily] == "windows" && (strings.HasPrefix(os[FactInstallation], "server") || strings.Contains(strings.ToLower(os[wire.FactName]), "server")) {
		return ClassServer, "the operating system is " + firstOf(os[wire.FactName], "Windows Server")
	}
	if os[FactFamily] == "linux" {
		if container := system[FactContainer]; container != "" {
			return ClassServer, "runs in a container (" + container + ")"
		}
		if virtual := system[FactVirtualization]; virtual != "" {
			return ClassServer, "Linux in a virtual machine (" + virtual + ")"
		}
	} else if virtual := system[FactVirtualization]; virtual != "" {
		return ClassWorkstation, "a desktop system in a virtual machine (" + virtual + ")"
	}
	chassis := system[FactChassis]
	switch chassis {
	case "portable", "laptop", "notebook", "hand held", "sub notebook", "tablet", "convertible", "detachable":
		return ClassLaptop, "the chassis is a " + chassis
	case "main server chassis", "rack mount chassis", "blade", "blade enclosure", "multi-system chassis", "compact pci", "advanced tca":
		return ClassServer, "the chassis is a " + chassis
	}
	if strings.Contains(system[FactModel], "MacBook") {
		return ClassLaptop, "the model is " + system[FactModel]
	}
	if system[FactBattery] == "true" {
		return ClassLaptop, "it has a battery"
	}
	switch {
	case chassis != "":
		return ClassWorkstation, "the chassis is a " + chassis
	case os[FactFamily] == "linux":
		return ClassServer, "Linux on a machine that names no chassis"
	case os[FactFamily] == "macos":
		return ClassWorkstation, "a Mac without a battery"
	}
	return ClassWorkstation, "nothing says that it is a laptop or a server"
}

// only returns the facts of a section's single item.
func only(inv Inventory, section wire.Section) map[string]string {
	if items := inv[section]; len(items) > 0 {
		return items[0].Facts
	}
	return nil
}
