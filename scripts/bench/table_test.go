//go:build e2e && linux

package bench

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

// table collects figures and prints them beside their budgets.
type table struct{ rows []row }

type row struct {
	what   string
	value  float64
	budget float64 // at most; 0: none
	unit   string
}

func (tb *table) add(what string, value float64, unit string, budget float64) {
	tb.rows = append(tb.rows, row{what, value, budget, unit})
}

// print logs the table. A figure above its budget is said and fails nothing:
// what else runs on the machine decides as well.
func (tb *table) print(t testing.TB) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nwhat\tmeasured\tbudget\tshare\t")
	for _, r := range tb.rows {
		budget, share, verdict := "", "", ""
		if r.budget > 0 {
			budget, share, verdict = fmt.Sprintf("%.4g %s", r.budget, r.unit), fmt.Sprintf("%.2f", r.value/r.budget), "holds"
			if r.value > r.budget {
				verdict = "MISSED"
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\n", r.what, r.value, r.unit, budget, share, verdict)
	}
	_ = w.Flush() // into memory
	t.Log(b.String())
}
