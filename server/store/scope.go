package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
	"github.com/steward-rmm/steward/server/ident"
)

// inScope is a condition on a tenant column that holds for what the scope
// covers, with its arguments numbered from first. Sites are not narrowed.
func inScope(column string, scope ident.Scope, first int) (string, []any) {
	if scope.All() {
		return "1 = 1", nil
	}
	return inTenants(column, scope.Tenants(), first)
}

// inTenants is a condition that holds for the tenants; none for an empty list.
func inTenants(column string, tenants []ident.TenantID, first int) (string, []any) {
	if len(tenants) == 0 {
		return "1 = 0", nil
	}
	var parts []string
	var args []any
	for len(tenants) > 0 {
		n := min(len(tenants), maxIn)
		text, values := inList(first+len(args), tenants[:n])
		parts, args, tenants = append(parts, column+" IN "+text), append(args, values...), tenants[n:]
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// missing turns sql.ErrNoRows into a fault that names what is not there.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.NotFoundf(format, args...)
	}
	return err
}

// exactly reports an error when a statement did not change n rows.
func exactly(n int64, changed int64, err error, what string) error {
	if err == nil && changed != n {
		return fmt.Errorf("%s: %d rows changed, not %d", what, changed, n)
	}
	return err
}
