package apply

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/steward-rmm/steward/server/fault"
)

// Limits of what is read. They keep the work for one request small, whatever
// the text is.
const (
	MaxBytes     = 1 << 20
	maxDocuments = 500
	maxDepth     = 16
	maxTokens    = 200_000
)

// place says where in the text something is wrong.
func place(line, column int) string { return fmt.Sprintf("line %d, column %d", line, column) }

func wrong(line, column int, format string, args ...any) error {
	return fault.Invalidf(place(line, column), format, args...)
}

// parse reads the text into one mapping for each document that is not empty.
// It knows a plain part of YAML: mappings, lists and scalars. Anchors, aliases,
// tags, merge keys and directives are refused, keys are texts and never twice.
func parse(text []byte) (docs []*node, err error) {
	if len(text) > MaxBytes {
		return nil, fault.Invalidf("body", "larger than %d bytes", MaxBytes).WithNext("apply it in several parts")
	}
	if line, ok := plainText(text); !ok {
		return nil, wrong(line, 1, "this line is not UTF-8 text")
	}
	// The parser is another project's: a panic in it is a text we cannot read.
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, fault.Invalidf("body", "the text cannot be read as YAML").WithCause(fmt.Errorf("parser: %v", p))
		}
	}()
	tokens := lexer.Tokenize(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntax(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentGroupType {
			continue
		}
		n, err := convert(doc.Body, 0)
		if err != nil {
			return nil, err
		}
		if n.kind != isMapping {
			return nil, wrong(n.line, n.column, "a document is a mapping that begins with kind:")
		}
		if len(docs) == maxDocuments {
			return nil, wrong(n.line, n.column, "more than %d documents", maxDocuments)
		}
		docs = append(docs, n)
	}
	if len(docs) == 0 {
		return nil, fault.Invalidf("body", "there is no document in it").WithNext("a document begins with kind:")
	}
	return docs, nil
}

func plainText(text []byte) (line int, ok bool) {
	line = 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line, false
		}
		text = text[size:]
	}
	return line, true
}

// checkTokens refuses what is not needed and bounds how deep the parser, which
// calls itself for each level, can go.
func checkTokens(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return fault.Invalidf("body", "more than %d words and signs", maxTokens).WithNext("apply it in several parts")
	}
	depth, line, dashes := 0, 0, 0
	for _, t := range tokens {
		at := t.Position
		if at.Line != line {
			line, dashes = at.Line, 0
		}
		what := ""
		switch t.Type {
		case token.AnchorType, token.AliasType:
			what = "anchors and aliases (& and *)"
		case token.TagType:
			what = "tags (!)"
		case token.MergeKeyType:
			what = "merge keys (<<)"
		case token.DirectiveType:
			what = "directives (%)"
		case token.MappingKeyType:
			what = "keys that are marked with ?"
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		case token.InvalidType:
			return wrong(at.Line, at.Column, "this cannot be read as YAML")
		}
		if what != "" {
			return wrong(at.Line, at.Column, "%s are not read here", what)
		}
		if depth > maxDepth || dashes > maxDepth || at.IndentLevel > 8*maxDepth {
			return wrong(at.Line, at.Column, "more than %d levels", maxDepth)
		}
	}
	return nil
}

// syntax takes from the parser's error what is wrong and where, but not the
// lines of the text, which may hold a secret.
func syntax(err error) error {
	var e interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return fault.Invalidf("body", "the text cannot be read as YAML")
	}
	message, _, _ := strings.Cut(e.GetMessage(), "\n")
	if strings.Contains(message, "already defined") {
		message = "this key stands here twice"
	} else if strings.ContainsAny(message, `"'`+"`") {
		message = "this cannot be read as YAML"
	}
	return wrong(e.GetToken().Position.Line, e.GetToken().Position.Column, "%s", message)
}

func convert(n ast.Node, depth int) (*node, error) {
	out := &node{}
	if t := n.GetToken(); t != nil && t.Position != nil {
		out.line, out.column = t.Position.Line, t.Position.Column
	}
	if depth > maxDepth {
		return nil, wrong(out.line, out.column, "more than %d levels", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = isMapping
		return out, out.addFields(n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = isMapping
		return out, out.addFields([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = isList
		for _, v := range n.Values {
			item, err := convert(v, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
		return out, nil
	case *ast.StringNode:
		out.kind, out.text = isText, n.Value
		return out, nil
	case *ast.LiteralNode:
		out.kind, out.text = isText, n.Value.Value
		return out, nil
	case *ast.NullNode:
		out.kind = isNull
		return out, nil
	case *ast.IntegerNode:
		return out.number(n.Value)
	case *ast.FloatNode:
		return out.number(n.Value)
	case *ast.BoolNode:
		return out.number(n.Value)
	}
	return nil, wrong(out.line, out.column, "this kind of value is not read here")
}

func (n *node) number(v any) (*node, error) {
	raw, ok := scalar(v)
	if !ok {
		return nil, wrong(n.line, n.column, "this number is out of range")
	}
	n.kind, n.json = isScalar, raw
	return n, nil
}

func (n *node) addFields(values []*ast.MappingValueNode, depth int) error {
	for i, v := range values {
		key := v.Key.GetToken()
		if i == 0 {
			n.line, n.column = key.Position.Line, key.Position.Column
		}
		name, ok := v.Key.(*ast.StringNode)
		if !ok {
			return wrong(key.Position.Line, key.Position.Column, "a key must be a text")
		}
		if n.get(name.Value) != nil {
			return wrong(key.Position.Line, key.Position.Column, "this key stands here twice")
		}
		value, err := convert(v.Value, depth+1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, &field{name: name.Value, line: key.Position.Line, column: key.Position.Column, value: value})
	}
	return nil
}
