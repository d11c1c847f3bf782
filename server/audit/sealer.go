package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/ident"
)

// RunOnce seals what is unsealed and, when it is time, signs the heads. The
// active server calls it every second; it returns the number of sealed
// entries.
func (s *Service) RunOnce(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for range sealRounds {
		n, err := s.sealSome(ctx)
		total += n
		if err != nil {
			return total, fmt.Errorf("seal audit entries: %w", err)
		}
		if n < sealBatch {
			break
		}
	}
	if err := s.signHeads(ctx, now); err != nil {
		return total, fmt.Errorf("sign audit heads: %w", err)
	}
	return total, nil
}

func (s *Service) sealSome(ctx context.Context) (int, error) {
	waiting, err := s.Store.Unsealed(ctx, 1)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	sealed := 0
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		rows, err := s.Store.Unsealed(ctx, sealBatch)
		if err != nil {
			return err
		}
		tips := make(map[ident.TenantID]Tip)
		for i, r := range rows {
			tip, ok := tips[r.Tenant]
			if !ok {
				if tip, err = s.tip(ctx, r.Tenant); err != nil {
					return err
				}
			}
			rows[i] = seal(r, tip)
			tips[r.Tenant] = Tip{r.Tenant, rows[i].Seq, rows[i].Hash}
		}
		sealed = len(rows)
		return s.Store.Seal(ctx, rows)
	})
	if err != nil {
		return 0, err
	}
	return sealed, nil
}

// tip returns where a tenant's chain ends, also when it is empty.
func (s *Service) tip(ctx context.Context, tenant ident.TenantID) (Tip, error) {
	tips, err := s.Store.Tips(ctx, tenant)
	if err != nil {
		return Tip{}, fmt.Errorf("tip of %s: %w", tenant, err)
	}
	if len(tips) == 0 {
		return Tip{tenant, 0, genesis(tenant)}, nil
	}
	return tips[0], nil
}

// signHeads signs the head of every chain that grew since its last one.
func (s *Service) signHeads(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.headsDue) {
		return nil
	}
	tips, err := s.Store.Tips(ctx, "")
	if err != nil {
		return err
	}
	due := now.Add(s.HeadEvery)
	for _, tip := range tips {
		last, err := s.Store.Heads(ctx, tip.Tenant, 1)
		if err != nil {
			return err
		}
		if len(last) == 1 && last[0].Seq == tip.Seq && last[0].Hash == tip.Hash {
			continue
		}
		// After a restart the hour goes on where it was.
		if len(last) == 1 && now.Sub(last[0].At) < s.HeadEvery && !last[0].At.After(now) {
			if next := last[0].At.Add(s.HeadEvery); next.Before(due) {
				due = next
			}
			continue
		}
		err = s.Store.Tx(ctx, func(ctx context.Context) error {
			return s.Store.SaveHead(ctx, signHead(s.Signer, tip, now))
		})
		if err != nil {
			return fmt.Errorf("head of %s: %w", tip.Tenant, err)
		}
	}
	s.headsDue = due
	return nil
}

// Head returns the newest signed head of a tenant, and false before the first.
func (s *Service) Head(ctx context.Context, tenant ident.TenantID) (SignedHead, bool, error) {
	heads, err := s.Store.Heads(ctx, tenant, 1)
	if err != nil {
		return SignedHead{}, false, fmt.Errorf("audit head of %s: %w", tenant, err)
	}
	if len(heads) == 0 {
		return SignedHead{}, false, nil
	}
	return heads[0], true, nil
}

// Retain removes what is older than Keep from the beginning of each chain, a
// bounded batch per chain, and records that it did. Call it once an hour.
func (s *Service) Retain(ctx context.Context, now time.Time) error {
	tips, err := s.Store.Tips(ctx, "")
	if err != nil {
		return fmt.Errorf("audit retention: %w", err)
	}
	var failed []error // one broken chain does not keep the others from theirs
	for _, tip := range tips {
		if err := s.retain(ctx, tip, now); err != nil {
			failed = append(failed, fmt.Errorf("audit retention of %s: %w", tip.Tenant, err))
		}
	}
	return errors.Join(failed...)
}

func (s *Service) retain(ctx context.Context, tip Tip, now time.Time) error {
	old, err := s.Archive.Checkpoint(ctx, tip.Tenant)
	if err != nil {
		return err
	}
	rows, err := s.Store.Chain(ctx, tip.Tenant, old.Seq+1, pruneBatch)
	if err != nil {
		return err
	}
	plan, some := PlanRetention(now.Add(-s.Keep), rows, tip)
	if !some {
		return nil
	}
	// What is removed must be good: a checkpoint would hide that it was not.
	if bad := checkRows(rows[:plan.Seq-old.Seq], old.start(tip.Tenant)); bad != nil {
		return fmt.Errorf("entry %d: %s; nothing was removed", bad.seq, bad.problem)
	}
	plan = signCheckpoint(s.Signer, plan, now)
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		if err := s.Archive.Prune(ctx, plan); err != nil {
			return err
		}
		return s.Record(ctx, Entry{
			Tenant: tip.Tenant, At: now, Actor: ident.Steward("audit"), Action: ActionPruned,
			Object: Object{Kind: "audit_checkpoint", ID: Head{plan.Seq, plan.Hash}.String()},
			Detail: map[string]string{"through": fmt.Sprint(plan.Seq), "older_than": now.Add(-s.Keep).UTC().Format(time.RFC3339)},
		})
	})
}
