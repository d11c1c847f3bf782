package transport

import "github.com/steward-rmm/steward/proto/wire"

// want notes sections to be told in full: at once, or a minute after they were
// told last.
func (s *session) want(sections []wire.Section) error {
	var missing []wire.Section
	now := s.c.o.Now()
	queued, err := s.queued(len(sections) > 0)
	if err != nil {
		return err
	}
	for _, section := range sections {
		if queued[section] {
			continue
		}
		if err := s.c.o.Journal.ForgetSection(section); err != nil {
			return err
		}
		had, err := s.c.o.Journal.Picture(section)
		if err != nil {
			return err
		}
		if len(had) == 0 {
			missing = append(missing, section)
		}
		s.mu.Lock()
		if _, already := s.wanted[section]; !already {
			s.wanted[section] = now
			if again := s.told[section].Add(wire.MinInventoryInterval); again.After(now) {
				s.wanted[section] = again
			}
		}
		s.mu.Unlock()
	}
	if len(missing) > 0 {
		s.c.o.Missing(missing)
	}
	s.wake()
	return nil
}

// queued returns the sections that are told in full by events which the server
// has not acknowledged: it gets them anyway.
func (s *session) queued(look bool) (map[wire.Section]bool, error) {
	out := map[wire.Section]bool{}
	if !look {
		return out, nil
	}
	s.mu.Lock()
	from := s.sent + 1
	s.mu.Unlock()
	for {
		events, err := s.c.o.Journal.Events(from, eventBatch)
		if err != nil || len(events) == 0 {
			return out, err
		}
		for _, e := range events {
			if e.Inventory != nil && e.Inventory.Full {
				out[e.Inventory.Section] = true
			}
			from = e.Seq + 1
		}
	}
}
