package telemetry

import (
	"encoding/binary"
	"fmt"

	"github.com/shirou/gopsutil/v4/net"
)

// Offsets in struct if_msghdr2 and the struct if_data64 at its end, from
// XNU's bsd/net/if.h and bsd/net/if_var.h (packed to 4 bytes).
const (
	interfaceInfo2 = 0x12 // RTM_IFINFO2
	atIndex        = 12
	atData         = 32
	atInErrors     = atData + 32
	atOutErrors    = atData + 48
	atInBytes      = atData + 64
	atOutBytes     = atData + 72
	atInDrops      = atData + 96
	minInfo2       = atInDrops + 8
)

// parseInterfaceList reads the answer of macOS' sysctl NET_RT_IFLIST2: messages
// that begin with their length, of which those of type RTM_IFINFO2 hold 64-bit
// counters. name gives the name for an interface's index, "" skips it. What
// came before a broken message counts.
func parseInterfaceList(raw []byte, name func(index int) string) (counters []net.IOCountersStat, err error) {
	for at := 0; at < len(raw); {
		m := raw[at:]
		if len(m) < 4 {
			return counters, fmt.Errorf("interface list: %d bytes left over at %d", len(m), at)
		}
		size := int(binary.LittleEndian.Uint16(m))
		if size < 4 || size > len(m) {
			return counters, fmt.Errorf("interface list: message of %d bytes at %d, %d are left", size, at, len(m))
		}
		if m[3] == interfaceInfo2 && size >= minInfo2 {
			if n := name(int(binary.LittleEndian.Uint16(m[atIndex:]))); n != "" {
				u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(m[at:]) }
				counters = append(counters, net.IOCountersStat{Name: n, BytesRecv: u64(atInBytes), BytesSent: u64(atOutBytes),
					Errin: u64(atInErrors), Errout: u64(atOutErrors), Dropin: u64(atInDrops)})
			}
		}
		at += size
	}
	return counters, nil
}
