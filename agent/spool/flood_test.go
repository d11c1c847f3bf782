package spool_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
)

// A server that was taken over must not fill the machine's disk with jobs that
// never were.
func TestAFloodOfDesiredStatesDoesNotGrowTheJournal(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	flood := func(j *spool.Journal, most int) error {
		for version := range uint64(most) {
			d := spool.Desired{Version: version + 1}
			for i := range 200 {
				d.Cancels = append(d.Cancels, spool.Cancel{Key: spool.Key{JobID: fmt.Sprint("never ", version, " ", i), Attempt: 1}})
			}
			if _, err := j.ApplyDesired(now, d); err != nil {
				return err
			}
			if _, next, err := j.EventRange(); err != nil {
				return err
			} else if err := j.Acknowledge(next - 1); err != nil {
				return err
			}
		}
		return nil
	}
	j, err := spool.NewMemory(spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := flood(j, 150); !errors.Is(err, spool.ErrLimit) {
		t.Fatalf("30,000 cancels of jobs that never came: %v", err)
	}
	version, err := j.ApplyDesired(now.AddDate(0, 0, 61), spool.Desired{Version: 1000})
	if err != nil || version != 1000 {
		t.Errorf("after they are forgotten: %d, %v", version, err)
	}
}
