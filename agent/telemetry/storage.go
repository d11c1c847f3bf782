package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/steward-rmm/steward/agent/inventory"
	"github.com/steward-rmm/steward/proto/wire"
)

// readFilesystems measures every mounted local file system. A mount that went
// away in between is skipped; the others are measured.
func readFilesystems(goos string) func(context.Context) ([]Reading, error) {
	return func(ctx context.Context) ([]Reading, error) {
		volumes, err := inventory.Volumes(ctx)
		if len(volumes) == 0 {
			return nil, err
		}
		var out []Reading
		var errs []error
		for _, v := range volumes {
			usage, err := disk.UsageWithContext(ctx, v.Mountpoint)
			if err != nil {
				if !errors.Is(err, os.ErrNotExist) {
					errs = append(errs, fmt.Errorf("%s: %w", v.Mountpoint, err))
				}
				continue
			}
			out = append(out, filesystemReadings(v, *usage, goos)...)
		}
		if len(out) > 0 {
			return out, nil // a mount that cannot be read is absent, the rest is whole
		}
		return nil, errors.Join(errs...)
	}
}

// filesystemReadings counts as df does: what is reserved for root is neither
// used nor free to anyone else.
func filesystemReadings(v inventory.Volume, u disk.UsageStat, goos string) []Reading {
	used, free := float64(u.Used), float64(u.Free)
	if used+free <= 0 {
		return nil
	}
	base := Reading{Series: Series{Signal: wire.SignalFilesystemUtilization}, Value: used / (used + free)}.with(
		wire.AttributeMountpoint, v.Mountpoint, wire.AttributeDevice, v.Device, wire.AttributeType, v.Type)
	usage := func(state string, bytes float64) Reading {
		r := base.with(wire.AttributeState, state)
		r.Signal, r.Value = wire.SignalFilesystemUsage, bytes
		return r
	}
	out := []Reading{base, usage("used", used), usage("free", free)}
	if goos != "windows" && u.InodesTotal > 0 && u.InodesTotal >= u.InodesFree {
		inodes := base
		inodes.Signal = wire.SignalInodesUtilization
		inodes.Value = float64(u.InodesTotal-u.InodesFree) / float64(u.InodesTotal)
		out = append(out, inodes)
	}
	return out
}

// readDisks measures whole physical disks; on Windows its fixed drives.
func readDisks(goos, sys string) func(context.Context) ([]Reading, error) {
	return func(ctx context.Context) ([]Reading, error) {
		counters, err := disk.IOCountersWithContext(ctx)
		var out []Reading
		for name, c := range counters {
			if goos != "linux" || wholeDisk(sys, name) {
				out = append(out, diskReadings(name, c, goos)...)
			}
		}
		return out, err
	}
}

// wholeDisk tells a physical disk from its partitions and from what is built
// upon disks (loop, device mapper, md), which would count the same bytes again.
func wholeDisk(sys, name string) bool {
	dir := filepath.Join(sys, "block", strings.ReplaceAll(name, "/", "!"))
	if strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd") {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "device"))
	return err == nil
}

func diskReadings(name string, c disk.IOCountersStat, goos string) []Reading {
	flow := func(signal, direction string, counter uint64) Reading {
		return rate(signal, float64(counter)).with(wire.AttributeDevice, name, wire.AttributeDirection, direction)
	}
	out := []Reading{
		flow(wire.SignalDiskIO, "read", c.ReadBytes), flow(wire.SignalDiskIO, "write", c.WriteBytes),
		flow(wire.SignalDiskOperations, "read", c.ReadCount), flow(wire.SignalDiskOperations, "write", c.WriteCount),
	}
	if goos == "linux" { // elsewhere it is absent, or the sum over requests side by side
		out = append(out, rate(wire.SignalDiskIOTime, float64(c.IoTime)/1000).with(wire.AttributeDevice, name))
	}
	return out
}
