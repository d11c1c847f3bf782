//go:build race

package telemetry

// raceFactor is what the race detector costs.
const raceFactor = 20
