package inventory

import (
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/steward-rmm/steward/proto/wire"
)

func TestOSRelease(t *testing.T) {
	raw := "# comment\nNAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID='12'\nPRETTY_NAME=\"A \\\"quoted\\\" \\$1 \\x\"\n" +
		"BROKEN=\"open\nBAD NAME=x\n=y\nWORDS=two words\nEMPTY=\nLAST=\"a\\\"\nID_LIKE=a\nID_LIKE=b"
	want := map[string]string{"NAME": "Debian GNU/Linux", "ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": `A "quoted" $1 \x`, "EMPTY": "", "ID_LIKE": "b"}
	if got := parseOSRelease([]byte(raw)); !maps.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func FuzzOSRelease(f *testing.F) {
	f.Add("NAME=\"x\"\nID=y\n")
	f.Add("A='b\nC=\"\\\"")
	f.Fuzz(func(t *testing.T, raw string) {
		for name, value := range parseOSRelease([]byte(raw)) {
			if !osReleaseName(name) || strings.Contains(value, "\n") || len(value) > len(raw) {
				t.Errorf("%q = %q", name, value)
			}
		}
	})
}

func TestQualifiedNameComesFromHosts(t *testing.T) {
	hosts := []byte("127.0.0.1 localhost\n# 10.0.0.1 box.commented.example\n127.0.1.1 Box.Example.org box\n")
	for name, want := range map[string]string{"box": "box.example.org", "other": "", "a.b.c": "a.b.c", "": "", "localhost": ""} {
		if got := fqdn(hosts, name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

const twoSockets = `processor	: 0
vendor_id	: GenuineIntel
cpu family	: 6
model		: 85
model name	: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz
stepping	: 4
cpu MHz		: 1000.123
physical id	: 0
core id		: 0
cpu cores	: 2
flags		: fpu vme

processor	: 1
vendor_id	: GenuineIntel
physical id	: 1
core id		: 0
model name	: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz
cpu cores	: 2
flags		: fpu hypervisor

processor	: 2
physical id	: 0
core id		: 1
`

const raspberry = `processor	: 0
BogoMIPS	: 108.00
CPU implementer	: 0x41
CPU architecture: 8
CPU part	: 0xd08
CPU revision	: 3

processor	: 1
CPU implementer	: 0x41

Hardware	: BCM2835
Model		: Raspberry Pi 4 Model B Rev 1.4
`

func TestCPUInfo(t *testing.T) {
	info := parseCPUInfo([]byte(twoSockets))
	if len(info.packages) != 2 || !info.hypervisor {
		t.Fatalf("%+v", info)
	}
	wants(t, "package 0", info.packages[0].facts, facts{FactVendor: "GenuineIntel", FactModel: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", FactCores: "2", FactThreads: "2", FactFamily: "6", FactModelNumber: "85", FactStepping: "4"})
	wants(t, "package 1", info.packages[1].facts, facts{FactThreads: "1"})
	arm := parseCPUInfo([]byte(raspberry))
	if len(arm.packages) != 1 || arm.hypervisor {
		t.Fatalf("%+v", arm)
	}
	wants(t, "ARM", arm.packages[0].facts, facts{FactVendor: "0x41", FactModelNumber: "0xd08", FactThreads: "2", FactCores: "", FactModel: ""})
}

func FuzzCPUInfo(f *testing.F) {
	f.Add(twoSockets)
	f.Add(raspberry)
	f.Add("processor: 0\n\nprocessor: 1\nphysical id: 9\ncpu cores: 99999")
	f.Fuzz(func(t *testing.T, raw string) {
		b := &builder{found: Inventory{}}
		for _, p := range parseCPUInfo([]byte(raw)).packages {
			b.add(wire.SectionCPU, p.key, p.facts)
		}
		soundItems(t, b)
	})
}

func TestZonesOfLinks(t *testing.T) {
	for target, want := range map[string]string{"/usr/share/zoneinfo/Europe/Paris": "Europe/Paris", "../usr/share/zoneinfo/Etc/UTC": "Etc/UTC",
		"/var/db/timezone/zoneinfo/America/Argentina/Buenos_Aires": "America/Argentina/Buenos_Aires", "/usr/share/zoneinfo/posix/Asia/Tokyo": "Asia/Tokyo",
		"/usr/share/zoneinfo/Etc/GMT+5": "Etc/GMT+5", "/usr/share/zoneinfo/localtime": "", "/etc/other": "", "": "", "/zoneinfo/../../x": "", "/zoneinfo/Europe/": ""} {
		if got := zoneOfLink(target); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

func TestMemTotalAndBootTime(t *testing.T) {
	if got := memTotal([]byte("MemFree: 1 kB\nMemTotal:       24684092 kB\n")); got != 24684092<<10 {
		t.Errorf("MemTotal %d", got)
	}
	for _, bad := range []string{"", "MemTotal: x kB", "MemTotal: 5", "MemTotal: 99999999999999999999 kB"} {
		if got := memTotal([]byte(bad)); got != 0 {
			t.Errorf("%q: %d", bad, got)
		}
	}
	if got := bootTime([]byte("cpu 1 2\nbtime 1700000000\n")); got.Unix() != 1700000000 {
		t.Errorf("boot time %v", got)
	}
	if got := bootTime([]byte("btime -1\nbtime x\n")); !got.IsZero() {
		t.Errorf("boot time %v of nothing", got)
	}
}

func TestBootTimeDoesNotWander(t *testing.T) {
	c := New(Options{})
	first, ok := c.boot(now.Add(-time.Hour+59*time.Second), now)
	if !ok || first.Second() != 0 {
		t.Fatalf("%v, %v", first, ok)
	}
	if again, _ := c.boot(now.Add(-time.Hour+61*time.Second), now.Add(time.Minute)); !again.Equal(first) {
		t.Errorf("%v became %v", first, again)
	}
	if later, _ := c.boot(now, now.Add(time.Minute)); later.Equal(first) {
		t.Error("a reboot was not noticed")
	}
	if _, ok := c.boot(now.Add(time.Hour), now); ok {
		t.Error("a boot in the future was believed")
	}
}

func FuzzProcFiles(f *testing.F) {
	f.Add("MemTotal: 5 kB\nbtime 5\n20010db8000000000000000000000001 02 40 00 01 eth0\n127.0.0.1 a.b a\n")
	f.Fuzz(func(t *testing.T, raw string) {
		memTotal([]byte(raw))
		bootTime([]byte(raw))
		fqdn([]byte(raw), "a")
		if n := len(temporaryAddresses([]byte(raw))); n*32 > len(raw) {
			t.Errorf("%d addresses in %d bytes", n, len(raw))
		}
		if s := unitSerial([]byte(raw)); len(s) > len(raw) {
			t.Errorf("serial %q", s)
		}
	})
}

func TestTemporaryAddresses(t *testing.T) {
	got := temporaryAddresses([]byte("20010db8000000000000000000000001 02 40 00 80     eth0\n20010db800000000000000000000dead 02 40 00 01     eth0\nxx\n"))
	if len(got) != 1 || !got[netip.MustParseAddr("2001:db8::dead")] {
		t.Errorf("%v", got)
	}
}

func TestUnitSerial(t *testing.T) {
	for in, want := range map[string]string{"\x00\x80\x00\x04ABCDxx": "ABCD", "\x00\x83\x00\x04ABCD": "", "\x00\x80\x00\x09ABCD": "", "": ""} {
		if got := unitSerial([]byte(in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestVolumesAreLocalAndCountedOnce(t *testing.T) {
	part := func(device, mountpoint, fstype string, opts ...string) disk.PartitionStat {
		return disk.PartitionStat{Device: device, Mountpoint: mountpoint, Fstype: fstype, Opts: opts}
	}
	linux := []disk.PartitionStat{part("rootfs", "/", "rootfs"), part("/dev/sda1", "/", "ext4", "rw"), part("proc", "/proc", "proc"), part("/dev/sda1", "/mnt/again", "ext4"),
		part("/dev/loop0", "/mnt/x", "ext4", "ro"), part("/dev/loop1", "/snap/a", "squashfs"), part("srv:/e", "/nfs", "nfs4"), part("/dev/sdb1", "/usb\xff", "vfat"),
		part("/dev/sdc1", "/a", "xfs", "bind"), part("tank/home", "/home", "zfs"), part("tmpfs", "/run", "tmpfs"), part("/dev/sdd1", "/hidden", "xfs"), part("tmpfs", "/hidden", "tmpfs")}
	mac := []disk.PartitionStat{part("/dev/disk3s1s1", "/", "apfs", "ro", "local"), part("devfs", "/dev", "devfs", "local", "nobrowse"), part("/dev/disk3s5", "/System/Volumes/Data", "apfs", "local", "nobrowse"),
		part("//u@srv/x", "/Volumes/x", "smbfs"), part("/dev/disk4s1", "/Volumes/Stick", "msdos", "local")}
	windows := []disk.PartitionStat{part("C:", "C:", "NTFS"), part("D:", "D:", "CDFS"), part("Z:", "Z:", "NTFS"), {}}
	local := func(m string) bool { return m != "Z:" }
	for _, c := range []struct {
		goos  string
		parts []disk.PartitionStat
		want  string
	}{{"linux", linux, "/ /home /mnt/x"}, {"darwin", mac, "/ /Volumes/Stick"}, {"windows", windows, "C:"},
		{"linux", []disk.PartitionStat{part("overlay", "/", "overlay", "rw"), part("/dev/vda", "/etc/hosts", "ext4", "bind")}, "/"}} {
		var got []string
		for _, v := range localVolumes(c.goos, c.parts, local) {
			got = append(got, v.Mountpoint)
			if v.ReadOnly != (v.Mountpoint == "/mnt/x" || (c.goos == "darwin" && v.Mountpoint == "/")) {
				t.Errorf("%s %s: read only %v", c.goos, v.Mountpoint, v.ReadOnly)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.goos, got, c.want)
		}
	}
}

func TestVirtualMachinesCallThemselvesSo(t *testing.T) {
	for _, c := range []struct {
		manufacturer, model, xen string
		flag                     bool
		want                     string
	}{{"QEMU", "Standard PC (Q35 + ICH9, 2009)", "", true, "kvm"}, {"VMware, Inc.", "VMware7,1", "", true, "vmware"}, {"Microsoft Corporation", "Virtual Machine", "", true, "hyperv"},
		{"Microsoft Corporation", "Surface Laptop 5", "", false, ""}, {"innotek GmbH", "VirtualBox", "", true, "virtualbox"}, {"Amazon EC2", "m5.metal", "", false, ""}, {"Amazon EC2", "t3.micro", "", true, "amazon"},
		{"", "", "xen", false, "xen"}, {"", "", "", true, "unknown"}, {"Dell Inc.", "OptiPlex 7090", "", false, ""}} {
		if got := virtualization(c.manufacturer, c.model, c.xen, c.flag); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.manufacturer, c.model, got, c.want)
		}
	}
}

func TestCleanTextFitsOneLine(t *testing.T) {
	for in, want := range map[string]string{" a\t b\n": "a b", "a\x00b": "a b", "a\xffb": "a b", strings.Repeat("é", 600): strings.Repeat("é", 512)} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
