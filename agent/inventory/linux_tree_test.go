package inventory

import (
	"reflect"
	"testing"

	"github.com/steward-rmm/steward/proto/wire"
)

// laptopTree is a Linux notebook: its firmware's table, two disks, a mouse
// with a battery and one of its own.
func laptopTree(t *testing.T, serial string) string {
	return tree(t, map[string]string{
		"etc/os-release":              "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/localtime":               "-> /usr/share/zoneinfo/Europe/Paris",
		"etc/hosts":                   "127.0.1.1 book.example.org book\n",
		"proc/cpuinfo":                "processor : 0\nmodel name : Acme CPU 7\nphysical id : 0\ncpu cores : 8\n",
		"proc/meminfo":                "MemTotal: 32500000 kB\n",
		"proc/stat":                   "btime 1772300000\n",
		"proc/sys/kernel/hostname":    "book\n",
		"proc/sys/kernel/osrelease":   "6.1.0-18-amd64\n",
		"proc/net/if_inet6":           "20010db800000000000000000000dead 02 40 00 01     eth0\n",
		"sys/firmware/dmi/tables/DMI": string(notebook(serial)),
		"sys/firmware/dmi/tables/smbios_entry_point":                               "_SM3_\x00\x18\x03\x03\x00",
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		"sys/class/power_supply/hidpp/type":                                        "Battery\n",
		"sys/class/power_supply/hidpp/scope":                                       "Device\n",
		"sys/class/power_supply/BAT0/type":                                         "Battery\n",
		"sys/block/nvme0n1/device/model":                                           "Acme SSD 980\n",
		"sys/block/nvme0n1/device/serial":                                          "S64DNX0R\n",
		"sys/block/nvme0n1/wwid":                                                   "eui.0025385a\n",
		"sys/block/nvme0n1/size":                                                   "1000215216\n",
		"sys/block/nvme0n1/queue/rotational":                                       "0\n",
		"sys/block/nvme0n1/removable":                                              "0\n",
		"sys/block/sda/device/vpd_pg80":                                            "\x00\x80\x00\x08WD-12345",
		"sys/block/sda/device/vendor":                                              "ATA     \n",
		"sys/block/sda/queue/rotational":                                           "1\n",
		"sys/block/sda/size":                                                       "0\n",
		"sys/block/dm-0/size":                                                      "1\n",
		"sys/block/zram0/size":                                                     "1\n",
		"sys/block/loop0/size":                                                     "0\n",
		"sys/block/loop1/loop/backing_file":                                        "/var/image.img\n",
		"sys/block/loop1/size":                                                     "2048\n",
		"sys/block/sr0/device/model":                                               "DVD\n",
		"sys/class/net/eth0/speed":                                                 "1000\n",
		"sys/class/net/eth0/device/":                                               "",
		"sys/class/net/veth0/speed":                                                "-1\n",
	})
}

func TestALinuxNotebookIsDescribed(t *testing.T) {
	c := fixed(laptopTree(t, "SN-4711"), "linux")
	inv, problems := c.Collect(t.Context(), now)
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactSerial: "SN-4711", FactUUID: "00112233-4455-6677-8899-aabbccddeeff", FactModel: "Book 14",
		FactHostname: "book", FactFQDN: "book.example.org", FactBattery: "true", FactChassis: "notebook", FactVirtualization: "", FactContainer: ""})
	wants(t, "board", factsOf(t, inv, wire.SectionBoard, "board"), facts{FactModel: "0XYZ", FactSerial: ""})
	wants(t, "firmware", factsOf(t, inv, wire.SectionFirmware, "firmware"), facts{FactMode: "uefi", FactSecureBoot: "true", FactReleaseDate: "2024-02-29"})
	wants(t, "cpu", factsOf(t, inv, wire.SectionCPU, "0"), facts{FactModel: "Acme CPU 7", FactCores: "8", FactThreads: "1", FactMaxSpeed: "4700"})
	wants(t, "memory", factsOf(t, inv, wire.SectionMemory, "total"), facts{wire.FactSize: "33280000000", FactInstalledBytes: "34359738368"})
	wants(t, "module", factsOf(t, inv, wire.SectionMemory, "BANK 0 DIMM A"), facts{FactMemoryType: "DDR5"})
	wants(t, "nvme", factsOf(t, inv, wire.SectionDisks, "nvme0n1"), facts{FactModel: "Acme SSD 980", FactSerial: "S64DNX0R", wire.FactSize: "512110190592",
		FactRotational: "false", FactRemovable: "false", FactTransport: "nvme", FactWWN: "eui.0025385a"})
	wants(t, "sda", factsOf(t, inv, wire.SectionDisks, "sda"), facts{FactSerial: "WD-12345", FactRotational: "true", wire.FactSize: ""})
	wants(t, "loop1", factsOf(t, inv, wire.SectionDisks, "loop1"), facts{FactBacking: "/var/image.img", FactTransport: "loop"})
	if n := len(inv[wire.SectionDisks]); n != 3 {
		t.Errorf("%d disks, want 3: %v", n, inv[wire.SectionDisks])
	}
	wants(t, "eth0", factsOf(t, inv, wire.SectionNetwork, "eth0"), facts{FactMAC: "02:00:00:00:00:01", FactMTU: "1500", FactUp: "true", FactLinkSpeed: "1000",
		FactVirtual: "", FactAddresses: "192.0.2.7/24,2001:db8::1/64"})
	wants(t, "veth0", factsOf(t, inv, wire.SectionNetwork, "veth0"), facts{FactVirtual: "true", FactUp: "false", FactLinkSpeed: "", FactMAC: ""})
	if n := len(inv[wire.SectionNetwork]); n != 2 {
		t.Errorf("%d interfaces, the loopback does not count", n)
	}
	wants(t, "/", factsOf(t, inv, wire.SectionVolumes, "/"), facts{FactDevice: "/dev/sda1", FactMemoryType: "ext4", FactReadOnly: "false", wire.FactSize: "1000"})
	wants(t, "zfs", factsOf(t, inv, wire.SectionVolumes, "/tank"), facts{FactReadOnly: "true", wire.FactSize: ""})
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{FactFamily: "linux", wire.FactName: "Debian GNU/Linux", wire.FactVersion: "12", FactID: "debian",
		FactKernel: "6.1.0-18-amd64", wire.FactArch: "amd64", FactTimeZone: "Europe/Paris", FactBootTime: "2026-02-28T17:33:00Z"})
	if !said(problems, wire.SectionBoard, FactSerial, `"Default string"`) || !said(problems, wire.SectionVolumes, wire.FactSize, "/gone") || len(problems) != 2 {
		t.Errorf("problems: %v", problems)
	}
	if class, why := DetectClass(inv); class != ClassLaptop || why != "the chassis is a notebook" {
		t.Errorf("%s, %s", class, why)
	}
	again, _ := c.Collect(t.Context(), now.Add(1))
	if !reflect.DeepEqual(inv, again) {
		t.Error("a machine without changes was described in two ways")
	}
}

func TestAMachineThatShowsNothingHasAbsentFactsOnly(t *testing.T) {
	inv, problems := fixed(tree(t, map[string]string{"proc/": ""}), "linux").Collect(t.Context(), now)
	for _, section := range []wire.Section{wire.SectionSystem, wire.SectionBoard, wire.SectionFirmware, wire.SectionCPU, wire.SectionMemory, wire.SectionDisks} {
		if items, there := inv[section]; there {
			t.Errorf("%s: %v of nothing", section, items)
		}
	}
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{wire.FactName: "Linux", FactTimeZone: "", FactBootTime: ""})
	for section, fact := range map[wire.Section]string{wire.SectionCPU: "", wire.SectionMemory: wire.FactSize, wire.SectionDisks: "", wire.SectionOS: FactTimeZone} {
		if !said(problems, section, fact, "") {
			t.Errorf("nothing says why %s %s is absent", section, fact)
		}
	}
}

func TestFactsFromTheKernelStandInForTheTable(t *testing.T) {
	root := tree(t, map[string]string{
		"sys/class/dmi/id/sys_vendor": "QEMU\n", "sys/class/dmi/id/product_name": "Standard PC\n", "sys/class/dmi/id/product_serial": "VM-7\n",
		"sys/class/dmi/id/product_uuid": "0011AABB-4455-6677-8899-AABBCCDDEEFF\n", "sys/class/dmi/id/chassis_type": "1\n", "sys/class/dmi/id/bios_vendor": "SeaBIOS\n",
		"sys/class/dmi/id/bios_date": "04/01/2014\n", "proc/cpuinfo": twoSockets, "etc/timezone": "Asia/Tokyo\n", ".dockerenv": "",
	})
	inv, _ := fixed(root, "linux").Collect(t.Context(), now)
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactManufacturer: "QEMU", FactSerial: "VM-7", FactUUID: "0011aabb-4455-6677-8899-aabbccddeeff",
		FactVirtualization: "kvm", FactContainer: "docker", FactChassis: ""})
	wants(t, "firmware", factsOf(t, inv, wire.SectionFirmware, "firmware"), facts{FactVendor: "SeaBIOS", FactMode: "bios", FactReleaseDate: "2014-04-01"})
	wants(t, "os", factsOf(t, inv, wire.SectionOS, "os"), facts{FactTimeZone: "Asia/Tokyo"})
}

func TestDeviceTreeNamesAnARMBoard(t *testing.T) {
	root := tree(t, map[string]string{"sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\x00", "sys/firmware/devicetree/base/serial-number": "10000000f2b4a1c7\x00"})
	inv, _ := fixed(root, "linux").Collect(t.Context(), now)
	wants(t, "system", factsOf(t, inv, wire.SectionSystem, "system"), facts{FactModel: "Raspberry Pi 4 Model B Rev 1.4", FactSerial: "10000000f2b4a1c7"})
}
