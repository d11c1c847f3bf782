package telemetry

import (
	"context"

	"github.com/shirou/gopsutil/v4/net"
)

func readNetwork(string) func(context.Context) ([]Reading, error) {
	return func(ctx context.Context) ([]Reading, error) {
		counters, err := net.IOCountersWithContext(ctx, true)
		return networkReadings(counters), err
	}
}
