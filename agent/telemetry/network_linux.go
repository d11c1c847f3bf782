package telemetry

import (
	"context"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/net"
)

func readNetwork(proc string) func(context.Context) ([]Reading, error) {
	return func(ctx context.Context) ([]Reading, error) {
		counters, err := net.IOCountersByFileWithContext(ctx, true, filepath.Join(proc, "net", "dev"))
		return networkReadings(counters), err
	}
}
