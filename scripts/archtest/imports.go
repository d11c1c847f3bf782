package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// findPlaces reports code that stands in no room of the plan.
func findPlaces(t *tree) []finding {
	var out []finding
	for dir, files := range t.dirs {
		text := ""
		_, known := roomOf(dir)
		switch {
		case !slices.Contains(tops, top(dir)):
			text = fmt.Sprintf("Go code at the top of the repository stands only in %s; there is no cmd, internal or pkg", strings.Join(tops, ", "))
		case !known && !isTestRoom(dir) && under(dir, "server", "agent"):
			text = fmt.Sprintf("%s is no room of the floor plan: put the code in the room of its noun, or add the room with a decision in docs/decisions and a line in scripts/archtest/plan.go", dir)
		}
		if text != "" {
			out = append(out, finding{path: files[0].path, line: 1, text: text})
		}
	}
	return out
}

// findImports reports imports that the floors do not allow.
func findImports(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		for _, s := range f.ast.Imports {
			to, ok := t.local(strings.Trim(s.Path.Value, `"`))
			if !ok || to == f.dir {
				continue
			}
			if why := refuse(f, to); why != "" {
				out = append(out, t.at(f, s, "%s may not import %s: %s", f.dir, to, why))
			}
		}
	}
	return out
}

// refuse says why the file may not import the folder, and what to do instead;
// "" when it may.
func refuse(f *file, to string) string {
	from := f.dir
	switch a, b := top(from), top(to); {
	case a == "server" && b == "agent", a == "agent" && b == "server":
		return "agent and server never import each other: what both must compute alike belongs to proto/wire"
	case a == "scripts" && !under(to, "scripts", "proto/wire"):
		return "scripts drive the built binaries by the names in the contract"
	case a == "proto" && b != "proto":
		return "proto is below all floors and knows no room"
	case under(from, "proto/wire") && !under(to, "proto/wire"):
		return "proto/wire is plain Go without protobuf"
	case a != "scripts" && b == "scripts":
		return "scripts are developers' tools; code that the product needs belongs to its room"
	case isTestRoom(to) && !f.test:
		return "only tests import a test room"
	case f.test || a == "scripts" || a == "proto":
		return ""
	case under(to, "proto/steward") && !among(from, translators):
		return "protobuf stops at the doors: translate to plain types in " + strings.Join(translators, " or ")
	case b == "proto":
		return ""
	}
	return refuseRoom(from, to)
}

// refuseRoom applies the floors to two folders of one side.
func refuseRoom(from, to string) string {
	a, okA := roomOf(from)
	b, okB := roomOf(to)
	if !okA || !okB || a == b {
		return "" // findPlaces reports unknown rooms
	}
	x, y := plan[a], plan[b]
	for _, p := range apart {
		if p.from == x.path && p.to == y.path {
			return p.instead
		}
	}
	switch {
	case y.path == "server/store" && !slices.Contains(storekeepers, x.path):
		return "only the wiring opens the store: state what you need as an interface of 1 to 8 methods beside your code, implement it in " + y.path
	case x.trait&door != 0 && y.trait&door != 0:
		return "doors never import doors: reading that both need belongs to server/view, a use case to its noun's Service"
	case x.floor < y.floor:
		return fmt.Sprintf("floor %d is above floor %d: move the code up to %s, or state an interface of 1 to 3 methods in %s that the wiring (%s) fills",
			y.floor, x.floor, y.path, x.path, top(from))
	case x.floor == y.floor && a < b:
		return fmt.Sprintf("on floor %d %s stands to the right of %s: move the code to %s, or to a room above both", x.floor, path.Base(y.path), path.Base(x.path), y.path)
	}
	return ""
}
