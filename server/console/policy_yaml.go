package console

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/steward-rmm/steward/server/ident"
	"github.com/steward-rmm/steward/server/policy"
)

// policyYAML writes a stored document as the YAML that applying takes: each
// field on a line, a list of rules with a line each.
func policyYAML(d policy.Document) string {
	var b strings.Builder
	b.WriteString("kind: PatchPolicy\n")
	tenant := scalar(string(d.Tenant))
	if d.Tenant == ident.MSP {
		tenant = `"*"`
	}
	b.WriteString("tenant: " + tenant + "\n")
	if d.Site != "" {
		b.WriteString("site: " + scalar(string(d.Site)) + "\n")
	}
	b.WriteString("name: " + scalar(d.Name) + "\n")
	for _, name := range policy.FieldNames() {
		if raw, ok := d.Fields[name]; ok {
			writeField(&b, name, raw)
		}
	}
	if len(d.Lock) > 0 {
		b.WriteString("lock: [" + strings.Join(d.Lock, ", ") + "]\n")
	}
	if d.Off {
		b.WriteString("state: off\n")
	}
	return b.String()
}

func writeField(b *strings.Builder, name string, raw json.RawMessage) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) == nil && len(items) > 0 && bytes.HasPrefix(bytes.TrimSpace(items[0]), []byte("{")) {
		b.WriteString(name + ":\n")
		for _, item := range items {
			b.WriteString("  - " + flow(item) + "\n")
		}
		return
	}
	b.WriteString(name + ": " + flow(raw) + "\n")
}

// flow writes JSON as a flow collection of YAML, keys in their order.
func flow(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	text, err := flowValue(d)
	if err != nil {
		return string(raw) // JSON is YAML too
	}
	return text
}

func flowValue(d *json.Decoder) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", err
	}
	switch t := token.(type) {
	case json.Delim:
		parts := []string{}
		for d.More() {
			part := ""
			if t == '{' {
				key, err := d.Token()
				if err != nil {
					return "", err
				}
				part = scalar(key.(string)) + ": " // a key of JSON is a text
			}
			value, err := flowValue(d)
			if err != nil {
				return "", err
			}
			parts = append(parts, part+value)
		}
		if _, err := d.Token(); err != nil {
			return "", err
		}
		inner := strings.Join(parts, ", ")
		if t == '{' {
			return "{" + inner + "}", nil
		}
		return "[" + inner + "]", nil
	case string:
		return scalar(t), nil
	case json.Number:
		return t.String(), nil
	case bool:
		if t {
			return "true", nil
		}
		return "false", nil
	}
	return "null", nil
}

// plain texts need no quotes and mean nothing else in YAML.
var (
	plainText = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+)?[smhd%])$`)
	otherWord = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n)$`)
)

func scalar(s string) string {
	if plainText.MatchString(s) && !otherWord.MatchString(s) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSpace(b.String())
}
