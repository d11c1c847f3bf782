package main

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// findNames reports packages whose name says nothing.
func findNames(t *tree) []finding {
	var out []finding
	for dir, files := range t.dirs {
		f := files[0]
		name := strings.TrimSuffix(f.ast.Name.Name, "_test")
		if slices.Contains(badNames, name) || slices.Contains(badNames, path.Base(dir)) {
			out = append(out, t.at(f, f.ast.Name, "package %s is a bucket: name it after the one thing it is for, or move each part to the noun that owns it", name))
		}
	}
	return out
}

// findComments reports packages that do not say what they are for.
func findComments(t *tree) []finding {
	var out []finding
	for _, files := range t.dirs {
		var first *file
		said := false
		for _, f := range files {
			if f.generated {
				continue
			}
			if first == nil {
				first = f
			}
			said = said || f.ast.Doc != nil && strings.TrimSpace(f.ast.Doc.Text()) != ""
		}
		if first != nil && !said {
			out = append(out, t.at(first, first.ast.Name, "package %s has no comment: say above the package clause of one file what the room is for", first.ast.Name.Name))
		}
	}
	return out
}

// findSizes reports what has grown beyond one thought.
func findSizes(t *tree) []finding {
	var out []finding
	for dir, files := range t.dirs {
		lines, count := 0, 0
		for _, f := range files {
			if f.generated {
				continue
			}
			out = append(out, t.oversized(f)...)
			if !f.test {
				lines += f.lines
				count++
			}
		}
		if !has(dir, roomy) && (lines > maxPackageLines || count > maxPackageFiles) {
			out = append(out, t.at(files[0], files[0].ast.Name, "package %s has %d lines in %d files, at most %d in %d: which second noun lives here? Give it a room by a decision in docs/decisions",
				dir, lines, count, maxPackageLines, maxPackageFiles))
		}
	}
	return out
}

// oversized judges one file, its functions and its interfaces.
func (t *tree) oversized(f *file) []finding {
	if has(f.dir, wiring) {
		return nil
	}
	var out []finding
	if f.lines > maxFileLines {
		out = append(out, t.at(f, f.ast.Name, "%d lines, at most %d: one file, one thought; split it inside its room", f.lines, maxFileLines))
	}
	if f.test {
		return out // tables of cases may be long
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if lines := t.fset.Position(n.End()).Line - t.line(n) + 1; lines > maxFunctionLines {
				out = append(out, t.at(f, n, "func %s has %d lines, at most %d: give its steps names", n.Name.Name, lines, maxFunctionLines))
			}
		case *ast.InterfaceType:
			if n.Methods.NumFields() > maxInterfaceMethods {
				out = append(out, t.at(f, n, "an interface of %d methods, at most %d: state it where it is used, with what is used there", n.Methods.NumFields(), maxInterfaceMethods))
			}
		}
		return true
	})
	return out
}
