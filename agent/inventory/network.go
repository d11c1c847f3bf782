package inventory

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// collectNetwork lists the interfaces, those with hardware of their own first
// if there are too many. The loopback is left out.
func (c *Collector) collectNetwork(b *builder) {
	all, err := c.interfaces()
	if err != nil {
		b.problem(wire.SectionNetwork, "", "%v", err)
		return
	}
	b.found[wire.SectionNetwork] = nil // known, even if there are none
	temporary := temporaryAddresses(readOrNil(c.proc, "net", "if_inet6"))
	var virtual []namedFacts
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		f := facts{}
		f.set(FactMAC, i.HardwareAddr.String())
		f.setNumber(FactMTU, uint64(max(i.MTU, 0)))
		f.setBool(FactUp, i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0)
		f.set(FactAddresses, addressList(i.addresses, temporary))
		if c.goos == "linux" {
			c.linuxInterface(i.Name, f)
		}
		if f[FactVirtual] != "" {
			virtual = append(virtual, namedFacts{i.Name, f})
			continue
		}
		b.add(wire.SectionNetwork, i.Name, f)
	}
	for _, v := range virtual {
		b.add(wire.SectionNetwork, v.key, v.facts)
	}
}

func (c *Collector) linuxInterface(name string, f facts) {
	dir := filepath.Join(c.sys, "class", "net", name)
	if speed, ok := readNumber(dir, "speed"); ok && speed < 10_000_000 { // unknown is -1, of some drivers unsigned
		f.setNumber(FactLinkSpeed, speed)
	}
	if exists(dir) && !exists(dir, "device") {
		f.setBool(FactVirtual, true)
	}
}

// addressList writes the addresses in order, without those that IPv6's privacy
// extensions change every day.
func addressList(addresses []net.Addr, temporary map[netip.Addr]bool) string {
	var out []string
	size := 0
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || temporary[prefix.Addr()] {
			continue
		}
		out = append(out, prefix.String())
	}
	slices.Sort(out)
	for i, text := range out {
		if size += len(text) + 1; size > wire.MaxText { // a whole address or none
			out = out[:i]
			break
		}
	}
	return strings.Join(out, ",")
}

// temporaryAddresses reads /proc/net/if_inet6, whose columns are address,
// index, prefix length, scope, flags and name; flag 0x01 is
// IFA_F_TEMPORARY (linux/if_addr.h).
func temporaryAddresses(raw []byte) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		if len(f) != 6 || len(f[0]) != 32 {
			continue
		}
		address, err := hex.DecodeString(f[0])
		flags, errFlags := strconv.ParseUint(f[4], 16, 32)
		if err == nil && errFlags == nil && flags&0x01 != 0 {
			out[netip.AddrFrom16([16]byte(address))] = true
		}
	}
	return out
}
