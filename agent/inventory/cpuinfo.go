package inventory

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// cpuInfo is what /proc/cpuinfo says.
type cpuInfo struct {
	packages   []namedFacts
	hypervisor bool // the processor says that it is a virtual one
}

// parseCPUInfo gathers the processors of /proc/cpuinfo by package. ARM names
// no package and no model: everything is package 0 there, with the numbers of
// implementer and part. Frequencies are left out, they change by the second.
func parseCPUInfo(raw []byte) cpuInfo {
	type packed struct {
		facts
		cores   map[string]bool
		said    uint64
		threads uint64
	}
	var info cpuInfo
	byID := map[string]*packed{}
	for _, block := range cpuBlocks(raw) {
		id := firstOf(block["physical id"], "0")
		p := byID[id]
		if p == nil {
			if len(byID) == wire.MaxOtherItems {
				continue
			}
			p = &packed{facts: facts{}, cores: map[string]bool{}}
			byID[id] = p
			p.setReal(FactVendor, firstOf(block["vendor_id"], block["CPU implementer"]))
			p.setReal(FactModel, firstOf(block["model name"], block["cpu model"], block["cpu"]))
			p.set(FactFamily, firstOf(block["cpu family"], block["CPU architecture"]))
			p.set(FactModelNumber, firstOf(block["model"], block["CPU part"]))
			p.set(FactStepping, firstOf(block["stepping"], block["CPU revision"]))
			p.said, _ = strconv.ParseUint(block["cpu cores"], 10, 16)
		}
		p.threads++
		if core := block["core id"]; core != "" {
			p.cores[core] = true
		}
		info.hypervisor = info.hypervisor || slices.Contains(strings.Fields(block["flags"]), "hypervisor")
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		p := byID[id]
		if p.said == 0 {
			p.said = uint64(len(p.cores))
		}
		p.setNumber(FactCores, p.said)
		p.setNumber(FactThreads, p.threads)
		info.packages = append(info.packages, namedFacts{id, p.facts})
	}
	return info
}

// cpuBlocks returns the blocks that describe a processor each.
func cpuBlocks(raw []byte) (blocks []map[string]string) {
	block := map[string]string{}
	flush := func() {
		if _, ok := block["processor"]; ok {
			blocks = append(blocks, block)
		}
		block = map[string]string{}
	}
	for line := range bytes.Lines(raw) {
		if len(bytes.TrimSpace(line)) == 0 {
			flush()
			continue
		}
		if name, value, ok := strings.Cut(string(line), ":"); ok {
			block[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	flush()
	return blocks
}
