package inventory

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// linuxDisks lists physical disks, and loop devices with a file behind them.
// What is built upon disks (device mapper, md) and drives for media (CD,
// floppy) are not disks.
func (c *Collector) linuxDisks(b *builder) {
	dir := filepath.Join(c.sys, "block")
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.problem(wire.SectionDisks, "", "list %s: %v", dir, err)
		return
	}
	b.found[wire.SectionDisks] = nil // known, even if there are none
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd") || readText(dir, name, "hidden") == "1" {
			continue
		}
		backing := readText(dir, name, "loop", "backing_file")
		if backing == "" && !exists(dir, name, "device") {
			continue
		}
		f := linuxDisk(filepath.Join(dir, name), name)
		f.set(FactBacking, backing)
		b.add(wire.SectionDisks, strings.ReplaceAll(name, "!", "/"), f)
	}
}

// linuxDisk reads one disk's directory in sysfs.
func linuxDisk(dir, name string) facts {
	f := facts{}
	if sectors, ok := readNumber(dir, "size"); ok && sectors < 1<<53 {
		f.setNumber(wire.FactSize, sectors<<9) // always in units of 512 bytes
	}
	f.setReal(FactVendor, readText(dir, "device", "vendor"))
	f.setReal(FactModel, firstOf(readText(dir, "device", "model"), readText(dir, "device", "name")))
	f.setReal(FactSerial, firstOf(readText(dir, "serial"), readText(dir, "device", "serial"), unitSerial(readOrNil(dir, "device", "vpd_pg80"))))
	f.setReal(FactFirmware, firstOf(readText(dir, "device", "firmware_rev"), readText(dir, "device", "rev")))
	f.setReal(FactWWN, firstOf(readText(dir, "wwid"), readText(dir, "device", "wwid")))
	for _, flag := range []struct{ fact, file string }{{FactRotational, "queue/rotational"}, {FactRemovable, "removable"}} {
		if v, ok := readNumber(dir, flag.file); ok {
			f.setBool(flag.fact, v != 0)
		}
	}
	target, _ := filepath.EvalSymlinks(dir)
	f.set(FactTransport, transport(name, target))
	return f
}

// unitSerial reads SCSI's vital product data page 0x80, Unit Serial Number
// (SPC-4, section 7.8.18): the page code at byte 1, the length at 2 and 3.
func unitSerial(page []byte) string {
	if len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	n := int(binary.BigEndian.Uint16(page[2:]))
	if n > len(page)-4 {
		return ""
	}
	return string(page[4 : 4+n])
}

// transport tells how a disk is attached, by its name and its place in the
// kernel's tree of devices.
func transport(name, target string) string {
	switch {
	case strings.HasPrefix(name, "loop"):
		return "loop"
	case strings.HasPrefix(name, "nvme"):
		return "nvme"
	case strings.HasPrefix(name, "mmcblk"):
		return "mmc"
	case strings.HasPrefix(name, "vd"), strings.Contains(target, "/virtio"):
		return "virtio"
	case strings.HasPrefix(name, "xvd"):
		return "xen"
	case strings.Contains(target, "/usb"):
		return "usb"
	case strings.Contains(target, "/ata"):
		return "sata"
	case strings.Contains(target, "/session"):
		return "iscsi"
	case strings.Contains(target, "/end_device-"):
		return "sas"
	}
	return ""
}
