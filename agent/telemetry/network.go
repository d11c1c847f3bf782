package telemetry

import (
	"regexp"

	"github.com/shirou/gopsutil/v4/net"

	"github.com/steward-rmm/steward/proto/wire"
)

// passing matches interfaces that only pass on, or hand to a container, what
// another one counts, and those whose names come and go with containers.
var passing = regexp.MustCompile(`^(lo\d*|veth.*|ifb\d+|docker\d+|br-[0-9a-f]{12}|virbr\d+(-nic)?|vnet\d+|tap.*|cali.*|flannel.*|cni\d+|dummy\d+|` +
	`sit\d+|gif\d+|stf\d+|awdl\d+|llw\d+|anpi\d+|ap\d+|bridge\d+|(?i:loopback|isatap|teredo).*)$`)

func networkReadings(counters []net.IOCountersStat) []Reading {
	var out []Reading
	for _, c := range counters {
		if c.Name == "" || passing.MatchString(c.Name) {
			continue
		}
		flow := func(signal, direction string, counter uint64) {
			out = append(out, rate(signal, float64(counter)).with(wire.AttributeDevice, c.Name, wire.AttributeDirection, direction))
		}
		flow(wire.SignalNetworkIO, "receive", c.BytesRecv)
		flow(wire.SignalNetworkIO, "transmit", c.BytesSent)
		flow(wire.SignalNetworkErrors, "receive", c.Errin)
		flow(wire.SignalNetworkErrors, "transmit", c.Errout)
		flow(wire.SignalNetworkDropped, "receive", c.Dropin)
		flow(wire.SignalNetworkDropped, "transmit", c.Dropout)
	}
	return out
}
