package main

import (
	"go/ast"
	"slices"
	"strings"
)

// findProcesses reports who starts programs and should not.
func findProcesses(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		if f.test || top(f.dir) == "scripts" || has(f.dir, process) {
			continue
		}
		for _, s := range f.ast.Imports {
			if strings.Trim(s.Path.Value, `"`) == "os/exec" {
				out = append(out, t.at(f, s, "os/exec is imported: only agent/osexec starts a process (absolute path, argument vector, timeout, output cap)"))
			}
		}
		f.uses("os", func(sel *ast.SelectorExpr) {
			if sel.Sel.Name == "StartProcess" {
				out = append(out, t.at(f, sel, "os.StartProcess: only agent/osexec starts a process"))
			}
		})
	}
	return out
}

// findClocks reports reading of the time in rooms that take it as an argument.
func findClocks(t *tree) []finding {
	var out []finding
	for _, f := range t.code() {
		if top(f.dir) == "scripts" || has(f.dir, clock) {
			continue
		}
		f.uses("time", func(sel *ast.SelectorExpr) {
			if slices.Contains([]string{"Now", "Since", "Until"}, sel.Sel.Name) {
				out = append(out, t.at(f, sel, "time.%s in %s: take now time.Time as an argument; loops get it from server/loop, requests at the doors", sel.Sel.Name, f.dir))
			}
		})
	}
	return out
}

// findSleeps reports tests that wait by the clock. Inside a synctest bubble
// sleeping only moves the bubble's clock; scripts wait for real processes, and
// the tests of the room that starts processes are those processes.
func findSleeps(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		if !f.test || top(f.dir) == "scripts" || has(f.dir, process) || slices.Contains(imported(f), "testing/synctest") {
			continue
		}
		f.uses("time", func(sel *ast.SelectorExpr) {
			if sel.Sel.Name == "Sleep" {
				out = append(out, t.at(f, sel, "time.Sleep in a test: use testing/synctest or wait on a channel"))
			}
		})
	}
	return out
}

func imported(f *file) []string {
	var out []string
	for _, s := range f.ast.Imports {
		out = append(out, strings.Trim(s.Path.Value, `"`))
	}
	return out
}

// findScopes reports who makes the right to see tenants.
func findScopes(t *tree) []finding {
	var out []finding
	for _, f := range t.files {
		if f.test || under(f.dir, "server/auth", "server/ident") {
			continue
		}
		f.uses(t.module+"/server/ident", func(sel *ast.SelectorExpr) {
			if sel.Sel.Name == "NewScope" || sel.Sel.Name == "NewScopeAll" {
				out = append(out, t.at(f, sel, "ident.%s outside of server/auth: take the caller's ident.Scope as an argument and narrow it with Only; loops walk fleet.Tenants", sel.Sel.Name))
			}
		})
	}
	return out
}

// findInits reports functions that run by being imported.
func findInits(t *tree) []finding {
	var out []finding
	for _, f := range t.code() {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, t.at(f, fn, "func init: make it a constructor that the wiring calls"))
			}
		}
	}
	return out
}
