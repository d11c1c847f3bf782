package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// findVariables reports package variables that are more than an unexported
// table: exported ones (errors aside), ones without a value, ones that hold
// locks, and ones that some function of the package writes.
func findVariables(t *tree) []finding {
	var out []finding
	for _, files := range t.dirs {
		vars := map[string]*ast.ValueSpec{}
		for _, f := range files {
			if f.test || f.generated {
				continue
			}
			for _, d := range f.ast.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				for _, s := range g.Specs {
					spec := s.(*ast.ValueSpec)
					out = append(out, t.declared(f, g, spec)...)
					for _, name := range spec.Names {
						vars[name.Name] = spec
					}
				}
			}
		}
		for _, f := range files {
			if !f.test && !f.generated {
				out = append(out, t.written(f, vars)...)
			}
		}
	}
	return out
}

// declared judges a variable by its declaration alone.
func (t *tree) declared(f *file, g *ast.GenDecl, spec *ast.ValueSpec) []finding {
	var out []finding
	for i, name := range spec.Names {
		var value ast.Expr
		if len(spec.Values) == len(spec.Names) {
			value = spec.Values[i]
		}
		switch {
		case name.Name == "_" || embeds(g.Doc) || embeds(spec.Doc):
		case guards(spec.Type) || guards(value):
			out = append(out, t.at(f, name, "package variable %s holds a lock, a channel or a counter: make it a field of the type that uses it", name.Name))
		case name.IsExported() && !strings.HasPrefix(name.Name, "Err"):
			out = append(out, t.at(f, name, "exported package variable %s: make it a constant, a function, or a field of the room's Options", name.Name))
		case len(spec.Values) == 0:
			out = append(out, t.at(f, name, "package variable %s has no value, so somebody writes it later: make it a field of the type that uses it", name.Name))
		}
	}
	return out
}

// written reports statements that change one of the package's variables.
func (t *tree) written(f *file, vars map[string]*ast.ValueSpec) []finding {
	var out []finding
	report := func(e ast.Expr) {
		id := base(e)
		if id == nil || id.Name == "_" {
			return
		}
		spec, ok := vars[id.Name]
		// The parser resolves names of the same file; an unresolved one is the
		// package's, declared in another file.
		if ok && (id.Obj == nil || id.Obj.Decl == spec) {
			out = append(out, t.at(f, id, "package variable %s is written: make it a field of the type that uses it", id.Name))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					report(e)
				}
			}
		case *ast.IncDecStmt:
			report(n.X)
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && (fn.Name == "delete" || fn.Name == "clear") {
				report(n.Args[0])
			}
		}
		return true
	})
	return out
}

// base is the variable that an expression like v.a[i].b belongs to.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// guards reports whether a type or value is there to be changed by several
// goroutines. sync.OnceValue only puts off making a constant.
func guards(e ast.Expr) bool {
	found := false
	if e == nil {
		return false
	}
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit, *ast.FuncType:
			return false
		case *ast.ChanType:
			found = true
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Obj == nil {
				found = found || id.Name == "atomic" || id.Name == "sync" && !strings.HasPrefix(n.Sel.Name, "OnceValue")
			}
		}
		return !found
	})
	return found
}
