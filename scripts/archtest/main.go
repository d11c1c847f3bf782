// Command archtest holds the code to the house's floor plan: who may import
// whom, which file writes which table, who may read the clock or start a
// process, and how large things may grow. The rules are data (plan.go,
// owners.go); a finding names the file and line, the rule, and the right room.
//
// It reads sources with go/parser alone: no git, no go list, no network. It
// runs in any copy of the tree, also on code that does not compile yet.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Stdout, os.Stderr)) }

// run checks the tree around the working directory and returns the exit code:
// 0 when nothing was found, 1 with findings, 2 when the tree cannot be read.
func run(stdout, stderr io.Writer) int {
	wd, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(stderr, "archtest:", err)
		return 2
	}
	root, err := findRoot(wd)
	if err != nil {
		fmt.Fprintln(stderr, "archtest:", err)
		return 2
	}
	found, err := check(root, owners)
	if err != nil {
		fmt.Fprintln(stderr, "archtest:", err)
		return 2
	}
	for _, f := range found {
		fmt.Fprintln(stdout, f)
	}
	if len(found) > 0 {
		fmt.Fprintf(stdout, "archtest: %d findings; the plan is in docs/architecture.md, changes to it in docs/decisions\n", len(found))
		return 1
	}
	return 0
}
