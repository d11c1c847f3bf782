package runner

import (
	"context"
	"errors"
	"time"

	"github.com/steward-rmm/steward/agent/policy"
	"github.com/steward-rmm/steward/agent/spool"
	"github.com/steward-rmm/steward/proto/wire"
)

// start gets the word for one job and journals its start. started is false
// when it may not start now; alone says that it starts without the word.
func (r *Runner) start(ctx context.Context, d due) (started, alone bool, err error) {
	word, err := r.ask(ctx, d)
	if err != nil || ctx.Err() != nil {
		return false, false, err
	}
	// Asking took time: what held before it must hold after it.
	now, doubt := r.clock()
	if _, refusal, _ := r.judge(now, doubt, d.Held); refusal != "" {
		return false, false, nil // the next round says so
	}
	switch word {
	case VerdictStart:
	case VerdictNone:
		if alone = policy.Alone(now, d.job, r.silence()); !alone {
			return false, false, nil
		}
	default:
		return false, false, nil
	}
	r.o.Hook("start.before")
	err = r.o.Journal.Start(r.o.Now(), d.Key, alone)
	if errors.Is(err, spool.ErrNotHeld) {
		return false, false, nil // a cancel came first
	}
	if err != nil {
		return false, false, err
	}
	r.o.Hook("start.journaled")
	delete(r.waits, d.Key)
	return true, alone, nil
}

// ask asks the server. A wait is remembered, a cancellation journaled;
// VerdictNone means that nobody answered.
func (r *Runner) ask(ctx context.Context, d due) (Verdict, error) {
	asking, stop := context.WithTimeout(ctx, wire.MayStartTimeout)
	defer stop()
	a, err := r.o.Starter.MayStart(asking, d.JobID, d.Attempt)
	switch {
	case err != nil || asking.Err() != nil || a.Verdict == VerdictNone:
		r.waits[d.Key] = r.o.Now().Add(askAgain)
		return VerdictNone, nil
	case a.Verdict == VerdictWait:
		r.waits[d.Key] = r.o.Now().Add(min(max(a.RetryAfter, askAgain), time.Hour))
	case a.Verdict == VerdictCancelled:
		return a.Verdict, r.refuse(d.Key, wire.RefusedCancelled, "the server cancelled it: "+a.Reason)
	}
	return a.Verdict, nil
}
