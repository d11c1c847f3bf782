// Package bench measures whole processes: the built binaries as they run on a
// machine of their own, beside the budgets of docs/performance.md. It is run by
// `make bench` with the build tag e2e.
package bench
