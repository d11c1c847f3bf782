package main

import "strings"

// room is one room of the floor plan. A room may import every room of its side
// on lower floors, and on its own floor those that stand before it in the list.
type room struct {
	path  string // folder below the root; its subfolders belong to it
	floor int
	trait trait
}

// trait marks what a room may do beyond the common rules.
type trait uint8

const (
	door    trait = 1 << iota // never imports another door
	clock                     // may read the time
	wiring                    // long straight functions and files are fine
	roomy                     // one noun, page or channel a file: no limit on the package
	process                   // may start processes
	exact                     // only the folder itself, not what is below it
)

// plan is the floor plan, each floor from left to right. Rooms whose name ends
// in "test" (servertest, storetest) are test rooms: they may import everything
// of their side, and only tests import them.
var plan = []room{
	{"server/ident", 0, 0},
	{"server/reason", 0, 0},
	{"server/fault", 0, 0},
	{"server/window", 0, 0},
	{"server/loop", 0, clock},
	{"server/wake", 0, 0},
	{"server/seal", 0, 0},
	{"server/audit", 1, 0},
	{"server/fleet", 1, 0},
	{"server/task", 1, 0},
	{"server/auth", 2, 0},
	{"server/pki", 2, 0},
	{"server/inventory", 2, 0},
	{"server/telemetry", 2, 0},
	{"server/policy", 2, 0},
	{"server/job", 2, 0},
	{"server/patch", 2, 0},
	{"server/gate", 2, 0},
	{"server/deployment", 3, 0},
	{"server/alert", 3, 0},
	{"server/session", 3, 0},
	{"server/notify", 3, roomy},
	{"server/apply", 3, 0},
	{"server/view", 3, 0},
	{"server/report", 3, 0},
	{"server/gateway", 4, door | clock},
	{"server/api", 4, door | clock | roomy},
	{"server/console", 4, door | clock | roomy},
	{"server/store", 4, door | clock | roomy},
	{"server/cli", 5, clock | roomy},
	{"server", 5, clock | wiring | exact},
	{"server/cmd", 5, clock | wiring},

	{"agent/osexec", 0, clock | process},
	{"agent/spool", 0, 0},
	{"agent/identity", 0, 0},
	{"agent/policy", 0, 0},
	{"agent/source", 1, 0},
	{"agent/inventory", 1, 0},
	{"agent/telemetry", 1, 0},
	{"agent/desk", 1, 0},
	{"agent/transport", 2, clock},
	{"agent/runner", 2, 0},
	{"agent/selfupdate", 2, 0},
	{"agent/service", 2, clock},
	{"agent", 3, clock | wiring | exact},
	{"agent/swarm", 3, clock},
	{"agent/cmd", 4, clock | wiring},
}

// tops are the only folders of the root that hold Go code.
var tops = []string{"agent", "installers", "proto", "scripts", "server"}

// translators are the only rooms that know the generated protobuf types.
var translators = []string{"server/gateway", "agent/transport"}

// storekeepers are the rooms that open the store: the wiring, and the commands
// that work on a data directory beside the server.
var storekeepers = []string{"server", "server/cli", "server/cmd"}

// apart are imports that the floors would allow and the design does not.
var apart = []struct{ from, to, instead string }{
	{"agent/runner", "agent/transport", "jobs and results meet at agent/spool; ask through an interface (runner.Starter) that agent, the wiring, fills"},
}

// badNames are package names that say nothing about what is inside.
var badNames = []string{
	"util", "utils", "common", "helper", "helpers", "misc", "shared", "model", "models", "types", "manager", "managers",
}

// Limits of size. Tests and generated code do not count towards a package.
const (
	maxPackageLines     = 2500
	maxPackageFiles     = 25
	maxFileLines        = 800
	maxFunctionLines    = 120
	maxInterfaceMethods = 8
)

// roomOf returns the room that a folder belongs to: the longest that matches.
func roomOf(dir string) (int, bool) {
	best := -1
	for i, r := range plan {
		if dir != r.path && (r.trait&exact != 0 || !strings.HasPrefix(dir, r.path+"/")) {
			continue
		}
		if best < 0 || len(r.path) > len(plan[best].path) {
			best = i
		}
	}
	return best, best >= 0
}

// has reports whether the folder's room has the trait.
func has(dir string, t trait) bool {
	i, ok := roomOf(dir)
	return ok && plan[i].trait&t != 0
}

// isTestRoom reports whether the folder, or one it lies in, is a test room.
func isTestRoom(dir string) bool {
	parts := strings.Split(dir, "/")
	if parts[0] != "server" && parts[0] != "agent" {
		return false
	}
	for _, p := range parts[1:] {
		if strings.HasSuffix(p, "test") {
			return true
		}
	}
	return false
}

// top is the first folder of a path: "server", "agent", "proto", "scripts".
func top(dir string) string {
	t, _, _ := strings.Cut(dir, "/")
	return t
}

// under reports whether dir is one of the roots or lies below one.
func under(dir string, roots ...string) bool {
	for _, r := range roots {
		if dir == r || strings.HasPrefix(dir, r+"/") {
			return true
		}
	}
	return false
}

// among reports whether the room of dir is one of the named rooms.
func among(dir string, rooms []string) bool {
	i, ok := roomOf(dir)
	if !ok {
		return false
	}
	for _, r := range rooms {
		if plan[i].path == r {
			return true
		}
	}
	return false
}
