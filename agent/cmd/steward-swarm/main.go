// Command steward-swarm is a simulated fleet that speaks the agents' real
// protocol to a server.
package main

import (
	"fmt"
	"io"
	"os"
)

// version is stamped by the linker (-X main.version=…).
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run answers the command line and returns the exit code: 0, or 2 for what
// this version does not have yet.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && (args[0] == "version" || args[0] == "--version") {
		fmt.Fprintln(stdout, "steward-swarm", version)
		return 0
	}
	fmt.Fprintln(stderr, "steward-swarm: not in this version")
	return 2
}
