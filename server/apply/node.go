package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// node is one value of a document with the place where it stands.
type node struct {
	line, column int
	kind         nodeKind
	text         string   // of a text
	json         []byte   // of any other scalar
	fields       []*field // of a mapping
	items        []*node  // of a list
}

type nodeKind string

const (
	isText    nodeKind = "a text"
	isScalar  nodeKind = "a number or a switch"
	isNull    nodeKind = "nothing"
	isMapping nodeKind = "a mapping"
	isList    nodeKind = "a list"
)

type field struct {
	name         string
	line, column int
	value        *node
}

// get finds a field of a mapping; nil when there is none.
func (n *node) get(name string) *field {
	for _, f := range n.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// appendJSON writes the value as compact JSON, keys in the order of the text.
func (n *node) appendJSON(b *bytes.Buffer) {
	switch n.kind {
	case isMapping:
		b.WriteByte('{')
		for i, f := range n.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, f.name)
			b.WriteByte(':')
			f.value.appendJSON(b)
		}
		b.WriteByte('}')
	case isList:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.appendJSON(b)
		}
		b.WriteByte(']')
	case isText:
		writeText(b, n.text)
	case isNull:
		b.WriteString("null")
	default:
		b.Write(n.json)
	}
}

func writeText(b *bytes.Buffer, s string) {
	text, _ := json.Marshal(s) // a string: cannot fail
	b.Write(text)
}

// raw is the value as JSON with sorted keys, so that equal values are equal
// bytes.
func (n *node) raw() json.RawMessage {
	var b bytes.Buffer
	n.appendJSON(&b)
	return canonical(b.Bytes())
}

// canonical writes JSON with sorted keys and without spaces; what is no JSON
// stays as it is.
func canonical(raw json.RawMessage) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return raw
	}
	out, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return out
}

// at finds the place of a path such as approvals[1].match.package as far as it
// goes.
func (n *node) at(path string) (line, column int) {
	line, column = n.line, n.column
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch {
		case n.kind == isMapping:
			f := n.get(part)
			if f == nil {
				return line, column
			}
			line, column, n = f.line, f.column, f.value
		case n.kind == isList:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(n.items) {
				return line, column
			}
			n = n.items[i]
			line, column = n.line, n.column
		default:
			return line, column
		}
	}
	return line, column
}

func scalar(v any) ([]byte, bool) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
	case int64, uint64, bool:
	default:
		return fmt.Append(nil, v), false
	}
	b, err := json.Marshal(v)
	return b, err == nil
}
