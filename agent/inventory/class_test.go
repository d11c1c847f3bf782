package inventory

import (
	"testing"

	"github.com/steward-rmm/steward/proto/wire"
)

func TestClassesAreDetectedWithAReason(t *testing.T) {
	for _, c := range []struct {
		system, os facts
		class, why string
	}{
		{facts{FactChassis: "notebook"}, facts{FactFamily: "windows"}, ClassLaptop, "the chassis is a notebook"},
		{facts{FactChassis: "desktop"}, facts{FactFamily: "windows"}, ClassWorkstation, "the chassis is a desktop"},
		{facts{FactChassis: "tower"}, facts{FactFamily: "windows", FactInstallation: "server core", wire.FactName: "Windows Server 2022"}, ClassServer, "the operating system is Windows Server 2022"},
		{facts{FactChassis: "rack mount chassis"}, facts{FactFamily: "linux"}, ClassServer, "the chassis is a rack mount chassis"},
		{facts{FactVirtualization: "kvm", FactChassis: "desktop"}, facts{FactFamily: "linux"}, ClassServer, "Linux in a virtual machine (kvm)"},
		{facts{FactVirtualization: "hyperv", FactChassis: "desktop"}, facts{FactFamily: "windows"}, ClassWorkstation, "a desktop system in a virtual machine (hyperv)"},
		{facts{FactContainer: "docker"}, facts{FactFamily: "linux"}, ClassServer, "runs in a container (docker)"},
		{facts{FactModel: "MacBook Pro (MacBookPro18,2)"}, facts{FactFamily: "macos"}, ClassLaptop, "the model is MacBook Pro (MacBookPro18,2)"},
		{facts{FactModel: "Mac mini (Macmini9,1)"}, facts{FactFamily: "macos"}, ClassWorkstation, "a Mac without a battery"},
		{facts{FactBattery: "true"}, facts{FactFamily: "windows"}, ClassLaptop, "it has a battery"},
		{facts{FactChassis: "desktop"}, facts{FactFamily: "linux"}, ClassWorkstation, "the chassis is a desktop"},
		{nil, facts{FactFamily: "linux"}, ClassServer, "Linux on a machine that names no chassis"},
		{nil, facts{FactFamily: "windows"}, ClassWorkstation, "nothing says that it is a laptop or a server"},
	} {
		inv := Inventory{wire.SectionOS: {{Key: "os", Facts: c.os}}, wire.SectionSystem: {{Key: "system", Facts: c.system}}}
		if class, why := DetectClass(inv); class != c.class || why != c.why {
			t.Errorf("%v %v: %s, %s; want %s, %s", c.system, c.os, class, why, c.class, c.why)
		}
	}
	if class, why := DetectClass(nil); class != ClassWorkstation || why == "" {
		t.Errorf("of nothing: %s, %s", class, why)
	}
}
