package inventory

import (
	"strings"

	"github.com/steward-rmm/steward/proto/wire"
)

// addSystem puts the system into its section. Serial and board UUID are what a
// machine is known by again, so a placeholder is absent and said so.
func (b *builder) addSystem(h hardware) {
	b.identify(wire.SectionSystem, h.system, FactSerial, h.serial)
	b.identify(wire.SectionSystem, h.system, FactUUID, strings.ToLower(h.uuid))
	b.add(wire.SectionSystem, "system", h.system)
}

func (b *builder) addBoard(h hardware) {
	b.identify(wire.SectionBoard, h.board, FactSerial, h.boardSerial)
	b.add(wire.SectionBoard, "board", h.board)
}

func (b *builder) identify(section wire.Section, f facts, fact, value string) {
	value = clean(value)
	switch {
	case value == "":
	case Placeholder(value):
		b.problem(section, fact, "the firmware holds a placeholder: %q", value)
	default:
		f.set(fact, value)
	}
}

// addMemory puts the modules and the total that the system can use into their
// section.
func (b *builder) addMemory(total uint64, h hardware) {
	for _, m := range h.modules {
		b.add(wire.SectionMemory, m.key, m.facts)
	}
	f := facts{}
	f.setNumber(wire.FactSize, total)
	f.setNumber(FactInstalledBytes, h.installed)
	if total == 0 {
		b.problem(wire.SectionMemory, wire.FactSize, "the system does not say how much memory it has")
	}
	b.add(wire.SectionMemory, "total", f)
}
