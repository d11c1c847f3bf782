package inventory

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/steward-rmm/steward/proto/wire"
)

// Volume is one mounted local file system.
type Volume struct {
	Mountpoint string
	Device     string
	Type       string // as the system names it: ext4, ntfs, apfs
	ReadOnly   bool
}

// Volumes lists the mounted local file systems in order of mount points; loop
// mounts are among them. Left out are pseudo and network file systems, images
// that are full by construction (squashfs, iso9660 …) and, of a device mounted
// more than once, all but the shortest mount point. On Linux the root of
// procfs is taken from gopsutil's environment in ctx. Volumes that were found
// before an error are returned with it.
func Volumes(ctx context.Context) ([]Volume, error) {
	parts, err := disk.PartitionsWithContext(ctx, true)
	return localVolumes(runtime.GOOS, parts, localDrive), err
}

// localVolumes is the filter of Volumes. local says of a Windows drive whether
// it is one of the machine's own.
func localVolumes(goos string, parts []disk.PartitionStat, local func(mountpoint string) bool) []Volume {
	last := map[string]int{} // a later mount hides the earlier at the same place
	for i, p := range parts {
		last[p.Mountpoint] = i
	}
	var found []Volume
	for i, p := range parts {
		if p.Mountpoint == "" || p.Device == "" || p.Fstype == "" || last[p.Mountpoint] != i || !utf8.ValidString(p.Mountpoint) {
			continue
		}
		if keepVolume(goos, p, local) {
			found = append(found, Volume{p.Mountpoint, p.Device, strings.ToLower(p.Fstype), slices.Contains(p.Opts, "ro")})
		}
	}
	slices.SortFunc(found, func(a, b Volume) int {
		return cmp.Or(cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), cmp.Compare(a.Mountpoint, b.Mountpoint))
	})
	seen := map[string]bool{}
	found = slices.DeleteFunc(found, func(v Volume) bool {
		twice := seen[v.Device]
		seen[v.Device] = true
		return twice
	})
	slices.SortFunc(found, func(a, b Volume) int { return cmp.Compare(a.Mountpoint, b.Mountpoint) })
	return found
}

func keepVolume(goos string, p disk.PartitionStat, local func(string) bool) bool {
	switch goos {
	case "windows":
		return !image(p.Fstype) && local(p.Mountpoint)
	case "darwin":
		// Volumes hidden from the Finder (VM, Preboot, Update, Data) share the
		// space of the container that "/" counts.
		return strings.HasPrefix(p.Device, "/dev/") && slices.Contains(p.Opts, "local") &&
			!slices.Contains(p.Opts, "nobrowse") && !image(p.Fstype) && p.Fstype != "devfs"
	}
	// A container's root is an overlay: from within, it is the machine's disk.
	return p.Mountpoint == "/" || (onDisk(p.Fstype) && !slices.Contains(p.Opts, "bind"))
}

// onDisk lists Linux's file systems of local disks. A closed list, since new
// pseudo file systems are many and new disk file systems are few.
func onDisk(fstype string) bool {
	switch fstype {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "zfs", "f2fs", "jfs", "nilfs2", "reiserfs", "minix", "ufs",
		"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "hfs", "hfsplus", "apfs", "ubifs", "jffs2":
		return true
	}
	return false
}

// image tells file systems that are full by construction.
func image(fstype string) bool {
	switch strings.ToLower(fstype) {
	case "squashfs", "erofs", "cramfs", "romfs", "iso9660", "cd9660", "cdfs", "udf":
		return true
	}
	return false
}

func (c *Collector) collectVolumes(ctx context.Context, b *builder) {
	volumes, err := c.volumes(ctx)
	if err != nil {
		b.problem(wire.SectionVolumes, "", "list mounts: %v", err)
		if len(volumes) == 0 {
			return
		}
	}
	b.found[wire.SectionVolumes] = nil // known, even if there are none
	for _, v := range volumes {
		size, err := c.capacity(ctx, v.Mountpoint)
		if err != nil {
			b.problem(wire.SectionVolumes, wire.FactSize, "%s: %v", v.Mountpoint, err)
		}
		b.addVolume(v, size)
	}
}

func (b *builder) addVolume(v Volume, bytes uint64) {
	f := facts{}
	f.set(FactDevice, v.Device)
	f.set(FactMemoryType, v.Type)
	f.setBool(FactReadOnly, v.ReadOnly)
	if v.Type != "zfs" { // its size is what is used plus what is free, and wanders
		f.setNumber(wire.FactSize, bytes)
	}
	b.add(wire.SectionVolumes, v.Mountpoint, f)
}
