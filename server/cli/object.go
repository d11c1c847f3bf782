package cli

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/steward-rmm/steward/server/fault"
)

// object is a row or a noun as the API gave it. Tables read from it what they
// know and leave the rest, so that a newer server still lists.
type object map[string]any

// decode reads one object.
func decode(raw json.RawMessage) (object, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil || o == nil {
		return nil, fault.New(fault.Unavailable, "the server's answer is no object").WithNext("are steward and the server of one version?")
	}
	return o, nil
}

// get follows a path of names, "os.name"; nil when something is missing.
func (o object) get(path string) any {
	var at any = map[string]any(o)
	for name := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[name]
	}
	return at
}

// str is the value as cleaned text: a list joined by commas, an object by its
// name, and "" when there is nothing.
func (o object) str(path string) string { return show(o.get(path)) }

func show(v any) string {
	switch v := v.(type) {
	case string:
		return line(v)
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = show(p)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		for _, name := range []string{"name", "hostname", "email", "id", "text"} {
			if s := show(v[name]); s != "" {
				return s
			}
		}
	}
	return ""
}

// first is the first of the paths that holds something.
func (o object) first(paths ...string) string {
	for _, p := range paths {
		if s := o.str(p); s != "" {
			return s
		}
	}
	return ""
}

// raw is the string itself, not cleaned: for what is sent or compared, and for
// text of several lines.
func (o object) raw(path string) string {
	s, _ := o.get(path).(string)
	return s
}

// number is the value as a whole number; of a list its length.
func (o object) number(path string) int {
	switch v := o.get(path).(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return 0
		}
		return int(n)
	case []any:
		return len(v)
	}
	return 0
}

// list is the objects of a list.
func (o object) list(path string) []object {
	v, _ := o.get(path).([]any)
	out := make([]object, 0, len(v))
	for _, e := range v {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// rows are the elements of an answer that is a list, or has one in items.
func rows(raw json.RawMessage) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var page struct {
		Items *[]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &page); err != nil || page.Items == nil {
		return nil, fault.New(fault.Unavailable, "the server's answer is no list").WithNext("are steward and the server of one version?")
	}
	return *page.Items, nil
}
