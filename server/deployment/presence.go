package deployment

import (
	"context"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/server/deployment/rollout"
)

// irregular finds devices that were in contact in fewer than half of their
// policy's last ten windows. It is asked for again after a while only.
func (s *Service) irregular(ctx context.Context, now time.Time, w *World) (map[rollout.Seat]bool, error) {
	s.known.mu.Lock()
	old, ok := s.known.presence[w.Tenant.ID]
	s.known.mu.Unlock()
	if ok && now.Sub(old.at) < learnAgain {
		return old.irregular, nil
	}
	flips, err := s.o.Fleet.Presence(ctx, w.Tenant.ID, now.Add(-rollout.PresenceSpan))
	if err != nil {
		return nil, fmt.Errorf("load presence: %w", err)
	}
	got := presence{now, rollout.Irregular(now, w, flips)}
	s.known.mu.Lock()
	s.known.presence[w.Tenant.ID] = got
	s.known.mu.Unlock()
	return got.irregular, nil
}
