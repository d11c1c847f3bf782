//go:build e2e

package chaos_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-rmm/steward/scripts/e2e/rig"
)

// Whoever writes into the database behind the server's back is noticed, and
// the first sequence that does not add up is named.
func TestAuditNoticesTampering(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statements []string
		kept       bool // needs a head that was kept elsewhere
	}{
		"changed":  {statements: []string{"UPDATE audit_entries SET actor_id = 'somebody else' WHERE tenant_id = 'home' AND seq = 3"}},
		"reworded": {statements: []string{"UPDATE audit_entries SET payload = CAST(replace(CAST(payload AS TEXT), 'e', 'a') AS BLOB) WHERE tenant_id = 'home' AND seq = 3"}},
		"removed":  {statements: []string{"DELETE FROM audit_entries WHERE tenant_id = 'home' AND seq = 3"}},
		"cut off": {statements: []string{
			"DELETE FROM audit_entries WHERE tenant_id = 'home' AND seq >= 3",
			"DELETE FROM audit_heads WHERE tenant_id = 'home' AND seq >= 3",
		}, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := rig.StartServer(t)
			for range 5 {
				s.CLI("enrollments", "create", "--tenant", "home")
			}
			head := sealed(t, s, 5)
			args := []string{"audit", "verify", "--tenant", "home"}
			if c.kept {
				args = append(args, "--head", head)
			}
			s.CLI(args...)

			s.Stop()
			db, err := sql.Open("sqlite", filepath.Join(s.Data, "steward.db"))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range c.statements {
				done, err := db.Exec(text)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if n, _ := done.RowsAffected(); n == 0 && strings.Contains(text, "audit_entries") {
					t.Fatalf("%s changed nothing", text)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s.Start()
			out, errs, code := s.Try(args...)
			if code != 1 || !strings.Contains(errs, "home at 3") {
				t.Errorf("audit verify: exit %d, want 1 and the sequence 3\n%s%s", code, out, errs)
			}
		})
	}
}

// sealed waits until the record of tenant home holds n sealed entries and
// returns its end as SEQ:HASH.
func sealed(t *testing.T, s *rig.Server, n int) (head string) {
	t.Helper()
	rig.Eventually(t, 30*time.Second, "the entries are sealed", func() (bool, string) {
		var report struct {
			Sealed, Unsealed int
			Head             string
		}
		s.JSON(&report, "audit", "verify", "--tenant", "home")
		head = report.Head
		return report.Sealed >= n && report.Unsealed == 0 && head != "", fmt.Sprint(report)
	})
	return head
}
