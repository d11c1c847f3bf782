package job

import (
	"context"
	"fmt"

	"github.com/steward-rmm/steward/proto/wire"
)

const (
	maxLogParts = 4000 // of one job: many tiny ones cost more than their bytes
	cutLine     = "\n... the rest is left out: a log is at most 64 KiB for a release and 1 MiB for a job ...\n"
)

// takeLog keeps a part of a log within the limits. What passes them is left
// out, and a line says so, once.
func (s *Service) takeLog(ctx context.Context, j Job, step Step) error {
	p := LogPart{Attempt: step.Attempt, Source: step.Source, Package: step.Package, Part: step.Part, At: step.At}
	p.Text = plain(step.Text, len(step.Text)) // may grow by replacement characters: they are cut again below
	if p.Text == "" || p.Part < 0 || p.Part > maxLogParts || p.Attempt < 1 || p.Attempt > j.Attempt || !j.State.Held() && !j.State.Final() {
		return nil
	}
	size, err := s.o.Logs.LogSize(ctx, j.Tenant, j.ID, p)
	if err != nil {
		return fmt.Errorf("size of the log: %w", err)
	}
	room := min(wire.MaxStepLog-size.Step, wire.MaxJobLog-size.Job)
	if size.Known || room < 0 || size.Parts >= maxLogParts { // below zero: the line is there
		return nil
	}
	if len(p.Text) > room {
		p.Text = plain(p.Text, room) + cutLine
	}
	if err := s.o.Logs.AddLog(ctx, j.Tenant, j.ID, p); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}
