package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table is a table that a migration makes.
type table struct {
	name string
	path string
	line int
}

var (
	sqlComment = regexp.MustCompile(`--[^\n]*`)
	sqlSchema  = regexp.MustCompile(`(?i)\b(CREATE(?:\s+UNLOGGED|\s+VIRTUAL)?\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?|DROP\s+TABLE(?:\s+IF\s+EXISTS)?|ALTER\s+TABLE)\s+"?(\w+)"?(\s+RENAME\s+TO\s+"?(\w+)"?)?`)
	sqlWrite   = regexp.MustCompile(`(?i)\b(?:(?:INSERT(?:\s+OR\s+\w+)?|REPLACE)\s+INTO|DELETE\s+FROM)\s+([^\s(;]+)|\bUPDATE\s+(?:OR\s+\w+\s+)?(?:ONLY\s+)?([^\s(;]+)(?:\s+(?:AS\s+)?\w+)?\s+SET\b`)
	// Capitals only: "Select a site from the list" is a sentence.
	sqlStart = regexp.MustCompile(`(?s)^\s*(?:SELECT\s.+\sFROM\s|INSERT\s+(?:OR\s+\w+\s+)?INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s*\()`)
	sqlName  = regexp.MustCompile(`^\w+$`)
)

// addMigration reads the tables that a migration's way up leaves behind. Files
// are walked in the order of their names, so a rebuilt table keeps its name.
func (t *tree) addMigration(full, rel string) error {
	b, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	up, _, _ := strings.Cut(string(b), "-- +goose Down")
	// Comments become blanks, so that offsets still tell the line.
	up = sqlComment.ReplaceAllStringFunc(up, func(s string) string { return strings.Repeat(" ", len(s)) })
	folder := path.Dir(rel)
	for _, m := range sqlSchema.FindAllStringSubmatchIndex(up, -1) {
		verb, name := strings.ToUpper(up[m[2]:m[3]]), strings.ToLower(up[m[4]:m[5]])
		line := 1 + strings.Count(up[:m[0]], "\n")
		same := func(x table) bool { return x.name == name && path.Dir(x.path) == folder }
		switch {
		case strings.HasPrefix(verb, "CREATE"):
			t.tables = append(t.tables, table{name, rel, line})
		case strings.HasPrefix(verb, "DROP"):
			t.tables = slices.DeleteFunc(t.tables, same)
		case m[8] >= 0: // ALTER TABLE … RENAME TO
			t.tables = slices.DeleteFunc(t.tables, same)
			t.tables = append(t.tables, table{strings.ToLower(up[m[8]:m[9]]), rel, line})
		}
	}
	return nil
}

// findOwners checks that every table has one owner and that store files write
// only what they own.
func findOwners(t *tree) []finding {
	owner := map[string]string{}
	var out []finding
	for _, noun := range sortedKeys(t.owners) {
		for _, name := range t.owners[noun] {
			at := finding{path: "server/store/" + noun + ".go", line: 1}
			if before, twice := owner[name]; twice {
				at.text = fmt.Sprintf("table %s has two owners, %s.go and %s.go: keep one in scripts/archtest/owners.go", name, before, noun)
				out = append(out, at)
			} else if len(t.tables) > 0 && !slices.ContainsFunc(t.tables, func(x table) bool { return x.name == name }) {
				at.text = fmt.Sprintf("scripts/archtest/owners.go gives it table %s, which no migration makes", name)
				out = append(out, at)
			}
			owner[name] = noun
		}
	}
	seen := map[string]bool{}
	for _, tb := range t.tables {
		if owner[tb.name] == "" && !seen[tb.name] {
			out = append(out, finding{path: tb.path, line: tb.line, text: fmt.Sprintf("table %s has no owner: name the store file of its noun in scripts/archtest/owners.go", tb.name)})
		}
		seen[tb.name] = true
	}
	for _, f := range t.code() {
		if under(f.dir, "server/store") {
			out = append(out, t.foreign(f, owner, seen)...)
		}
	}
	return out
}

// foreign reports the statements of a store file that write another's table.
func (t *tree) foreign(f *file, owner map[string]string, known map[string]bool) []finding {
	var out []finding
	noun := strings.TrimSuffix(path.Base(f.path), ".go")
	texts(f.ast, func(n ast.Node, text string) {
		for _, m := range sqlWrite.FindAllStringSubmatchIndex(text, -1) {
			i := 2
			if m[i] < 0 {
				i = 4
			}
			name := strings.ToLower(strings.Trim(text[m[i]:m[i+1]], `"`))
			shouted := strings.ToUpper(text[m[0]:m[0]+6]) == text[m[0]:m[0]+6]
			at := finding{path: f.path, line: t.line(n) + strings.Count(text[:m[0]], "\n")}
			switch {
			case !shouted && !known[name] && owner[name] == "":
				continue // prose, such as "delete from the spool"
			case !sqlName.MatchString(name):
				at.text = "writes a table whose name is put together: spell it in the statement, one statement for each table"
			case !known[name] && owner[name] == "":
				at.text = fmt.Sprintf("writes table %s, which no migration in server/store/migrations makes", name)
			case owner[name] == "" || owner[name] == noun:
				continue // a table without an owner is reported once, at its migration
			default:
				at.text = fmt.Sprintf("writes table %s, which belongs to server/store/%s.go: call a method there", name, owner[name])
			}
			out = append(out, at)
		}
	})
	return out
}

// findSQL reports statements outside of the store.
func findSQL(t *tree) []finding {
	var out []finding
	for _, f := range t.code() {
		if under(f.dir, "server/store", "scripts") {
			continue
		}
		texts(f.ast, func(n ast.Node, text string) {
			if sqlStart.MatchString(text) {
				out = append(out, t.at(f, n, "SQL outside of server/store: make it a method of the noun's store interface, written in server/store/<noun>.go"))
			}
		})
	}
	return out
}

// texts calls found for every string of the file; literals joined by + are one
// string, and what is not a literal in them is a question mark in braces.
func texts(f *ast.File, found func(n ast.Node, text string)) {
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		switch x := e.(type) {
		case *ast.BasicLit:
			if x.Kind == token.STRING {
				found(x, joined(x))
			}
		case *ast.BinaryExpr:
			if x.Op == token.ADD {
				if text := joined(x); strings.Trim(text, "{?}") != "" {
					found(x, text)
				}
				return false
			}
		}
		return true
	})
}

func joined(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			return joined(x.X) + joined(x.Y)
		}
	case *ast.ParenExpr:
		return joined(x.X)
	}
	return "{?}"
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
