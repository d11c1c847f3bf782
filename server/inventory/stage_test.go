package inventory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/proto/wire"
	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/inventory"
)

// A device that never ends a change must not fill the memory with its parts.
func TestPartsThatNeverEndAreRefused(t *testing.T) {
	fill := strings.Repeat("x", wire.MaxText-20)
	parts := map[string]func(part int) wire.Change{
		"removals": func(part int) (c wire.Change) {
			for i := range wire.MaxChunkItems {
				c.Remove = append(c.Remove, fmt.Sprint("gone ", part, " ", i))
			}
			return c
		},
		"large removals": func(part int) (c wire.Change) {
			for i := range 100 {
				c.Remove = append(c.Remove, fmt.Sprint(fill, part, " ", i))
			}
			return c
		},
		"large items": func(part int) (c wire.Change) {
			for i := range 10 {
				it := wire.Item{Key: fmt.Sprint(part, " ", i), Facts: map[string]string{}}
				for f := range 20 {
					it.Facts[fmt.Sprint("fact ", f)] = fill
				}
				c.Upsert = append(c.Upsert, it)
			}
			return c
		},
	}
	for name, make := range parts {
		t.Run(name, func(t *testing.T) {
			s := inventory.New(inventory.Options{})
			const most = 200
			for part := range most {
				p := inventory.Part{Change: make(part)}
				p.Change.Section = wire.SectionSoftware
				ok, err := s.Take(context.Background(), time.Unix(1e9, 0), "acme", "device", p)
				if fault.Is(err, fault.TooMany) {
					return
				}
				if err != nil || !ok {
					t.Fatalf("part %d: %v, %v", part, ok, err)
				}
			}
			t.Errorf("%d parts are waiting in memory and more are welcome", most)
		})
	}
}
