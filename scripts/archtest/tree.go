package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one parsed Go file.
type file struct {
	path      string // below the root, with slashes
	dir       string
	test      bool // _test.go, or in a test room
	generated bool
	lines     int
	ast       *ast.File
	imports   map[string]string // local name to import path
}

// tree is everything that the rules look at.
type tree struct {
	module string
	fset   *token.FileSet
	files  []*file
	dirs   map[string][]*file
	tables []table
	owners map[string][]string
}

// finding is one breach of the plan.
type finding struct {
	path string
	line int
	rule string
	text string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.path, f.line, f.rule, f.text)
}

// rule is one check over the whole tree.
type rule struct {
	name string
	find func(*tree) []finding
}

// rules are all checks, in the order of the floor plan's page.
var rules = []rule{
	{"place", findPlaces},
	{"import", findImports},
	{"process", findProcesses},
	{"clock", findClocks},
	{"sleep", findSleeps},
	{"scope", findScopes},
	{"init", findInits},
	{"variable", findVariables},
	{"sql", findSQL},
	{"owner", findOwners},
	{"name", findNames},
	{"comment", findComments},
	{"size", findSizes},
}

// check reads the tree below root and returns what breaks the plan, sorted.
func check(root string, owners map[string][]string) ([]finding, error) {
	t, err := load(root)
	if err != nil {
		return nil, err
	}
	t.owners = owners
	var all []finding
	for _, r := range rules {
		for _, f := range r.find(t) {
			f.rule = r.name
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int {
		if c := strings.Compare(a.path, b.path); c != 0 {
			return c
		}
		return a.line - b.line
	})
	return all, nil
}

// findRoot walks up from dir to the folder of the nearest go.mod.
func findRoot(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod in %s or above it", dir)
		}
	}
}

// load parses every Go file and every migration below root.
func load(root string) (*tree, error) {
	module, err := moduleOf(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	t := &tree{module: module, fset: token.NewFileSet(), dirs: map[string][]*file{}}
	err = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			return enter(full, rel)
		}
		switch {
		case strings.HasSuffix(rel, ".go"):
			return t.addGo(full, rel)
		case strings.HasSuffix(rel, ".sql") && under(rel, "server/store/migrations"):
			return t.addMigration(full, rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", root, err)
	}
	return t, nil
}

// enter says which folders are walked: not what is built or recorded, and not
// a module of its own.
func enter(full, rel string) error {
	if rel == "." {
		return nil
	}
	base := path.Base(rel)
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules" ||
		rel == "bin" || rel == "var" || rel == "tmp" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(full, "go.mod")); err == nil {
		return filepath.SkipDir
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (t *tree) addGo(full, rel string) error {
	parsed, err := parser.ParseFile(t.fset, full, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(rel)
	f := &file{
		path:      rel,
		dir:       dir,
		test:      strings.HasSuffix(rel, "_test.go") || isTestRoom(dir),
		generated: ast.IsGenerated(parsed),
		lines:     t.fset.File(parsed.Pos()).LineCount(),
		ast:       parsed,
		imports:   map[string]string{},
	}
	for _, s := range parsed.Imports {
		p := strings.Trim(s.Path.Value, `"`)
		name := path.Base(p)
		if s.Name != nil {
			name = s.Name.Name
		}
		f.imports[name] = p
	}
	t.files = append(t.files, f)
	t.dirs[dir] = append(t.dirs[dir], f)
	return nil
}

// local turns an import path of this module into a folder below the root.
func (t *tree) local(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, t.module+"/")
}

func (t *tree) line(n ast.Node) int { return t.fset.Position(n.Pos()).Line }

func (t *tree) at(f *file, n ast.Node, format string, args ...any) finding {
	return finding{path: f.path, line: t.line(n), text: fmt.Sprintf(format, args...)}
}

// code is the files that the rules of style apply to: written by hand, and not
// a test.
func (t *tree) code() []*file {
	var out []*file
	for _, f := range t.files {
		if !f.test && !f.generated {
			out = append(out, f)
		}
	}
	return out
}

// uses calls found for every pkg.name that the file takes from an imported
// package, whatever the file calls that package.
func (f *file) uses(importPath string, found func(sel *ast.SelectorExpr)) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// A name that the parser resolved is a variable of that name.
		if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil && f.imports[id.Name] == importPath {
			found(sel)
		}
		return true
	})
}

func moduleOf(gomod string) (string, error) {
	b, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s has no module line", gomod)
}
