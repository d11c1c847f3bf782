package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/steward-rmm/steward/server/store/storetest"
)

// TestReadsManyTextsAtOnce asks more questions than are kept prepared, from
// many goroutines, while others still read rows.
func TestReadsManyTextsAtOnce(t *testing.T) {
	s := storetest.Open(t)
	table(t, s, `CREATE TABLE work (id bigint PRIMARY KEY)`)
	for i := range 20 {
		write(t, s, `INSERT INTO work (id) VALUES ($1)`, i)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 900 {
				limit := (i + w*7) % 300
				rows, err := s.Query(t.Context(), fmt.Sprintf(`SELECT id FROM work WHERE id >= $1 ORDER BY id LIMIT %d`, limit), 5)
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for ; rows.Next(); n++ {
					var id int
					if err := rows.Scan(&id); err != nil || id != n+5 {
						t.Errorf("row %d is %d, %v", n, id, err)
					}
				}
				if err := rows.Err(); err != nil || n != min(limit, 15) {
					t.Errorf("%d rows of %d, %v", n, limit, err)
				}
				if err := rows.Close(); err != nil {
					t.Error(err)
				}
				var count int
				if err := s.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(*) FROM work WHERE id < %d`, limit%20)).Scan(&count); err != nil || count != limit%20 {
					t.Errorf("%d below %d, %v", count, limit%20, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestAWrongReadIsAnErrorEachTime runs a text that cannot be prepared.
func TestAWrongReadIsAnErrorEachTime(t *testing.T) {
	s := storetest.Open(t)
	for range 3 {
		rows, err := s.Query(t.Context(), `SELECT nothing FROM nowhere`)
		if err == nil {
			t.Error("no error", rows.Close())
		}
	}
}
